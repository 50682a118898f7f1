//! How far the journal has come, for those who wait for it.

use super::file::Place;
use super::{Error, Ticket};
use sallyport_model::RecordingId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Whether the journal keeps up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// The oldest entry that is not durable has waited this long.
    Lag(Duration),
    /// Its disk is full: what it holds waits for room.
    Full,
    /// It failed for good.
    Failed,
}

impl Health {
    /// More lag than this freezes sessions: a sync that was due after [`GROUP`](super::GROUP) is late.
    pub const LATE: Duration = Duration::from_millis(450);
    /// More lag than this lets no new session begin.
    pub const MOST: Duration = Duration::from_secs(1);

    /// Whether clients' bytes may go on to targets.
    #[must_use]
    pub fn prompt(self) -> bool {
        matches!(self, Self::Lag(lag) if lag <= Self::LATE)
    }

    /// Whether sessions may begin.
    #[must_use]
    pub fn good(self) -> bool {
        matches!(self, Self::Lag(lag) if lag <= Self::MOST)
    }
}

/// How far the thread has come, by tickets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    pub(super) written: u64,
    pub(super) synced: u64,
    full: bool,
    failed: bool,
}

impl Progress {
    /// Whether nothing more will be written.
    pub(crate) const fn has_failed(self) -> bool {
        self.failed
    }
}

pub(super) struct Shared {
    progress: watch::Sender<Progress>,
    inner: Mutex<Inner>,
}

struct Inner {
    last: u64,
    waiting: VecDeque<(u64, Instant)>,
    places: HashMap<RecordingId, Vec<Place>>,
}

/// Arrivals closer together than this are noted as one.
const COARSE: Duration = Duration::from_millis(50);

impl Shared {
    pub(super) fn new(places: HashMap<RecordingId, Vec<Place>>) -> Self {
        let inner = Inner { last: 0, waiting: VecDeque::new(), places };
        Self { progress: watch::Sender::new(Progress::default()), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the next ticket and sends its entry under the same lock, so that both have one order.
    pub(super) fn appended(&self, send: impl FnOnce(u64) -> bool) -> Ticket {
        let mut inner = self.inner();
        inner.last = inner.last.saturating_add(1);
        let ticket = inner.last;
        if inner.waiting.back().is_none_or(|(_, at)| at.elapsed() > COARSE) {
            inner.waiting.push_back((ticket, Instant::now()));
        }
        if !send(ticket) {
            drop(inner);
            self.fail();
        }
        Ticket(ticket)
    }

    pub(super) fn written(&self, ticket: u64) {
        self.progress.send_modify(|at| at.written = ticket);
    }

    pub(super) fn synced(&self, ticket: u64) {
        let mut inner = self.inner();
        while inner.waiting.front().is_some_and(|(t, _)| *t <= ticket) {
            inner.waiting.pop_front();
        }
        if inner.waiting.is_empty() && inner.last > ticket {
            let last = inner.last;
            inner.waiting.push_back((last, Instant::now()));
        }
        drop(inner);
        self.progress.send_modify(|at| at.synced = ticket);
    }

    pub(super) fn full(&self, full: bool) {
        self.progress.send_modify(|at| at.full = full);
    }

    pub(super) fn fail(&self) {
        self.progress.send_modify(|at| at.failed = true);
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) async fn reach(&self, there: impl Fn(&Progress) -> bool) -> Result<(), Error> {
        let mut progress = self.progress.subscribe();
        let at = progress.wait_for(|at| at.failed || there(at)).await;
        match at {
            Ok(at) if there(&at) => Ok(()),
            _ => Err(Error::Failed),
        }
    }

    pub(super) fn health(&self) -> Health {
        let Progress { full, failed, .. } = self.progress();
        if failed {
            return Health::Failed;
        }
        if full {
            return Health::Full;
        }
        Health::Lag(self.inner().waiting.front().map_or(Duration::ZERO, |(_, at)| at.elapsed()))
    }

    pub(super) fn placed(&self, recording: RecordingId, place: Place) {
        self.inner().places.entry(recording).or_default().push(place);
    }

    pub(super) fn places(&self, recording: RecordingId) -> Vec<Place> {
        self.inner().places.get(&recording).cloned().unwrap_or_default()
    }

    pub(super) fn forget(&self, recording: RecordingId) -> Vec<Place> {
        self.inner().places.remove(&recording).unwrap_or_default()
    }
}
