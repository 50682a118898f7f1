//! Opening a store: schema, signed head, documents against their MAC, documents against the state root.

use crate::batcher::{Batcher, Job, RootDue};
use crate::change::{Change, Committed, DocId, Error};
use crate::effects::effects;
use crate::examine::Finding;
use crate::mirror::{Log, Mirror, open_head};
use crate::news;
use crate::nodes::Nodes;
use crate::place::{Conn, Place, Readers, Session};
use crate::read::TileSet;
use crate::sql;
use crate::working::{Document, WorkingSet};
use sallyport_ledger::{Appender, Entry, Signer, leaf_hash, proof};
use sallyport_model::{EntryId, Env};
use sallyport_vault::DocumentKey;
use std::collections::HashSet;
use std::collections::hash_map::Entry as Entry_;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What a node signs the ledger with, and how it calls itself.
pub struct NodeKeys {
    /// Signs checkpoints. Outside the vault's key hierarchy on purpose.
    pub signer: Signer,
    /// Origin line of the checkpoints.
    pub origin: String,
    /// Name of the node in entries.
    pub node: String,
    /// Whether this node is about to join: it is not listed yet, and its first change lists it.
    pub joining: bool,
}

impl NodeKeys {
    /// Whether these nodes are the ones of the ledger and this node, with this key, is one of them.
    pub(crate) fn are_listed(&self, nodes: &Nodes) -> bool {
        nodes.key(&self.node) == Some(self.signer.verifier())
    }
}

/// What opening found.
#[derive(Clone, Debug)]
pub struct HeadReport {
    /// Entries in the ledger.
    pub size: u64,
    /// Documents in the working set.
    pub documents: usize,
}

/// Told of every document that is new, changed, or (`None`) gone, whichever node wrote it, and before the writer
/// gets its answer. Must be short: the batcher waits for it.
pub type Follower = Arc<dyn Fn(&DocId, Option<&Document>) + Send + Sync>;

/// A database whose schema is up to date, and of which nothing is believed yet.
pub struct Connected {
    place: Place,
    pub(crate) session: Session,
}

impl Connected {
    /// Connects and migrates.
    ///
    /// # Errors
    /// When the database cannot be reached, is read-only, or was written by a newer version.
    pub async fn open(place: &Place, create: bool) -> Result<Self, Error> {
        let mut session = place.connect(create).await?;
        sql::migrate(&mut session.conn()).await?;
        Ok(Self { place: place.clone(), session })
    }

    /// Connects to another database than the node's own, such as a backup, to read from it.
    ///
    /// # Errors
    /// When it cannot be reached, or holds no store.
    pub async fn to_read(place: &Place) -> Result<Self, Error> {
        let mut session = place.connect_to_read().await?;
        match sql::known(&mut session.conn()).await {
            Ok(1..) => Ok(Self { place: place.clone(), session }),
            Ok(_) | Err(Error::Sql(_)) => Err(Error::Place(format!("`{place}` holds no store of Sallyport"))),
            Err(other) => Err(other),
        }
    }

    /// Whether a ledger was begun here.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_founded(&mut self) -> Result<bool, Error> {
        Ok(sql::head(&mut self.session.conn()).await?.is_some())
    }

    /// Unverified documents of a kind: what the vault needs to unseal. The vault verifies them itself,
    /// and `start` verifies them again with everything else.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn raw(&mut self, kind: &str) -> Result<Vec<(DocId, Document)>, Error> {
        sql::documents(&mut self.session.conn(), Some(kind)).await
    }

    /// Verifies everything and starts the batcher.
    ///
    /// # Errors
    /// When a document, the head or the state root is not what this installation wrote, or this node is
    /// not one of its nodes.
    pub async fn start(
        mut self,
        env: Env,
        key: DocumentKey,
        keys: NodeKeys,
        follower: Follower,
    ) -> Result<(Store, HeadReport), Error> {
        // Its catalog first: what hides or rewrites rows would make everything behind it worthless.
        if let Some(Finding { kind, id, what }) = self.structure().await?.into_iter().next() {
            return Err(Error::Head(format!("its database was altered: {kind} `{id}`: {what}")));
        }
        let (log, note, working) = load(&mut self.session.conn(), &key, keys).await?;
        for kind in working.kinds() {
            for (id, document) in working.of_kind(kind) {
                follower(id, Some(document));
            }
        }
        let report = HeadReport { size: log.size(), documents: working.len() };
        let readers = self.place.readers().await?;
        let marker = self.place.marker(&readers).await?;
        let working = Arc::new(RwLock::new(working));
        let (jobs, inbox) = mpsc::channel(4096);
        let note: Arc<str> = note.into();
        let (head_out, head) = watch::channel(note.clone());
        let (failed_out, failed) = watch::channel(false);
        let (seen_out, seen) = watch::channel(Some(Instant::now()));
        let (stuck_out, stuck) = watch::channel(None);
        let shared = self.place.shared();
        let mirror = Mirror { working: working.clone(), key, log, note, follower, head: head_out, shared };
        let batcher = Batcher {
            env,
            news: news::listen(&self.place),
            place: self.place,
            session: Some(self.session),
            mirror,
            failed: failed_out,
            seen: seen_out,
            stuck: stuck_out,
            root: RootDue::default(),
            doubtful: Vec::new(),
        };
        let task = Arc::new(tokio::sync::Mutex::new(Some(tokio::spawn(batcher.run(inbox)))));
        Ok((Store { jobs, working, readers, marker, head, failed, seen, stuck, task, shared }, report))
    }
}

