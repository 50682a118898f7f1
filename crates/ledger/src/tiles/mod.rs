//! Tiles (c2sp.org/tlog-tiles): how the tree is stored, named and grown.
//!
//! A tile holds up to 256 hashes of one level; level L has the nodes of height 8 L. A full tile never changes; a
//! partial one is replaced by a wider one.

use crate::tree::{Frontier, Hash, parse_decimal};
use sallyport_model::Kind;
use std::fmt;
use std::fmt::Write as _;

pub mod entries;

/// Hashes in a full tile.
pub const WIDTH: u16 = 256;

/// Tile levels that a tree of less than 2^64 entries can have.
const LEVELS: u8 = 8;

/// Tiles that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// A tile that is needed was not handed in, or has another length than its name says.
    #[error("tile {0} is missing or has the wrong length; restore it from a backup or a mirror")]
    Tile(TileId),
    /// Text that names no tile.
    #[error("`{0}` names no tile; write it as tile/LEVEL/INDEX[.p/WIDTH]")]
    Path(String),
    /// An entry bundle that is cut off, or a part of one that is too long.
    #[error("the entry bundle is not well-formed at byte {0}; restore it from a backup or a mirror")]
    Entries(usize),
    /// An entry of more than 65,535 bytes, or more than 256 of them.
    #[error("entry {0} does not fit into a bundle; keep it below 65,536 bytes and 256 entries")]
    TooLong(usize),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Path(_) | Self::TooLong(_) => Kind::Usage,
            Self::Tile(_) | Self::Entries(_) => Kind::Failed,
        }
    }
}

/// The name of a tile of hashes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TileId {
    /// 0 holds leaf hashes.
    pub level: u8,
    /// Position within the level.
    pub index: u64,
    /// Hashes in it, 1 to 256.
    pub width: u16,
}

impl TileId {
    /// The tile of `level` that has hash number `hash` of that level in a tree of `size` entries; none
    /// where the tree has no such hash.
    #[must_use]
    pub fn covering(level: u8, hash: u64, size: u64) -> Option<Self> {
        let count = if level < LEVELS { size >> (8 * u32::from(level)) } else { 0 };
        if hash >= count {
            return None;
        }
        let index = hash >> 8;
        let rest = count - (index << 8);
        Some(Self { level, index, width: u16::try_from(rest).map_or(WIDTH, |rest| rest.min(WIDTH)) })
    }

    /// Bytes in the tile.
    #[must_use]
    pub fn length(self) -> usize {
        usize::from(self.width) * 32
    }

    /// Reads a path as [`TileId`]'s `Display` writes it, and no other form.
    ///
    /// # Errors
    /// When it names no tile.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let bad = || Error::Path(path.chars().take(80).collect());
        let rest = path.strip_prefix("tile/").ok_or_else(bad)?;
        let (level, rest) = rest.split_once('/').ok_or_else(bad)?;
        let level = parse_decimal(level).and_then(|level| u8::try_from(level).ok()).filter(|level| *level < LEVELS);
        let (index, width) = parse_place(rest).ok_or_else(bad)?;
        Ok(Self { level: level.ok_or_else(bad)?, index, width })
    }
}

impl fmt::Display for TileId {
    /// `tile/0/x001/x234/067.p/8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/{}", self.level, place(self.index, self.width))
    }
}

/// Index and width as C2SP writes them: groups of three digits, all but the last with an `x`, and `.p/W` where partial.
fn place(index: u64, width: u16) -> String {
    let mut groups = vec![index % 1000];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    let mut out = String::new();
    for (n, group) in groups.iter().enumerate().rev() {
        // Writing to a String cannot fail.
        let _ = if n > 0 { write!(out, "x{group:03}/") } else { write!(out, "{group:03}") };
    }
    if width < WIDTH {
        let _ = write!(out, ".p/{width}");
    }
    out
}

fn parse_place(text: &str) -> Option<(u64, u16)> {
    let (digits, width) = match text.split_once(".p/") {
        Some((digits, width)) => (digits, u16::try_from(parse_decimal(width)?).ok()?),
        None => (text, WIDTH),
    };
    let mut index = 0_u64;
    for group in digits.split('/') {
        let number = group.trim_start_matches('x').parse::<u16>().ok()?;
        index = index.checked_mul(1000)?.checked_add(number.into())?;
    }
    // One name per tile: whatever else reads as this number is refused by writing it again.
    ((1..=WIDTH).contains(&width) && place(index, width) == text).then_some((index, width))
}

