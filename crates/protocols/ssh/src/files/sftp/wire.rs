//! Packets of SFTP version 3: how long a head is, and what it says.

use super::super::Fault;
use super::{HELD, PACKET};
use sallyport_ssh_transport::wire::Put as _;

/// Types of packets (draft-ietf-secsh-filexfer-02 section 3).
pub(super) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const REALPATH: u8 = 16;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 200;
    pub(crate) const EXTENDED_REPLY: u8 = 201;
}

/// Status codes (section 7).
pub(crate) const OK: u32 = 0;
pub(crate) const EOF: u32 = 1;
pub(crate) const NO_SUCH_FILE: u32 = 2;
pub(crate) const PERMISSION_DENIED: u32 = 3;
pub(crate) const FAILURE: u32 = 4;
pub(crate) const UNSUPPORTED: u32 = 8;

/// Flags of an open (section 6.3).
pub(super) mod flag {
    pub(crate) const READ: u32 = 1;
    pub(crate) const WRITE: u32 = 2;
    pub(crate) const APPEND: u32 = 4;
    pub(crate) const CREATE: u32 = 8;
    pub(crate) const TRUNCATE: u32 = 16;
    pub(crate) const EXCLUSIVE: u32 = 32;
}

/// Longest handle (section 6.3).
const HANDLE: u32 = 256;

/// What is missing of a head.
pub(super) enum Need {
    /// It must come to so many bytes, and be looked at again.
    More(usize),
    /// It is whole; so many bytes of the packet follow, which are content or of no interest.
    Done { left: usize },
}

/// A head: the packet from its length on, without the content that follows.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    pub(super) left: usize,
}

pub(super) fn malformed(what: &'static str) -> Fault {
    Fault::Malformed { protocol: "SFTP", what }
}

pub(super) fn kind_of(bytes: &[u8]) -> Option<u8> {
    bytes.get(4).copied()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_be_bytes(bytes.get(at..end)?.try_into().ok()?))
}

pub(super) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The packet's length with the length field, once it is there; its bounds are checked.
pub(super) fn whole(held: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(length) = number(held, 0) else { return Ok(None) };
    match length {
        0..5 => Err(malformed("a packet without a number")),
        5..=PACKET => Ok(Some(size(length).saturating_add(4))),
        _ => Err(malformed("a packet of more than 256 KiB")),
    }
}

/// How much of a request must be held.
pub(super) fn request(held: &[u8]) -> Result<Need, Fault> {
    let (Some(whole), Some(kind)) = (whole(held)?, kind_of(held)) else { return Ok(Need::More(5)) };
    if kind != kind::WRITE {
        return all(held, whole);
    }
    // length, type, id, handle, offset, length of the content
    let Some(handle) = number(held, 9) else { return Ok(Need::More(13)) };
    if handle > HANDLE {
        return Err(malformed("a handle of more than 256 bytes"));
    }
    let head = size(handle).saturating_add(25);
    let Some(content) = number(held, head.saturating_sub(4)) else { return Ok(Need::More(head)) };
    if head.saturating_add(size(content)) != whole {
        return Err(malformed("a write whose lengths do not fit"));
    }
    Ok(Need::Done { left: size(content) })
}

/// How much of a reply must be held.
pub(super) fn reply(held: &[u8]) -> Result<Need, Fault> {
    let (Some(whole), Some(kind)) = (whole(held)?, kind_of(held)) else { return Ok(Need::More(5)) };
    match kind {
        kind::STATUS | kind::HANDLE | kind::VERSION => all(held, whole),
        kind::DATA => {
            let Some(content) = number(held, 9) else { return Ok(Need::More(13)) };
            if size(content).saturating_add(13) != whole {
                return Err(malformed("content whose lengths do not fit"));
            }
            Ok(Need::Done { left: size(content) })
        }
        kind::NAME | kind::ATTRS | kind::EXTENDED_REPLY if held.len() < 9 => Ok(Need::More(9)),
        kind::NAME | kind::ATTRS | kind::EXTENDED_REPLY => Ok(Need::Done { left: whole.saturating_sub(9) }),
        _ => Err(malformed("a reply of an unknown type")),
    }
}

fn all(held: &[u8], whole: usize) -> Result<Need, Fault> {
    if whole > HELD {
        return Err(malformed("a request of more than 64 KiB"));
    }
    Ok(if held.len() < whole { Need::More(whole) } else { Need::Done { left: 0 } })
}

