//! Checkpoints (c2sp.org/tlog-checkpoint): what the ledger was at one size, signed.

use crate::keys::{Signer, Verifier};
use crate::note::{self, Note};
use crate::tree::{Hash, hash_text, parse_decimal, parse_hash};
use sallyport_model::Kind;
use std::fmt;

/// A checkpoint that cannot be read or is not the ledger's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text is no checkpoint.
    #[error("this is no checkpoint: {0}")]
    Format(&'static str),
    /// It is another ledger's.
    #[error("the checkpoint is of the ledger `{0}`; take the one of your own cluster")]
    Origin(String),
    /// The note is wrong.
    #[error(transparent)]
    Note(#[from] note::Error),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Format(_) => Kind::Usage,
            Self::Origin(_) => Kind::Failed,
            Self::Note(e) => e.kind(),
        }
    }
}

/// The head of a ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Which ledger.
    pub origin: String,
    /// Entries in it.
    pub size: u64,
    /// Root of its tree.
    pub root: Hash,
    /// Further lines, opaque and seldom used.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extensions.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self { origin: origin.to_owned(), size, root, extensions: Vec::new() }
    }

    /// The checkpoint as a signed note.
    ///
    /// # Errors
    /// When origin or extensions are empty or have more than a line.
    pub fn sign(&self, signers: &[&Signer]) -> Result<String, Error> {
        let text = self.to_string();
        if Self::parse(&text)? != *self {
            return Err(Error::Format("its origin or an extension has more than a line"));
        }
        Ok(Note::sign(text, signers)?.to_string())
    }

    /// What a note claims, whoever signed it: for those who find the keys in what the checkpoint is of, and then
    /// [`Checkpoint::open`] it.
    ///
    /// # Errors
    /// When the note or its text is malformed.
    pub fn claimed(note: &str) -> Result<Self, Error> {
        Self::parse(Note::parse(note)?.text())
    }

    /// Reads a signed note as the checkpoint of this origin, signed by a trusted key.
    ///
    /// # Errors
    /// When the note is wrong, or no such checkpoint.
    pub fn open(note: &str, origin: &str, trust: &[&Verifier]) -> Result<Self, Error> {
        let note = Note::parse(note)?;
        let checkpoint = Self::parse(note.verify(trust)?)?;
        if checkpoint.origin == origin { Ok(checkpoint) } else { Err(Error::Origin(checkpoint.origin)) }
    }

    /// Reads the text of a checkpoint, and no other form of it.
    ///
    /// # Errors
    /// When the text is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let body = text.strip_suffix('\n').ok_or(Error::Format("its last line is cut off"))?;
        let mut lines = body.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().ok_or(Error::Format("it has no origin"))?.to_owned();
        let size = line().and_then(parse_decimal).ok_or(Error::Format("its size is no plain number"))?;
        let root = line().and_then(parse_hash).ok_or(Error::Format("its root is no base64 of a hash"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(Error::Format("it has an empty line"));
        }
        Ok(Self { origin, size, root, extensions })
    }
}

impl fmt::Display for Checkpoint {
    /// The text that is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, hash_text(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests;
