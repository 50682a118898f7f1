//! One journal per gateway: every session's sealed segments, in rolling files, made durable in groups.
//!
//! A dedicated thread owns the files. What it holds is sealed already: the journal sees no plaintext.

mod file;
mod state;

pub use file::{Entry, EntryKind};
pub use state::Health;

use file::Roll;
use sallyport_model::{Kind, RecordingId};
use state::Shared;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Longest time between a segment's arrival and the sync that makes it durable.
pub const GROUP: Duration = Duration::from_millis(250);
/// Time between two attempts to write to a full disk.
const ROOM: Duration = Duration::from_millis(200);

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system said no.
    #[error("the journal in `{path}` cannot be used: {error}; check its disk and its owner")]
    Io {
        /// The journal's directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Its disk is full or too slow.
    #[error("the journal is behind, because its disk is full or slow: make room there; it goes on by itself")]
    Behind,
    /// A write or a sync failed. The page cache may have lost it, so nothing is tried again.
    #[error("the journal failed and holds no more; repair its disk and restart the gateway")]
    Failed,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Unavailable
    }
}

/// How large the journal's files and its queue may be.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A file larger than this is closed and the next begun, in bytes.
    pub file: u64,
    /// Bytes that may wait for the disk, over all sessions.
    pub queue: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { file: 64 << 20, queue: 64 << 20 }
    }
}

/// Position of an entry: entries before it are written and durable before it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// What earlier processes left: entries per recording, in order.
pub type Found = HashMap<RecordingId, Vec<Entry>>;

/// The gateway's journal. Clones share it.
#[derive(Clone)]
pub struct Journal {
    directory: Arc<PathBuf>,
    room: Arc<Semaphore>,
    queue: mpsc::Sender<Order>,
    shared: Arc<Shared>,
}

enum Order {
    Append {
        ticket: u64,
        entry: Entry,
        urgent: bool,
        room: Option<OwnedSemaphorePermit>,
    },
    Forget(RecordingId),
    #[cfg(any(test, feature = "conformance"))]
    Stick(mpsc::Receiver<()>),
}

impl Journal {
    /// Opens the journal in a directory, reads what earlier processes left, and starts its thread.
    ///
    /// # Errors
    /// When the directory cannot be made, read or written.
    pub fn open(directory: &Path, sizes: Sizes) -> Result<(Self, Found), Error> {
        let wrap = |error| Error::Io { path: directory.to_owned(), error };
        std::fs::create_dir_all(directory).map_err(wrap)?;
        let (mut roll, found) = Roll::open(directory, sizes.file).map_err(wrap)?;
        let (queue, orders) = mpsc::channel();
        let shared = Arc::new(Shared::new(roll.index()));
        let writer = Writer { roll, shared: shared.clone(), directory: directory.to_owned() };
        std::thread::Builder::new().name("journal".into()).spawn(move || writer.run(&orders)).map_err(wrap)?;
        let room = Arc::new(Semaphore::new(usize::try_from(sizes.queue).unwrap_or(usize::MAX)));
        Ok((Self { directory: Arc::new(directory.to_owned()), room, queue, shared }, found))
    }

    /// Waits for room for `bytes` in the queue: the node's memory budget.
    pub async fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.room.clone().acquire_many_owned(bytes).await.ok()
    }

    /// Room for `bytes`, if there is some now.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.room.clone().try_acquire_many_owned(bytes).ok()
    }

    /// Hands an entry to the thread. `urgent` entries are made durable at once, others within [`GROUP`].
    pub fn append(&self, entry: Entry, urgent: bool, room: Option<OwnedSemaphorePermit>) -> Ticket {
        self.shared.appended(|ticket| self.queue.send(Order::Append { ticket, entry, urgent, room }).is_ok())
    }

    /// Waits until an entry is in the file, so that the death of this process does not lose it.
    ///
    /// # Errors
    /// When the journal failed.
    pub async fn written(&self, ticket: Ticket) -> Result<(), Error> {
        self.shared.reach(|at| at.written >= ticket.0).await
    }

    /// Waits until an entry is durable.
    ///
    /// # Errors
    /// When the journal failed.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), Error> {
        self.shared.reach(|at| at.synced >= ticket.0).await
    }

    /// Whether an entry is in the file.
    #[must_use]
    pub fn is_written(&self, ticket: Ticket) -> bool {
        self.shared.progress().written >= ticket.0
    }

    /// Whether it keeps up.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Changes whenever something was written, made durable, or failed.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<state::Progress> {
        self.shared.subscribe()
    }

    /// Makes it fail, as a broken disk does.
    #[cfg(any(test, feature = "conformance"))]
    pub fn break_down(&self) {
        self.shared.fail();
    }

    /// Makes it stick, as a disk does that takes a sync and says nothing, until what this gives is dropped.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub fn stick(&self) -> mpsc::Sender<()> {
        let (held, until) = mpsc::channel();
        let _ = self.queue.send(Order::Stick(until));
        held
    }

    /// A recording's entries, each read from its file when its turn comes: a recording may be larger than
    /// memory. Blocks: not for the runtime's threads.
    pub fn read(&self, recording: RecordingId) -> impl Iterator<Item = Result<Entry, Error>> {
        let directory = self.directory.clone();
        self.shared.places(recording).into_iter().map(move |place| {
            place.read(&directory).map_err(|error| Error::Io { path: directory.to_path_buf(), error })
        })
    }

    /// Gives up a recording's entries: files that hold nothing else are removed.
    pub fn forget(&self, recording: RecordingId) {
        let _ = self.queue.send(Order::Forget(recording));
    }
}

