//! The recorder: events into the tail, the tail into sealed segments, segments into the journal.
//!
//! Appending an event costs a copy and two writes into memory. Sealing happens when a half of the
//! tail is full, or at the pulse, at most 250 ms after the first event in it.

mod pulse;

use super::journal::{Entry, EntryKind, Health, Journal, Ticket};
use super::live::{Live, Onlooker};
use super::tail::{self, Slot, Tail};
use super::{journal, ship};
use crate::sabotage::sabotaged;
use sallyport_model::authority::RecordingKey;
use sallyport_model::{Env, Kind, RecordingId};
use sallyport_recording::{DataKey, Facts, Hash, Header, Sealer, WhatRef, container, event, header, segment};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Segments smaller than this are the trickle of a terminal: their sealer's buffers are given back.
const TRICKLE: usize = 16 << 10;
/// Largest piece of a client's or target's bytes in one event.
pub const PIECE: usize = 32 << 10;

/// The recorder cannot take what it must.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The tail failed or is full.
    #[error(transparent)]
    Tail(#[from] tail::Error),
    /// The header could not be made.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// A segment could not be sealed.
    #[error(transparent)]
    Segment(#[from] segment::Error),
    /// The recording has ended.
    #[error("the recording has ended")]
    Ended,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ended => Kind::Conflict,
            _ => Kind::Unavailable,
        }
    }
}

/// The gateway's recorder, shared by its sessions.
pub struct Recorder {
    env: Env,
    journal: Journal,
    tail: Tail,
    directory: PathBuf,
    frozen: watch::Sender<bool>,
    dirty: Mutex<Vec<Weak<Recording>>>,
    /// Many sessions may end at once; each file written at the same time would cost a thread.
    shipping: Semaphore,
}

/// How long after a file that could not be written the next attempt comes; each further wait is twice as long.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Recordings that are put into their files at the same time.
const SHIPPING: usize = 4;

impl Recorder {
    /// Starts over a journal and a tail; finished recordings go to `directory`. Needs a runtime.
    #[must_use]
    pub fn start(env: Env, journal: Journal, tail: Tail, directory: &Path) -> Arc<Self> {
        let directory = directory.to_owned();
        let dirty = Mutex::default();
        let shipping = Semaphore::new(SHIPPING);
        let frozen = watch::Sender::new(false);
        let recorder = Arc::new(Self { env, journal, tail, directory, frozen, dirty, shipping });
        tokio::spawn(pulse::beat(Arc::downgrade(&recorder)));
        recorder
    }

    /// Whether clients' bytes are held back because evidence does not keep up.
    #[must_use]
    pub fn frozen(&self) -> watch::Receiver<bool> {
        self.frozen.subscribe()
    }

    /// Whether evidence keeps up; once `Failed`, this process should end and a new one begin.
    #[must_use]
    pub fn health(&self) -> Health {
        self.journal.health()
    }

    /// Resolves once the journal has failed. What it does not have is in the tail, which the next gateway finishes.
    pub async fn failed(&self) {
        // Where the journal's own side is gone, nothing is written any more either.
        let _ = self.journal.progress().wait_for(|progress| progress.has_failed()).await;
    }

    /// Makes the journal fail, as a broken disk does.
    #[cfg(any(test, feature = "conformance"))]
    pub fn break_down(&self) {
        self.journal.break_down();
    }

    /// Makes the journal stick, as a disk does that takes a sync and says nothing, until what this gives is dropped.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub fn stick(&self) -> std::sync::mpsc::Sender<()> {
        self.journal.stick()
    }

    /// Where finished recordings lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Begins a recording. Its header is on its way to the disk; see [`Recording::opened`].
    ///
    /// # Errors
    /// When the header cannot be sealed, every slot is taken, or evidence does not keep up.
    pub fn begin(self: &Arc<Self>, facts: Facts, key: &RecordingKey) -> Result<Arc<Recording>, Error> {
        let health = self.journal.health();
        if !health.good() && !sabotaged("recorder") {
            return Err(if health == Health::Failed { journal::Error::Failed } else { journal::Error::Behind }.into());
        }
        let (id, session) = (facts.recording, facts.session);
        let (header, key) = Header::seal(&self.env, facts, key)?;
        let bytes = container::begin(&header)?;
        let hash = header.hash();
        let data_key = key.bytes().expose().first_chunk::<32>().copied().map(zeroize::Zeroizing::new);
        let data_key = data_key.ok_or(header::Error::Commitment)?;
        let slot = self.tail.claim(session, id, &data_key, &hash)?;
        let first = self.journal.append(Entry { recording: id, kind: EntryKind::Header, bytes }, true, None);
        let inner = Inner {
            slot: Some(slot),
            sealer: None,
            at: (0, hash),
            current: 0,
            buffer: Vec::new(),
            dirty: false,
            waiting: [None; 2],
            last: first,
            live: Some(Live::start()),
        };
        let recorder = self.clone();
        let started = Instant::now();
        Ok(Arc::new(Recording { recorder, id, header, key, first, started, inner: Mutex::new(inner) }))
    }
}

