//! Proofs of inclusion and of consistency (RFC 6962 section 2.1, RFC 9162 section 2.1): made from tiles, checked without.

use crate::tiles::{self, TileId};
use crate::tree::{Hash, complete_root, empty_root, join, node_hash, split};
use sallyport_model::Kind;
use std::collections::BTreeSet;

pub mod text;

/// Where tiles come from. Whoever stores them asynchronously fetches what [`needed_for_inclusion`] or
/// [`needed_for_consistency`] lists, and hands that in: `BTreeMap<TileId, Vec<u8>>` is one.
pub trait Hashes {
    /// The bytes of exactly this tile; none where it is not at hand.
    fn tile(&self, id: TileId) -> Option<&[u8]>;
}

impl Hashes for std::collections::BTreeMap<TileId, Vec<u8>> {
    fn tile(&self, id: TileId) -> Option<&[u8]> {
        self.get(&id).map(Vec::as_slice)
    }
}

/// A proof that cannot be made, or does not hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is no such entry in a tree of this size, or no such older tree.
    #[error("a ledger of {size} entries has nothing at {index}; ask for less, or for a newer checkpoint")]
    Range {
        /// What was asked for.
        index: u64,
        /// Entries in the tree.
        size: u64,
    },
    /// A tile is missing.
    #[error(transparent)]
    Tiles(#[from] tiles::Error),
    /// The proof does not lead to the root.
    #[error("the proof does not lead to the root of the ledger; what it is of is not in that ledger")]
    Wrong,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Range { .. } => Kind::Usage,
            Self::Tiles(e) => e.kind(),
            Self::Wrong => Kind::Failed,
        }
    }
}

/// A tile that is at hand and as long as its name says.
pub(crate) fn read(hashes: &impl Hashes, id: TileId) -> Result<&[u8], tiles::Error> {
    hashes.tile(id).filter(|bytes| bytes.len() == id.length()).ok_or(tiles::Error::Tile(id))
}

/// The tiles for [`prove_inclusion`].
///
/// # Errors
/// When the tree has no such entry.
pub fn needed_for_inclusion(index: u64, size: u64) -> Result<Vec<TileId>, Error> {
    needed(inclusion_ranges(index, size)?, size)
}

/// The tiles for [`prove_consistency`].
///
/// # Errors
/// When the older tree is the larger one.
pub fn needed_for_consistency(old: u64, new: u64) -> Result<Vec<TileId>, Error> {
    needed(consistency_ranges(old, new)?, new)
}

/// The hashes from the leaf's sibling up (RFC 6962 section 2.1.1).
///
/// # Errors
/// When the tree has no such entry, or a tile is missing.
pub fn prove_inclusion(index: u64, size: u64, hashes: &impl Hashes) -> Result<Vec<Hash>, Error> {
    prove(inclusion_ranges(index, size)?, size, hashes)
}

/// The hashes that show the older tree to be the beginning of the newer (RFC 6962 section 2.1.2).
///
/// # Errors
/// When the older tree is the larger one, or a tile is missing.
pub fn prove_consistency(old: u64, new: u64, hashes: &impl Hashes) -> Result<Vec<Hash>, Error> {
    prove(consistency_ranges(old, new)?, new, hashes)
}

/// The root of the tree's first `size` entries, for a tree stored in tiles.
///
/// # Errors
/// When a tile is missing.
pub fn root(size: u64, hashes: &impl Hashes) -> Result<Hash, Error> {
    if size == 0 { Ok(empty_root()) } else { range_hash((0, size), size, hashes) }
}

/// Checks that the entry with this leaf hash is at `index` (RFC 9162 section 2.1.3.2).
///
/// # Errors
/// When the proof does not show that.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), Error> {
    if index >= size {
        return Err(Error::Range { index, size });
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(Error::Wrong);
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            (place, last) = up(place, last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(Error::Wrong) }
}

