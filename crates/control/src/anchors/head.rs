//! The ledger's head, as anchors see it: a checkpoint, and the proof that it continues an older one.

use sallyport_ledger::{Checkpoint, Hash, Verifier, proof};
use sallyport_store::{Nodes, Store};
use std::sync::Arc;

/// A checkpoint that an anchor holds, or says that it holds.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// Name of the anchor.
    pub anchor: String,
    /// Entries of its checkpoint.
    pub size: u64,
    /// Root, as hex; empty where the anchor tells only the size.
    pub root: String,
}

/// A signed head that anchors are given.
pub struct Head {
    note: Arc<str>,
    checkpoint: Checkpoint,
    origin: String,
    keys: Vec<Verifier>,
    store: Store,
    accepted: Arc<Vec<Seen>>,
}

impl Head {
    /// The newest head of a store; none before the first entry.
    pub(crate) fn of(store: &Store, own: &Verifier, accepted: &Arc<Vec<Seen>>) -> Option<Self> {
        let note = store.head();
        // Any node of this ledger may have signed it.
        let mut keys: Vec<Verifier> = store
            .working(Nodes::of)
            .map(|(nodes, _)| nodes.iter().map(|(_, key)| key.clone()).collect())
            .unwrap_or_default();
        if keys.is_empty() {
            keys.push(own.clone());
        }
        let origin = own.name().to_owned();
        let checkpoint = Checkpoint::open(&note, &origin, &keys.iter().collect::<Vec<_>>()).ok()?;
        Some(Self { note, checkpoint, origin, keys, store: store.clone(), accepted: accepted.clone() })
    }

    /// The checkpoint as a signed note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// A note as a checkpoint of this ledger; none where no node of this ledger signed it.
    #[must_use]
    pub fn own(&self, note: &str) -> Option<Checkpoint> {
        Checkpoint::open(note, &self.origin, &self.keys.iter().collect::<Vec<_>>()).ok()
    }

    /// The proof that this head continues the tree of `old` entries.
    ///
    /// # Errors
    /// When `old` is larger, or the store cannot give the tiles.
    pub async fn proof(&self, old: u64) -> Result<Vec<Hash>, String> {
        let wanted = proof::needed_for_consistency(old, self.checkpoint.size).map_err(|e| e.to_string())?;
        let tiles = self.store.tiles(wanted).await.map_err(|e| e.to_string())?;
        proof::prove_consistency(old, self.checkpoint.size, &tiles).map_err(|e| e.to_string())
    }

    /// Whether this head contains everything that an older checkpoint contained. Tiles that were altered prove nothing,
    /// so that they cannot make it true.
    pub async fn continues(&self, older: &Checkpoint) -> bool {
        let (old, new) = (older.size, self.checkpoint.size);
        let Ok(hashes) = self.proof(old).await else { return false };
        proof::verify_consistency(old, new, &hashes, &older.root, &self.checkpoint.root).is_ok()
    }

    /// Whether this node may only be behind: another node of the ledger has written since.
    pub(super) fn may_be_behind(&self, seen: &Seen) -> bool {
        self.store.shared() && seen.size > self.checkpoint.size
    }

    /// Whether somebody with a seal slot accepted that this ledger does not contain what this anchor holds.
    #[must_use]
    pub fn accepted(&self, seen: &Seen) -> bool {
        self.accepted.contains(seen)
    }
}
