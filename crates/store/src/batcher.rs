//! The batcher: many changes, one transaction, one signed head. The only writer.

use crate::change::{Change, Committed, DocId, Error};
use crate::open::{Follower, NodeKeys, hex};
use crate::sql::{self, NewEntry};
use crate::state::{Hash, leaf};
use crate::working::{Document, WorkingSet};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sallyport_ledger::tiles::Growth;
use sallyport_ledger::{Appender, Checkpoint, Entry, Hashes, leaf_hash};
use sallyport_model::{EntryId, Env};
use sallyport_vault::DocumentKey;
use sqlx::{Connection, SqliteConnection};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Changes in one transaction at most.
const BATCH: usize = 256;
/// A `state.root` entry is due this long after the first change that follows the last one ...
const ROOT_AFTER: Duration = Duration::from_secs(10);
/// ... or after this many changes.
const ROOT_EVERY: u32 = 1024;

type Answer = oneshot::Sender<Result<Committed, Error>>;

/// What the batcher is asked.
pub(crate) enum Job {
    /// Changes that stand or fall together.
    Changes(Vec<Change>, Answer),
    Stop,
}

/// The right edge of the ledger's tree, and the key that signs it.
pub(crate) struct Log {
    keys: NodeKeys,
    appender: Appender,
}

impl Log {
    pub(crate) fn empty(keys: NodeKeys) -> Self {
        Self { keys, appender: Appender::new() }
    }

    pub(crate) fn load(keys: NodeKeys, size: u64, edge: &impl Hashes) -> Result<Self, Error> {
        let appender = Appender::load(size, edge).map_err(|e| Error::Head(e.to_string()))?;
        Ok(Self { keys, appender })
    }

    pub(crate) const fn size(&self) -> u64 {
        self.appender.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.appender.root()
    }

    fn note(&self, growth: &Growth) -> Result<String, Error> {
        let checkpoint = Checkpoint::new(&self.keys.origin, growth.size, growth.root);
        checkpoint.sign(&[&self.keys.signer]).map_err(|e| Error::Entry(e.to_string()))
    }
}

/// What an entry says it did to a document.
pub(crate) struct Effect {
    pub(crate) id: DocId,
    pub(crate) old: Option<Hash>,
}

fn token(leaf: Option<Hash>) -> String {
    leaf.map_or_else(|| "-".into(), |hash| BASE64.encode(hash))
}

/// Reads the `state` fact: `id=old>new`, separated by spaces, `-` for absent.
pub(crate) fn effects(entry: &Entry, index: u64) -> Result<Vec<Effect>, Error> {
    let bad = || Error::Head(format!("entry {index} has an unreadable `state` fact"));
    let Some(text) = entry.facts.get("state") else { return Ok(Vec::new()) };
    text.split(' ')
        .map(|part| {
            let (id, leaves) = part.split_once('=').ok_or_else(bad)?;
            let (old, _) = leaves.split_once('>').ok_or_else(bad)?;
            let old = match old {
                "-" => None,
                text => Some(BASE64.decode(text).ok().and_then(|b| Hash::try_from(b).ok()).ok_or_else(bad)?),
            };
            Ok(Effect { id: DocId::new(id), old })
        })
        .collect()
}

/// A change that was accepted into the batch.
struct Accepted {
    answer: Option<Answer>,
    entry: NewEntry,
    puts: Vec<(DocId, u64, Document)>,
    deletes: Vec<(DocId, u64)>,
}

/// Versions and leaves as they will be after the changes accepted so far.
type Overlay = HashMap<DocId, (u64, Option<Hash>)>;

pub(crate) struct Batcher {
    pub(crate) env: Env,
    pub(crate) conn: SqliteConnection,
    pub(crate) working: Arc<RwLock<WorkingSet>>,
    pub(crate) key: DocumentKey,
    pub(crate) log: Log,
    /// The head as it is stored.
    pub(crate) note: Arc<str>,
    pub(crate) follower: Follower,
    pub(crate) head: watch::Sender<Arc<str>>,
    /// Set when nothing more may be written by this process.
    pub(crate) failed: watch::Sender<bool>,
    pub(crate) root: RootDue,
}

/// When the next `state.root` is due.
#[derive(Default)]
pub(crate) struct RootDue {
    changes: u32,
    at: Option<Instant>,
}

