//! The header: what the recording is of, and the data key, sealed to the recordings domain.

use crate::key::{DOMAIN, DataKey};
use crate::{Hash, sha256};
use minicbor::{Decode, Encode};
use sallyport_model::authority::RecordingKey;
use sallyport_model::sealed::{PrivateKey, Sealed};
use sallyport_model::{AccountName, ClusterId, Env, Handle, Kind, RecordingId, SessionId, TargetName, Timestamp};

/// Longest encoded header, in bytes.
pub const MAX_HEADER: usize = 16 * 1024;

/// A header that cannot be made, read or opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The bytes are no canonical header.
    #[error("the recording's header cannot be read ({0}); get an unaltered copy")]
    Encoding(String),
    /// More than [`MAX_HEADER`] bytes.
    #[error("the recording's header is longer than {MAX_HEADER} bytes; shorten its names")]
    TooLong,
    /// The public key of the recordings domain is unusable.
    #[error("the data key cannot be sealed to the recordings key; check the key of epoch {0}")]
    Seal(u32),
    /// The private key is not the one it was sealed to, or the header was altered.
    #[error("the data key does not open with this recordings key; take the key of epoch {0}")]
    Open(u32),
    /// The data key is not the one that the header commits to.
    #[error("the data key is not the one that the header commits to; take the key of this recording")]
    Commitment,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Encoding(_) | Self::Seal(_) => Kind::Failed,
            Self::TooLong | Self::Open(_) | Self::Commitment => Kind::Usage,
        }
    }
}

/// What a recording is of.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Facts {
    /// The recording.
    #[n(0)]
    pub recording: RecordingId,
    /// The session it is of.
    #[n(1)]
    pub session: SessionId,
    /// The installation.
    #[n(2)]
    pub cluster: ClusterId,
    /// When it began; events count from here.
    #[n(3)]
    pub started: Timestamp,
    /// Who acts.
    #[n(4)]
    pub handle: Handle,
    /// On which target.
    #[n(5)]
    pub target: TargetName,
    /// As whom on the target.
    #[n(6)]
    pub account: AccountName,
    /// `ssh`, ...
    #[n(7)]
    pub protocol: String,
    /// Columns and rows of the first terminal, where they are known.
    #[n(8)]
    pub size: Option<(u16, u16)>,
}

/// The first frame of a recording.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Header {
    /// What the recording is of.
    #[n(0)]
    pub facts: Facts,
    /// Epoch of the recordings key that `sealed_key` is sealed to.
    #[n(1)]
    pub key_epoch: u32,
    /// The data key, sealed to that key.
    #[n(2)]
    pub sealed_key: Sealed,
    /// [`DataKey::commitment`] of the data key.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub commitment: Hash,
}

impl Header {
    /// Makes a data key, seals it to the recordings domain and commits to it.
    ///
    /// # Errors
    /// When the recordings key is unusable, or the facts do not fit into a header.
    pub fn seal(env: &Env, facts: Facts, key: &RecordingKey) -> Result<(Self, DataKey), Error> {
        let data_key = DataKey::generate(env);
        let commitment = data_key.commitment(facts.recording);
        let sealed_key = key
            .key
            .seal(DOMAIN, &binding(&facts, key.epoch, &commitment), data_key.bytes().expose())
            .map_err(|_| Error::Seal(key.epoch))?;
        let header = Self { facts, key_epoch: key.epoch, sealed_key, commitment };
        if header.encode().len() > MAX_HEADER {
            return Err(Error::TooLong);
        }
        Ok((header, data_key))
    }

    /// Opens the data key and checks it against the commitment.
    ///
    /// # Errors
    /// When the key does not open it, or it is not the key that was committed to.
    pub fn open(&self, key: &PrivateKey) -> Result<DataKey, Error> {
        let binding = binding(&self.facts, self.key_epoch, &self.commitment);
        let bytes = key.open(DOMAIN, &binding, &self.sealed_key).map_err(|_| Error::Open(self.key_epoch))?;
        let data_key = DataKey::from_bytes(bytes).map_err(|_| Error::Commitment)?;
        self.check(&data_key)?;
        Ok(data_key)
    }

    /// Checks that this is the data key which the header commits to.
    ///
    /// # Errors
    /// When it is another one.
    pub fn check(&self, key: &DataKey) -> Result<(), Error> {
        if key.commitment(self.facts.recording) == self.commitment { Ok(()) } else { Err(Error::Commitment) }
    }

    /// The one encoding: CBOR (RFC 8949) with integer keys in order.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Writing to memory cannot fail and no field refuses; were it otherwise, no header decodes from nothing.
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// Reads a header; every other encoding of it, and trailing bytes, are refused.
    ///
    /// # Errors
    /// When the bytes are no canonical header, or too long.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_HEADER {
            return Err(Error::TooLong);
        }
        let header: Self = minicbor::decode(bytes).map_err(|e| Error::Encoding(e.to_string()))?;
        if header.encode() == bytes { Ok(header) } else { Err(Error::Encoding("its encoding is not canonical".into())) }
    }

    /// SHA-256 over a domain and the encoding: what the ledger knows the recording by, and where its chain begins.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&[DOMAIN, b"/header\0", &self.encode()])
    }
}

/// What the sealed key is bound to: parts of fixed length, so that no two contexts collide.
fn binding(facts: &Facts, epoch: u32, commitment: &Hash) -> Vec<u8> {
    [
        facts.cluster.as_bytes().as_slice(),
        facts.session.as_bytes(),
        facts.recording.as_bytes(),
        &epoch.to_be_bytes(),
        commitment,
    ]
    .concat()
}

#[cfg(test)]
mod tests;
