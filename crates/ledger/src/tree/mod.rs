//! The Merkle tree of RFC 6962 section 2.1, and its compact right edge.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// SHA-256 over the concatenation of `parts`.
pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Hash of an entry: `SHA-256(0x00 | entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// Hash of an inner node: `SHA-256(0x01 | left | right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// Root of the tree without entries: the hash of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The largest power of two below `n`, which is at least 2: where RFC 6962 splits.
pub(crate) const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// A hash in standard base64, as C2SP formats write it.
#[must_use]
pub fn hash_text(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

/// A hash from its one base64 form.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A number in decimal without sign or leading zeroes.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// The right edge of a tree: its complete subtrees, largest first. Enough to append and to know the root.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    /// INVARIANT: one per bit that is set in `size`, highest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` entries; none where the number of peaks does not fit.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// Number of entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The complete subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends an entry by its leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _| {});
    }

    /// Appends an entry, and tells of each node that becomes complete: its height (0 is the leaf) and hash.
    pub(crate) fn push_with(&mut self, leaf: Hash, mut complete: impl FnMut(u32, &Hash)) {
        let (mut hash, mut height) = (leaf, 0);
        complete(height, &hash);
        // Each set bit below the lowest clear one is a subtree as large as ours, which ours completes.
        while self.size >> height & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            height += 1;
            complete(height, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        join(self.peaks.iter().copied()).unwrap_or_else(empty_root)
    }
}

/// Root over complete subtrees, largest first; none where there are none.
pub(crate) fn join(peaks: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    peaks.rev().reduce(|right, left| node_hash(&left, &right))
}

/// Root of a complete subtree over `2^k` hashes; none where there is none.
pub(crate) fn complete_root(hashes: impl Iterator<Item = Hash>) -> Option<Hash> {
    let mut row: Vec<Hash> = hashes.collect();
    while row.len() > 1 {
        row = row.chunks(2).filter_map(|pair| join(pair.iter().copied())).collect();
    }
    row.first().copied()
}

#[cfg(test)]
mod tests;
