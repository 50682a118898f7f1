//! The recorder's pulse: tails that wait are sealed, and sessions freeze while evidence is late.

use super::{Error, Health, Recorder, Recording, TRICKLE, segment};
use std::sync::{PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two looks at tails that wait to be sealed.
const PULSE: Duration = Duration::from_millis(200);
/// Time between two looks at a journal that something waits in. With [`Health::LATE`], sessions freeze within 250 ms of the
/// moment at which a byte was due to be on the disk.
const LOOK: Duration = Duration::from_millis(50);

/// Goes on for as long as the recorder does.
pub(super) async fn beat(recorder: Weak<Recorder>) {
    let (mut sealed, mut quiet) = (Instant::now(), true);
    loop {
        let next = sealed + PULSE;
        tokio::time::sleep_until(if quiet { next } else { next.min(Instant::now() + LOOK) }).await;
        let Some(recorder) = recorder.upgrade() else { return };
        if next <= Instant::now() {
            sealed = Instant::now();
            recorder.rest();
        }
        let health = recorder.journal.health();
        quiet = health == Health::Lag(Duration::ZERO);
        recorder.frozen.send_if_modified(|frozen| {
            let was = std::mem::replace(frozen, !health.prompt());
            was != *frozen
        });
        if health == Health::Failed {
            return;
        }
    }
}

impl Recorder {
    /// Seals what waits in any recording.
    fn rest(&self) {
        let dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        for weak in dirty {
            let Some(recording) = weak.upgrade() else { continue };
            if !recording.rest().unwrap_or(false) {
                self.dirty.lock().unwrap_or_else(PoisonError::into_inner).push(weak);
            }
        }
    }
}

impl Recording {
    /// Seals what waits; once nothing has come since the last pulse, gives the memory back that a flood took. Whether
    /// all of that is done.
    fn rest(&self) -> Result<bool, Error> {
        let mut inner = self.inner();
        if inner.slot.is_some() && !inner.buffer.is_empty() {
            self.turn(&mut inner, false, segment::Kind::Data, None)?;
            return Ok(false);
        }
        inner.buffer.shrink_to(TRICKLE);
        inner.sealer = None;
        for half in 0..inner.waiting.len() {
            let waiting = inner.waiting.get(half).copied().flatten();
            let Some(slot) = inner.slot.as_mut().filter(|slot| slot.is_larger(half, TRICKLE)) else { continue };
            if waiting.is_some_and(|ticket| !self.recorder.journal.is_written(ticket)) {
                return Ok(false);
            }
            slot.shrink(half)?;
        }
        inner.dirty = false;
        Ok(true)
    }
}
