//! Keys of signed notes (c2sp.org/signed-note): Ed25519, named, and listed in key sets.

use crate::note::{self, Note};
use crate::tree::sha256;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sallyport_model::{Kind, Secret};
use std::fmt;

/// Signature type of Ed25519 over the note's text.
const ED25519_TYPE: u8 = 0x01;

/// Signature type of a timestamped Ed25519 cosignature (c2sp.org/tlog-cosignature).
pub(crate) const COSIGNATURE_TYPE: u8 = 0x04;

const KEY_SET: &str = "sallyport key set v1";

/// Most keys in one set.
const MAX_KEYS: usize = 64;

/// A key that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// An empty name, or one with a space, a plus or a control character.
    #[error("a key's name is not empty and has no space, plus or control character")]
    Name,
    /// Not 32 bytes.
    #[error("an Ed25519 seed is 32 bytes")]
    Seed,
    /// Text that is no verifier key.
    #[error("this is no verifier key; write it as NAME+HASH+KEY, as `sallyport ledger key` prints it")]
    Text,
    /// A note that is no key set of this origin.
    #[error("this is no set of keys of that ledger: {0}")]
    Set(&'static str),
    /// The note of a key set is wrong.
    #[error(transparent)]
    Note(#[from] note::Error),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Note(e) => e.kind(),
            Self::Name | Self::Seed | Self::Text | Self::Set(_) => Kind::Usage,
        }
    }
}

/// Whether a key may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// A public key that notes are checked with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verifier {
    name: String,
    /// INVARIANT: outside this crate always that of Ed25519 over the text; a witness's key is a type of its own.
    kind: u8,
    id: [u8; 4],
    key: [u8; 32],
}

impl Verifier {
    fn new(name: &str, kind: u8, key: [u8; 32]) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Name);
        }
        let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind], &key]);
        Ok(Self { name: name.to_owned(), kind, id: [a, b, c, d], key })
    }

    /// Reads `name+hash+base64`, as `Display` writes it and Go's `sumdb/note` calls a verifier key.
    ///
    /// # Errors
    /// When the text is no such key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_as(text, ED25519_TYPE)
    }

    /// As [`Verifier::parse`], for a key of this signature type and no other.
    pub(crate) fn parse_as(text: &str, wanted: u8) -> Result<Self, Error> {
        let (name, rest) = text.split_once('+').ok_or(Error::Text)?;
        let (_, key) = rest.split_once('+').ok_or(Error::Text)?;
        let bytes = STANDARD.decode(key).map_err(|_| Error::Text)?;
        let (kind, key) = bytes.split_first().ok_or(Error::Text)?;
        let key = key.try_into().ok().filter(|_| *kind == wanted).ok_or(Error::Text)?;
        let verifier = Self::new(name, wanted, key)?;
        // The hash is checked, and every other spelling refused, by writing the key again.
        if verifier.to_string() == text { Ok(verifier) } else { Err(Error::Text) }
    }

    /// The key's name: for a ledger, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First four bytes of `SHA-256(name | 0x0A | type | key)`.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What people compare: `SHA256:` and the base64 of the hash of name and key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(&[self.to_string().as_bytes()])))
    }

    /// Whether this key signed these bytes (RFC 8032).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key).verify(message, signature).is_ok()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.id;
        let key = STANDARD.encode([&[self.kind], self.key.as_slice()].concat());
        write!(f, "{}+{a:02x}{b:02x}{c:02x}{d:02x}+{key}", self.name)
    }
}

/// A private key that signs notes. It neither prints nor leaves.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

impl Signer {
    /// The key with this 32-byte seed.
    ///
    /// # Errors
    /// When the name is none, or the seed is not 32 bytes.
    pub fn new(name: &str, seed: &Secret<Vec<u8>>) -> Result<Self, Error> {
        Self::new_as(name, ED25519_TYPE, seed)
    }

    /// As [`Signer::new`], for a key of this signature type.
    pub(crate) fn new_as(name: &str, kind: u8, seed: &Secret<Vec<u8>>) -> Result<Self, Error> {
        if seed.len() != 32 {
            return Err(Error::Seed);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| Error::Seed)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| Error::Seed)?;
        Ok(Self { pair, verifier: Verifier::new(name, kind, key)? })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Signs bytes: 64 bytes (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        // Were the library to give another length, the zeroes verify under no key.
        if let Ok(signature) = self.pair.sign(message).as_ref().try_into() {
            out = signature;
        }
        out
    }
}

/// Action of the entries in which a node vouches for keys of others: a [`KeySet`] as a note is their fact `note`.
pub const VOUCHED: &str = "node.vouched";

/// The keys that sign one ledger, one per node, vouched for by one of the ledger's keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySet {
    /// The ledger.
    pub origin: String,
    /// Its keys.
    pub keys: Vec<Verifier>,
}

impl KeySet {
    /// The set as a signed note: a first line, the origin, one key a line.
    ///
    /// # Errors
    /// When there is no key or more than 64, or one is not named after the origin.
    pub fn sign(&self, signer: &Signer) -> Result<String, Error> {
        self.check()?;
        let mut text = format!("{KEY_SET}\n{}\n", self.origin);
        for key in &self.keys {
            text.push_str(&format!("{key}\n"));
        }
        Ok(Note::sign(text, &[signer])?.to_string())
    }

    /// Reads a set that one of the trusted keys signed.
    ///
    /// # Errors
    /// When the note is wrong, or is no set of keys of this origin.
    pub fn open(note: &str, origin: &str, trust: &[&Verifier]) -> Result<Self, Error> {
        let note = Note::parse(note)?;
        let text = note.verify(trust)?;
        let body = text.strip_suffix('\n').ok_or(Error::Set("its last line is cut off"))?;
        let mut lines = body.split('\n');
        if lines.next() != Some(KEY_SET) {
            return Err(Error::Set("its first line differs"));
        }
        if lines.next() != Some(origin) {
            return Err(Error::Set("it is another ledger's"));
        }
        let keys = lines.map(Verifier::parse).collect::<Result<_, _>>()?;
        let set = Self { origin: origin.to_owned(), keys };
        set.check()?;
        Ok(set)
    }

    /// Every key of a ledger that one of its keys leads to: itself, those it vouches for, those that they vouch for. The
    /// order of the notes says nothing; one that no such key has signed vouches for nothing.
    #[must_use]
    pub fn reach(notes: &[String], trust: &Verifier) -> Vec<Verifier> {
        let mut reached = vec![trust.clone()];
        let mut left: Vec<&String> = notes.iter().collect();
        loop {
            let before = left.len();
            left.retain(|note| match Self::open(note, trust.name(), &reached.iter().collect::<Vec<_>>()) {
                Ok(set) => {
                    for key in set.keys {
                        if !reached.contains(&key) {
                            reached.push(key);
                        }
                    }
                    false
                }
                Err(_) => true,
            });
            if left.len() == before {
                return reached;
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.keys.is_empty() || self.keys.len() > MAX_KEYS {
            return Err(Error::Set("it has no key, or too many"));
        }
        if self.keys.iter().any(|key| key.name() != self.origin) {
            return Err(Error::Set("a key is not named after the ledger"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
