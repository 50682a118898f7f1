//! Evidence bundles: entries with their proofs, and what belongs to them, in one file that proves itself offline.
//!
//! The file is one canonical CBOR array of a body and a signature of 64 bytes. The signature is the end of the file
//! and covers every byte before it.

use crate::checkpoint::{self, Checkpoint};
use crate::entry::{self, Entry};
use crate::keys::{self, KeySet, Signer, Verifier};
use crate::note::Note;
use crate::proof;
use crate::tree::{Hash, leaf_hash};
use minicbor::{Decode, Encode};
use sallyport_model::{ClusterId, Kind, Timestamp};

/// Format of the file.
const FORMAT: &str = "sallyport bundle v1";

const SIGNATURE: usize = 64;

/// Why a bundle proves nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// The file is no bundle.
    #[error("this is no evidence bundle: {0}")]
    Format(String),
    /// The signature over the file is wrong.
    #[error("the bundle was altered: its signature does not cover what is in it")]
    Signature,
    /// The signer is not one that is trusted.
    #[error("the bundle is signed by {0}, which is not the key you trust and which no such key vouches for")]
    Trust(String),
    /// A key set is wrong.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The checkpoint is wrong.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// An entry cannot be read.
    #[error("entry {0}: {1}")]
    Entry(u64, entry::Error),
    /// An entry is not in the ledger.
    #[error("entry {0}: {1}")]
    Proof(u64, proof::Error),
    /// Entries or attachments are not in order, or there twice.
    #[error("the bundle's {0} are not in order, or there twice")]
    Order(&'static str),
}

impl Wrong {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Format(_) => Kind::Usage,
            Self::Trust(_) => Kind::Denied,
            _ => Kind::Failed,
        }
    }
}

/// What a bundle is of.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Manifest {
    /// The installation.
    #[n(0)]
    pub cluster: ClusterId,
    /// When it was made.
    #[n(1)]
    pub created: Timestamp,
    /// What it shows, such as `session ses_...`.
    #[n(2)]
    pub what: String,
    /// The ledger.
    #[n(3)]
    pub origin: String,
}

/// An entry and the proof that the ledger has it.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Proven {
    /// Its index in the ledger.
    #[n(0)]
    pub index: u64,
    /// Its bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub entry: Vec<u8>,
    /// The hashes from its sibling up, one after another.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub proof: Vec<u8>,
}

impl Proven {
    /// An entry with the hashes that [`proof::prove_inclusion`] gave.
    #[must_use]
    pub fn new(index: u64, entry: Vec<u8>, proof: &[Hash]) -> Self {
        Self { index, entry, proof: proof.concat() }
    }

    fn verify(&self, checkpoint: &Checkpoint) -> Result<Entry, Wrong> {
        let (hashes, []) = self.proof.as_chunks::<32>() else {
            return Err(Wrong::Proof(self.index, proof::Error::Wrong));
        };
        proof::verify_inclusion(&leaf_hash(&self.entry), self.index, checkpoint.size, hashes, &checkpoint.root)
            .map_err(|e| Wrong::Proof(self.index, e))?;
        Entry::decode(&self.entry).map_err(|e| Wrong::Entry(self.index, e))
    }
}

/// Something that belongs to the entries, such as a recording. What it is to the entries is for its reader to check.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Attachment {
    /// Its name, such as `recording`.
    #[n(0)]
    pub name: String,
    /// Its bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// What a bundle holds.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Bundle {
    /// What it is of.
    #[n(0)]
    pub manifest: Manifest,
    /// The checkpoint that the proofs lead to, as a signed note.
    #[n(1)]
    pub checkpoint: String,
    /// Notes that vouch for further keys of the ledger ([`KeySet`]); one that no reached key has signed vouches for nothing.
    #[n(2)]
    pub keys: Vec<String>,
    /// Entries, by rising index.
    #[n(3)]
    pub entries: Vec<Proven>,
    /// Attachments, by name.
    #[n(4)]
    pub attachments: Vec<Attachment>,
}

#[derive(Encode, Decode)]
struct Body {
    #[n(0)]
    format: String,
    /// The key that signs the file, as text.
    #[n(1)]
    signer: String,
    #[n(2)]
    bundle: Bundle,
}

#[derive(Encode, Decode)]
struct File {
    #[n(0)]
    body: Body,
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; SIGNATURE],
}

