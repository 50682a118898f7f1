//! Shares that custodians present one by one, from different places: held in memory only, and not for long.

use sallyport_model::{SlotId, Timestamp};
use sallyport_vault::{Quorum, Share, SlotBody, VaultError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long shares wait for the rest of their quorum, from the first one on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How far a quorum has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The slot whose shares these are.
    pub slot: SlotId,
    /// How many were presented.
    pub have: u8,
    /// How many are needed.
    pub need: u8,
}

impl Progress {
    /// Whether the quorum is complete.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.have >= self.need
    }
}

struct Waiting {
    quorum: Arc<Quorum>,
    since: Timestamp,
}

/// The quorums in the making, one a slot.
#[derive(Default)]
pub(crate) struct Gathering(Mutex<HashMap<SlotId, Waiting>>);

impl Gathering {
    /// Without those whose time is over. A clock that was set back ends a wait as well: it must not prolong one.
    fn lock(&self, now: Timestamp) -> MutexGuard<'_, HashMap<SlotId, Waiting>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, w| w.since <= now && now.since(w.since) < PATIENCE);
        waiting
    }

    /// Takes a share in. What was presented before stays, whatever this one is.
    pub(crate) fn present(&self, now: Timestamp, slot: &SlotBody, share: Share) -> Result<Progress, VaultError> {
        let (need, _) = slot.rule().ok_or(VaultError::ForeignShare)?;
        // A share that is wrong must not start a wait of its own.
        slot.check_share(&share)?;
        let mut all = self.lock(now);
        let fresh = || Waiting { quorum: Arc::default(), since: now };
        let waiting = all.entry(slot.id).or_insert_with(fresh);
        let quorum = Arc::get_mut(&mut waiting.quorum)
            .ok_or_else(|| VaultError::Refused("this quorum is being used at this moment: try again".into()))?;
        if quorum.have() < need {
            quorum.add(slot, share)?;
        }
        Ok(Progress { slot: slot.id, have: quorum.have(), need })
    }

    /// What was presented for a slot; it stays until it is dropped or its time is over.
    pub(crate) fn quorum(&self, now: Timestamp, slot: SlotId) -> Option<Arc<Quorum>> {
        self.lock(now).get(&slot).map(|waiting| waiting.quorum.clone())
    }

    /// Drops what was presented for a slot; `false` where there is nothing.
    pub(crate) fn drop_slot(&self, now: Timestamp, slot: SlotId) -> bool {
        self.lock(now).remove(&slot).is_some()
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
