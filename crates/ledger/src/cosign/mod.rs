//! Cosignatures (c2sp.org/tlog-cosignature): a witness says when it saw a checkpoint, and that it fits all before.

use crate::keys::{COSIGNATURE_TYPE, Error, Signer, Verifier};
use crate::note::{self, Note};
use sallyport_model::Secret;
use std::fmt;

/// Bytes of a timestamped signature: the time, big-endian, and an Ed25519 signature.
const LENGTH: usize = 8 + 64;

/// The public key of a witness.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WitnessKey(Verifier);

impl WitnessKey {
    /// Reads `name+hash+base64`, as `Display` writes it: a verifier key of signature type 4.
    ///
    /// # Errors
    /// When the text is no such key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Verifier::parse_as(text, COSIGNATURE_TYPE).map(Self)
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// When this witness cosigned the note, in seconds since 1970; the newest where it did more than once.
    ///
    /// # Errors
    /// When it did not, or a signature in its name is wrong.
    pub fn cosigned(&self, note: &Note) -> Result<u64, note::Error> {
        let mut newest = None;
        for bytes in note.signatures_of(&self.0) {
            let wrong = || note::Error::Signature(self.name().to_owned());
            let (time, signature) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
            let time = u64::from_be_bytes(*time);
            let plausible = bytes.len() == LENGTH && i64::try_from(time).is_ok();
            if !plausible || !self.0.verifies(message(time, note.text()).as_bytes(), signature) {
                return Err(wrong());
            }
            newest = newest.max(Some(time));
        }
        newest.ok_or(note::Error::Unsigned)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is signed: the time, and the whole text of the note.
fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The private key of a witness. It neither prints nor leaves.
pub struct Cosigner {
    signer: Signer,
    key: WitnessKey,
}

impl Cosigner {
    /// The key with this 32-byte seed.
    ///
    /// # Errors
    /// When the name is none, or the seed is not 32 bytes.
    pub fn new(name: &str, seed: &Secret<Vec<u8>>) -> Result<Self, Error> {
        let signer = Signer::new_as(name, COSIGNATURE_TYPE, seed)?;
        let key = WitnessKey(signer.verifier().clone());
        Ok(Self { signer, key })
    }

    /// The public half.
    #[must_use]
    pub const fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// A signature line over the note's text at this time, in seconds since 1970. Whoever calls it has made sure
    /// that the checkpoint fits every one that was cosigned before, and that this will not be forgotten.
    #[must_use]
    pub fn cosign(&self, note: &Note, time: u64) -> String {
        let signature = self.signer.sign(message(time, note.text()).as_bytes());
        let bytes = [time.to_be_bytes().as_slice(), &signature].concat();
        note::line(self.key.name(), self.key.0.id(), &bytes)
    }
}

#[cfg(test)]
mod tests;
