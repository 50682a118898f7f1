//! The state root: a tree of fixed shape over all documents, 65,536 buckets by hash of the id.
//!
//! A leaf is `SHA-256(0x00 | len(id) | id | version | MAC)`. A bucket hashes its sorted leaves, the
//! buckets form a perfect binary tree. An update rehashes one bucket and sixteen nodes.

use crate::change::DocId;
use aws_lc_rs::digest::{SHA256, digest};

const DEPTH: u32 = 16;
const BUCKETS: usize = 1 << DEPTH;

/// A hash of the tree.
pub(crate) type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = aws_lc_rs::digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The leaf of a document at a version with this MAC over its stored bytes.
#[must_use]
pub fn leaf(id: &DocId, version: u64, mac: &[u8]) -> Hash {
    let id = id.as_str().as_bytes();
    sha256(&[&[0], &u64::try_from(id.len()).unwrap_or(u64::MAX).to_be_bytes(), id, &version.to_be_bytes(), mac])
}

/// The tree in memory: about 8 MiB and the leaves.
#[derive(Clone)]
pub struct StateTree {
    buckets: Vec<Vec<Hash>>,
    /// A heap: node 1 is the root, node `BUCKETS + b` is bucket `b`.
    nodes: Vec<Hash>,
}

impl Default for StateTree {
    fn default() -> Self {
        let mut nodes = vec![[0; 32]; 2 * BUCKETS];
        let empty = sha256(&[&[1]]);
        for node in nodes.iter_mut().skip(BUCKETS) {
            *node = empty;
        }
        for at in (1..BUCKETS).rev() {
            let parent = pair(&nodes, at);
            if let Some(node) = nodes.get_mut(at) {
                *node = parent;
            }
        }
        Self { buckets: vec![Vec::new(); BUCKETS], nodes }
    }
}

fn pair(nodes: &[Hash], at: usize) -> Hash {
    let child = |i: usize| nodes.get(i).copied().unwrap_or_default();
    sha256(&[&[2], &child(2 * at), &child(2 * at + 1)])
}

fn bucket_of(id: &DocId) -> usize {
    let hash = digest(&SHA256, id.as_str().as_bytes());
    match hash.as_ref() {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

impl StateTree {
    /// Replaces a document's leaf: `None` means absent.
    pub fn replace(&mut self, id: &DocId, old: Option<Hash>, new: Option<Hash>) {
        self.replace_lazily(id, old, new);
        self.rehash(bucket_of(id));
    }

    /// Many inserts at once: buckets first, every node once.
    pub fn fill<'a>(&mut self, documents: impl Iterator<Item = (&'a DocId, Hash)>) {
        for (id, leaf) in documents {
            self.replace_lazily(id, None, Some(leaf));
        }
        for bucket in 0..BUCKETS {
            self.hash_bucket(bucket);
        }
        for at in (1..BUCKETS).rev() {
            let parent = pair(&self.nodes, at);
            if let Some(node) = self.nodes.get_mut(at) {
                *node = parent;
            }
        }
    }

    fn replace_lazily(&mut self, id: &DocId, old: Option<Hash>, new: Option<Hash>) {
        let Some(bucket) = self.buckets.get_mut(bucket_of(id)) else { return };
        if let Some(old) = old
            && let Ok(at) = bucket.binary_search(&old)
        {
            bucket.remove(at);
        }
        if let Some(new) = new
            && let Err(at) = bucket.binary_search(&new)
        {
            bucket.insert(at, new);
        }
    }

    fn hash_bucket(&mut self, bucket: usize) {
        let Some(leaves) = self.buckets.get(bucket) else { return };
        let mut context = aws_lc_rs::digest::Context::new(&SHA256);
        context.update(&[1]);
        for leaf in leaves {
            context.update(leaf);
        }
        if let Some(node) = self.nodes.get_mut(BUCKETS + bucket) {
            node.copy_from_slice(context.finish().as_ref());
        }
    }

    fn rehash(&mut self, bucket: usize) {
        self.hash_bucket(bucket);
        let mut at = (BUCKETS + bucket) / 2;
        while at > 0 {
            let parent = pair(&self.nodes, at);
            if let Some(node) = self.nodes.get_mut(at) {
                *node = parent;
            }
            at /= 2;
        }
    }

    /// The root over all documents.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.nodes.get(1).copied().unwrap_or_default()
    }
}
