//! Reading a whole ledger again: every entry, every hash, every checkpoint, and what does not add up.

use crate::checkpoint::Checkpoint;
use crate::entry::{self, Entry};
use crate::tree::{Frontier, Hash, leaf_hash};
use sallyport_model::{Kind, SessionId, Timestamp};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Clock regressions that are listed; more are counted.
const LISTED: usize = 100;

/// The first thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// The entry's bytes are not those that were hashed into the tree.
    #[error("entry {0} was altered: its bytes do not match the hash in the tree")]
    Leaf(u64),
    /// The entry cannot be read.
    #[error("entry {0}: {1}")]
    Entry(u64, entry::Error),
    /// The root differs from a checkpoint's. The entry is one of those after the last root that was right.
    #[error("the entries {from} to {to} are not those of the signed checkpoint at {size}", to = size.saturating_sub(1))]
    Root {
        /// First entry that may be wrong.
        from: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// There are fewer entries than a checkpoint says.
    #[error("the ledger ends after {entries} entries and a signed checkpoint says {size}: it was cut")]
    Cut {
        /// Entries that are there.
        entries: u64,
        /// Size of the largest checkpoint.
        size: u64,
    },
}

impl Wrong {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Failed
    }
}

/// What a whole ledger says. None of it is an error by itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Entries.
    pub size: u64,
    /// Root over all of them.
    pub root: Hash,
    /// Entries that the last checkpoint covers; what follows is not signed yet.
    pub signed: u64,
    /// Number of entries that are older than an earlier one of the same node.
    pub regressions: u64,
    /// Indexes of the first hundred of them.
    pub regressed: Vec<u64>,
    /// Sessions that were opened and not closed, with the index of the opening.
    pub open: BTreeMap<SessionId, u64>,
    /// Sessions that were closed and never opened, with the index of the closing.
    pub unopened: BTreeMap<SessionId, u64>,
}

/// Recomputes a ledger from its entries, in order.
#[derive(Debug, Default)]
pub struct Replayer {
    frontier: Frontier,
    checkpoints: VecDeque<Checkpoint>,
    clocks: HashMap<String, Timestamp>,
    summary: Summary,
    scratch: Vec<u8>,
    wrong: Option<Wrong>,
}

impl Replayer {
    /// Begins with the entry at 0. The checkpoints' signatures have been checked ([`Checkpoint::open`]).
    #[must_use]
    pub fn new(checkpoints: impl IntoIterator<Item = Checkpoint>) -> Self {
        let mut sorted: Vec<_> = checkpoints.into_iter().collect();
        sorted.sort_by_key(|checkpoint| checkpoint.size);
        Self { checkpoints: sorted.into(), ..Self::default() }
    }

    /// Takes the next entry, and its hash as a tile of the tree has it, where tiles are at hand: with that, the very entry
    /// that is wrong is named, and not only a range.
    ///
    /// # Errors
    /// The first thing that is wrong, and the same again ever after.
    pub fn push(&mut self, bytes: &[u8], tile: Option<&Hash>) -> Result<Entry, Wrong> {
        match &self.wrong {
            Some(wrong) => Err(wrong.clone()),
            None => self.take(bytes, tile).inspect_err(|wrong| self.wrong = Some(wrong.clone())),
        }
    }

    fn take(&mut self, bytes: &[u8], tile: Option<&Hash>) -> Result<Entry, Wrong> {
        self.check_root()?;
        let index = self.frontier.size();
        let leaf = leaf_hash(bytes);
        if tile.is_some_and(|tile| *tile != leaf) {
            return Err(Wrong::Leaf(index));
        }
        let entry = Entry::decode_with(bytes, &mut self.scratch).map_err(|e| Wrong::Entry(index, e))?;
        self.frontier.push(leaf);
        self.look(index, &entry);
        self.check_root()?;
        Ok(entry)
    }

    /// What the whole ledger says.
    ///
    /// # Errors
    /// When a checkpoint covers more entries than there were, or something was wrong before.
    pub fn finish(mut self) -> Result<Summary, Wrong> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        self.check_root()?;
        let entries = self.frontier.size();
        if let Some(last) = self.checkpoints.back() {
            return Err(Wrong::Cut { entries, size: last.size });
        }
        self.summary.size = entries;
        self.summary.root = self.frontier.root();
        Ok(self.summary)
    }

    /// Compares the root with every checkpoint of the present size.
    fn check_root(&mut self) -> Result<(), Wrong> {
        let size = self.frontier.size();
        while let Some(checkpoint) = self.checkpoints.pop_front_if(|checkpoint| checkpoint.size == size) {
            if checkpoint.root != self.frontier.root() {
                return Err(Wrong::Root { from: self.summary.signed, size });
            }
            self.summary.signed = size;
        }
        Ok(())
    }

    fn look(&mut self, index: u64, entry: &Entry) {
        match self.clocks.get_mut(&entry.node) {
            Some(clock) if entry.at < *clock => {
                self.summary.regressions += 1;
                if self.summary.regressed.len() < LISTED {
                    self.summary.regressed.push(index);
                }
            }
            Some(clock) => *clock = entry.at,
            None => {
                self.clocks.insert(entry.node.clone(), entry.at);
            }
        }
        let Some(session) = entry.session else { return };
        match entry.action.as_str() {
            "session.opened" => {
                self.summary.open.entry(session).or_insert(index);
            }
            "session.closed" if self.summary.open.remove(&session).is_none() => {
                self.summary.unopened.entry(session).or_insert(index);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
