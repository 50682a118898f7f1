//! Signed notes (c2sp.org/signed-note): text, an empty line, signature lines.

use crate::keys::{Signer, Verifier, is_name};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sallyport_model::Kind;
use std::fmt;

/// Longest note, in bytes. Sixteen post-quantum signatures fit.
pub const MAX_NOTE: usize = 1 << 20;

/// Most signatures on one note; the specification asks for 16 at least.
pub const MAX_SIGNATURES: usize = 100;

/// A note that cannot be read or is not signed as it must be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// It is no signed note.
    #[error("this is no signed note: {0}")]
    Format(&'static str),
    /// No trusted key signed it.
    #[error("no trusted key signed this note; check which ledger it is of, and the key you trust")]
    Unsigned,
    /// A trusted key's signature is wrong.
    #[error("the signature of {0} is wrong; the note was altered")]
    Signature(String),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Format(_) => Kind::Usage,
            Self::Unsigned | Self::Signature(_) => Kind::Failed,
        }
    }
}

/// One line of signature, by a key that may be unknown.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A signed note. Its text is lent only by [`Note::verify`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Signs a text, which ends in a newline.
    ///
    /// # Errors
    /// When the text may not be a note's, or there is no signer.
    pub fn sign(text: String, signers: &[&Signer]) -> Result<Self, Error> {
        check_text(&text)?;
        if signers.is_empty() || signers.len() > MAX_SIGNATURES {
            return Err(Error::Format("it needs a signer, and at most 100"));
        }
        let signatures = signers.iter().map(|signer| {
            let verifier = signer.verifier();
            let bytes = signer.sign(text.as_bytes()).to_vec();
            Signature { name: verifier.name().to_owned(), id: verifier.id(), bytes }
        });
        Ok(Self { signatures: signatures.collect(), text })
    }

    /// Reads a note. Nothing is believed yet.
    ///
    /// # Errors
    /// When it is malformed anywhere, in the lines of unknown keys too.
    pub fn parse(note: &str) -> Result<Self, Error> {
        if note.len() > MAX_NOTE {
            return Err(Error::Format("it is too long"));
        }
        let (before, lines) = note.rsplit_once("\n\n").ok_or(Error::Format("it has no empty line"))?;
        let text = format!("{before}\n");
        check_text(&text)?;
        let lines = lines.strip_suffix('\n').ok_or(Error::Format("its last line is cut off"))?;
        let signatures = lines.split('\n').map(signature).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(Error::Format("a signature line is malformed"))?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(Error::Format("it has more than 100 signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// The text, where at least one of the trusted keys signed it and none of them wrongly. Lines of other keys are ignored.
    ///
    /// # Errors
    /// When no trusted key signed it, or a trusted key's signature is wrong.
    pub fn verify(&self, trust: &[&Verifier]) -> Result<&str, Error> {
        let mut signed = false;
        for line in &self.signatures {
            let Some(key) = trust.iter().find(|key| key.name() == line.name && key.id() == line.id) else { continue };
            if !key.verifies(self.text.as_bytes(), &line.bytes) {
                return Err(Error::Signature(line.name.clone()));
            }
            signed = true;
        }
        if signed { Ok(&self.text) } else { Err(Error::Unsigned) }
    }

    /// The text, whoever signed it: for keys that sign more than the text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Bytes of the signatures in this key's name and id.
    pub(crate) fn signatures_of<'a>(&'a self, key: &'a Verifier) -> impl Iterator<Item = &'a [u8]> {
        let of = |line: &&Signature| line.name == key.name() && line.id == key.id();
        self.signatures.iter().filter(of).map(|line| line.bytes.as_slice())
    }

    /// Names on the signature lines, in order. Nothing is checked.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|line| line.name.as_str())
    }

    /// Adds another key's signature, such as a witness's, as its line came.
    ///
    /// # Errors
    /// When the line is malformed, or there is no room.
    pub fn add(&mut self, line: &str) -> Result<(), Error> {
        let line =
            line.strip_suffix('\n').and_then(signature).ok_or(Error::Format("the signature line is malformed"))?;
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(Error::Format("it has 100 signatures already"));
        }
        self.signatures.push(line);
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, bytes } in &self.signatures {
            f.write_str(&line(name, *id, bytes))?;
        }
        Ok(())
    }
}

fn check_text(text: &str) -> Result<(), Error> {
    if !text.ends_with('\n') {
        return Err(Error::Format("its text does not end in a newline"));
    }
    if text.bytes().any(|b| b < 0x20 && b != b'\n') {
        return Err(Error::Format("it has control characters"));
    }
    Ok(())
}

/// A signature as its line, with the newline.
pub(crate) fn line(name: &str, id: [u8; 4], bytes: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([&id, bytes].concat()))
}

fn signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    let plausible = is_name(name) && !bytes.is_empty();
    plausible.then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests;