impl Batcher {
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH);
        let mut stop = false;
        while !stop {
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                count = inbox.recv_many(&mut jobs, BATCH) => stop = count == 0,
                () = sleep_until(self.root.at.unwrap_or(far)) => {}
            }
            let mut wanted = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                match job {
                    Job::Changes(changes, answer) => wanted.push((changes, answer)),
                    Job::Stop => stop = true,
                }
            }
            let root = self.root.at.is_some_and(|due| stop || due <= Instant::now() || self.root.changes >= ROOT_EVERY);
            if let Err(error) = self.batch(wanted, root).await {
                tracing::error!(%error, "The store stops writing: the outcome of a commit is not known to be good");
                self.failed.send_replace(true);
                break;
            }
        }
        let _ = self.conn.close().await;
    }

    /// One transaction. An error means that nothing more may be written by this process.
    async fn batch(&mut self, wanted: Vec<(Vec<Change>, Answer)>, root: bool) -> Result<(), Error> {
        let mut overlay = Overlay::new();
        let mut accepted = Vec::with_capacity(wanted.len() + 1);
        for (changes, answer) in wanted {
            match self.accept_all(changes, &mut overlay, accepted.len()).await {
                Ok(Outcome::Earlier(index)) => drop(answer.send(Ok(Committed { index }))),
                Ok(Outcome::New(mut new)) => {
                    if let Some(last) = new.last_mut() {
                        last.answer = Some(answer);
                    }
                    accepted.append(&mut new);
                }
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        if root {
            accepted.push(self.root_entry(&overlay, self.index(accepted.len()))?);
        }
        if accepted.is_empty() {
            return Ok(());
        }
        let leaves: Vec<Hash> = accepted.iter().map(|a| leaf_hash(&a.entry.body)).collect();
        let mut appender = self.log.appender.clone();
        let growth = appender.append(&leaves);
        let note = self.log.note(&growth)?;
        if let Err(error) = self.write(&accepted, &growth, &note).await {
            let landed = matches!(sql::head(&mut self.conn).await, Ok(Some((_, found))) if found == note);
            if !landed {
                let untouched =
                    sql::head(&mut self.conn).await.is_ok_and(|h| h.map_or_else(String::new, |h| h.1) == *self.note);
                for answer in accepted.into_iter().filter_map(|a| a.answer) {
                    let _ = answer.send(Err(error.clone()));
                }
                tracing::error!(%error, "A batch was not written");
                return if untouched && !matches!(error, Error::Head(_)) { Ok(()) } else { Err(error) };
            }
        }
        self.apply(accepted, appender, note, root);
        Ok(())
    }

    /// Where the next entry but `ahead` comes to stand.
    fn index(&self, ahead: usize) -> u64 {
        self.log.size().saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX))
    }

    /// Accepts every change, or none of them.
    async fn accept_all(
        &mut self,
        changes: Vec<Change>,
        overlay: &mut Overlay,
        ahead: usize,
    ) -> Result<Outcome, Error> {
        if let Some(change) = changes.first().filter(|change| change.repeatable)
            && let Some(index) = sql::entry_index(&mut self.conn, &change.entry.id.to_string()).await?
        {
            return Ok(Outcome::Earlier(index));
        }
        let mut new = Vec::with_capacity(changes.len());
        let mut after = Overlay::new();
        for change in changes {
            let index = self.index(ahead.saturating_add(new.len()));
            new.push(self.accept(change, overlay, &mut after, index)?);
        }
        overlay.extend(after);
        Ok(Outcome::New(new))
    }

    /// Checks a change against the versions, and makes its entry. What it does to them goes to `after`,
    /// which lies over `before`.
    fn accept(&self, change: Change, before: &Overlay, after: &mut Overlay, index: u64) -> Result<Accepted, Error> {
        let mut effects = Vec::new();
        let mut puts = Vec::with_capacity(change.put.len());
        {
            let working = self.working.read().unwrap_or_else(PoisonError::into_inner);
            let stored = |id: &DocId| (working.version(id), working.leaf_of(id));
            let now = |after: &Overlay, id: &DocId| {
                after.get(id).or_else(|| before.get(id)).copied().unwrap_or_else(|| stored(id))
            };
            let wanted = change.expect.iter().map(|(id, was)| (id, *was));
            let wanted = wanted.chain(change.put.iter().map(|p| (&p.id, p.was)));
            for (id, was) in wanted.chain(change.delete.iter().map(|(id, was)| (id, *was))) {
                if now(after, id).0 != was {
                    return Err(Error::Conflict(id.clone()));
                }
            }
            for put in change.put {
                let version = put.was + 1;
                let mac = self.key.mac(put.kind, put.schema, put.id.as_str(), version, &put.body);
                let new = leaf(&put.id, version, &mac);
                effects.push(format!("{}={}>{}", put.id, token(now(after, &put.id).1), token(Some(new))));
                after.insert(put.id.clone(), (version, Some(new)));
                let document =
                    Document { kind: put.kind.into(), schema: put.schema, version, body: put.body.into(), mac };
                puts.push((put.id, put.was, document));
            }
            for (id, _) in &change.delete {
                effects.push(format!("{id}={}>-", token(now(after, id).1)));
                after.insert(id.clone(), (0, None));
            }
        }
        let draft = change.entry;
        let mut facts = draft.facts;
        if !effects.is_empty() {
            facts.insert("state".into(), effects.join(" "));
        }
        let entry = Entry {
            id: draft.id,
            at: self.env.now(),
            node: self.log.keys.node.clone(),
            actor: draft.actor,
            action: draft.action.into(),
            object: draft.object,
            session: draft.session,
            facts,
        };
        Ok(Accepted { answer: None, entry: row(entry, index)?, puts, deletes: change.delete })
    }

    /// The `state.root` entry for the state after everything accepted so far.
    fn root_entry(&self, overlay: &Overlay, index: u64) -> Result<Accepted, Error> {
        let root = {
            let working = self.working.read().unwrap_or_else(PoisonError::into_inner);
            if overlay.is_empty() {
                working.root()
            } else {
                let mut tree = working.tree_copy();
                for (id, (_, new)) in overlay {
                    tree.replace(id, working.leaf_of(id), *new);
                }
                tree.root()
            }
        };
        let entry = Entry {
            id: EntryId::new(&self.env),
            at: self.env.now(),
            node: self.log.keys.node.clone(),
            actor: "system store".into(),
            action: "state.root".into(),
            object: "documents".into(),
            session: None,
            facts: BTreeMap::from([("root".into(), hex(&root))]),
        };
        Ok(Accepted { answer: None, entry: row(entry, index)?, puts: Vec::new(), deletes: Vec::new() })
    }

    async fn write(&mut self, accepted: &[Accepted], growth: &Growth, note: &str) -> Result<(), Error> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let found = sql::head(&mut tx).await?.map_or_else(String::new, |(_, note)| note);
        if found != *self.note {
            return Err(Error::Head("somebody else has written to it".into()));
        }
        let entries: Vec<&NewEntry> = accepted.iter().map(|a| &a.entry).collect();
        sql::insert_entries(&mut tx, &entries).await?;
        for change in accepted {
            for (id, was, document) in &change.puts {
                sql::put_document(&mut tx, id, *was, document).await?;
            }
            for (id, was) in &change.deletes {
                sql::delete_document(&mut tx, id, *was).await?;
            }
        }
        for tile in &growth.tiles {
            sql::set_tile(&mut tx, tile).await?;
        }
        sql::set_head(&mut tx, growth.size, note).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a durable batch into the working set, tells the follower, answers the writers.
    fn apply(&mut self, accepted: Vec<Accepted>, appender: Appender, note: String, root: bool) {
        self.note = note.into();
        let size = appender.size();
        self.log.appender = appender;
        let mut answers = Vec::with_capacity(accepted.len());
        let mut touched = Vec::new();
        {
            let mut working = self.working.write().unwrap_or_else(PoisonError::into_inner);
            for change in accepted {
                for (id, _, document) in change.puts {
                    touched.push((id.clone(), Some(document.clone())));
                    working.put(id, document);
                }
                for (id, _) in change.deletes {
                    working.delete(&id);
                    touched.push((id, None));
                }
                answers.extend(change.answer.map(|answer| (answer, change.entry.index)));
            }
            working.advance(size);
        }
        if root {
            self.root = RootDue::default();
        } else if !touched.is_empty() {
            self.root.changes = self.root.changes.saturating_add(u32::try_from(touched.len()).unwrap_or(u32::MAX));
            self.root.at.get_or_insert_with(|| Instant::now() + ROOT_AFTER);
        }
        for (id, document) in &touched {
            (self.follower)(id, document.as_ref());
        }
        self.head.send_replace(self.note.clone());
        for (answer, index) in answers {
            let _ = answer.send(Ok(Committed { index }));
        }
    }
}

enum Outcome {
    /// The entry was committed before, at this index.
    Earlier(u64),
    New(Vec<Accepted>),
}

fn row(entry: Entry, index: u64) -> Result<NewEntry, Error> {
    let body = entry.encode().map_err(|e| Error::Entry(e.to_string()))?;
    Ok(NewEntry {
        index,
        id: entry.id.to_string(),
        at: entry.at.0,
        actor: entry.actor,
        action: entry.action,
        object: entry.object,
        session: entry.session.map(|s| s.to_string()),
        body,
    })
}
