//! `relay`: the client's channels, each in a task of its own, over connections to the target that they share.

mod agent;
mod begin;
mod channel;
mod errands;
mod face;
mod files;
mod forward;
mod pool;
mod typing;

use crate::dial::Upstream;
use crate::files::Gate;
use crate::start::{self, Started};
use crate::{Client, config};
use channel::Outcome;
use errands::Errands;
use pool::{Born, Pool};
use sallyport_gateway::spine::{Errand, Live};
use sallyport_model::Env;
use sallyport_model::access::{Channel as Kind, EndReason};
use sallyport_model::way::Exchange;
use sallyport_ssh_transport::Random;
use sallyport_ssh_transport::link::{Arrival, Global, Link, Opening, code};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{RwLock, mpsc};
use tokio::task::{JoinError, JoinSet};

/// Questions about the whole connection that wait for their answers, and the longest one. What is more is answered with no.
const QUESTIONS: usize = 256;
const QUESTION: usize = 4 << 10;
/// How long channels may take to say goodbye when the session is ended from outside.
const CHANNELS_END: Duration = Duration::from_millis(300);
/// How long a client may take to leave after its channels have ended.
const FLUSH: Duration = Duration::from_millis(200);
/// How long after its connection it may be heard of a jump host that it went.
const LOST: Duration = Duration::from_millis(500);
/// How long it may take until it is told to, and has left.
const DISCONNECT: Duration = Duration::from_millis(80);

/// What the tasks of one relay share.
struct Session {
    live: Live,
    pool: Pool,
    errands: Errands,
    /// The client's connection, for what the target begins.
    client: Option<Link>,
    granted: Mutex<Granted>,
    /// Written while the target is asked to listen.
    listening: RwLock<()>,
    no_more: AtomicBool,
    random: Random,
}

impl Session {
    /// With what comes of its connections, and the channels that its errands begin.
    fn begin(
        client: &Client,
        upstream: Upstream,
        env: Env,
        live: &Live,
    ) -> (Arc<Self>, UnboundedReceiver<Born>, UnboundedReceiver<Started>) {
        let random = config::random(&env);
        let (pool, born) = Pool::new(upstream, env);
        let (errands, begun) = Errands::new(Gate::of(live.clearance().permit().terms()), random.clone());
        if let Some(connected) = &client.connected {
            let algorithms = connected.agreed.clone();
            live.clearance().agreed(Exchange { leg: "client".into(), algorithms, exceptions: Vec::new() });
        }
        let session = Self {
            live: live.clone(),
            pool,
            errands,
            random,
            client: client.connected.as_ref().map(|connected| connected.link.clone()),
            granted: Mutex::default(),
            listening: RwLock::default(),
            no_more: AtomicBool::new(false),
        };
        (Arc::new(session), born, begun)
    }
}

/// What the target may begin, because the client asked for it and was permitted.
#[derive(Default)]
struct Granted {
    x11: bool,
    agent: bool,
    /// Listeners on the target's side, by what names them there, with their number in the recording.
    listeners: HashMap<String, u32>,
}

