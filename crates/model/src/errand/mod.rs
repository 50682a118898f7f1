//! Errands: what somebody whose session came through the door wants done with files of its target.

use minicbor::{Decode, Encode};
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// A path on a target, as the target spells it: bytes that need be no UTF-8.
///
/// As text every byte that is no printable character of UTF-8, and every `%`, is `%` and two hexadecimal digits.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(transparent)]
pub struct FilePath(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

/// Bytes or text that are no path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPath {
    /// There is nothing in it.
    #[error("a path is not empty: give `.` for where the login begins")]
    Empty,
    /// It is longer than any system takes.
    #[error("a path has at most {} bytes", FilePath::LONGEST)]
    Long,
    /// One of its names is.
    #[error("a name in a path has at most {} bytes", FilePath::NAME)]
    Name,
    /// No path holds it.
    #[error("a path holds no NUL")]
    Nul,
    /// An escape that is none.
    #[error("write a `%` in a path as `%25`, and a byte that is no text as `%` and two hexadecimal digits")]
    Escape,
    /// It names a place, where a file is wanted.
    #[error("this path names no file: its last name is missing, or is `.` or `..`")]
    Place,
}

impl FilePath {
    /// Longest path, in bytes (`PATH_MAX` of Linux).
    pub const LONGEST: usize = 4096;
    /// Longest name in one, in bytes (`NAME_MAX`).
    pub const NAME: usize = 255;

    /// A path of these bytes.
    ///
    /// # Errors
    /// When no system has such a path.
    pub fn new(bytes: &[u8]) -> Result<Self, BadPath> {
        match bytes {
            [] => Err(BadPath::Empty),
            _ if bytes.len() > Self::LONGEST => Err(BadPath::Long),
            _ if bytes.contains(&0) => Err(BadPath::Nul),
            _ if bytes.split(|byte| *byte == b'/').any(|name| name.len() > Self::NAME) => Err(BadPath::Name),
            _ => Ok(Self(bytes.to_vec())),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The directory that it lies in and its last name, where that can name a file.
    ///
    /// # Errors
    /// When it cannot.
    pub fn file(&self) -> Result<(&[u8], &[u8]), BadPath> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/');
        let (directory, name) = match slash {
            Some(at) => (self.0.get(..=at).unwrap_or_default(), self.0.get(at.saturating_add(1)..).unwrap_or_default()),
            None => (&b""[..], &self.0[..]),
        };
        if matches!(name, b"" | b"." | b"..") { Err(BadPath::Place) } else { Ok((directory, name)) }
    }

    /// The path of a name in this directory.
    ///
    /// # Errors
    /// When no system has such a path.
    pub fn join(&self, name: &[u8]) -> Result<Self, BadPath> {
        let slash: &[u8] = if self.0.ends_with(b"/") { b"" } else { b"/" };
        Self::new(&[&self.0, slash, name].concat())
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped =
            |f: &mut fmt::Formatter<'_>, bytes: &[u8]| bytes.iter().try_for_each(|byte| write!(f, "%{byte:02X}"));
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '%' || c.is_control() {
                    escaped(f, c.encode_utf8(&mut [0; 4]).as_bytes())?;
                } else {
                    f.write_char(c)?;
                }
            }
            escaped(f, chunk.invalid())?;
        }
        Ok(())
    }
}

impl FromStr for FilePath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        let digit = |byte: Option<u8>| {
            let digit = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(BadPath::Escape)?;
            u8::try_from(digit).map_err(|_| BadPath::Escape)
        };
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => (digit(rest.next())? << 4) | digit(rest.next())?,
                byte => byte,
            });
        }
        Self::new(&bytes)
    }
}

/// What is wanted of a session's files.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Errand {
    /// What lies in a directory. The answer is [`Told::Listed`].
    #[n(0)]
    List(#[n(0)] FilePath),
    /// A new directory. The answer is [`Told::Made`].
    #[n(1)]
    MakeDir(#[n(0)] FilePath),
    /// The content of a file: [`Told::Gives`], bytes, [`Told::Whole`].
    #[n(2)]
    Get(#[n(0)] FilePath),
    /// New content of a file: [`Told::Takes`], then bytes come, then [`Told::Whole`].
    #[n(3)]
    Put(#[n(0)] Put),
}

/// A file that is to come to the target.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Put {
    /// Where to.
    #[n(0)]
    pub path: FilePath,
    /// Its size in bytes, where it is known: it is judged before any of them, and must come true.
    #[n(1)]
    pub size: Option<u64>,
    /// Whether a file that is there already is to be replaced.
    #[n(2)]
    pub replace: bool,
}

/// What is told of an errand. A refusal is the door's own `Closed`.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Told {
    /// What lies in the directory.
    #[n(0)]
    Listed(#[n(0)] Box<Directory>),
    /// It is made.
    #[n(1)]
    Made,
    /// The file is open, and its content follows: so many bytes where that is known, not one less.
    #[n(2)]
    Gives(#[n(0)] Option<u64>),
    /// The file may come.
    #[n(3)]
    Takes,
    /// So many bytes have crossed, which are all of it; where they went to the target, they are in place there.
    #[n(4)]
    Whole(#[n(0)] u64),
}

/// A directory.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Directory {
    /// Its path, from the root, without links.
    #[n(0)]
    pub path: FilePath,
    /// What lies in it, in no order.
    #[n(1)]
    pub entries: Vec<Entry>,
    /// Whether more lies in it than is told.
    #[n(2)]
    pub cut: bool,
    /// Why no file goes to the target in this session.
    #[n(3)]
    pub no_up: Option<String>,
    /// Why no file comes from it.
    #[n(4)]
    pub no_down: Option<String>,
}

/// One name in a directory.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// Its name: bytes without a slash.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// What it is; of a link, what it leads to.
    #[n(1)]
    pub sort: Sort,
    /// Whether it is a symbolic link.
    #[n(2)]
    pub link: bool,
    /// Bytes, where it is a file.
    #[n(3)]
    pub size: Option<u64>,
    /// When it was written last, in seconds since 1970.
    #[n(4)]
    pub modified: Option<u32>,
}

/// What something in a directory is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(index_only)]
pub enum Sort {
    /// A file.
    #[n(0)]
    File,
    /// A directory.
    #[n(1)]
    Directory,
    /// A device, a socket, a link that leads nowhere, or what its target does not say.
    #[n(2)]
    Other,
}

impl Sort {
    /// Stable word, as the API spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests;
