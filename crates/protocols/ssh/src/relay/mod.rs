//! `relay`: the client's channels, each in a task of its own with a connection to the target of its own.

mod channel;

use crate::dial::{self, Upstream};
use crate::events::{Arrival, not_yet};
use crate::meter::Share;
use crate::{Client, DIAL, start};
use channel::Outcome;
use russh::Disconnect;
use sallyport_gateway::spine::{DialError, Live};
use sallyport_model::access::{Channel as Kind, EndReason};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::task::AbortOnDropHandle;

/// How long channels may take to say goodbye when the session is ended from outside.
const CHANNELS_END: Duration = Duration::from_millis(300);
/// How long a client may take to leave after its channels have ended.
const FLUSH: Duration = Duration::from_millis(200);
/// How long it may take to leave when it is told to.
const DISCONNECT: Duration = Duration::from_millis(80);

/// Carries a client's channels until it leaves or the session ends.
pub(crate) async fn relay(mut client: Client, upstream: Upstream, live: Live) -> EndReason {
    let mut ready = Some(upstream);
    let mut channels: JoinSet<Outcome> = JoinSet::new();
    let mut ended = live.clone();
    let mut by_target = false;
    // Beside the loop: control may be slow to hear of a refusal. The shares bound what waits here.
    let (refused, refusals) = mpsc::unbounded_channel();
    let refusing = AbortOnDropHandle::new(tokio::spawn(tell_refusals(live.clone(), refusals)));
    if let Some(started) = client.started.take() {
        channels.spawn(channel::carry(started, ready.take(), live.clone()));
    }
    let (mut reason, text) = loop {
        tokio::select! {
            arrival = client.arrivals.recv() => match arrival {
                Some(Arrival::Channel(channel, share)) => if let Some(handle) = client.handle.clone() {
                    let (live, ready) = (live.clone(), ready.take());
                    channels.spawn(async move {
                        match start::start(channel, share, handle).await {
                            Some(started) => channel::carry(started, ready, live).await,
                            None => Outcome::ByClient,
                        }
                    });
                },
                Some(Arrival::Refused(kind, detail, share)) => {
                    live.announce(&not_yet(kind));
                    let _ = refused.send((kind, detail, share));
                }
                // The client's leg ends itself when its meter is over the hard bound.
                None if client.meter.over() => {
                    break (EndReason::Violation, "the client sends more than its windows allow".into());
                }
                None => break (EndReason::ClientClose, String::new()),
            },
            Some(done) = channels.join_next(), if !channels.is_empty() => match outcome(done) {
                Outcome::ByClient => by_target = false,
                Outcome::ByTarget => by_target = true,
                Outcome::Stopped(reason, text) => break (reason, text),
            },
            ending = ended.ended() => break (ending.reason, ending.text),
        }
    };
    drop(refused);
    // Channels often end in the same moment as the connection: theirs is the better reason.
    let all = async {
        while let Some(done) = channels.join_next().await {
            match outcome(done) {
                Outcome::Stopped(why, _) if reason == EndReason::ClientClose => reason = why,
                Outcome::ByTarget => by_target = true,
                Outcome::ByClient | Outcome::Stopped(..) => {}
            }
        }
        let _ = refusing.await;
    };
    if tokio::time::timeout(CHANNELS_END, all).await.is_err() {
        channels.shutdown().await;
    }
    if reason == EndReason::ClientClose && by_target {
        reason = EndReason::TargetClose;
    }
    goodbye(&mut client, &text, FLUSH).await;
    reason
}

/// Writes what was refused into the recording and, the first of each kind, into the ledger.
async fn tell_refusals(live: Live, mut refusals: mpsc::UnboundedReceiver<(Kind, String, Arc<Share>)>) {
    while let Some((kind, detail, share)) = refusals.recv().await {
        live.refuse(kind, &detail, &not_yet(kind)).await;
        share.sub(detail.len());
    }
}

/// A panic in a channel's task is the session's.
fn outcome(done: Result<Outcome, JoinError>) -> Outcome {
    match done {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Outcome::ByClient,
        },
    }
}

/// Lets the client leave by itself for a while, because one that is disconnected forgets its exit code;
/// then disconnects it, and cuts the socket if it does not go.
pub(crate) async fn goodbye(client: &mut Client, text: &str, leave: Duration) {
    let text = if text.is_empty() { "the session has ended" } else { text };
    if tokio::time::timeout(leave, gone(client)).await.is_err() {
        let polite = async {
            if let Some(handle) = &client.handle {
                let _ = handle.disconnect(Disconnect::ByApplication, text.to_owned(), String::new()).await;
            }
            gone(client).await;
        };
        let _ = tokio::time::timeout(DISCONNECT, polite).await;
    }
    client.meter.cut();
}

async fn gone(client: &mut Client) {
    while client.arrivals.recv().await.is_some() {}
}

/// A connection for one more channel.
async fn connect(live: &Live) -> Result<Upstream, DialError> {
    let slow = || {
        DialError::new(
            sallyport_model::Kind::Unavailable,
            "the target's SSH server did not let us in within 20 seconds",
        )
    };
    tokio::time::timeout(DIAL, dial::dial(live.clearance())).await.map_err(|_| slow())?
}