/// Carries a client's channels until it leaves or the session ends.
pub(crate) async fn relay(mut client: Client, upstream: Upstream, env: Env, live: Live) -> (EndReason, String) {
    let mut wanted = client.errands.take();
    let (session, mut born, mut begun) = Session::begin(&client, upstream, env, &live);
    let link = session.client.clone();
    let mut channels: JoinSet<Outcome> = JoinSet::new();
    // Beside the channels: what the target begins, and what is asked of the whole connection.
    let mut beside: JoinSet<()> = JoinSet::new();
    let (questions, asked) = mpsc::channel::<Global>(QUESTIONS);
    beside.spawn(forward::questions(asked, session.clone()));
    // Jump hosts under the connections: a session does not outlive one.
    let mut hops: JoinSet<Option<String>> = JoinSet::new();
    let mut ended = live.clone();
    let mut by_target = false;
    if let Some(started) = client.started.take() {
        channels.spawn(channel::carry(started, session.clone()));
    }
    let (mut reason, text) = loop {
        tokio::select! {
            arrival = client.next() => match arrival {
                Some(Arrival::Open(opening)) => {
                    channels.spawn(serve(opening, session.clone()));
                }
                Some(Arrival::Global(global)) if global.data.len() > QUESTION => drop(global),
                Some(Arrival::Global(global)) => drop(questions.try_send(global)),
                None => break match link.as_ref().and_then(Link::violation) {
                    Some(why) => (EndReason::Violation, why),
                    None => (EndReason::ClientClose, String::new()),
                },
            },
            Some(errand) = next(&mut wanted) => {
                channels.spawn(errands::run(errand, session.clone()));
            }
            Some(started) = begun.recv() => {
                channels.spawn(errands::carry(started, session.clone()));
            }
            Some((arrivals, lost)) = born.recv() => {
                beside.spawn(forward::begun(arrivals, session.clone()));
                hops.spawn(first_lost(lost));
            }
            Some(Ok(Some(lost))) = hops.join_next(), if !hops.is_empty() => {
                live.announce(&lost);
                break (EndReason::TargetClose, lost);
            }
            Some(done) = channels.join_next(), if !channels.is_empty() => match outcome(done) {
                Outcome::Beside => {}
                Outcome::ByClient | Outcome::Refused(_) => by_target = false,
                Outcome::ByTarget => by_target = true,
                Outcome::Stopped(reason, text) => break (reason, text),
            },
            Some(Err(error)) = beside.join_next(), if !beside.is_empty() => drop(outcome(Err(error))),
            ending = ended.ended() => break (ending.reason, ending.text),
        }
    };
    drop(questions);
    session.errands.end();
    beside.abort_all();
    // Channels often end in the same moment as the connection: theirs is the better reason.
    let all = async {
        while let Some(done) = channels.join_next().await {
            match outcome(done) {
                Outcome::Stopped(why, _) if reason == EndReason::ClientClose => reason = why,
                Outcome::ByTarget => by_target = true,
                Outcome::ByClient | Outcome::Refused(_) | Outcome::Beside | Outcome::Stopped(..) => {}
            }
        }
    };
    if tokio::time::timeout(CHANNELS_END, all).await.is_err() {
        channels.shutdown().await;
    }
    let _ = tokio::time::timeout(CHANNELS_END, live.agents_left()).await;
    if reason == EndReason::ClientClose && by_target {
        reason = EndReason::TargetClose;
    }
    // A client whose channels were closed with a jump host may have left before that one was heard of.
    let gone = reason == EndReason::TargetClose && session.pool.first().is_none();
    let lost = if gone { tokio::time::timeout(LOST, hops.join_next()).await.ok().flatten() } else { None };
    let lost = lost.and_then(Result::ok).flatten().unwrap_or_default();
    let text = if text.is_empty() { lost } else { text };
    goodbye(&mut client, &text, FLUSH).await;
    let note = if reason == EndReason::TargetClose { text } else { String::new() };
    (reason, note)
}

/// How the first jump host of a connection went that we did not leave.
async fn first_lost(mut lost: JoinSet<Option<String>>) -> Option<String> {
    while let Some(one) = lost.join_next().await {
        if let Ok(Some(how)) = one {
            return Some(how);
        }
    }
    None
}

/// The next errand; where none can come, nothing, ever.
async fn next(errands: &mut Option<mpsc::Receiver<Errand>>) -> Option<Errand> {
    match errands {
        Some(errands) => errands.recv().await,
        None => std::future::pending().await,
    }
}

/// One channel that the client wants.
async fn serve(opening: Opening, session: Arc<Session>) -> Outcome {
    match opening.kind.as_str() {
        "session" if session.no_more.load(Ordering::Relaxed) => {
            opening.refuse(code::PROHIBITED, "this client said that it opens no more sessions");
            Outcome::Beside
        }
        "session" => {
            let Some(channel) = opening.accept() else { return Outcome::ByClient };
            match start::start(channel).await {
                Some(started) => {
                    let stand_ins = session.errands.stand_ins();
                    channel::carry(Started { stand_ins, ..started }, session).await
                }
                None => Outcome::ByClient,
            }
        }
        "direct-tcpip" => forward::direct(opening, Kind::ForwardLocal, &session).await,
        "direct-streamlocal@openssh.com" => forward::direct(opening, Kind::ForwardSocket, &session).await,
        other => {
            let why = "this kind of channel is not carried";
            session.live.refuse(Kind::Stream, other, why).await;
            opening.refuse(code::UNKNOWN, why);
            Outcome::Beside
        }
    }
}

/// A panic in a channel's task is the session's.
fn outcome(done: Result<Outcome, JoinError>) -> Outcome {
    match done {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Outcome::Beside,
        },
    }
}

/// Lets the client leave by itself for a while, because one that is disconnected forgets its exit code;
/// then disconnects it. The socket is cut when the client is dropped.
pub(crate) async fn goodbye(client: &mut Client, text: &str, leave: Duration) {
    let text = if text.is_empty() { "the session has ended" } else { text };
    if tokio::time::timeout(leave, gone(client)).await.is_err() {
        match &mut client.connected {
            Some(connected) => {
                // RFC 4253 section 11.1: by application. It is said once the driver has ended.
                connected.link.disconnect(11, text);
                let _ = tokio::time::timeout(DISCONNECT, &mut connected.driver).await;
            }
            None => drop(tokio::time::timeout(DISCONNECT, gone(client)).await),
        }
    }
}

async fn gone(client: &mut Client) {
    while client.next().await.is_some() {}
}
