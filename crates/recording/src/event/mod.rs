//! Events: what happened in a session, in a compact encoding that borrows the bytes it carries.
//!
//! An event is `u8 tag | time | channel | fields`. Numbers are LEB128 in their shortest form, texts and bytes
//! are a length and the bytes. Times are absolute within the recording, so an event stands by itself.

use sallyport_model::Kind;
use sallyport_model::access::Channel;

mod codec;

/// Events that cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside an event.
    #[error("the event at byte {0} is cut off; get an unaltered copy")]
    Short(usize),
    /// A tag, a channel kind or flags that this version does not know.
    #[error("the event at byte {0} is of an unknown kind; read it with a newer version")]
    Unknown(usize),
    /// A number that is not in its shortest form or too large.
    #[error("the event at byte {0} has a number that is not canonical; get an unaltered copy")]
    Number(usize),
    /// A text that is no UTF-8.
    #[error("the event at byte {0} has a text that is no UTF-8; get an unaltered copy")]
    Text(usize),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Failed
    }
}

/// A file of which content is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// Its number within its channel.
    pub number: u32,
    /// Whether it went from the person to the target.
    pub up: bool,
    /// Bytes of content that crossed.
    pub size: u64,
    /// How many of them are kept: the first ones.
    pub kept: u64,
    /// SHA-256 of all that crossed, where it came in order.
    pub sum: Option<[u8; 32]>,
    /// Its path, as the client wrote it.
    pub path: String,
}

/// The same, lent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileRef<'a> {
    /// See [`File::number`].
    pub number: u32,
    /// See [`File::up`].
    pub up: bool,
    /// See [`File::size`].
    pub size: u64,
    /// See [`File::kept`].
    pub kept: u64,
    /// See [`File::sum`].
    pub sum: Option<&'a [u8; 32]>,
    /// See [`File::path`].
    pub path: &'a str,
}

impl FileRef<'_> {
    fn to_owned(self) -> File {
        let Self { number, up, size, kept, sum, path } = self;
        File { number, up, size, kept, sum: sum.copied(), path: path.into() }
    }
}

impl File {
    /// The same file, lent.
    #[must_use]
    pub fn as_ref(&self) -> FileRef<'_> {
        let Self { number, up, size, kept, sum, path } = self;
        FileRef { number: *number, up: *up, size: *size, kept: *kept, sum: sum.as_ref(), path }
    }
}

/// What happened, owning its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// The target wrote to the terminal or to standard output.
    Output(Vec<u8>),
    /// The target wrote to standard error.
    Stderr(Vec<u8>),
    /// The client wrote.
    Input(Vec<u8>),
    /// The client wrote what is not kept: so many bytes of data, or keys that the target did not show, of which not even
    /// their number is kept (0).
    Hidden(u64),
    /// Content of a file that crossed: the next bytes of it, from its first one on.
    Content {
        /// Number of the file within its channel.
        file: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// That content is all that is kept of a file.
    Kept(File),
    /// The terminal has a new size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// A channel was opened.
    Open {
        /// What it carries.
        kind: Channel,
        /// Its command or destination.
        detail: String,
    },
    /// A channel was closed.
    Close {
        /// Exit status, where there is one.
        exit: Option<u32>,
        /// The signal that ended it, where one did.
        signal: Option<String>,
    },
    /// The client sent a signal.
    Signal(String),
    /// Something worth finding again, such as a command line.
    Mark {
        /// What sort of mark.
        kind: String,
        /// What it says.
        text: String,
    },
}