struct Writer {
    roll: Roll,
    shared: Arc<Shared>,
    directory: PathBuf,
}

impl Writer {
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        let mut unsynced: Option<(u64, Instant)> = None;
        loop {
            let first = match unsynced {
                None => orders.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                Some((_, due)) => orders.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            let mut now = unsynced.is_some_and(|(_, due)| due <= Instant::now());
            let batch: Vec<Order> = match first {
                Ok(first) => std::iter::once(first).chain(orders.try_iter().take(1024)).collect(),
                Err(mpsc::RecvTimeoutError::Timeout) => Vec::new(),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let _ = self.roll.sync();
                    return;
                }
            };
            let result = self.write(batch).and_then(|(last, urgent)| {
                if let Some(last) = last {
                    let due = unsynced.map_or_else(|| Instant::now() + GROUP, |(_, due)| due);
                    unsynced = Some((last, due));
                }
                now |= urgent || unsynced.is_some_and(|(_, due)| due <= Instant::now());
                match unsynced {
                    Some((last, _)) if now => {
                        self.roll.sync()?;
                        self.shared.synced(last);
                        unsynced = None;
                    }
                    _ => {}
                }
                Ok(())
            });
            if let Err(error) = result {
                // INVARIANT: after a failed write or sync nothing is tried again: a page may be marked clean without
                // being on the disk. A write that found no room is none of these: nothing was taken.
                tracing::error!(%error, path = %self.directory.display(), "the journal failed");
                self.shared.fail();
                while orders.recv().is_ok() {}
                return;
            }
        }
    }

    fn write(&mut self, batch: Vec<Order>) -> io::Result<(Option<u64>, bool)> {
        let (mut last, mut hurry) = (None, false);
        let mut held = Vec::new();
        for order in batch {
            match order {
                Order::Append { ticket, entry, urgent, room } => {
                    self.roll.append(&entry)?;
                    last = Some(ticket);
                    hurry |= urgent;
                    held.push(room);
                }
                Order::Forget(recording) => {
                    self.roll.append(&Entry { recording, kind: EntryKind::Forgotten, bytes: vec![] })?;
                    // What waits for the file is placed with it, so that it is forgotten too.
                    self.flush()?;
                    self.roll.forget(&self.shared.forget(recording))?;
                }
                #[cfg(any(test, feature = "conformance"))]
                Order::Stick(until) => drop(until.recv()),
            }
        }
        self.flush()?;
        drop(held);
        if let Some(last) = last {
            self.shared.written(last);
        }
        Ok((last, hurry))
    }

    /// Writes what was appended. A full disk is waited for: what is in the file already is made durable first.
    fn flush(&mut self) -> io::Result<()> {
        let mut waited = false;
        loop {
            match self.roll.flush(&self.shared) {
                Err(error) if file::is_full(&error) && Arc::strong_count(&self.shared) > 1 => {
                    if !waited {
                        tracing::error!(path = %self.directory.display(), "the journal's disk is full: sessions freeze until there is room");
                        self.shared.full(true);
                        self.roll.sync()?;
                        self.shared.synced(self.shared.progress().written);
                    }
                    waited = true;
                    #[expect(clippy::disallowed_methods, reason = "the journal's thread is its own")]
                    std::thread::sleep(ROOM);
                }
                result => {
                    if waited && result.is_ok() {
                        tracing::info!(path = %self.directory.display(), "the journal's disk has room again");
                        self.shared.full(false);
                    }
                    return result;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
