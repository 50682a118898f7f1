//! Files of the target of a running session, and transfers of them.
//!
//! A path is text in which every byte that is no printable character of UTF-8, and every `%`, is `%` and two hexadecimal
//! digits. What an answer gives as a path may be sent back as it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A directory of a target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Directory {
    /// Its path, from the root, without links.
    pub path: String,
    /// The path of the directory that it lies in; absent of the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What lies in it: directories first, by name.
    pub entries: Vec<DirectoryEntry>,
    /// Whether more lies in it than is told.
    pub cut: bool,
    /// Why no file goes to the target in this session, where policy has it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_upload: Option<String>,
    /// Why no file comes from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_download: Option<String>,
}

/// One name in a directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DirectoryEntry {
    /// Its name for people: bytes that are no text are replaced.
    pub name: String,
    /// Its path, to be sent back.
    pub path: String,
    /// `file`, `directory` or `other`; of a link, what it leads to.
    pub kind: String,
    /// Whether it is a symbolic link.
    pub link: bool,
    /// Bytes, where it is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was written last, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// A directory to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDirectory {
    /// Its path.
    pub path: String,
}

/// Which way a file goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferWay {
    /// To the target.
    Up,
    /// From it.
    Down,
}

/// A transfer to be prepared.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransfer {
    /// Which way the file goes.
    pub way: TransferWay,
    /// Its path on the target.
    pub path: String,
    /// Upwards: its bytes, where that is known. They are judged before any of them is sent, and must come true.
    #[serde(default)]
    pub size: Option<u64>,
    /// Upwards: whether a file that is there already is replaced.
    #[serde(default)]
    pub replace: bool,
}

/// A transfer that may begin.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreparedTransfer {
    /// The transfer.
    pub transfer: Transfer,
    /// What fetches it, once, as `/api/v1/transfers/{claim}`: with GET from the target, with PUT to it.
    pub claim: String,
    /// When it is too late for that, RFC 3339.
    pub expires: String,
}

/// A transfer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// Id.
    pub id: String,
    /// Which way it goes.
    pub way: TransferWay,
    /// The file on the target.
    pub path: String,
    /// Its last name, for people.
    pub name: String,
    /// Bytes, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes that have crossed.
    pub crossed: u64,
    /// `prepared`, `running`, `done` or `failed`.
    pub stage: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A file that has come to a target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stored {
    /// Its bytes.
    pub size: u64,
}
