//! What this node knows of the ledger, and how it takes in what was written: by itself, or by other nodes.

use crate::batch::Accepted;
use crate::change::{DocId, Error};
use crate::effects::{Effect, effects};
use crate::nodes::Nodes;
use crate::open::{Follower, NodeKeys, hex};
use crate::place::Conn;
use crate::sql;
use crate::state::{Hash, leaf};
use crate::working::{Document, WorkingSet};
use sallyport_ledger::tiles::Growth;
use sallyport_ledger::{Appender, Checkpoint, Entry, Hashes, Verifier, leaf_hash};
use sallyport_vault::DocumentKey;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// Entries that are read at once while catching up.
const PAGE: u32 = 1000;

/// The right edge of the ledger's tree, and the keys that sign it.
pub(crate) struct Log {
    pub(crate) keys: NodeKeys,
    pub(crate) nodes: Nodes,
    pub(crate) appender: Appender,
}

impl Log {
    pub(crate) fn empty(keys: NodeKeys, nodes: Nodes) -> Self {
        Self { keys, nodes, appender: Appender::new() }
    }

    pub(crate) fn load(keys: NodeKeys, nodes: Nodes, size: u64, edge: &impl Hashes) -> Result<Self, Error> {
        let appender = Appender::load(size, edge).map_err(|e| Error::Head(e.to_string()))?;
        Ok(Self { keys, nodes, appender })
    }

    pub(crate) const fn size(&self) -> u64 {
        self.appender.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.appender.root()
    }

    pub(crate) fn note(&self, growth: &Growth) -> Result<String, Error> {
        let checkpoint = Checkpoint::new(&self.keys.origin, growth.size, growth.root);
        checkpoint.sign(&[&self.keys.signer]).map_err(|e| Error::Entry(e.to_string()))
    }
}

/// Reads a head that one of the nodes signed: where no list of nodes was written yet, this one alone.
pub(crate) fn open_head(keys: &NodeKeys, nodes: &Nodes, size: u64, note: &str) -> Result<Checkpoint, Error> {
    let own = keys.signer.verifier();
    let trust: Vec<&Verifier> = if nodes.is_empty() { vec![own] } else { nodes.verifiers() };
    let checkpoint = Checkpoint::open(note, &keys.origin, &trust)
        .map_err(|e| Error::Head(format!("the signed head does not verify: {e}")))?;
    if checkpoint.size == size {
        Ok(checkpoint)
    } else {
        Err(Error::Head("the signed head speaks of another size".into()))
    }
}

/// Entries of this node whose fate is open, by id.
pub(crate) type Open = HashSet<String>;
/// Where those of them stand that were written.
pub(crate) type Landed = HashMap<String, u64>;

/// The verified state of this node.
pub(crate) struct Mirror {
    pub(crate) working: Arc<RwLock<WorkingSet>>,
    pub(crate) key: DocumentKey,
    pub(crate) log: Log,
    /// The head as it is stored.
    pub(crate) note: Arc<str>,
    pub(crate) follower: Follower,
    pub(crate) head: watch::Sender<Arc<str>>,
    /// Whether other nodes may write.
    pub(crate) shared: bool,
}

/// Entries that were read and fit the tree.
struct Read {
    entries: Vec<Entry>,
    appender: Appender,
}

/// Documents as the entries say they are now.
struct Named {
    /// The newest leaf of each.
    leaves: HashMap<DocId, Option<Hash>>,
    /// Those that were absent in between: their versions count anew.
    reborn: HashSet<DocId>,
}

impl Mirror {
    pub(crate) fn version_and_leaf(&self, id: &DocId) -> (u64, Option<Hash>) {
        let working = self.working.read().unwrap_or_else(PoisonError::into_inner);
        (working.version(id), working.leaf_of(id))
    }

    /// Takes in what is behind the head that this node knows. Everything is verified before anything is
    /// believed: each entry by the tree, the tree by its signature, each document by its MAC and by the leaf
    /// that an entry names. Answers which of the open entries were written.
    pub(crate) async fn catch_up(
        &mut self,
        conn: &mut Conn<'_>,
        found: Option<(u64, String)>,
        open: &Open,
    ) -> Result<Landed, Error> {
        let (size, note) = found.unwrap_or_default();
        if note == *self.note && size == self.log.size() {
            return Ok(Landed::new());
        }
        if !self.shared && open.is_empty() {
            return Err(Error::Head("somebody else has written to it".into()));
        }
        let from = self.log.size();
        if size <= from {
            return Err(Error::Head(format!("it was set back: it has {size} entries, and had {from}")));
        }
        let read = self.read(conn, size).await?;
        let landed = self.own(&read.entries, open)?;
        let named = self.named(&read.entries)?;
        let documents = self.fetch(conn, &named).await?;
        let nodes = match documents.iter().find(|(id, _)| *id == Nodes::id()) {
            None => self.log.nodes.clone(),
            Some((_, Some(document))) => Nodes::read(document)?,
            Some((_, None)) => return Err(Error::Head("the list of its nodes was deleted".into())),
        };
        let checkpoint = open_head(&self.log.keys, &nodes, size, &note)?;
        if checkpoint.root != read.appender.root() {
            return Err(Error::Head("its entries do not hash to the signed root: it does not extend ours".into()));
        }
        let listed = self.log.keys.are_listed(&nodes);
        // Whoever joins is not listed yet while others go on writing.
        if !nodes.is_empty() && !listed && !self.log.keys.joining {
            return Err(Error::Head(format!("this node, `{}`, is no longer listed in it", self.log.keys.node)));
        }
        self.log.keys.joining &= !listed;
        self.log.nodes = nodes;
        self.take(documents, read.appender, note);
        Ok(landed)
    }

