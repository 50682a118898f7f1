//! `drive` and `close`: connections in supervised tasks, raced with everything that may end a session.

use super::company::{Company, Knocking, Visit};
use super::door::Seat;
use super::freeze::{Debt, Freezer};
use super::gateway::Gateway;
use super::live::{Ending, Live, Notice};
use super::open::Open;
use super::protocol::{DialError, Hold, Protocol};
use super::steer::{Marks, Steer};
use super::traced;
use crate::authority::{Authority, Order, PATIENCE};
use crate::observe::Tap;
use crate::observe::live::Show;
use crate::sabotage::sabotaged;
use sallyport_model::access::{Denial, EndReason, Freeze};
use sallyport_model::authority::{Anchor, Call, Close, Reply, Thawed};
use sallyport_model::{Kind, SessionId, WatchId};
use sallyport_recording::WhatRef;
use sallyport_recording::way::{THROUGH, VIA};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Span;

/// How long a relay may take to say goodbye before it is stopped.
const GOODBYE: Duration = Duration::from_millis(600);
/// A warning comes this long before a deadline; tests do not wait a minute for it.
const WARNING: Duration = Duration::from_secs(if cfg!(any(test, feature = "conformance")) { 1 } else { 60 });
/// How long control is asked to take an entry before its gateway gives up.
const TELL: Duration = Duration::from_secs(24 * 3600);

/// A further connection of a session: the protocol's client, boxed.
pub(super) type Boxed = Box<dyn Any + Send>;

struct Ended {
    reason: EndReason,
    note: String,
}

impl Ended {
    fn new(reason: EndReason, note: &str) -> Self {
        Self { reason, note: note.to_owned() }
    }
}

/// What a connection's task ends with.
type Outcome = (EndReason, String);

/// Drives an open session to its end and closes it. Nothing in it returns early.
pub(super) async fn drive<P: Protocol>(
    gateway: &Gateway,
    protocol: &Arc<P>,
    mut open: Open,
    (first, seat): (P::Client, Option<Arc<Seat>>),
    more: mpsc::Receiver<Boxed>,
) {
    let mut watch = Watch::new(gateway, &open);
    let ended = run(gateway, protocol, (&mut open, &mut watch), first, more).await;
    if let Some(seat) = seat {
        seat.ended(ended.reason, &ended.note);
    }
    let span = Span::current();
    span.record("outcome", ended.reason.word());
    traced::step(&span, "close", close(gateway, open, ended, watch.freezer), traced::ended).await;
}

/// Logs in at the target of an open session, and closes it: nothing else crosses.
pub(super) async fn check<P: Protocol>(gateway: &Gateway, protocol: &P, open: Open) -> Result<(), DialError> {
    let go = open.clearance.clone();
    let reach = async move {
        let upstream = protocol.dial(&go).await?;
        protocol.prove(&go, upstream).await
    };
    brief(gateway, open, "the stored credential is accepted", reach).await
}

/// Does one thing at the target of an open session, and closes it with this note where it went well.
pub(super) async fn brief<T>(
    gateway: &Gateway,
    open: Open,
    note: &str,
    act: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    let watch = Watch::new(gateway, &open);
    mark_way(&open).await;
    let done = tokio::select! {
        done = act => done,
        () = gateway.stop.cancelled() => Err(DialError::new(Kind::Unavailable, "the gateway stops; try again shortly")),
    };
    let ended = match &done {
        Ok(_) => Ended::new(EndReason::ClientClose, note),
        Err(error) => {
            open.tap.not_become(error.why_not_become());
            Ended::new(EndReason::DialFail, &error.to_string())
        }
    };
    close(gateway, open, ended, watch.freezer).await;
    done
}

/// Writes into the recording which jump hosts the session goes over, and which account becomes its own. Its header is older
/// than the decision that knows them.
async fn mark_way(open: &Open) {
    let hops: Vec<_> = open.clearance.hops().map(|(hop, _)| hop.to_string()).collect();
    let logon = open.clearance.place().logon.as_ref().map(ToString::to_string);
    for (kind, text) in [(VIA, hops.join(", ")), (THROUGH, logon.unwrap_or_default())] {
        if !text.is_empty() {
            let _ = open.tap.note(0, WhatRef::Mark { kind, text: &text }).await;
        }
    }
}

