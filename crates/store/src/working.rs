//! The working set: every document, verified, in memory. What decisions read.

use crate::change::DocId;
use crate::state::{Hash, StateTree, leaf};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A verified document: raw bytes, parsed on demand by who needs them.
#[derive(Clone, Debug)]
pub struct Document {
    /// Kind, such as `target`.
    pub kind: Arc<str>,
    /// Schema of the body.
    pub schema: u32,
    /// Counts writes, from 1.
    pub version: u64,
    /// JSON, as stored.
    pub body: Arc<[u8]>,
    /// MAC over the stored bytes and their identity.
    pub mac: [u8; 32],
}

/// All documents of an installation.
#[derive(Default)]
pub struct WorkingSet {
    documents: HashMap<DocId, Document>,
    kinds: HashMap<Arc<str>, BTreeSet<DocId>>,
    tree: StateTree,
    /// Ledger index of the newest entry that is reflected here, plus one.
    size: u64,
}

impl WorkingSet {
    /// Builds the set from verified documents.
    pub(crate) fn build(documents: Vec<(DocId, Document)>, size: u64) -> Self {
        let mut set = Self { size, ..Self::default() };
        let leaves: Vec<_> = documents.iter().map(|(id, d)| (id, leaf(id, d.version, &d.mac))).collect();
        set.tree.fill(leaves.into_iter());
        for (id, document) in documents {
            set.kinds.entry(document.kind.clone()).or_default().insert(id.clone());
            set.documents.insert(id, document);
        }
        set
    }

    /// The document with this identity.
    #[must_use]
    pub fn get(&self, id: &DocId) -> Option<&Document> {
        self.documents.get(id)
    }

    /// Version of a document, 0 where there is none.
    #[must_use]
    pub fn version(&self, id: &DocId) -> u64 {
        self.documents.get(id).map_or(0, |d| d.version)
    }

    /// All documents of a kind, in order of their ids.
    pub fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = (&'a DocId, &'a Document)> + use<'a> {
        self.kinds
            .get(kind)
            .into_iter()
            .flatten()
            .filter_map(|id| self.documents.get(id).map(|document| (id, document)))
    }

    /// Every kind of which there was a document.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(|kind| &**kind)
    }

    /// All documents, in no order.
    pub fn all(&self) -> impl Iterator<Item = (&DocId, &Document)> {
        self.documents.iter()
    }

    /// Number of documents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is no document at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The root over all documents.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Entries that are reflected here.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// A copy of the tree, to ask what its root would be.
    pub(crate) fn tree_copy(&self) -> StateTree {
        self.tree.clone()
    }

    pub(crate) fn leaf_of(&self, id: &DocId) -> Option<Hash> {
        self.documents.get(id).map(|d| leaf(id, d.version, &d.mac))
    }

    pub(crate) fn put(&mut self, id: DocId, document: Document) {
        let old = self.leaf_of(&id);
        self.tree.replace(&id, old, Some(leaf(&id, document.version, &document.mac)));
        self.kinds.entry(document.kind.clone()).or_default().insert(id.clone());
        self.documents.insert(id, document);
    }

    pub(crate) fn delete(&mut self, id: &DocId) {
        if let Some(old) = self.documents.remove(id) {
            self.tree.replace(id, Some(leaf(id, old.version, &old.mac)), None);
            if let Some(ids) = self.kinds.get_mut(&old.kind) {
                ids.remove(id);
            }
        }
    }

    pub(crate) const fn advance(&mut self, size: u64) {
        self.size = size;
    }
}
