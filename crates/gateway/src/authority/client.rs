//! The `Authority` over a connection that may break: one task keeps it, callers wait beside it.

use super::{Authority, Error, Order};
use crate::process;
use crate::transport::frame::{self, Frame};
use crate::transport::{Connect, Wire};
use sallyport_model::access::EndReason;
use sallyport_model::authority::{
    BEAT, Boxed, Call, Down, Figures, Hello, Pulse, RecordingKey, Reply, Up, VERSION, View, Welcome,
};
use sallyport_model::name::Label;
use sallyport_model::{CallId, Env, GatewayId, SessionId, WatchId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// Without a beat for so long a connection is taken for dead and replaced.
const DEAD: Duration = Duration::from_secs(4);
/// Without a beat for so long control counts as not heard: three in a row did not come.
const QUIET: Duration = Duration::from_millis(800);
/// While control is sealed its welcome is asked for again this often, to learn of its unsealing.
const SEALED: Duration = Duration::from_secs(2);
const VIEWS: usize = 256;
/// How often control is told how this gateway is, and how soon after it was joined.
const TELL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// A connection to control that mends itself.
pub struct Client {
    shared: Arc<Shared>,
    keeper: tokio::task::JoinHandle<()>,
}

struct Shared {
    env: Env,
    gateway: GatewayId,
    zone: Label,
    state: Mutex<State>,
    calls: mpsc::UnboundedSender<CallId>,
    views: mpsc::Sender<Frame>,
    welcome: watch::Sender<Option<Arc<Welcome>>>,
    hearing: watch::Sender<Pulse>,
}

struct State {
    pending: HashMap<CallId, Pending>,
    sessions: HashMap<SessionId, mpsc::UnboundedSender<Order>>,
    watches: HashMap<WatchId, SessionId>,
    /// When anything came from control last.
    reached: Instant,
    /// When control last said that it hears what is decided.
    heard: Instant,
}

struct Pending {
    frame: Arc<Frame>,
    reply: oneshot::Sender<Reply>,
}

impl Client {
    /// Begins to connect, as the gateway `gateway` of `zone`. Needs a runtime.
    #[must_use]
    pub fn start(env: Env, gateway: GatewayId, zone: Label, connect: Box<dyn Connect>) -> Self {
        let (calls, new_calls) = mpsc::unbounded_channel();
        let (views, new_views) = mpsc::channel(VIEWS);
        let state = State {
            pending: HashMap::new(),
            sessions: HashMap::new(),
            watches: HashMap::new(),
            reached: Instant::now(),
            heard: Instant::now(),
        };
        let welcome = watch::Sender::new(None);
        let (state, hearing) = (Mutex::new(state), watch::Sender::new(Pulse::Deaf));
        let shared = Arc::new(Shared { env, gateway, zone, state, calls, views, welcome, hearing });
        let keeper = tokio::spawn(keep(shared.clone(), connect, Outbox { calls: new_calls, views: new_views }));
        Self { shared, keeper }
    }

    /// The gateway that this client speaks for.
    #[must_use]
    pub fn gateway(&self) -> GatewayId {
        self.shared.gateway
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Authority for Client {
    fn call(&self, call: Call, patience: Duration) -> Boxed<'_, Result<Reply, Error>> {
        Box::pin(async move {
            let id = CallId::new(&self.shared.env);
            let frame = Arc::new(frame::seal(&Up::Call(id, call)).map_err(|_| Error::TooLarge)?);
            let (reply, answer) = oneshot::channel();
            self.shared.state().pending.insert(id, Pending { frame, reply });
            let forget = Forget { shared: &self.shared, id };
            let _ = self.shared.calls.send(id);
            let answer = tokio::time::timeout(patience, answer).await;
            drop(forget);
            answer.map_err(|_| Error::Silent)?.map_err(|_| Error::Silent)
        })
    }

    fn view(&self, view: View) -> bool {
        frame::seal(&Up::View(view)).is_ok_and(|frame| self.shared.views.try_send(frame).is_ok())
    }

    fn welcome(&self) -> watch::Receiver<Option<Arc<Welcome>>> {
        self.shared.welcome.subscribe()
    }

    fn enlist(&self, session: SessionId) -> mpsc::UnboundedReceiver<Order> {
        let (orders, receiver) = mpsc::unbounded_channel();
        self.shared.state().sessions.insert(session, orders);
        receiver
    }

    fn delist(&self, session: SessionId) {
        let mut state = self.shared.state();
        state.sessions.remove(&session);
        state.watches.retain(|_, watched| *watched != session);
    }

    fn silence(&self) -> Duration {
        self.shared.state().heard.elapsed()
    }

    fn hearing(&self) -> watch::Receiver<Pulse> {
        self.shared.hearing.subscribe()
    }

    fn away(&self) -> Duration {
        self.shared.state().reached.elapsed()
    }
}

/// Takes a call off the list, however its caller goes.
struct Forget<'a> {
    shared: &'a Shared,
    id: CallId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.state().pending.remove(&self.id);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hears(&self, pulse: Pulse) {
        if self.hearing.send_if_modified(|was| std::mem::replace(was, pulse) != pulse) {
            tracing::info!(control = pulse.word(), "What control is able to has changed");
        }
    }

    fn hear(&self, message: Down) -> Result<(), frame::Error> {
        let mut state = self.state();
        state.reached = Instant::now();
        match message {
            Down::Welcome(_) => return Err(frame::Error::Unexpected("a second Welcome")),
            Down::Beat => {
                state.heard = state.reached;
                self.hears(Pulse::Well);
            }
            Down::Deaf => self.hears(Pulse::Deaf),
            Down::Mute => self.hears(Pulse::Mute),
            Down::Full => self.hears(Pulse::Full),
            Down::Reply(id, reply) => {
                if let Some(pending) = state.pending.remove(&id) {
                    let _ = pending.reply.send(reply);
                }
            }
            Down::Revoke(session, why) => state.order(session, Order::End(EndReason::Revoke, why)),
            Down::Kill(session, why) => state.order(session, Order::End(EndReason::Kill, why)),
            Down::Steer(session, steering) => state.order(session, Order::Steer(steering)),
            Down::Watch(session, guest) => {
                state.watches.insert(guest.id, session);
                state.order(session, Order::Watch(guest));
            }
            Down::Unwatch(watch) => {
                if let Some(session) = state.watches.remove(&watch) {
                    state.order(session, Order::Unwatch(watch));
                }
            }
            Down::Seal => {
                drop(state);
                self.seals_to(None);
            }
            Down::RecordingKey(key) => {
                drop(state);
                self.seals_to(Some(key));
            }
        }
        Ok(())
    }

    /// How this gateway is.
    fn figures(&self) -> Figures {
        let sessions = u64::try_from(self.state().sessions.len()).unwrap_or(u64::MAX);
        Figures { sessions, ..process::own() }
    }

    /// Notes to which key new recordings are sealed. Orphans were named once and are not named again.
    fn seals_to(&self, recording_key: Option<RecordingKey>) {
        self.welcome.send_modify(|welcome| {
            if let Some(old) = welcome {
                *old = Arc::new(Welcome { recording_key, orphans: Vec::new(), ..Welcome::clone(old) });
            }
        });
    }
}

impl State {
    fn unwatch_all(&mut self) {
        for (watch, session) in std::mem::take(&mut self.watches) {
            self.order(session, Order::Unwatch(watch));
        }
    }

    fn order(&self, session: SessionId, order: Order) {
        if let Some(orders) = self.sessions.get(&session) {
            let _ = orders.send(order);
        }
    }
}

struct Outbox {
    calls: mpsc::UnboundedReceiver<CallId>,
    views: mpsc::Receiver<Frame>,
}

async fn keep(shared: Arc<Shared>, connect: Box<dyn Connect>, mut outbox: Outbox) {
    let mut wait = BACKOFF.0;
    loop {
        match connect.connect().await {
            Ok(wire) => match converse(&shared, wire, &mut outbox, &mut wait).await {
                Ok(()) => {
                    shared.state().unwatch_all();
                    tracing::debug!("the authority's connection is renewed");
                }
                Err(error) => {
                    // Whoever watched did so through this connection.
                    shared.state().unwatch_all();
                    shared.hears(Pulse::Deaf);
                    tracing::warn!(%error, "the authority's connection broke");
                }
            },
            Err(error) => tracing::debug!(%error, "the authority is not reached"),
        }
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(BACKOFF.1);
    }
}

async fn converse(shared: &Shared, wire: Wire, outbox: &mut Outbox, wait: &mut Duration) -> Result<(), frame::Error> {
    let (mut from, mut to) = tokio::io::split(wire);
    let welcome = tokio::time::timeout(DEAD, greet(shared, &mut from, &mut to)).await;
    let welcome = welcome.map_err(|_| frame::Error::Unexpected("no Welcome in time"))??;
    {
        let mut state = shared.state();
        state.reached = Instant::now();
        // A sealed control welcomes us and decides nothing.
        if welcome.recording_key.is_some() {
            state.heard = state.reached;
        } else {
            shared.hears(Pulse::Deaf);
        }
    }
    shared.welcome.send_replace(Some(Arc::new(welcome)));
    *wait = BACKOFF.0;
    while outbox.calls.try_recv().is_ok() {}
    // Ids grow with time: what was called first is repeated first.
    let mut unanswered: Vec<_> = shared.state().pending.iter().map(|(id, p)| (*id, p.frame.clone())).collect();
    unanswered.sort_unstable_by_key(|(id, _)| *id);
    for (_, frame) in unanswered {
        to.write_all(&frame).await?;
    }
    to.flush().await?;
    tokio::select! {
        read = listen(shared, &mut from) => read,
        written = speak(shared, &mut to, outbox) => written,
        renewed = watch_health(shared) => renewed,
    }
}

async fn greet(shared: &Shared, from: &mut ReadHalf<Wire>, to: &mut WriteHalf<Wire>) -> Result<Welcome, frame::Error> {
    let open = shared.state().sessions.keys().copied().collect();
    let hello = Hello { version: VERSION, gateway: shared.gateway, zone: shared.zone.clone(), open };
    frame::write(to, &Up::Hello(hello)).await?;
    match frame::read::<Down, _>(from).await? {
        Some(Down::Welcome(welcome)) if welcome.version == VERSION => Ok(welcome),
        Some(Down::Welcome(_)) => {
            Err(frame::Error::Unexpected("gateway and control speak different versions; upgrade the older one"))
        }
        Some(_) => Err(frame::Error::Unexpected("control says Welcome first")),
        None => Err(frame::Error::Unexpected("control closed the connection before its Welcome")),
    }
}

async fn listen(shared: &Shared, from: &mut ReadHalf<Wire>) -> Result<(), frame::Error> {
    loop {
        match frame::read::<Down, _>(from).await? {
            Some(message) => shared.hear(message)?,
            None => return Err(frame::Error::Unexpected("control closed the connection")),
        }
    }
}

async fn speak(shared: &Shared, to: &mut WriteHalf<Wire>, outbox: &mut Outbox) -> Result<(), frame::Error> {
    let mut told = interval_at(Instant::now() + TELL.1, TELL.0);
    told.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(id) = outbox.calls.recv() => {
                let frame = shared.state().pending.get(&id).map(|p| p.frame.clone());
                if let Some(frame) = frame {
                    to.write_all(&frame).await?;
                }
            }
            Some(view) = outbox.views.recv() => to.write_all(&view).await?,
            _ = told.tick() => frame::write(to, &Up::Figures(shared.figures())).await?,
        }
        to.flush().await?;
    }
}

/// Returns when the connection should be replaced: it is dead, or control was sealed for a while.
async fn watch_health(shared: &Shared) -> Result<(), frame::Error> {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(BEAT).await;
        let away = shared.state().reached.elapsed();
        if away > DEAD {
            return Err(frame::Error::Unexpected("control's beat stopped"));
        }
        if away > QUIET {
            shared.hears(Pulse::Deaf);
        }
        let sealed = shared.welcome.borrow().as_ref().is_some_and(|w| w.recording_key.is_none());
        if sealed && begun.elapsed() > SEALED {
            return Ok(());
        }
    }
}