/// A bundle that holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// What it is of.
    pub manifest: Manifest,
    /// The head of the ledger that the entries are in.
    pub checkpoint: Checkpoint,
    /// The same as a signed note, with the cosignatures of witnesses, which are not checked here.
    pub note: Note,
    /// Entries with their index.
    pub entries: Vec<(u64, Entry)>,
    /// Attachments.
    pub attachments: Vec<Attachment>,
    /// Who signed the file.
    pub signer: Verifier,
    /// Whether the signer is trusted. Where not, the bundle only agrees with itself: anybody can make one that does, and
    /// [`Verifier::fingerprint`] of the signer must be compared by other means.
    pub pinned: bool,
}

impl Verified {
    /// An attachment's bytes by its name.
    #[must_use]
    pub fn attachment(&self, name: &str) -> Option<&[u8]> {
        self.attachments.iter().find(|attachment| attachment.name == name).map(|attachment| attachment.bytes.as_slice())
    }
}

/// Writes a bundle.
///
/// # Errors
/// When it would not verify under the signer's own key.
pub fn write(bundle: Bundle, signer: &Signer) -> Result<Vec<u8>, Wrong> {
    let body = Body { format: FORMAT.to_owned(), signer: signer.verifier().to_string(), bundle };
    check(&body, signer.verifier())?;
    let mut bytes = encode(&File { body, signature: [0; SIGNATURE] })?;
    bytes.truncate(bytes.len().saturating_sub(SIGNATURE));
    let signature = signer.sign(&bytes);
    bytes.extend_from_slice(&signature);
    Ok(bytes)
}

/// Checks a bundle: its form, its signature over every byte, its keys, its checkpoint, and each entry's proof.
///
/// `trust` is a key of the ledger that was obtained by other means; without it nothing but consistency is shown.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(bytes: &[u8], trust: Option<&Verifier>) -> Result<Verified, Wrong> {
    let file: File = minicbor::decode(bytes).map_err(|e| Wrong::Format(e.to_string()))?;
    if file.body.format != FORMAT {
        return Err(Wrong::Format("its format is unknown; read it with a newer version".into()));
    }
    // INVARIANT: a bundle has one encoding; so trailing bytes and unknown fields are refused too.
    if encode(&file)? != bytes {
        return Err(Wrong::Format("its encoding is not canonical".into()));
    }
    let signer = Verifier::parse(&file.body.signer)?;
    let covered = bytes.len().checked_sub(SIGNATURE).and_then(|length| bytes.get(..length)).unwrap_or_default();
    if !signer.verifies(covered, &file.signature) {
        return Err(Wrong::Signature);
    }
    let (checkpoint, entries) = check(&file.body, trust.unwrap_or(&signer))?;
    let Bundle { manifest, attachments, checkpoint: note, .. } = file.body.bundle;
    let note = Note::parse(&note).map_err(checkpoint::Error::Note)?;
    Ok(Verified { manifest, checkpoint, note, entries, attachments, signer, pinned: trust.is_some() })
}

/// Everything but the signature over the file.
fn check(body: &Body, trust: &Verifier) -> Result<(Checkpoint, Vec<(u64, Entry)>), Wrong> {
    let Bundle { manifest, checkpoint, keys, entries, attachments } = &body.bundle;
    let mut trusted = KeySet::reach(keys, trust);
    // A key of another ledger vouches for nothing in this one, though it be trusted there.
    trusted.retain(|key| key.name() == manifest.origin);
    if !trusted.iter().any(|key| key.to_string() == body.signer) {
        return Err(Wrong::Trust(body.signer.clone()));
    }
    let checkpoint = Checkpoint::open(checkpoint, &manifest.origin, &trusted.iter().collect::<Vec<_>>())?;
    if !entries.is_sorted_by(|a, b| a.index < b.index) {
        return Err(Wrong::Order("entries"));
    }
    if !attachments.is_sorted_by(|a, b| a.name < b.name) {
        return Err(Wrong::Order("attachments"));
    }
    let entries = entries.iter().map(|proven| Ok((proven.index, proven.verify(&checkpoint)?)));
    Ok((checkpoint.clone(), entries.collect::<Result<_, Wrong>>()?))
}

fn encode(file: &File) -> Result<Vec<u8>, Wrong> {
    minicbor::to_vec(file).map_err(|e| Wrong::Format(e.to_string()))
}

#[cfg(test)]
mod tests;
