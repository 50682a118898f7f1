//! The textual proof of inclusion (c2sp.org/tlog-proof): index, hashes, and the checkpoint they lead to.

use super::{Error as Unproved, verify_inclusion};
use crate::checkpoint::{self, Checkpoint};
use crate::keys::Verifier;
use crate::tree::{Hash, hash_text, leaf_hash, parse_decimal, parse_hash};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sallyport_model::Kind;
use std::fmt;

const FIRST: &str = "c2sp.org/tlog-proof@v1";

/// No tree of less than 2^64 entries needs more hashes.
const MAX_HASHES: usize = 64;

/// A textual proof that cannot be read or does not hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text is not of the format.
    #[error("this is no proof of {FIRST}: {0}")]
    Format(&'static str),
    /// The checkpoint is wrong.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The hashes do not lead to the checkpoint.
    #[error(transparent)]
    Proof(#[from] Unproved),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Format(_) => Kind::Usage,
            Self::Checkpoint(e) => e.kind(),
            Self::Proof(e) => e.kind(),
        }
    }
}

/// A proof that an entry is in a ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TextProof {
    /// Data of the application, which nothing authenticates.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// Hashes from the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The checkpoint, as a signed note.
    pub checkpoint: String,
}

impl TextProof {
    /// Reads a proof, and no other form of it.
    ///
    /// # Errors
    /// When the text is not of the format. The checkpoint is read by [`TextProof::verify`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(Error::Format("it has no checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST) {
            return Err(Error::Format("its first line differs"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(data) => {
                lines.next();
                Some(STANDARD.decode(data).map_err(|_| Error::Format("its extra data is no base64"))?)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_decimal);
        let hashes = lines.map(parse_hash).collect::<Option<Vec<_>>>().filter(|hashes| hashes.len() <= MAX_HASHES);
        Ok(Self {
            extra,
            index: index.ok_or(Error::Format("it has no index"))?,
            hashes: hashes.ok_or(Error::Format("a line is no hash, or there are too many"))?,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Checks that the entry is in the ledger of this origin whose key is trusted, and gives the checkpoint.
    ///
    /// # Errors
    /// When checkpoint or proof are wrong.
    pub fn verify(&self, entry: &[u8], origin: &str, trust: &[&Verifier]) -> Result<Checkpoint, Error> {
        let checkpoint = Checkpoint::open(&self.checkpoint, origin, trust)?;
        verify_inclusion(&leaf_hash(entry), self.index, checkpoint.size, &self.hashes, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TextProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", hash_text(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
