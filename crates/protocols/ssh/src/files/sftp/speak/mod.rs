//! SFTP version 3 as the gateway itself speaks it for people who have no client: requests written, replies read. No I/O.

use super::wire::{self, Fields, flag, kind, sealed};
use crate::files::{Fault, text};
use bytes::{Bytes, BytesMut};
use sallyport_ssh_transport::wire::Put as _;

pub(crate) use super::wire::{EOF, FAILURE, NO_SUCH_FILE, OK, PERMISSION_DENIED, UNSUPPORTED};

/// Flags of an open: to write a file that is not there yet.
const WRITE_NEW: u32 = flag::WRITE | flag::CREATE | flag::EXCLUSIVE;
/// Flags of attributes (draft-ietf-secsh-filexfer-02 section 5).
const SIZE: u32 = 1;
const OWNER: u32 = 2;
const MODE: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 1 << 31;
/// Sorts of files in a mode (stat(2)).
const SORT: u32 = 0o170_000;

/// A request.
pub(crate) enum Request<'a> {
    RealPath(&'a [u8]),
    /// What a path leads to.
    Stat(&'a [u8]),
    /// What a path is.
    LinkStat(&'a [u8]),
    HandleStat(&'a [u8]),
    OpenDir(&'a [u8]),
    ReadDir(&'a [u8]),
    MakeDir(&'a [u8]),
    Open(&'a [u8]),
    /// A new file, with this mode where one is given.
    Create(&'a [u8], Option<u32>),
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        bytes: &'a [u8],
    },
    Close(&'a [u8]),
    Remove(&'a [u8]),
    /// Gives a name that is free.
    Rename(&'a [u8], &'a [u8]),
    /// Gives a name, and takes it from whatever has it (OpenSSH's PROTOCOL, section 4.3).
    Replace(&'a [u8], &'a [u8]),
    /// How much room there is (OpenSSH's PROTOCOL, section 4.4).
    Room(&'a [u8]),
}

impl Request<'_> {
    /// The packet of it, under a number.
    pub(crate) fn packet(&self, id: u32) -> Bytes {
        let mut out = Vec::with_capacity(64);
        match *self {
            Self::RealPath(path) => named(&mut out, kind::REALPATH, id, &[path]),
            Self::Stat(path) => named(&mut out, kind::STAT, id, &[path]),
            Self::LinkStat(path) => named(&mut out, kind::LSTAT, id, &[path]),
            Self::HandleStat(handle) => named(&mut out, kind::FSTAT, id, &[handle]),
            Self::OpenDir(path) => named(&mut out, kind::OPENDIR, id, &[path]),
            Self::ReadDir(handle) => named(&mut out, kind::READDIR, id, &[handle]),
            Self::MakeDir(path) => {
                named(&mut out, kind::MKDIR, id, &[path]);
                out.uint32(0);
            }
            Self::Open(path) => {
                named(&mut out, kind::OPEN, id, &[path]);
                out.uint32(flag::READ);
                out.uint32(0);
            }
            Self::Create(path, mode) => {
                named(&mut out, kind::OPEN, id, &[path]);
                out.uint32(WRITE_NEW);
                out.uint32(if mode.is_some() { MODE } else { 0 });
                if let Some(mode) = mode {
                    out.uint32(mode);
                }
            }
            Self::Read { handle, offset, length } => {
                named(&mut out, kind::READ, id, &[handle]);
                out.extend_from_slice(&offset.to_be_bytes());
                out.uint32(length);
            }
            Self::Write { handle, offset, bytes } => {
                out.reserve(bytes.len().saturating_add(handle.len()));
                named(&mut out, kind::WRITE, id, &[handle]);
                out.extend_from_slice(&offset.to_be_bytes());
                out.string(bytes);
            }
            Self::Close(handle) => named(&mut out, kind::CLOSE, id, &[handle]),
            Self::Remove(path) => named(&mut out, kind::REMOVE, id, &[path]),
            Self::Rename(from, to) => named(&mut out, kind::RENAME, id, &[from, to]),
            Self::Replace(from, to) => named(&mut out, kind::EXTENDED, id, &[b"posix-rename@openssh.com", from, to]),
            Self::Room(path) => named(&mut out, kind::EXTENDED, id, &[b"statvfs@openssh.com", path]),
        }
        sealed(&out).into()
    }
}

/// The greeting.
pub(crate) fn greeting() -> Bytes {
    let mut out = vec![kind::INIT];
    out.uint32(wire::VERSION);
    sealed(&out).into()
}

fn named(out: &mut Vec<u8>, kind: u8, id: u32, texts: &[&[u8]]) {
    out.push(kind);
    out.uint32(id);
    for text in texts {
        out.string(text);
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Attributes {
    pub(crate) size: Option<u64>,
    pub(crate) mode: Option<u32>,
    /// When it was written last, in seconds since 1970.
    pub(crate) modified: Option<u32>,
}

impl Attributes {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Fault> {
        let flags = fields.number()?;
        let has = |flag: u32| flags & flag != 0;
        let size = has(SIZE).then(|| fields.long()).transpose()?;
        if has(OWNER) {
            fields.long()?;
        }
        let mode = has(MODE).then(|| fields.number()).transpose()?;
        let modified = has(TIMES).then(|| fields.number().and_then(|_| fields.number())).transpose()?;
        if has(EXTENDED) {
            for _ in 0..fields.number()? {
                fields.string()?;
                fields.string()?;
            }
        }
        Ok(Self { size, mode, modified })
    }

    fn is(self, sort: u32) -> bool {
        self.mode.is_some_and(|mode| mode & SORT == sort)
    }

    pub(crate) fn is_directory(self) -> bool {
        self.is(0o040_000)
    }

    pub(crate) fn is_file(self) -> bool {
        self.is(0o100_000)
    }

    pub(crate) fn is_link(self) -> bool {
        self.is(0o120_000)
    }

    /// Who may do what with it.
    pub(crate) fn rights(self) -> Option<u32> {
        self.mode.map(|mode| mode & 0o777)
    }
}

/// A reply, read to its end.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    /// The number of what it is a reply to.
    pub(crate) id: u32,
    pub(crate) says: Says,
}

/// What is replied.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Says {
    /// The version, in place of a number.
    Version,
    /// A code, and words.
    Status(u32, String),
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<(Bytes, Attributes)>),
    Attributes(Attributes),
    /// To [`Request::Room`]: bytes that whoever asks may still write.
    Extended(Bytes),
}

impl Reply {
    /// Takes the next reply out of what has come, if it is whole.
    pub(crate) fn take(held: &mut BytesMut) -> Result<Option<Self>, Fault> {
        match wire::whole(held)? {
            Some(length) if held.len() >= length => Self::read(&held.split_to(length).freeze()).map(Some),
            _ => Ok(None),
        }
    }

    fn read(packet: &Bytes) -> Result<Self, Fault> {
        let wire::Reply { id, says } = wire::Reply::parse(packet)?;
        let says = match says {
            wire::Says::Version => Says::Version,
            wire::Says::Status(code, words) => Says::Status(code, text(words)),
            wire::Says::Handle(handle) => Says::Handle(packet.slice_ref(handle)),
            wire::Says::Data(mut fields) => Says::Data(packet.slice_ref(fields.string()?)),
            wire::Says::Names(mut fields) => {
                let mut names = Vec::new();
                for _ in 0..fields.number()? {
                    let name = packet.slice_ref(fields.string()?);
                    let _line = fields.string()?;
                    names.push((name, Attributes::read(&mut fields)?));
                }
                Says::Names(names)
            }
            wire::Says::Attributes(mut fields) => Says::Attributes(Attributes::read(&mut fields)?),
            wire::Says::Extended(fields) => Says::Extended(packet.slice_ref(fields.rest())),
        };
        Ok(Self { id, says })
    }
}

/// Bytes that there is room for, of the reply to [`Request::Room`].
pub(crate) fn room(reply: &[u8]) -> Option<u64> {
    let mut fields = Fields::new(reply);
    let (_block, fragment, _all, _free) =
        (fields.long().ok()?, fields.long().ok()?, fields.long().ok()?, fields.long().ok()?);
    fields.long().ok()?.checked_mul(fragment)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod walked;

#[cfg(test)]
mod tests;