/// Reads and verifies everything, as it was at one moment.
async fn load(conn: &mut Conn<'_>, key: &DocumentKey, keys: NodeKeys) -> Result<(Log, String, WorkingSet), Error> {
    sql::begin_read(conn).await?;
    let loaded = verified(conn, key, keys).await?;
    sql::rollback(conn).await?;
    Ok(loaded)
}

/// Reads and verifies everything, within a transaction of the caller.
pub(crate) async fn verified(
    conn: &mut Conn<'_>,
    key: &DocumentKey,
    keys: NodeKeys,
) -> Result<(Log, String, WorkingSet), Error> {
    let documents = sql::documents(conn, None).await?;
    for (id, document) in &documents {
        if !key.check(&document.kind, document.schema, id.as_str(), document.version, &document.body, &document.mac) {
            return Err(Error::Forged(id.to_string()));
        }
    }
    let head = sql::head(conn).await?;
    let working = WorkingSet::build(documents, head.as_ref().map_or(0, |(size, _)| *size));
    let (nodes, _) = Nodes::of(&working)?;
    if !keys.joining && !nodes.is_empty() && !keys.are_listed(&nodes) {
        return Err(Error::Place(format!(
            "this ledger has no node `{}` with this host's ledger key: `sallyport init --join` makes this host a node of it",
            keys.node
        )));
    }
    let (log, note) = load_log(conn, keys, nodes, head).await?;
    check_state(conn, &working, &log).await?;
    Ok((log, note, working))
}

/// Checks the signature of the head, and rebuilds the right edge of the tree.
pub(crate) async fn load_log(
    conn: &mut Conn<'_>,
    keys: NodeKeys,
    nodes: Nodes,
    head: Option<(u64, String)>,
) -> Result<(Log, String), Error> {
    let Some((size, note)) = head else {
        return Ok((Log::empty(keys, nodes), String::new()));
    };
    let checkpoint = open_head(&keys, &nodes, size, &note)?;
    let mut edge = TileSet::default();
    for id in Appender::needed(size) {
        edge.0.insert(id, sql::tile(conn, id).await?);
    }
    let log = Log::load(keys, nodes, size, &edge)?;
    if log.root() != checkpoint.root {
        return Err(Error::Head("the stored tiles do not hash to the signed root".into()));
    }
    Ok((log, note))
}

/// Compares the documents with the newest `state.root`, undoing what later entries say they did.
async fn check_state(conn: &mut Conn<'_>, working: &WorkingSet, log: &Log) -> Result<(), Error> {
    if log.size() == 0 {
        return if working.is_empty() {
            Ok(())
        } else {
            Err(Error::State { index: 0, what: "there are documents, but no ledger".into() })
        };
    }
    let index = sql::newest(conn, "state.root").await?.unwrap_or(0);
    let entries = sql::bodies(conn, index, u32::MAX).await?;
    let mut first = true;
    let mut expected = None;
    let mut seen = HashSet::new();
    let mut undo = Vec::new();
    let mut tiles = TileSet::default();
    let mut next = index;
    for (at, body) in entries {
        if at != next {
            return Err(Error::Head(format!("entry {next} is missing")));
        }
        next += 1;
        check_leaf(conn, &mut tiles, log, at, &body).await?;
        let entry = Entry::decode(&body).map_err(|e| Error::Head(format!("entry {at}: {e}")))?;
        if first && entry.action == "state.root" {
            expected = entry.facts.get("root").cloned();
            first = false;
            continue;
        }
        first = false;
        for effect in effects(&entry, at)? {
            if seen.insert(effect.id.clone()) {
                undo.push(effect);
            }
        }
    }
    if next != log.size() {
        return Err(Error::Head(format!("the head says {} entries, the table has {next}", log.size())));
    }
    let mut tree = working.tree_copy();
    for effect in undo {
        tree.replace(&effect.id, working.leaf_of(&effect.id), effect.old);
    }
    let expected = expected.unwrap_or_else(|| hex(&crate::state::StateTree::default().root()));
    if hex(&tree.root()) == expected {
        Ok(())
    } else {
        Err(Error::State {
            index,
            what: "a document was inserted, deleted, replaced or rolled back outside Sallyport".into(),
        })
    }
}