    /// Reads the entries behind ours, up to `size`.
    async fn read(&self, conn: &mut Conn<'_>, size: u64) -> Result<Read, Error> {
        let mut read = Read { entries: Vec::new(), appender: self.log.appender.clone() };
        let mut next = self.log.size();
        while next < size {
            let limit = u32::try_from(size - next).unwrap_or(u32::MAX).min(PAGE);
            let rows = sql::bodies(conn, next, limit).await?;
            let mut leaves = Vec::with_capacity(rows.len());
            for (index, body) in rows {
                if index != next {
                    break;
                }
                read.entries.push(Entry::decode(&body).map_err(|e| Error::Head(format!("entry {index}: {e}")))?);
                leaves.push(leaf_hash(&body));
                next += 1;
            }
            if leaves.is_empty() {
                return Err(Error::Head(format!("entry {next} is missing")));
            }
            read.appender.append(&leaves);
        }
        Ok(read)
    }

    /// Finds the open entries. No other may be this node's: nobody else writes in its name.
    fn own(&self, entries: &[Entry], open: &Open) -> Result<Landed, Error> {
        let mut landed = Landed::new();
        for (index, entry) in (self.log.size()..).zip(entries) {
            let id = entry.id.to_string();
            if open.contains(&id) {
                landed.insert(id, index);
            } else if !self.shared {
                return Err(Error::Head("somebody else has written to it".into()));
            } else if entry.node == self.log.keys.node {
                return Err(Error::Head(format!(
                    "entry {index} names this node, `{}`, which did not write it: is it running twice?",
                    entry.node
                )));
            }
        }
        Ok(landed)
    }

    /// Follows the effects of entries: each begins where the one before it ended, and every state root holds.
    fn named(&self, entries: &[Entry]) -> Result<Named, Error> {
        let working = self.working.read().unwrap_or_else(PoisonError::into_inner);
        let mut named = Named { leaves: HashMap::new(), reborn: HashSet::new() };
        for (index, entry) in (self.log.size()..).zip(entries) {
            for Effect { id, old, new } in effects(entry, index)? {
                let now = named.leaves.get(&id).copied().unwrap_or_else(|| working.leaf_of(&id));
                if now != old {
                    return Err(Error::Head(format!("entry {index} changes `{id}` from a state that it did not have")));
                }
                if new.is_none() {
                    named.reborn.insert(id.clone());
                }
                named.leaves.insert(id, new);
            }
            if entry.action == "state.root" {
                let mut tree = working.tree_copy();
                for (id, new) in &named.leaves {
                    tree.replace(id, working.leaf_of(id), *new);
                }
                if entry.fact("root") != hex(&tree.root()) {
                    let what = "another node knows other documents than this one".into();
                    return Err(Error::State { index, what });
                }
            }
        }
        Ok(named)
    }

    /// The documents that entries name, each as it must be.
    async fn fetch(&self, conn: &mut Conn<'_>, named: &Named) -> Result<Vec<(DocId, Option<Document>)>, Error> {
        let ids: Vec<&DocId> = named.leaves.keys().collect();
        let mut found: HashMap<DocId, Document> = sql::documents_of(conn, &ids).await?.into_iter().collect();
        let mut documents = Vec::with_capacity(ids.len());
        for (id, wanted) in &named.leaves {
            let document = found.remove(id);
            let fits = match (&document, wanted) {
                (None, None) => true,
                (Some(d), Some(wanted)) => {
                    self.key.check(&d.kind, d.schema, id.as_str(), d.version, &d.body, &d.mac)
                        && leaf(id, d.version, &d.mac) == *wanted
                        // INVARIANT: a version counts up, so that no older state is ever taken in.
                        && (d.version > self.version_and_leaf(id).0 || named.reborn.contains(id))
                }
                _ => false,
            };
            if !fits {
                return Err(Error::Forged(id.to_string()));
            }
            documents.push((id.clone(), document));
        }
        Ok(documents)
    }

    /// Takes over the documents and the head of a batch of this node that is durable.
    pub(crate) fn take_own(
        &mut self,
        accepted: &mut [Accepted],
        appender: Appender,
        note: String,
    ) -> Result<(), Error> {
        let mut documents = Vec::new();
        for change in accepted {
            documents.extend(change.puts.drain(..).map(|(id, _, document)| (id, Some(document))));
            documents.extend(change.deletes.drain(..).map(|(id, _)| (id, None)));
        }
        if let Some((_, Some(document))) = documents.iter().rfind(|(id, _)| *id == Nodes::id()) {
            self.log.nodes = Nodes::read(document)?;
            self.log.keys.joining &= !self.log.keys.are_listed(&self.log.nodes);
        }
        self.take(documents, appender, note);
        Ok(())
    }

    fn take(&mut self, documents: Vec<(DocId, Option<Document>)>, appender: Appender, note: String) {
        self.note = note.into();
        self.log.appender = appender;
        {
            let mut working = self.working.write().unwrap_or_else(PoisonError::into_inner);
            for (id, document) in &documents {
                match document {
                    Some(document) => working.put(id.clone(), document.clone()),
                    None => working.delete(id),
                }
            }
            working.advance(self.log.size());
        }
        for (id, document) in &documents {
            (self.follower)(id, document.as_ref());
        }
        self.head.send_replace(self.note.clone());
    }
}
