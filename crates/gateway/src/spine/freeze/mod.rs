//! Freezing: while evidence cannot be written nothing of a client's goes on, and afterwards it does by itself.

use super::gateway::Parts;
use sallyport_model::access::Freeze;
use sallyport_model::authority::Pulse;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A freeze shorter than this is not worth a line on a person's screen, nor an entry of its own: it is in the sum at the end.
const TELL: Duration = Duration::from_millis(500);

/// How many sessions went on while the ledger could not hear of them, and are not in it yet. New sessions wait,
/// so that the ledger has first what was first.
#[derive(Default)]
pub(super) struct Arrears(watch::Sender<usize>);

impl Arrears {
    fn owe(self: &Arc<Self>) -> Owing {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        Owing(self.clone())
    }

    /// Waits until nothing is owed; false where that takes longer than `patience`.
    pub(super) async fn paid(&self, patience: Duration) -> bool {
        let mut count = self.0.subscribe();
        tokio::time::timeout(patience, count.wait_for(|count| *count == 0)).await.is_ok()
    }
}

/// One session's part of the arrears, until it is dropped.
pub(super) struct Owing(Arc<Arrears>);

impl Drop for Owing {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// What a session that goes on has to bring to the ledger.
pub(super) struct Debt {
    /// What it was frozen for and how long, where it was.
    pub(super) frozen: Option<(Freeze, Duration)>,
    /// Holds new sessions back until it is paid.
    pub(super) owing: Option<Owing>,
}

/// Decides for one session whether it is frozen.
pub(super) struct Freezer {
    recorder: watch::Receiver<bool>,
    hearing: watch::Receiver<Pulse>,
    arrears: Arc<Arrears>,
    /// Whether the session freezes while control is not heard.
    strict: bool,
    state: watch::Sender<Option<Freeze>>,
    since: Option<Instant>,
    told: bool,
    owing: Option<Owing>,
    total: Duration,
}

impl Freezer {
    /// Begins for a session whose tap listens to `state`.
    pub(super) fn new(parts: &Parts, strict: bool, state: watch::Sender<Option<Freeze>>) -> Self {
        let mut freezer = Self {
            recorder: parts.recorder.frozen(),
            hearing: parts.authority.hearing(),
            arrears: parts.arrears.clone(),
            strict,
            state,
            since: None,
            told: false,
            owing: None,
            total: Duration::ZERO,
        };
        freezer.weigh();
        freezer
    }

    /// Resolves when it is to be weighed anew.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            changed = self.recorder.changed() => if changed.is_err() { std::future::pending::<()>().await },
            changed = self.hearing.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
    }

    /// Freezes or thaws the session. Where it is to go on, tells what it owes.
    pub(super) fn weigh(&mut self) -> Option<Debt> {
        let (stalled, pulse) = (*self.recorder.borrow_and_update(), *self.hearing.borrow_and_update());
        let cause = match pulse {
            _ if stalled => Some(Freeze::Recorder),
            Pulse::Mute => Some(Freeze::Ledger),
            Pulse::Full => Some(Freeze::Space),
            Pulse::Deaf if self.strict => Some(Freeze::Control),
            Pulse::Deaf | Pulse::Well => None,
        };
        if pulse != Pulse::Well {
            self.owing.get_or_insert_with(|| self.arrears.owe());
        }
        let was = self.state.send_replace(cause);
        let frozen = match (was, cause) {
            (None, Some(_)) => {
                (self.since, self.told) = (Some(Instant::now()), false);
                None
            }
            (Some(what), None) => {
                let lasted = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
                self.total = self.total.saturating_add(lasted);
                (lasted >= TELL).then_some((what, lasted))
            }
            _ => None,
        };
        let owing = if pulse == Pulse::Well { self.owing.take() } else { None };
        (frozen.is_some() || owing.is_some()).then_some(Debt { frozen, owing })
    }

    /// Since when it has been frozen for its recorder, which has a bound of its own.
    pub(super) fn unrecorded(&self) -> Option<Instant> {
        self.since.filter(|_| *self.state.borrow() == Some(Freeze::Recorder))
    }

    /// What the session lacks now.
    pub(super) fn cause(&self) -> Option<Freeze> {
        *self.state.borrow()
    }

    /// When somebody who watches the screen is to be told.
    pub(super) fn telling(&self) -> Option<Instant> {
        self.since.filter(|_| !self.told).map(|since| since + TELL)
    }

    /// The line for the screen, once it is due.
    pub(super) fn tell(&mut self) -> Option<String> {
        let cause = self.cause().filter(|_| self.telling().is_some_and(|at| at <= Instant::now()))?;
        self.told = true;
        Some(format!("paused: {}; what you type waits, and goes on by itself", cause.why()))
    }

    /// Whether the screen shows that the session is paused.
    pub(super) fn told(&self) -> bool {
        self.told
    }

    /// How long the session has been frozen in all, and what it still owes when it ends.
    pub(super) fn end(self) -> (Duration, Option<Owing>) {
        let now = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        (self.total.saturating_add(now), self.owing)
    }
}

#[cfg(test)]
mod tests;