async fn run<P: Protocol>(
    gateway: &Gateway,
    protocol: &Arc<P>,
    (open, watch): (&mut Open, &mut Watch),
    first: P::Client,
    mut more: mpsc::Receiver<Boxed>,
) -> Ended {
    let mut tasks = JoinSet::new();
    Span::current().record("session", tracing::field::display(open.session));
    let marks = Marks::new(open.tap.clone());
    let mut steer = Steer::new(marks.clone());
    let mut company = Company::new(open, gateway.parts.authority.clone(), marks);
    mark_way(open).await;
    tasks.spawn(connection(protocol.clone(), first, open.live(gateway)));
    let mut linger = None;
    let mut last = Ended::new(EndReason::ClientClose, "");
    let ended = loop {
        let due = watch.due(gateway, open).min(company.waits().map_or(watch.deadline, |since| since + watch.hold));
        tokio::select! {
            biased;
            order = open.orders.recv() => match order {
                Some(Order::End(..)) if sabotaged("kill") => {}
                Some(Order::End(reason, text)) => break end(open, reason, &text),
                Some(Order::Watch(guest)) => {
                    let show = watching(gateway.parts.authority.clone(), guest.id, open.knock.clone());
                    company.comes(open, Visit { guest, show, admit: None });
                }
                Some(Order::Unwatch(id)) => company.leaves(open, id, ""),
                Some(Order::Steer(steering)) => for id in steer.hear(open, steering) {
                    company.leaves(open, id, "they were sent away");
                },
                None => break end(open, EndReason::Partition, "the authority is gone"),
            },
            () = gateway.stop.cancelled() => break end(open, EndReason::Shutdown, "the gateway stops"),
            Some(knocking) = open.knocking.recv() => match knocking {
                Knocking::Comes(visit) => company.comes(open, visit),
                Knocking::Leaves(id) => company.leaves(open, id, ""),
            },
            answer = company.due() => company.answered(open, answer),
            Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                last = outcome(done, open);
                let fatal = matches!(last.reason, EndReason::Panic | EndReason::Block | EndReason::Violation);
                if fatal || (tasks.is_empty() && P::LINGER.is_zero()) {
                    break last;
                }
                if tasks.is_empty() {
                    linger = Some(Instant::now() + P::LINGER);
                }
            }
            () = until(linger), if tasks.is_empty() => break last,
            Some(client) = more.recv() => if let Ok(client) = client.downcast::<P::Client>() {
                linger = None;
                tasks.spawn(connection(protocol.clone(), *client, open.live(gateway)));
            },
            () = watch.freezer.changed() => watch.weigh(gateway, open),
            () = tokio::time::sleep_until(due) => {
                if company.waits().is_some_and(|since| since + watch.hold <= Instant::now()) {
                    break end(open, EndReason::Unobserved, "no observer came in time");
                }
                if let Some((reason, text)) = watch.look(gateway, open) {
                    break end(open, reason, text);
                }
            }
        }
    };
    open.stopped.send_replace(true);
    stop(tasks).await;
    ended
}

/// What a watcher is shown goes to control; one that is let go of is gone from the session's company.
fn watching(authority: Arc<dyn Authority>, id: WatchId, knock: mpsc::UnboundedSender<Knocking>) -> Show {
    struct Leaves(WatchId, mpsc::UnboundedSender<Knocking>);
    impl Drop for Leaves {
        fn drop(&mut self) {
            let _ = self.1.send(Knocking::Leaves(self.0));
        }
    }
    let leaves = Leaves(id, knock);
    Arc::new(move |view| {
        let _held = &leaves;
        authority.view(view)
    })
}

/// Holds a client while its session may not begin yet. An error is how the session ends instead, and what the client is
/// told, where it is still there.
async fn held<P: Protocol>(
    protocol: &P,
    client: &mut P::Client,
    live: &Live,
) -> Result<(), (EndReason, Result<String, Denial>)> {
    while let Some(why) = live.tap().paused() {
        match protocol.hold(client, &Denial::new(Kind::Unavailable, why.as_str()), true).await {
            Hold::Waiting => {}
            Hold::Gone => return Err((EndReason::ClientClose, Ok("the client left before the session began".into()))),
            Hold::Unfit(how) => {
                let four_eyes = live.clearance().permit().terms().limits.four_eyes;
                let reason = if four_eyes { EndReason::Unobserved } else { EndReason::ClientClose };
                return Err((reason, Err(Denial::new(Kind::Unavailable, format!("{why}; {how}")))));
            }
        }
    }
    Ok(())
}

/// Dials and relays one connection, once its session may begin. It runs in a task of its own, so that its panic ends its
/// session only.
async fn connection<P: Protocol>(protocol: Arc<P>, mut client: P::Client, live: Live) -> Outcome {
    let mut ended = live.clone();
    tokio::select! {
        held = held(&*protocol, &mut client, &live) => match held {
            Ok(()) => {}
            Err((reason, Ok(note))) => return (reason, note),
            Err((reason, Err(denial))) => {
                protocol.deny(client, &denial).await;
                return (reason, denial.message);
            }
        },
        ending = ended.ended() => {
            protocol.deny(client, &Denial::new(Kind::Denied, ending.text)).await;
            return (ending.reason, String::new());
        }
    }
    let dialled = tokio::select! {
        dialled = traced::step(&live.span, "dial", protocol.dial(live.clearance()), traced::reached) => dialled,
        ending = ended.ended() => {
            protocol.deny(client, &Denial::new(Kind::Denied, ending.text)).await;
            return (ending.reason, String::new());
        }
    };
    match dialled {
        Ok(upstream) => protocol.relay(client, upstream, live).await,
        Err(error) => {
            let note = error.to_string();
            protocol.deny(client, &Denial::new(error.kind(), note.clone())).await;
            (EndReason::DialFail, note)
        }
    }
}

