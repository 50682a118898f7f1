//! The witness protocol (c2sp.org/tlog-witness): what a log submits, and what a witness decides. No I/O.

use crate::checkpoint::Checkpoint;
use crate::keys::Verifier;
use crate::note::{self, Note};
use crate::proof::verify_consistency;
use crate::tree::{Hash, empty_root, hash_text, parse_decimal, parse_hash};
use sallyport_model::Kind;
use std::fmt;

/// Most hashes of a consistency proof.
const MAX_HASHES: usize = 63;

/// Longest submission, in bytes: the proof, and the longest note.
pub const MAX_SUBMISSION: usize = note::MAX_NOTE + 4096;

/// Content type of the answer that tells the witness's size.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// Why a witness does not cosign.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The submission is malformed.
    #[error("this is no submission of a checkpoint: {0}")]
    Format(&'static str),
    /// The log is not one that the witness serves.
    #[error("this witness does not serve the log `{0}`: list its key in the witness's configuration")]
    Unknown(String),
    /// No key of the log signed the checkpoint.
    #[error("no key of the log signed this checkpoint")]
    Unsigned,
    /// The old size is not that of the newest checkpoint which the witness cosigned.
    #[error("the newest checkpoint that this witness cosigned has {0} entries")]
    Stale(u64),
    /// The same size with another root.
    #[error("this witness cosigned another tree of {0} entries: the log was forked")]
    Fork(u64),
    /// The proof does not lead from the one to the other.
    #[error(
        "the checkpoint does not continue the one that this witness cosigned: the log was forked, or the proof is wrong"
    )]
    Proof,
}

impl Refusal {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Format(_) => Kind::Usage,
            Self::Unknown(_) => Kind::NotFound,
            Self::Unsigned => Kind::Denied,
            Self::Stale(_) => Kind::Conflict,
            Self::Fork(_) | Self::Proof => Kind::Failed,
        }
    }

    /// Status of the HTTP answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Format(_) => 400,
            Self::Unsigned => 403,
            Self::Unknown(_) => 404,
            Self::Stale(_) | Self::Fork(_) => 409,
            Self::Proof => 422,
        }
    }

    /// The witness's size, where the answer tells it.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        match self {
            Self::Stale(size) | Self::Fork(size) => Some(*size),
            _ => None,
        }
    }
}

/// What a log submits: a checkpoint, and the proof that it continues an older one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Submission {
    /// Entries of the checkpoint that the witness has, as the log believes.
    pub old: u64,
    /// The proof of consistency; empty from size 0.
    pub proof: Vec<Hash>,
    /// The checkpoint, as a signed note.
    pub note: String,
}

impl Submission {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it is malformed. The note is read by [`judge`].
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > MAX_SUBMISSION {
            return Err(Refusal::Format("it is too long"));
        }
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Format("it is no UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(Refusal::Format("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(parse_decimal);
        let old = old.ok_or(Refusal::Format("its first line is not `old` and a plain number"))?;
        let proof = lines.map(parse_hash).collect::<Option<Vec<_>>>();
        let proof = proof.ok_or(Refusal::Format("a line of the proof is no hash"))?;
        if proof.len() > MAX_HASHES {
            return Err(Refusal::Format("its proof has more than 63 hashes"));
        }
        Ok(Self { old, proof, note: note.to_owned() })
    }
}

impl fmt::Display for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

/// Whether a witness may cosign: gives the note to cosign, and the checkpoint that it must not forget.
///
/// `seen` gives the newest checkpoint that the witness cosigned for an origin. Between this call and the moment when
/// its outcome is durable no other submission of that origin may be judged.
///
/// # Errors
/// Why not.
pub fn judge(
    submission: &Submission,
    logs: &[Verifier],
    seen: impl FnOnce(&str) -> Option<Checkpoint>,
) -> Result<(Note, Checkpoint), Refusal> {
    let note = Note::parse(&submission.note).map_err(|_| Refusal::Format("its checkpoint is no signed note"))?;
    let claimed = Checkpoint::parse(note.text()).map_err(|_| Refusal::Format("its note is no checkpoint"))?;
    let keys: Vec<&Verifier> = logs.iter().filter(|key| key.name() == claimed.origin).collect();
    if keys.is_empty() {
        return Err(Refusal::Unknown(claimed.origin));
    }
    note.verify(&keys).map_err(|_| Refusal::Unsigned)?;
    if submission.old > claimed.size {
        return Err(Refusal::Format("its old size is larger than its checkpoint"));
    }
    let seen = seen(&claimed.origin).unwrap_or_else(|| Checkpoint::new(&claimed.origin, 0, empty_root()));
    if submission.old != seen.size {
        return Err(Refusal::Stale(seen.size));
    }
    if claimed.size == seen.size && claimed.root != seen.root {
        return Err(Refusal::Fork(seen.size));
    }
    verify_consistency(seen.size, claimed.size, &submission.proof, &seen.root, &claimed.root)
        .map_err(|_| Refusal::Proof)?;
    Ok((note, claimed))
}

#[cfg(test)]
mod tests;
