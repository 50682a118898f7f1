//! Entry bundles (c2sp.org/tlog-tiles): up to 256 entries, each behind its length as a `u16` in network order.

use super::{Error, WIDTH, parse_place, place};
use std::fmt;

/// The name of an entry bundle.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntriesId {
    /// Position: it begins at entry `256 * index`.
    pub index: u64,
    /// Entries in it, 1 to 256.
    pub width: u16,
}

impl EntriesId {
    /// Reads a path as `Display` writes it, and no other form.
    ///
    /// # Errors
    /// When it names no entry bundle.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let place = path.strip_prefix("tile/entries/").and_then(parse_place);
        let (index, width) = place.ok_or_else(|| Error::Path(path.chars().take(80).collect()))?;
        Ok(Self { index, width })
    }
}

impl fmt::Display for EntriesId {
    /// `tile/entries/x001/067.p/8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/entries/{}", place(self.index, self.width))
    }
}

/// Writes an entry bundle.
///
/// # Errors
/// When there are more than 256 entries, or one has more than 65,535 bytes.
pub fn pack<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    for (n, entry) in entries.into_iter().enumerate() {
        let length = u16::try_from(entry.len()).ok().filter(|_| n < usize::from(WIDTH)).ok_or(Error::TooLong(n))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Ok(out)
}

/// Reads an entry bundle of `width` entries.
///
/// # Errors
/// When it is cut off, has bytes too many, or another number of entries.
pub fn unpack(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, Error> {
    let mut rest = bytes;
    let mut out = Vec::with_capacity(width.min(WIDTH).into());
    for _ in 0..width {
        let bad = Error::Entries(bytes.len() - rest.len());
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(|| bad.clone())?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(bad)?;
        out.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(out) } else { Err(Error::Entries(bytes.len() - rest.len())) }
}