/// Asks for version 3 at most: it is what is read along, and what every server speaks.
pub(super) fn lower(bytes: &mut [u8]) {
    if let (Some(asked), Some(field)) = (number(bytes, 5), bytes.get_mut(5..9)) {
        field.copy_from_slice(&asked.min(VERSION).to_be_bytes());
    }
}

/// Fields of a packet, from its type on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What was not read yet.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn number(&mut self) -> Result<u32, Fault> {
        let value = number(self.0, 0).ok_or(malformed("a packet that is too short"))?;
        self.0 = self.0.get(4..).unwrap_or_default();
        Ok(value)
    }

    pub(super) fn long(&mut self) -> Result<u64, Fault> {
        Ok((u64::from(self.number()?) << 32) | u64::from(self.number()?))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Fault> {
        let length = size(self.number()?);
        let (value, rest) =
            self.0.split_at_checked(length).ok_or(malformed("a text that is longer than its packet"))?;
        self.0 = rest;
        Ok(value)
    }

    pub(super) fn handle(&mut self) -> Result<&'a [u8], Fault> {
        let handle = self.string()?;
        if handle.len() > size(HANDLE) { Err(malformed("a handle of more than 256 bytes")) } else { Ok(handle) }
    }
}

/// A request, as far as it matters.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) id: u32,
    pub(super) ask: Ask<'a>,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Ask<'a> {
    Open {
        path: &'a [u8],
        flags: u32,
    },
    Close(&'a [u8]),
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
    },
    OpenDir(&'a [u8]),
    Remove(&'a [u8]),
    MakeDir(&'a [u8]),
    RemoveDir(&'a [u8]),
    Rename(&'a [u8], &'a [u8]),
    SetStat(&'a [u8]),
    SetHandle(&'a [u8]),
    /// The new name, and what it leads to.
    Link(&'a [u8], &'a [u8]),
    Copy {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// It only looks, at a path where there is one.
    Look(Option<&'a [u8]>),
    /// It only looks at what is open.
    LookAt(&'a [u8]),
    /// It reads names of an open directory.
    Names(&'a [u8]),
    Unknown,
}

impl<'a> Ask<'a> {
    /// The paths in it.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'a [u8]> {
        let (one, other) = match *self {
            Ask::Open { path, .. } => (Some(path), None),
            Ask::OpenDir(path) | Ask::Remove(path) | Ask::MakeDir(path) | Ask::RemoveDir(path) | Ask::SetStat(path) => {
                (Some(path), None)
            }
            Ask::Rename(one, other) | Ask::Link(one, other) => (Some(one), Some(other)),
            Ask::Look(path) => (path, None),
            _ => (None, None),
        };
        [one, other].into_iter().flatten()
    }
}

impl<'a> Request<'a> {
    /// Reads a head that [`request`] found whole.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let kind = kind_of(bytes).ok_or(malformed("an empty packet"))?;
        let mut fields = Fields(bytes.get(5..).unwrap_or_default());
        let id = fields.number()?;
        let ask = match kind {
            kind::OPEN => Ask::Open { path: fields.string()?, flags: fields.number()? },
            kind::CLOSE => Ask::Close(fields.handle()?),
            kind::READ => Ask::Read { handle: fields.handle()?, offset: fields.long()?, length: fields.number()? },
            kind::WRITE => Ask::Write { handle: fields.handle()?, offset: fields.long()? },
            kind::OPENDIR => Ask::OpenDir(fields.string()?),
            kind::REMOVE => Ask::Remove(fields.string()?),
            kind::MKDIR => Ask::MakeDir(fields.string()?),
            kind::RMDIR => Ask::RemoveDir(fields.string()?),
            kind::RENAME => Ask::Rename(fields.string()?, fields.string()?),
            kind::SETSTAT => Ask::SetStat(fields.string()?),
            kind::FSETSTAT => Ask::SetHandle(fields.handle()?),
            // OpenSSH sends what the link leads to first (its PROTOCOL, section 4.1).
            kind::SYMLINK => {
                let leads = fields.string()?;
                Ask::Link(fields.string()?, leads)
            }
            kind::LSTAT | kind::STAT | kind::REALPATH | kind::READLINK => Ask::Look(Some(fields.string()?)),
            kind::FSTAT => Ask::LookAt(fields.handle()?),
            kind::READDIR => Ask::Names(fields.handle()?),
            kind::EXTENDED => extended(&mut fields)?,
            _ => Ask::Unknown,
        };
        Ok(Self { id, ask })
    }
}

/// OpenSSH's extensions (its PROTOCOL, section 4).
fn extended<'a>(fields: &mut Fields<'a>) -> Result<Ask<'a>, Fault> {
    Ok(match fields.string()? {
        b"posix-rename@openssh.com" => Ask::Rename(fields.string()?, fields.string()?),
        b"hardlink@openssh.com" => {
            let leads = fields.string()?;
            Ask::Link(fields.string()?, leads)
        }
        b"lsetstat@openssh.com" => Ask::SetStat(fields.string()?),
        b"copy-data" => {
            let from = fields.handle()?;
            let _range = (fields.long()?, fields.long()?);
            Ask::Copy { from, to: fields.handle()? }
        }
        b"fsync@openssh.com" | b"fstatvfs@openssh.com" => Ask::LookAt(fields.handle()?),
        b"statvfs@openssh.com" | b"expand-path@openssh.com" => Ask::Look(Some(fields.string()?)),
        b"limits@openssh.com" | b"home-directory" | b"users-groups-by-id@openssh.com" => Ask::Look(None),
        _ => Ask::Unknown,
    })
}

/// A reply. Of content, names and attributes it has what was not read yet: of a head that is nothing, or a part.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    /// The number of what it is a reply to; of the first one, the version.
    pub(super) id: u32,
    pub(super) says: Says<'a>,
}

/// What is replied.
#[derive(Debug)]
pub(super) enum Says<'a> {
    Version,
    Status(u32, &'a [u8]),
    Handle(&'a [u8]),
    Data(Fields<'a>),
    Names(Fields<'a>),
    Attributes(Fields<'a>),
    Extended(Fields<'a>),
}

impl<'a> Reply<'a> {
    /// Reads a head that [`reply`] found whole, or a whole packet, from its length on.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut fields = Fields(bytes.get(5..).unwrap_or_default());
        let id = fields.number()?;
        let says = match kind_of(bytes) {
            Some(kind::VERSION) => Says::Version,
            Some(kind::STATUS) => {
                let code = fields.number()?;
                // Servers of before version 3 leave the words out.
                Says::Status(code, fields.string().unwrap_or_default())
            }
            Some(kind::HANDLE) => Says::Handle(fields.handle()?),
            Some(kind::DATA) => Says::Data(fields),
            Some(kind::NAME) => Says::Names(fields),
            Some(kind::ATTRS) => Says::Attributes(fields),
            Some(kind::EXTENDED_REPLY) => Says::Extended(fields),
            _ => return Err(malformed("a reply of an unknown type")),
        };
        match says {
            Says::Version if id != VERSION => Err(malformed("the target speaks another version than 3")),
            says => Ok(Self { id, says }),
        }
    }
}

/// The version that is spoken.
pub(super) const VERSION: u32 = 3;

/// A question of the gateway's own: where paths begin.
pub(super) fn whereabouts(id: u32) -> Vec<u8> {
    let mut body = vec![kind::REALPATH];
    body.uint32(id);
    body.string(b".");
    sealed(&body)
}

/// The first of the names in the rest of a reply.
pub(super) fn first_name(rest: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(rest);
    (fields.number().ok()? > 0).then(|| fields.string().ok())?
}

/// Whether a reply says nothing that its number does not: done, or the end, in the words that everybody has for it.
pub(super) fn says_no_more(bytes: &[u8]) -> bool {
    let mut fields = Fields(bytes.get(9..).unwrap_or_default());
    let (Ok(code), Ok(words)) = (fields.number(), fields.string()) else { return false };
    let known = matches!((code, words), (OK, b"" | b"Success" | b"OK") | (EOF, b"" | b"End of file" | b"EOF"));
    known && matches!(fields.string(), Ok(b"" | b"en")) && fields.rest().is_empty()
}

/// The gateway's own answer to a request.
pub(super) fn status(id: u32, code: u32, words: &str) -> Vec<u8> {
    let mut body = vec![kind::STATUS];
    body.uint32(id);
    body.uint32(code);
    body.string(words.as_bytes());
    body.string(b"");
    sealed(&body)
}

/// A packet with this body.
pub(super) fn sealed(body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(body.len().saturating_add(4));
    packet.string(body);
    packet
}