impl Recorder {
    /// Brings a finished recording into its file; whether that is done.
    async fn ship(&self, id: RecordingId) -> bool {
        let (journal, directory) = (self.journal.clone(), self.directory.clone());
        let _place = self.shipping.acquire().await;
        match tokio::task::spawn_blocking(move || ship::ship(&journal, &directory, id)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, recording = %id, "a recording stays in the journal until its file can be written");
                false
            }
            // The runtime is going away; the next gateway finds it in the journal.
            Err(_) => true,
        }
    }
}

/// The recording of one session.
pub struct Recording {
    recorder: Arc<Recorder>,
    id: RecordingId,
    header: Header,
    key: DataKey,
    first: Ticket,
    started: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Gone once the recording has ended.
    slot: Option<Slot>,
    sealer: Option<Sealer>,
    /// Segments so far and the chain after them.
    at: (u32, Hash),
    /// The half that fills.
    current: usize,
    /// The same bytes as that half.
    buffer: Vec<u8>,
    /// The pulse will look at it.
    dirty: bool,
    /// Until when each half must be left alone.
    waiting: [Option<Ticket>; 2],
    last: Ticket,
    /// Until it has ended.
    live: Option<Live>,
}

impl Inner {
    /// Takes an event into the half that fills; false where it does not fit.
    fn take(&mut self, (at, channel, what): (u64, u32, WhatRef<'_>)) -> Result<bool, Error> {
        let slot = self.slot.as_mut().ok_or(Error::Ended)?;
        let start = self.buffer.len();
        event::encode(at, channel, what, &mut self.buffer);
        let event = self.buffer.get(start..).unwrap_or_default();
        let took = slot.append(self.current, event);
        if let (Ok(true), Some(live)) = (&took, &self.live) {
            match what {
                WhatRef::Output(bytes) | WhatRef::Stderr(bytes) => live.push(event, bytes.len()),
                // Evidence for later: whoever looks on sees that content crossed, and not its bytes.
                WhatRef::Content { .. } => {}
                _ => live.push(event, 0),
            }
        } else if !matches!(took, Ok(true)) {
            self.buffer.truncate(start);
        }
        Ok(took?)
    }
}

/// What a step must wait for before it is tried again.
enum Wait {
    Half(Ticket),
    Room(usize),
}

impl Recording {
    /// The recording.
    #[must_use]
    pub const fn id(&self) -> RecordingId {
        self.id
    }

    /// SHA-256 of the header, which commits to the data key.
    #[must_use]
    pub fn header_hash(&self) -> Hash {
        self.header.hash()
    }

    /// Waits until the header is durable.
    ///
    /// # Errors
    /// When the journal failed.
    pub async fn opened(&self) -> Result<(), Error> {
        Ok(self.recorder.journal.durable(self.first).await?)
    }

    /// Records an event; waits where the disk is behind, never loses.
    ///
    /// # Errors
    /// When the recorder failed or the recording has ended.
    pub async fn push(self: &Arc<Self>, channel: u32, what: WhatRef<'_>) -> Result<(), Error> {
        let at = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut room = None;
        loop {
            let wait = match self.add((at, channel, what), &mut room)? {
                None => return Ok(()),
                Some(wait) => wait,
            };
            room = self.wait(wait).await?;
        }
    }

    /// Waits until everything pushed so far is durable.
    ///
    /// # Errors
    /// When the recorder failed.
    pub async fn durable(&self) -> Result<(), Error> {
        let last = self.flush(true).await?;
        Ok(self.recorder.journal.durable(last).await?)
    }

    /// Segments that are durable, and the chain after them: what an anchor may promise.
    ///
    /// # Errors
    /// When the journal failed.
    pub async fn anchor(&self) -> Result<(u32, Hash), Error> {
        let (at, last) = {
            let inner = self.inner();
            (inner.at, inner.last)
        };
        self.recorder.journal.durable(last).await?;
        Ok(at)
    }

    /// Where the recording is, durable or not: the best that can be said when the journal failed.
    #[must_use]
    pub fn reached(&self) -> (u32, Hash) {
        self.inner().at
    }

    /// A way to look at what is live; `None` once it has ended.
    #[must_use]
    pub fn onlooker(&self) -> Option<Onlooker> {
        self.inner().live.as_ref().map(Live::onlooker)
    }

