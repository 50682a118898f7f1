//! Evidence: recordings as a collection, and proofs of the ledger.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A recording.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Recording {
    /// Its session.
    pub session: String,
    /// Whose.
    pub handle: String,
    /// Target.
    pub target: String,
    /// Account.
    pub account: String,
    /// The account that was logged in at and became that one, and how, such as `deploy by sudo`; absent where it is the same.
    #[serde(default)]
    pub through: Option<String>,
    /// The jump hosts that it went over, the outermost first, each as `account@target`.
    #[serde(default)]
    pub via: Vec<String>,
    /// Protocol.
    #[serde(default)]
    pub protocol: String,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// How long it lasted.
    pub seconds: u64,
    /// Bytes that crossed, both ways.
    pub bytes: u64,
    /// Whether it ends as it should.
    pub complete: bool,
    /// Where the text stands that was searched for, at most twenty places.
    pub hits: Vec<Hit>,
}

/// A place in a recording.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    /// Seconds since its start.
    pub at_seconds: f64,
    /// The line, without control characters.
    pub line: String,
}

/// Something worth finding again in a recording.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Mark {
    /// Seconds since its start.
    pub at_seconds: f64,
    /// `open`, `input`, `resize`, `signal`, `exit`, `idle`, `command`, ...
    pub kind: String,
    /// What it says, without control characters.
    pub text: String,
}

/// A file whose content a recording keeps.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeptFile {
    /// What names it in this recording: the number of its channel, a dot, and its own.
    pub id: String,
    /// Seconds since the recording's start: when it had crossed.
    pub at_seconds: f64,
    /// `up` to the target, `down` from it.
    pub way: String,
    /// Its path, as the client wrote it, without control characters.
    pub path: String,
    /// Bytes that crossed.
    pub size: u64,
    /// How many of them are kept: the first ones.
    pub kept: u64,
    /// SHA-256 of all that crossed, in hexadecimal; absent where it did not come in order.
    pub sha256: Option<String>,
}

/// An entry as it was hashed, with what proves that it is in the checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EntryProof {
    /// The canonical bytes of the entry, base64: its leaf hash is SHA-256 over a zero byte and these (RFC 9162 section 2.1.1).
    pub entry: String,
    /// Its ledger index.
    pub index: u64,
    /// Entries of the checkpoint.
    pub size: u64,
    /// Hashes of the inclusion proof, base64 (RFC 9162 section 2.1.3).
    pub proof: Vec<String>,
    /// The checkpoint, a signed note (C2SP).
    pub checkpoint: String,
}

/// What proves that a ledger continues an older one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyProof {
    /// Hashes of the consistency proof, base64 (RFC 9162 section 2.1.4).
    pub proof: Vec<String>,
}

/// Whether this node is well.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether it is.
    pub ok: bool,
    /// What is not, and what to do.
    pub detail: String,
}
