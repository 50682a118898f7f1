//! Entries: one appended fact each, in one canonical encoding, with a sentence for people.

use minicbor::{Decode, Encode};
use sallyport_model::{EntryId, Kind, SessionId, Timestamp};
use std::collections::BTreeMap;

mod facts;
mod sentence;

/// Longest encoded entry, in bytes. What is larger goes in by its hash.
pub const MAX_ENTRY: usize = 16 * 1024;

/// An entry that cannot be written or read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// More than [`MAX_ENTRY`] bytes.
    #[error("the entry has {0} bytes and may have {MAX_ENTRY}; put large facts in by their hash")]
    TooLong(usize),
    /// The bytes are no entry.
    #[error("the bytes are no ledger entry ({0}); get an unaltered copy")]
    Encoding(String),
    /// The bytes are an entry, written otherwise than its one encoding.
    #[error("the entry's encoding is not canonical; get an unaltered copy")]
    Canonical,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::TooLong(_) => Kind::Usage,
            Self::Encoding(_) | Self::Canonical => Kind::Failed,
        }
    }
}

/// One appended fact.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// Chosen by the writer; what resolves an unknown outcome.
    #[n(0)]
    pub id: EntryId,
    /// When, by the clock of the node.
    #[n(1)]
    pub at: Timestamp,
    /// Which node wrote it.
    #[n(2)]
    pub node: String,
    /// Who acted: a handle, or `system:` and a job.
    #[n(3)]
    pub actor: String,
    /// What was done, such as `session.opened`.
    #[n(4)]
    pub action: String,
    /// To what, such as `root@web-1` or an id.
    #[n(5)]
    pub object: String,
    /// Within which session.
    #[n(6)]
    pub session: Option<SessionId>,
    /// Everything else, by name. Never a secret.
    #[cbor(n(7), with = "facts")]
    pub facts: BTreeMap<String, String>,
}

impl Entry {
    /// The one encoding: CBOR with integer keys in order, map keys sorted as encoded (RFC 8949 section 4.2.1).
    ///
    /// # Errors
    /// When it is too long.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let bytes = minicbor::to_vec(self).map_err(|e| Error::Encoding(e.to_string()))?;
        if bytes.len() > MAX_ENTRY { Err(Error::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads an entry; every other encoding of it, unknown fields and trailing bytes are refused.
    ///
    /// # Errors
    /// When the bytes are no canonical entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode_with(bytes, &mut Vec::new())
    }

    /// As [`Entry::decode`], with memory that many calls share.
    pub(crate) fn decode_with(bytes: &[u8], scratch: &mut Vec<u8>) -> Result<Self, Error> {
        if bytes.len() > MAX_ENTRY {
            return Err(Error::TooLong(bytes.len()));
        }
        let entry: Self = minicbor::decode(bytes).map_err(|e| Error::Encoding(e.to_string()))?;
        scratch.clear();
        minicbor::encode(&entry, &mut *scratch).map_err(|e| Error::Encoding(e.to_string()))?;
        if scratch == bytes { Ok(entry) } else { Err(Error::Canonical) }
    }

    /// A fact by name; empty where there is none.
    #[must_use]
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    /// What happened, for people. Whatever could steer a terminal is replaced.
    #[must_use]
    pub fn sentence(&self) -> String {
        sentence::of(self)
    }
}

#[cfg(test)]
mod tests;