    /// Seals the end, brings the recording into its own file, and gives its memory back. A file that cannot be written
    /// is tried again beside: until then the journal has it all.
    ///
    /// # Errors
    /// When the journal failed: the recording then stays in tail and journal, for the next gateway to finish.
    pub async fn finish(&self) -> Result<(u32, Hash), Error> {
        self.inner().live = None;
        let last = loop {
            let wait = match self.seal(true, segment::Kind::Final)? {
                Ok(last) => break last,
                Err(wait) => wait,
            };
            drop(self.wait(wait).await?);
        };
        self.recorder.journal.durable(last).await?;
        let slot = self.inner().slot.take();
        if let Some(slot) = slot {
            slot.release()?;
        }
        if !self.recorder.ship(self.id).await {
            let (recorder, id) = (self.recorder.clone(), self.id);
            tokio::spawn(async move {
                let mut wait = RETRY;
                tokio::time::sleep(wait).await;
                while !recorder.ship(id).await {
                    wait = wait.saturating_mul(2).min(LONGEST_RETRY);
                    tokio::time::sleep(wait).await;
                }
            });
        }
        Ok(self.inner().at)
    }

    /// Drops a recording whose session never came to be.
    pub fn discard(&self) {
        let slot = self.inner().slot.take();
        if let Some(slot) = slot
            && let Err(error) = slot.release()
        {
            tracing::warn!(%error, recording = %self.id, "a tail's slot could not be wiped");
        }
        self.recorder.journal.forget(self.id);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, wait: Wait) -> Result<Option<OwnedSemaphorePermit>, Error> {
        match wait {
            Wait::Half(ticket) => {
                self.recorder.journal.written(ticket).await?;
                Ok(None)
            }
            Wait::Room(bytes) => Ok(self.recorder.journal.reserve(bytes).await),
        }
    }

    fn add(
        self: &Arc<Self>,
        event: (u64, u32, WhatRef<'_>),
        room: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Wait>, Error> {
        let mut inner = self.inner();
        if !inner.take(event)? {
            if let Some(wait) = self.turn(&mut inner, false, segment::Kind::Data, room.take())? {
                return Ok(Some(wait));
            }
            if !inner.take(event)? {
                return Err(segment::Error::TooLong(inner.at.0).into());
            }
        }
        if !std::mem::replace(&mut inner.dirty, true) {
            self.recorder.dirty.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(self));
        }
        Ok(None)
    }

    /// Seals what the tail holds; an empty tail needs nothing.
    async fn flush(&self, urgent: bool) -> Result<Ticket, Error> {
        loop {
            let wait = {
                let inner = self.inner();
                if inner.buffer.is_empty() {
                    return Ok(inner.last);
                }
                drop(inner);
                match self.seal(urgent, segment::Kind::Data)? {
                    Ok(last) => return Ok(last),
                    Err(wait) => wait,
                }
            };
            drop(self.wait(wait).await?);
        }
    }

    fn seal(&self, urgent: bool, kind: segment::Kind) -> Result<Result<Ticket, Wait>, Error> {
        let mut inner = self.inner();
        Ok(match self.turn(&mut inner, urgent, kind, None)? {
            None => Ok(inner.last),
            Some(wait) => Err(wait),
        })
    }

    /// Seals the current half and goes on in the other, where that one is free.
    fn turn(
        &self,
        inner: &mut Inner,
        urgent: bool,
        kind: segment::Kind,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Wait>, Error> {
        if inner.slot.is_none() {
            return Err(Error::Ended);
        }
        let other = 1_usize.saturating_sub(inner.current);
        if let Some(ticket) = inner.waiting.get(other).copied().flatten()
            && !self.recorder.journal.is_written(ticket)
        {
            return Ok(Some(Wait::Half(ticket)));
        }
        // The end of a recording does not wait for room: it is small, and it frees memory.
        let bytes = inner.buffer.len().saturating_add(512);
        let room = room.or_else(|| self.recorder.journal.try_reserve(bytes));
        if room.is_none() && kind == segment::Kind::Data {
            return Ok(Some(Wait::Room(bytes)));
        }
        let (seq, chain) = inner.at;
        let mut sealer = match inner.sealer.take() {
            Some(sealer) => sealer,
            None => Sealer::resume(&self.key, &self.header, seq, chain)?,
        };
        let sealed = sealer.seal(&self.recorder.env, &inner.buffer, kind)?;
        if inner.buffer.len() > TRICKLE {
            inner.sealer = Some(sealer);
        }
        inner.at = (sealed.seq.saturating_add(1), sealed.chain);
        let entry = Entry { recording: self.id, kind: EntryKind::Segment, bytes: sealed.bytes };
        let ticket = self.recorder.journal.append(entry, urgent || kind == segment::Kind::Final, room);
        let current = inner.current;
        if let Some(waiting) = inner.waiting.get_mut(current) {
            *waiting = Some(ticket);
        }
        inner.buffer.clear();
        inner.last = ticket;
        inner.current = other;
        let (seq, chain) = inner.at;
        inner.slot.as_mut().ok_or(Error::Ended)?.restart(other, seq, &chain)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
