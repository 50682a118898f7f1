//! Opening a store: schema, signed head, documents against their MAC, documents against the state root.

use crate::batcher::{Batcher, Job, Log, RootDue};
use crate::change::{Change, Committed, DocId, Error};
use crate::read::TileSet;
use crate::sql;
use crate::working::{Document, WorkingSet};
use sallyport_ledger::{Appender, Checkpoint, Entry, Signer, leaf_hash, proof};
use sallyport_model::{EntryId, Env};
use sallyport_vault::DocumentKey;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, SqliteConnection};
use std::collections::HashSet;
use std::collections::hash_map::Entry as Entry_;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// What a node signs the ledger with, and how it calls itself.
pub struct NodeKeys {
    /// Signs checkpoints. Outside the vault's key hierarchy on purpose.
    pub signer: Signer,
    /// Origin line of the checkpoints.
    pub origin: String,
    /// Name of the node in entries.
    pub node: String,
}

/// What opening found.
#[derive(Clone, Debug)]
pub struct HeadReport {
    /// Entries in the ledger.
    pub size: u64,
    /// Documents in the working set.
    pub documents: usize,
}

/// Told of every document that changes, in order, before the writer gets its answer.
pub type Follower = Arc<dyn Fn(&DocId, Option<&Document>) + Send + Sync>;

/// A database whose schema is up to date, and of which nothing is believed yet.
pub struct Connected {
    path: PathBuf,
    conn: SqliteConnection,
}

impl Connected {
    /// Connects and migrates.
    ///
    /// # Errors
    /// When the file cannot be opened, is read-only, or was written by a newer version.
    pub async fn open(path: &Path, create: bool) -> Result<Self, Error> {
        let mut conn = sql::options(path, create).connect().await?;
        sql::migrate(&mut conn).await?;
        Ok(Self { path: path.to_owned(), conn })
    }

    /// Unverified documents of a kind: what the vault needs to unseal. The vault verifies them itself,
    /// and `start` verifies them again with everything else.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn raw(&mut self, kind: &str) -> Result<Vec<(DocId, Document)>, Error> {
        sql::documents(&mut self.conn, Some(kind)).await
    }

    /// Verifies everything and starts the batcher.
    ///
    /// # Errors
    /// When a document, the head or the state root is not what this installation wrote.
    pub async fn start(
        mut self,
        env: Env,
        key: DocumentKey,
        keys: NodeKeys,
        follower: Follower,
    ) -> Result<(Store, HeadReport), Error> {
        let (log, note) = load_log(&mut self.conn, keys).await?;
        let documents = sql::documents(&mut self.conn, None).await?;
        for (id, document) in &documents {
            if !key.check(&document.kind, document.schema, id.as_str(), document.version, &document.body, &document.mac)
            {
                return Err(Error::Forged(id.to_string()));
            }
        }
        for (id, document) in &documents {
            follower(id, Some(document));
        }
        let working = WorkingSet::build(documents, log.size());
        check_state(&mut self.conn, &working, &log).await?;
        let report = HeadReport { size: log.size(), documents: working.len() };
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_with(sql::options(&self.path, false).read_only(true))
            .await?;
        let working = Arc::new(RwLock::new(working));
        let (jobs, inbox) = mpsc::channel(4096);
        let note: Arc<str> = note.into();
        let (head_out, head) = watch::channel(note.clone());
        let (failed_out, failed) = watch::channel(false);
        let batcher = Batcher {
            env,
            conn: self.conn,
            working: working.clone(),
            key,
            log,
            note,
            follower,
            head: head_out,
            failed: failed_out,
            root: RootDue::default(),
        };
        let task = tokio::spawn(batcher.run(inbox));
        Ok((
            Store { jobs, working, readers, head, failed, task: Arc::new(tokio::sync::Mutex::new(Some(task))) },
            report,
        ))
    }
}

/// Reads the head, checks its signature, and rebuilds the right edge of the tree.
async fn load_log(conn: &mut SqliteConnection, keys: NodeKeys) -> Result<(Log, String), Error> {
    let Some((size, note)) = sql::head(conn).await? else {
        return Ok((Log::empty(keys), String::new()));
    };
    let checkpoint = Checkpoint::open(&note, &keys.origin, &[keys.signer.verifier()])
        .map_err(|e| Error::Head(format!("the signed head does not verify: {e}")))?;
    if checkpoint.size != size {
        return Err(Error::Head("the signed head speaks of another size".into()));
    }
    let mut edge = TileSet::default();
    for id in Appender::needed(size) {
        edge.0.insert(id, sql::tile(conn, id).await?);
    }
    let log = Log::load(keys, size, &edge)?;
    if log.root() != checkpoint.root {
        return Err(Error::Head("the stored tiles do not hash to the signed root".into()));
    }
    Ok((log, note))
}

/// Compares the documents with the newest `state.root`, undoing what later entries say they did.
async fn check_state(conn: &mut SqliteConnection, working: &WorkingSet, log: &Log) -> Result<(), Error> {
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
        for effect in crate::batcher::effects(&entry, at)? {
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
async fn check_leaf(
    conn: &mut SqliteConnection,
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
    readers: SqlitePool,
    head: watch::Receiver<Arc<str>>,
    failed: watch::Receiver<bool>,
    task: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
}

impl Store {
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

    /// The newest checkpoint as a signed note; empty before the first entry.
    #[must_use]
    pub fn head(&self) -> Arc<str> {
        self.head.borrow().clone()
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
        let mut conn = self.readers.acquire().await?;
        sql::entry_index(&mut conn, &id.to_string()).await
    }

    /// Writes the state root, lets running writes finish, and stops. Later writes answer `Stopped`.
    pub async fn close(&self) {
        let _ = self.jobs.send(Job::Stop).await;
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
        self.readers.close().await;
    }

    pub(crate) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }
}
