//! What ends a session by the clock, or warns before it; and on the way there, the ledger is told how far its recording has come.

use super::{millis, tell};
use crate::authority::{Authority, PATIENCE};
use crate::observe::Tap;
use crate::spine::freeze::{Debt, Freezer};
use crate::spine::gateway::Gateway;
use crate::spine::live::Notice;
use crate::spine::open::Open;
use sallyport_model::SessionId;
use sallyport_model::access::{EndReason, Freeze};
use sallyport_model::authority::{Anchor, Call, Reply, Thawed};
use sallyport_recording::WhatRef;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A warning comes this long before a deadline; tests do not wait a minute for it.
const WARNING: Duration = Duration::from_secs(if cfg!(any(test, feature = "conformance")) { 1 } else { 60 });
/// Everything that ends a session by the clock.
pub(super) struct Watch {
    pub(super) deadline: Instant,
    idle: Duration,
    grace: Duration,
    /// How long the session may wait for an observer.
    pub(super) hold: Duration,
    pub(super) freezer: Freezer,
    next_anchor: Instant,
    /// Segments that the ledger knows of.
    anchored: Arc<AtomicU32>,
    warned_deadline: bool,
    warned_idle: Option<Instant>,
}

impl Watch {
    pub(super) fn new(gateway: &Gateway, open: &Open) -> Self {
        let terms = open.clearance.permit().terms();
        Self {
            deadline: open.began + terms.limits.duration(),
            idle: terms.limits.idle_time(),
            hold: Duration::from_secs(terms.limits.hold.into()),
            grace: Duration::from_secs(terms.place.grace.into()),
            freezer: Freezer::new(&gateway.parts, terms.place.freezes, open.frozen.clone()),
            next_anchor: open.began + Duration::from_secs(terms.place.anchor.into()),
            anchored: Arc::new(AtomicU32::new(0)),
            warned_deadline: terms.limits.duration() < WARNING * 2,
            warned_idle: None,
        }
    }

    /// Freezes or thaws the session, as evidence can be written.
    pub(super) fn weigh(&mut self, gateway: &Gateway, open: &Open) {
        let told = self.freezer.told();
        let Some(debt) = self.freezer.weigh() else { return };
        if told && debt.frozen.is_some() {
            let _ = open.notices.send(Notice::Ends("it goes on".to_owned()));
        }
        tokio::spawn(pay(
            gateway.parts.authority.clone(),
            open.tap.clone(),
            open.session,
            self.anchor(gateway, open),
            debt,
        ));
    }

    /// When to look again.
    pub(super) fn due(&self, gateway: &Gateway, open: &Open) -> Instant {
        let now = Instant::now();
        let active = open.tap.active();
        let silent = now + self.grace.saturating_sub(gateway.parts.authority.silence());
        let warn_idle = if self.warns_idle(active) { self.idle.saturating_sub(WARNING) } else { self.idle };
        let stalled = self.freezer.unrecorded().map_or(self.deadline, |since| since + self.grace);
        let telling = self.freezer.telling().unwrap_or(self.deadline);
        let warn = if self.warned_deadline { self.deadline } else { self.deadline - WARNING };
        [self.deadline, warn, active + warn_idle, silent, stalled, telling, self.next_anchor]
            .into_iter()
            .min()
            .unwrap_or(self.deadline)
            .max(now + Duration::from_millis(5))
    }

    fn warns_idle(&self, active: Instant) -> bool {
        self.idle >= WARNING * 2 && self.warned_idle != Some(active)
    }

    /// Whether the session must end now, and why. Anchors and warns on the way.
    pub(super) fn look(&mut self, gateway: &Gateway, open: &Open) -> Option<(EndReason, &'static str)> {
        let (now, active) = (Instant::now(), open.tap.active());
        if now >= self.deadline {
            return Some((EndReason::Deadline, "the session's maximum duration is reached"));
        }
        if now >= active + self.idle {
            return Some((EndReason::Idle, "the session was idle for too long"));
        }
        if gateway.parts.authority.silence() >= self.grace {
            return Some(match self.freezer.cause() {
                Some(Freeze::Ledger) => {
                    (EndReason::Partition, "the ledger takes no entries, so the session cannot go on")
                }
                Some(Freeze::Space) => {
                    (EndReason::RecorderStall, "recordings have no room left, so the session cannot go on")
                }
                _ => (EndReason::Partition, "the authority is not reached, so the session cannot go on"),
            });
        }
        if let Some(line) = self.freezer.tell() {
            let _ = open.notices.send(Notice::Begins(line));
        }
        if self.freezer.unrecorded().is_some_and(|since| now >= since + self.grace) {
            return Some((EndReason::RecorderStall, "the session cannot be recorded, so it cannot go on"));
        }
        if !self.warned_deadline && now >= self.deadline - WARNING {
            self.warned_deadline = true;
            let text = format!("this session ends in {} s: its maximum duration is reached", WARNING.as_secs());
            let _ = open.notices.send(Notice::Line(text));
        }
        if self.warns_idle(active) && now >= active + self.idle.saturating_sub(WARNING) {
            self.warned_idle = Some(active);
            let text = format!("this session ends in {} s unless something is typed", WARNING.as_secs());
            let _ = open.notices.send(Notice::Line(text));
        }
        if now >= self.next_anchor {
            let every = Duration::from_secs(open.clearance.place().anchor.max(1).into());
            self.next_anchor = now + every;
            // A quiet session has nothing new to tell, and there may be thousands of them.
            if open.recording.reached().0 != self.anchored.load(Ordering::Relaxed) {
                tokio::spawn(self.anchor(gateway, open));
            }
        }
        None
    }

    /// Tells the ledger how far the recording has come, beside the session and at its own pace.
    fn anchor(&self, gateway: &Gateway, open: &Open) -> impl Future<Output = ()> + Send + use<> {
        let (segments, _) = open.recording.reached();
        let anchored = self.anchored.clone();
        let (authority, recording, session) = (gateway.parts.authority.clone(), open.recording.clone(), open.session);
        async move {
            if segments == anchored.load(Ordering::Relaxed) {
                return;
            }
            if let Ok((segments, chain)) = recording.anchor().await {
                let anchor = Anchor { session, segments, chain: chain.to_vec() };
                if let Ok(Reply::Done(_)) = authority.call(Call::Anchor(anchor), PATIENCE).await {
                    anchored.fetch_max(segments, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Brings to recording and ledger what a session owes them that goes on again.
async fn pay(
    authority: Arc<dyn Authority>,
    tap: Arc<Tap>,
    session: SessionId,
    anchor: impl Future<Output = ()>,
    debt: Debt,
) {
    anchor.await;
    let Debt { frozen: Some((without, lasted)), owing } = debt else { return };
    let text = format!("{:.3} s without the {}", lasted.as_secs_f64(), without.word());
    let _ = tap.note(0, WhatRef::Mark { kind: "frozen", text: &text }).await;
    let thawed = Thawed { session, without, millis: millis(lasted) };
    tell(&*authority, session, &|| Call::Thawed(thawed)).await;
    drop(owing);
}