fn outcome(done: Result<Outcome, JoinError>, open: &Open) -> Ended {
    match done {
        Ok((reason @ (EndReason::Block | EndReason::DialFail), note)) if note.is_empty() => {
            Ended::new(reason, open.tap.verdict().unwrap_or_default())
        }
        Ok((reason, note)) => Ended { reason, note },
        Err(error) if error.is_panic() => Ended::new(EndReason::Panic, "a task panicked"),
        Err(_) => Ended::new(EndReason::Shutdown, "a task was cancelled"),
    }
}

/// Stops the flow of bytes and tells the relays, which then have a moment to tell their clients.
fn end(open: &Open, reason: EndReason, text: &str) -> Ended {
    // Whoever finds it stopped finds why.
    open.ending.send_replace(Some(Ending { reason, text: text.to_owned() }));
    open.stopped.send_replace(true);
    Ended::new(reason, text)
}

async fn stop(mut tasks: JoinSet<Outcome>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, all).await.is_err() {
        tasks.shutdown().await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Everything that ends a session by the clock.
struct Watch {
    deadline: Instant,
    idle: Duration,
    grace: Duration,
    /// How long the session may wait for an observer.
    hold: Duration,
    freezer: Freezer,
    next_anchor: Instant,
    /// Segments that the ledger knows of.
    anchored: Arc<AtomicU32>,
    warned_deadline: bool,
    warned_idle: Option<Instant>,
}

impl Watch {
    fn new(gateway: &Gateway, open: &Open) -> Self {
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
    fn weigh(&mut self, gateway: &Gateway, open: &Open) {
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
    fn due(&self, gateway: &Gateway, open: &Open) -> Instant {
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
    fn look(&mut self, gateway: &Gateway, open: &Open) -> Option<(EndReason, &'static str)> {
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Seals the recording, returns the lease, and writes the last entry.
async fn close(gateway: &Gateway, open: Open, ended: Ended, freezer: Freezer) {
    let authority = &*gateway.parts.authority;
    let (frozen, owing) = freezer.end();
    let Open { session, clearance, recording, tap, .. } = open;
    let text = ended.reason.word();
    if let Err(error) = recording.push(0, WhatRef::Mark { kind: "end", text }).await {
        tracing::error!(%error, %session, "a session's end was not recorded");
    }
    let finished = recording.finish().await;
    let exchanges = clearance.exchanges();
    drop(clearance);
    let at = match finished {
        Ok(at) => at,
        // Its end is in the tail, and so only the next gateway can say what the recording comes to. Nothing is told
        // before that: an entry that differs from the file would make honest evidence look altered.
        Err(error) => {
            tracing::error!(%error, %session, "a recording has no end; the next gateway ends it and closes the session");
            gateway.sessions.remove(session);
            return;
        }
    };
    let anchor = Anchor { session, segments: at.0, chain: at.1.to_vec() };
    #[cfg(feature = "sabotage")]
    let ended =
        if sabotaged("credential") { Ended { note: crate::conformance::LEAKED.into(), ..ended } } else { ended };
    let Ended { reason, note } = ended;
    let (bytes, frozen) = (tap.bytes(), millis(frozen));
    let not_become = tap.why_not_become();
    let close = Close { session, reason, anchor, complete: true, bytes, note, frozen, exchanges, not_become };
    let forgets = matches!(reason, EndReason::Panic | EndReason::DialFail);
    if !(forgets && sabotaged("lease")) {
        tell(authority, session, &|| Call::Close(close.clone())).await;
    }
    drop(owing);
    authority.delist(session);
    gateway.sessions.remove(session);
}

/// Brings an entry of a session to control, however long that takes: while the ledger is down, again.
pub(super) async fn tell(authority: &dyn Authority, session: SessionId, entry: &(dyn Fn() -> Call + Sync)) {
    let give_up = Instant::now() + TELL;
    let mut wait = Duration::from_millis(500);
    while Instant::now() < give_up {
        match authority.call(entry(), TELL).await {
            Ok(Reply::Done(_)) => return,
            Ok(Reply::Denied(denial)) if matches!(denial.kind, Kind::Unavailable | Kind::Sealed) => {
                tracing::warn!(%denial, %session, "an entry of a session is not taken yet");
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(Duration::from_secs(30));
            }
            Ok(Reply::Denied(denial)) => return tracing::warn!(%denial, %session, "control does not know the session"),
            Ok(_) | Err(_) => break,
        }
    }
    tracing::error!(%session, "an entry of a session was not taken; its end is repeated by the next gateway");
}
