//! `drive` and `close`: connections in supervised tasks, raced with everything that may end a session.

mod clock;

use super::company::{Company, Knocking, Visit};
use super::door::Seat;
use super::freeze::Freezer;
use super::gateway::Gateway;
use super::live::{Ending, Live};
use super::open::Open;
use super::protocol::{DialError, Hold, Protocol};
use super::steer::{Marks, Steer};
use super::traced;
use crate::authority::{Authority, Order};
use crate::observe::live::Show;
use crate::sabotage::sabotaged;
use clock::Watch;
use sallyport_model::access::{Denial, EndReason};
use sallyport_model::authority::{Anchor, Call, Close, Reply};
use sallyport_model::{Kind, SessionId, WatchId};
use sallyport_recording::WhatRef;
use sallyport_recording::way::{THROUGH, VIA};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Span;

/// How long a relay may take to say goodbye before it is stopped.
const GOODBYE: Duration = Duration::from_millis(600);
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
                Knocking::Asks(question) => company.asks(question),
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
