//! What a batch accepts: changes checked against the versions, made into entries and rows.

use crate::batcher::Answer;
use crate::change::{Change, DocId, Error};
use crate::effects::{Effect, FACT};
use crate::mirror::Mirror;
use crate::open::hex;
use crate::place::Conn;
use crate::sql::{self, NewEntry};
use crate::state::{Hash, leaf};
use crate::working::Document;
use sallyport_ledger::Entry;
use sallyport_model::{EntryId, Env};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::PoisonError;

/// A change that was accepted into the batch.
pub(crate) struct Accepted {
    pub(crate) answer: Option<Answer>,
    pub(crate) id: EntryId,
    pub(crate) entry: NewEntry,
    pub(crate) puts: Vec<(DocId, u64, Document)>,
    pub(crate) deletes: Vec<(DocId, u64)>,
}

/// What becomes of a change.
pub(crate) enum Outcome {
    /// The entry was committed before, at this index.
    Earlier(u64),
    New(Vec<Accepted>),
}

/// Versions and leaves as they will be after the changes accepted so far.
type Overlay = HashMap<DocId, (u64, Option<Hash>)>;

/// A batch while it is made.
pub(crate) struct Batch<'a> {
    env: &'a Env,
    mirror: &'a Mirror,
    overlay: Overlay,
    /// Names that changes of this batch have taken.
    taken: HashSet<String>,
    next: u64,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(env: &'a Env, mirror: &'a Mirror) -> Self {
        Self { env, mirror, overlay: Overlay::new(), taken: HashSet::new(), next: mirror.log.size() }
    }

    /// Accepts every change, or none of them.
    pub(crate) async fn accept_all(&mut self, conn: &mut Conn<'_>, changes: Vec<Change>) -> Result<Outcome, Error> {
        if let Some(change) = changes.first().filter(|change| change.repeatable)
            && let Some(index) = sql::entry_index(conn, &change.entry.id.to_string()).await?
        {
            return Ok(Outcome::Earlier(index));
        }
        let next = self.next;
        let mut new = Vec::with_capacity(changes.len());
        let mut after = Overlay::new();
        let claims: Vec<_> = changes.iter().flat_map(|change| &change.claims).cloned().collect();
        if let Some(claim) = claims.iter().find(|claim| self.taken.contains(&claim.name) || !(claim.free)()) {
            return Err(Error::Taken(claim.name.clone()));
        }
        for change in changes {
            match self.accept(change, &mut after) {
                Ok(accepted) => new.push(accepted),
                Err(error) => {
                    self.next = next;
                    return Err(error);
                }
            }
        }
        self.overlay.extend(after);
        self.taken.extend(claims.into_iter().map(|claim| claim.name));
        Ok(Outcome::New(new))
    }

    /// Checks a change against the versions, and makes its entry. What it does to them goes to `after`.
    fn accept(&mut self, change: Change, after: &mut Overlay) -> Result<Accepted, Error> {
        let now = |after: &Overlay, id: &DocId| {
            let known = after.get(id).or_else(|| self.overlay.get(id)).copied();
            known.unwrap_or_else(|| self.mirror.version_and_leaf(id))
        };
        let wanted = change.expect.iter().map(|(id, was)| (id, *was));
        let wanted = wanted.chain(change.put.iter().map(|p| (&p.id, p.was)));
        for (id, was) in wanted.chain(change.delete.iter().map(|(id, was)| (id, *was))) {
            if now(after, id).0 != was {
                return Err(Error::Conflict(id.clone()));
            }
        }
        let mut effects = Vec::new();
        let mut puts = Vec::with_capacity(change.put.len());
        for put in change.put {
            let version = put.was + 1;
            let mac = self.mirror.key.mac(put.kind, put.schema, put.id.as_str(), version, &put.body);
            let new = Some(leaf(&put.id, version, &mac));
            effects.push(Effect { id: put.id.clone(), old: now(after, &put.id).1, new }.text());
            after.insert(put.id.clone(), (version, new));
            let document = Document { kind: put.kind.into(), schema: put.schema, version, body: put.body.into(), mac };
            puts.push((put.id, put.was, document));
        }
        for (id, _) in &change.delete {
            effects.push(Effect { id: id.clone(), old: now(after, id).1, new: None }.text());
            after.insert(id.clone(), (0, None));
        }
        let draft = change.entry;
        let mut facts = draft.facts;
        if !effects.is_empty() {
            facts.insert(FACT.into(), effects.join(" "));
        }
        let entry = Entry {
            id: draft.id,
            at: self.env.now(),
            node: self.mirror.log.keys.node.clone(),
            actor: draft.actor,
            action: draft.action.into(),
            object: draft.object,
            session: draft.session,
            facts,
        };
        Ok(Accepted { puts, deletes: change.delete, ..self.row(entry)? })
    }

    /// The `state.root` entry for the state after everything accepted so far.
    pub(crate) fn root_entry(&mut self) -> Result<Accepted, Error> {
        let root = {
            let working = self.mirror.working.read().unwrap_or_else(PoisonError::into_inner);
            if self.overlay.is_empty() {
                working.root()
            } else {
                let mut tree = working.tree_copy();
                for (id, (_, new)) in &self.overlay {
                    tree.replace(id, working.leaf_of(id), *new);
                }
                tree.root()
            }
        };
        self.row(Entry {
            id: EntryId::new(self.env),
            at: self.env.now(),
            node: self.mirror.log.keys.node.clone(),
            actor: "system store".into(),
            action: "state.root".into(),
            object: "documents".into(),
            session: None,
            facts: BTreeMap::from([("root".into(), hex(&root))]),
        })
    }

    /// Gives an entry its place.
    fn row(&mut self, entry: Entry) -> Result<Accepted, Error> {
        let (index, id) = (self.next, entry.id);
        self.next += 1;
        let entry = NewEntry::of(entry, index)?;
        Ok(Accepted { answer: None, id, entry, puts: Vec::new(), deletes: Vec::new() })
    }
}