/// Checks that the tree of the signed head holds these bytes at this index.
pub(crate) async fn check_leaf(
    conn: &mut Conn<'_>,
    tiles: &mut TileSet,
    log: &Log,
    index: u64,
    body: &[u8],
) -> Result<(), Error> {
    let wrong = |e: proof::Error| Error::Head(format!("entry {index} is not the one that was signed: {e}"));
    for id in proof::needed_for_inclusion(index, log.size()).map_err(wrong)? {
        if let Entry_::Vacant(vacant) = tiles.0.entry(id) {
            vacant.insert(sql::tile(conn, id).await?);
        }
    }
    let path = proof::prove_inclusion(index, log.size(), tiles).map_err(wrong)?;
    proof::verify_inclusion(&leaf_hash(body), index, log.size(), &path, &log.root()).map_err(wrong)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// An open, verified store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    working: Arc<RwLock<WorkingSet>>,
    readers: Readers,
    marker: Readers,
    head: watch::Receiver<Arc<str>>,
    failed: watch::Receiver<bool>,
    seen: watch::Receiver<Option<Instant>>,
    stuck: watch::Receiver<Option<Instant>>,
    task: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
    shared: bool,
}

impl Store {
    /// How long this node has not seen what is stored, and so not what other nodes decided. Nobody else decides
    /// where the store is this node's alone.
    #[must_use]
    pub fn silence(&self) -> Duration {
        match *self.seen.borrow() {
            _ if !self.shared => Duration::ZERO,
            Some(seen) => seen.elapsed(),
            None => Duration::MAX,
        }
    }

    /// How long nothing has been written that should have been: the disk is full or slow, or somebody holds the
    /// lock. A database that is away is [`Store::silence`], not this.
    #[must_use]
    pub fn stuck(&self) -> Duration {
        self.stuck.borrow().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Writes a change. When this returns `Ok`, the change and its entry are durable.
    ///
    /// # Errors
    /// `Conflict` when a version is not the expected one; otherwise nothing was written.
    pub async fn commit(&self, change: Change) -> Result<Committed, Error> {
        self.commit_all(vec![change]).await
    }

    /// Writes several changes in one transaction: all of them, each with its entry, or none. Tells the
    /// index of the last. For what is too much for one entry; only a first change may be repeatable.
    ///
    /// # Errors
    /// As [`Store::commit`], and for no change at all.
    pub async fn commit_all(&self, changes: Vec<Change>) -> Result<Committed, Error> {
        if changes.is_empty() {
            return Err(Error::Entry("there is nothing to write".into()));
        }
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Changes(changes, reply)).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Reads the working set. The closure must be short and must not wait for anything.
    pub fn working<T>(&self, read: impl FnOnce(&WorkingSet) -> T) -> T {
        read(&self.working.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether other nodes may write beside this one.
    #[must_use]
    pub const fn shared(&self) -> bool {
        self.shared
    }

    /// The newest checkpoint as a signed note; empty before the first entry.
    #[must_use]
    pub fn head(&self) -> Arc<str> {
        self.head.borrow().clone()
    }

    /// The newest checkpoint, and each one after it.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<Arc<str>> {
        self.head.clone()
    }

    /// Resolves when this process may write nothing more, because the outcome of a commit is not known
    /// to be good. Only a new process, which verifies everything anew, may go on.
    pub async fn failed(&self) {
        if self.failed.clone().wait_for(|failed| *failed).await.is_err() {
            // Stopped in good order: that is no failure.
            std::future::pending::<()>().await;
        }
    }

    /// Index of the entry with this id, where it was committed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entry_index(&self, id: EntryId) -> Result<Option<u64>, Error> {
        let mut reader = self.readers.acquire().await?;
        sql::entry_index(&mut reader.conn(), &id.to_string()).await
    }

    /// Writes the state root, lets running writes finish, and stops. Later writes answer `Stopped`. While the database
    /// is away there is nothing to wait for.
    pub async fn close(&self) {
        let _ = self.jobs.send(Job::Stop).await;
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
        self.marker.close().await;
        self.readers.close().await;
    }

    pub(crate) const fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Connections that write marks, and nothing else.
    pub(crate) const fn marker(&self) -> &Readers {
        &self.marker
    }
}
