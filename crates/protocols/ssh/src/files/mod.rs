//! Files that cross: SFTP and scp read along, judged before they reach the target, and told as events.
//!
//! State machines without I/O. Each is given the bytes of both sides in the order in which they came, cut anywhere, and
//! says what goes on to whom: bytes as they are by reference, its own answers in their place. They hold back a request
//! until it is whole, never content, so nothing that is in flight waits for them.

pub mod gate;
mod place;
pub mod scp;
pub mod sftp;
mod sum;

pub(crate) use gate::StandIn;
pub use gate::{Gate, StandIns, Way};
pub use sum::{Keep, Sum};

use sallyport_gateway::observe::FileRef;
use sallyport_model::Kind;
use std::borrow::Cow;

/// Longest path that is kept of an event, in bytes.
const PATH: usize = 4096;

/// What is to be done with bytes that came, in this order on each side.
#[derive(Debug, Default)]
pub struct Flow<'a> {
    /// To the target.
    pub to_target: Vec<Cow<'a, [u8]>>,
    /// To the client.
    pub to_client: Vec<Cow<'a, [u8]>>,
    /// What happened.
    pub events: Vec<Event>,
    /// Content that is kept, by the number of its file.
    pub content: Vec<(u32, Cow<'a, [u8]>)>,
    /// Of what goes to the client, what neither content nor an event tells: it is recorded as what a program wrote.
    pub output: Vec<Cow<'a, [u8]>>,
    /// The same of what goes to the target.
    pub input: Vec<Cow<'a, [u8]>>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deed {
    /// Content went from the target to the person.
    Get,
    /// Content went from the person to the target.
    Put,
    /// A directory's names were read.
    List,
    /// A file was removed.
    Remove,
    /// It got another name.
    Rename,
    /// A directory was made.
    MakeDir,
    /// A directory was removed.
    RemoveDir,
    /// Owner, mode, times or size were set.
    SetAttributes,
    /// A second name, symbolic or hard.
    Link,
    /// Content was copied on the target.
    Copy,
}

impl Deed {
    /// Stable word, as recordings spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::List => "list",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::MakeDir => "mkdir",
            Self::RemoveDir => "rmdir",
            Self::SetAttributes => "setstat",
            Self::Link => "link",
            Self::Copy => "copy",
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The target did it.
    Done,
    /// The target did not, or not all of it; its own words.
    Failed(String),
    /// The gateway refused it: the target never heard of it.
    Refused(String),
    /// The channel ended before it was over.
    Cut,
}

/// One file event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What was done.
    pub deed: Deed,
    /// The path as the client wrote it, cut at 4 KiB; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// The other path, of what has two.
    pub other: Option<String>,
    /// Bytes of content that crossed.
    pub size: u64,
    /// Where in the file the furthest of them lies: what crosses by and by makes one file.
    pub reach: u64,
    /// Hash of the content.
    pub sum: Sum,
    /// What of the content is kept.
    pub keep: Option<Keep>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Event {
    /// An event without content.
    pub(crate) fn plain(deed: Deed, path: String, other: Option<String>, outcome: Outcome) -> Self {
        Self { deed, path, other, size: 0, reach: 0, sum: Sum::None, keep: None, outcome }
    }

    /// What a recording keeps of its content.
    #[must_use]
    pub fn kept(&self) -> Option<FileRef<'_>> {
        let Keep { file, kept } = self.keep?;
        let sum = match &self.sum {
            Sum::Sha256(sum) => Some(sum),
            Sum::OutOfOrder | Sum::None => None,
        };
        Some(FileRef { number: file, up: self.deed == Deed::Put, size: self.size, kept, sum, path: &self.path })
    }

    /// One line for recordings: `put /tmp/x 12 sha256:... done`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("{} {}", self.deed.word(), self.path);
        if let Some(other) = &self.other {
            line = format!("{line} -> {other}");
        }
        if matches!(self.deed, Deed::Get | Deed::Put) {
            line = format!("{line} {} bytes {}", self.size, self.sum);
        }
        match &self.outcome {
            Outcome::Done => line,
            Outcome::Failed(why) => format!("{line} failed: {why}"),
            Outcome::Refused(why) => format!("{line} refused: {why}"),
            Outcome::Cut => format!("{line} cut off"),
        }
    }
}

/// Why a stream cannot be followed any further. What cannot be followed must not go on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Bytes that the protocol does not have.
    #[error("this is no {protocol} that the gateway can follow: {what}")]
    Malformed {
        /// `SFTP` or `scp`.
        protocol: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More than is kept of one channel.
    #[error("more than {most} {what} at once: use fewer")]
    TooMany {
        /// How many are kept.
        most: usize,
        /// Of what.
        what: &'static str,
    },
}

impl Fault {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// Why a path is none that can be judged: what is behind a NUL one side reads and the other does not.
fn unsound(path: &[u8]) -> Option<&'static str> {
    if path.contains(&0) {
        return Some("a path has no NUL byte in it");
    }
    (path.len() > PATH).then_some("a path is at most 4,096 bytes long")
}

/// A path as text, cut.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.get(..text.floor_char_boundary(PATH)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