/// What happened, borrowing its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhatRef<'a> {
    /// See [`What::Output`].
    Output(&'a [u8]),
    /// See [`What::Stderr`].
    Stderr(&'a [u8]),
    /// See [`What::Input`].
    Input(&'a [u8]),
    /// See [`What::Hidden`].
    Hidden(u64),
    /// See [`What::Content`].
    Content {
        /// Number of the file within its channel.
        file: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// See [`What::Kept`].
    Kept(FileRef<'a>),
    /// See [`What::Resize`].
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// See [`What::Open`].
    Open {
        /// What it carries.
        kind: Channel,
        /// Its command or destination.
        detail: &'a str,
    },
    /// See [`What::Close`].
    Close {
        /// Exit status, where there is one.
        exit: Option<u32>,
        /// The signal that ended it, where one did.
        signal: Option<&'a str>,
    },
    /// See [`What::Signal`].
    Signal(&'a str),
    /// See [`What::Mark`].
    Mark {
        /// What sort of mark.
        kind: &'a str,
        /// What it says.
        text: &'a str,
    },
}

/// One event, owning its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Microseconds since the recording's start.
    pub at: u64,
    /// Number of the channel within the session.
    pub channel: u32,
    /// What happened.
    pub what: What,
}

/// One event, borrowing its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventRef<'a> {
    /// Microseconds since the recording's start.
    pub at: u64,
    /// Number of the channel within the session.
    pub channel: u32,
    /// What happened.
    pub what: WhatRef<'a>,
}

impl EventRef<'_> {
    /// The same event with its own bytes.
    #[must_use]
    pub fn to_owned(&self) -> Event {
        let what = match self.what {
            WhatRef::Output(bytes) => What::Output(bytes.to_vec()),
            WhatRef::Stderr(bytes) => What::Stderr(bytes.to_vec()),
            WhatRef::Input(bytes) => What::Input(bytes.to_vec()),
            WhatRef::Hidden(bytes) => What::Hidden(bytes),
            WhatRef::Content { file, bytes } => What::Content { file, bytes: bytes.to_vec() },
            WhatRef::Kept(file) => What::Kept(file.to_owned()),
            WhatRef::Resize { cols, rows } => What::Resize { cols, rows },
            WhatRef::Open { kind, detail } => What::Open { kind, detail: detail.into() },
            WhatRef::Close { exit, signal } => What::Close { exit, signal: signal.map(Into::into) },
            WhatRef::Signal(name) => What::Signal(name.into()),
            WhatRef::Mark { kind, text } => What::Mark { kind: kind.into(), text: text.into() },
        };
        Event { at: self.at, channel: self.channel, what }
    }
}

impl Event {
    /// The same event, lent.
    #[must_use]
    pub fn as_ref(&self) -> EventRef<'_> {
        let what = match &self.what {
            What::Output(bytes) => WhatRef::Output(bytes),
            What::Stderr(bytes) => WhatRef::Stderr(bytes),
            What::Input(bytes) => WhatRef::Input(bytes),
            What::Hidden(bytes) => WhatRef::Hidden(*bytes),
            What::Content { file, bytes } => WhatRef::Content { file: *file, bytes },
            What::Kept(file) => WhatRef::Kept(file.as_ref()),
            What::Resize { cols, rows } => WhatRef::Resize { cols: *cols, rows: *rows },
            What::Open { kind, detail } => WhatRef::Open { kind: *kind, detail },
            What::Close { exit, signal } => WhatRef::Close { exit: *exit, signal: signal.as_deref() },
            What::Signal(name) => WhatRef::Signal(name),
            What::Mark { kind, text } => WhatRef::Mark { kind, text },
        };
        EventRef { at: self.at, channel: self.channel, what }
    }
}

/// Appends one event to `out`. The only allocation is `out` growing.
pub fn encode(at: u64, channel: u32, what: WhatRef<'_>, out: &mut Vec<u8>) {
    codec::encode(at, channel, what, out);
}

/// Reads the events of one segment without copying. After an error the iterator ends.
#[must_use]
pub const fn events(bytes: &[u8]) -> Events<'_> {
    Events { bytes, at: 0 }
}

/// Iterator over the events of one segment.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Events<'a> {
    /// The bytes of the events that have not been read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<EventRef<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let before = self.bytes.len();
        let result = codec::decode(&mut self.bytes, self.at);
        match &result {
            Ok(_) => self.at += before - self.bytes.len(),
            Err(_) => self.bytes = &[],
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests;