/// Checks that the older tree is the beginning of the newer (RFC 9162 section 2.1.4.2). Every hash of the proof enters
/// both roots or the newer one.
///
/// # Errors
/// When the proof does not show that.
pub fn verify_consistency(old: u64, new: u64, proof: &[Hash], old_root: &Hash, new_root: &Hash) -> Result<(), Error> {
    if old > new {
        return Err(Error::Range { index: old, size: new });
    }
    let plain = match old {
        _ if old == new => Some(old_root == new_root),
        0 => Some(*old_root == empty_root()),
        _ => None,
    };
    if let Some(holds) = plain {
        return if holds && proof.is_empty() { Ok(()) } else { Err(Error::Wrong) };
    }
    let (first, rest) =
        if old.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(Error::Wrong)? };
    let shift = (old - 1).trailing_ones();
    let (mut place, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut older, mut newer) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(Error::Wrong);
        }
        if place & 1 == 1 || place == last {
            older = node_hash(hash, &older);
            newer = node_hash(hash, &newer);
            (place, last) = up(place, last);
        } else {
            newer = node_hash(&newer, hash);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last == 0 && older == *old_root && newer == *new_root { Ok(()) } else { Err(Error::Wrong) }
}

/// Past the levels where the node is the last one and has no sibling.
fn up(place: u64, last: u64) -> (u64, u64) {
    let shift = if place == 0 { 0 } else { place.trailing_zeros() };
    (place >> shift, last >> shift)
}

/// Entries from the first to before the second.
type Range = (u64, u64);

/// The subtrees beside the path from the leaf up.
fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range>, Error> {
    if index >= size {
        return Err(Error::Range { index, size });
    }
    let (mut low, mut high, mut out) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            out.push((middle, high));
            high = middle;
        } else {
            out.push((low, middle));
            low = middle;
        }
    }
    out.reverse();
    Ok(out)
}

/// SUBPROOF of RFC 6962 section 2.1.2, unrolled.
fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range>, Error> {
    if old > new {
        return Err(Error::Range { index: old, size: new });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut low, mut high, mut out) = (0, new, Vec::new());
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            out.push((middle, high));
            high = middle;
        } else {
            out.push((low, middle));
            low = middle;
        }
    }
    if low > 0 {
        out.push((low, high));
    }
    out.reverse();
    Ok(out)
}

/// A complete subtree: height, and number among those of its height.
type Node = (u32, u64);

/// The complete subtrees of a range that begins where a subtree of its size may begin, largest first.
fn nodes((low, high): Range) -> impl Iterator<Item = Node> {
    let mut low = low;
    std::iter::from_fn(move || {
        let height = (high - low).checked_ilog2()?;
        let node = (height, low >> height);
        low += 1 << height;
        Some(node)
    })
}

/// The tile of a node, and where its hashes are in it.
fn locate((height, number): Node, size: u64) -> Option<(TileId, usize, usize)> {
    let below = height % 8;
    let first = number << below;
    let id = TileId::covering(u8::try_from(height / 8).ok()?, first, size)?;
    Some((id, usize::try_from(first & 0xff).ok()?, 1 << below))
}

fn needed(ranges: Vec<Range>, size: u64) -> Result<Vec<TileId>, Error> {
    let tiles = ranges
        .into_iter()
        .flat_map(nodes)
        .map(|node| locate(node, size).map(|(id, _, _)| id).ok_or(Error::Range { index: node.1 << node.0, size }));
    tiles.collect::<Result<BTreeSet<_>, _>>().map(Vec::from_iter)
}

fn prove(ranges: Vec<Range>, size: u64, hashes: &impl Hashes) -> Result<Vec<Hash>, Error> {
    ranges.into_iter().map(|range| range_hash(range, size, hashes)).collect()
}

fn range_hash(range: Range, size: u64, hashes: &impl Hashes) -> Result<Hash, Error> {
    let peaks = nodes(range).map(|node| node_of(node, size, hashes)).collect::<Result<Vec<_>, _>>()?;
    join(peaks.into_iter()).ok_or(Error::Range { index: range.0, size })
}

fn node_of(node: Node, size: u64, hashes: &impl Hashes) -> Result<Hash, Error> {
    let (id, first, count) = locate(node, size).ok_or(Error::Range { index: node.1, size })?;
    let row = read(hashes, id)?.as_chunks::<32>().0.iter().skip(first).take(count).copied();
    complete_root(row).ok_or(Error::Tiles(tiles::Error::Tile(id)))
}

#[cfg(test)]
mod tests;