/// A tile of hashes with its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tile {
    /// Its name.
    pub id: TileId,
    /// Its hashes, one after another.
    pub bytes: Vec<u8>,
}

/// What a batch did to the tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Growth {
    /// Entries now.
    pub size: u64,
    /// Root now.
    pub root: Hash,
    /// Tiles that are new, full ones first; each replaces a partial one of the same level and index.
    pub tiles: Vec<Tile>,
}

/// Grows a tree: leaf hashes in, tiles out. One hash per entry, and no tile is read after it was made.
#[derive(Clone, Debug)]
pub struct Appender {
    frontier: Frontier,
    /// INVARIANT: per level, the hashes of its partial tile; empty where the last tile is full.
    edge: Vec<Vec<u8>>,
}

impl Default for Appender {
    fn default() -> Self {
        Self { frontier: Frontier::new(), edge: vec![Vec::new(); LEVELS.into()] }
    }
}

impl Appender {
    /// The tree without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The partial tiles that [`Appender::load`] needs for a tree of this size.
    #[must_use]
    pub fn needed(size: u64) -> Vec<TileId> {
        (0..LEVELS)
            .filter_map(|level| {
                let count = size >> (8 * u32::from(level));
                TileId::covering(level, count.checked_sub(1)?, size).filter(|id| id.width < WIDTH)
            })
            .collect()
    }

    /// A tree of `size` entries from its partial tiles. The caller compares [`Appender::root`] with a signed one.
    ///
    /// # Errors
    /// When a tile is missing or has the wrong length.
    pub fn load(size: u64, hashes: &impl crate::Hashes) -> Result<Self, Error> {
        let mut edge = vec![Vec::new(); LEVELS.into()];
        let mut peaks = Vec::new();
        for id in Self::needed(size).into_iter().rev() {
            let bytes = crate::proof::read(hashes, id)?;
            let mut rest = bytes.as_chunks::<32>().0;
            for bit in (0..8).rev().filter(|bit| id.width >> bit & 1 == 1) {
                let (subtree, after) = rest.split_at_checked(1 << bit).ok_or(Error::Tile(id))?;
                peaks.extend(crate::tree::complete_root(subtree.iter().copied()));
                rest = after;
            }
            if let Some(level) = edge.get_mut(usize::from(id.level)) {
                *level = bytes.to_vec();
            }
        }
        // `needed` lists one tile for every level with set bits, so the peaks always fit.
        let frontier = Frontier::from_peaks(size, peaks).unwrap_or_default();
        Ok(Self { frontier, edge })
    }

    /// Entries so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Appends a batch. Whoever may have to take it back keeps a clone.
    pub fn append(&mut self, leaves: &[Hash]) -> Growth {
        let before = self.size();
        let mut tiles = Vec::new();
        for leaf in leaves {
            let at = self.frontier.size();
            let edge = &mut self.edge;
            self.frontier.push_with(*leaf, |height, hash| {
                if !height.is_multiple_of(8) {
                    return;
                }
                let Some((level, row)) =
                    (0..).zip(edge.iter_mut()).nth(usize::try_from(height / 8).unwrap_or(usize::MAX))
                else {
                    return;
                };
                row.extend_from_slice(hash);
                if row.len() == usize::from(WIDTH) * 32 {
                    let id = TileId { level, index: at.checked_shr(height + 8).unwrap_or(0), width: WIDTH };
                    tiles.push(Tile { id, bytes: std::mem::take(row) });
                }
            });
        }
        let size = self.size();
        for (level, row) in (0..).zip(&self.edge) {
            let shift = 8 * u32::from(level);
            let changed = size >> shift != before >> shift && !row.is_empty();
            let id = (size >> shift).checked_sub(1).and_then(|last| TileId::covering(level, last, size));
            if let Some(id) = id.filter(|_| changed) {
                tiles.push(Tile { id, bytes: row.clone() });
            }
        }
        Growth { size, root: self.root(), tiles }
    }
}

#[cfg(test)]
mod tests;
