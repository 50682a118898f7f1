//! What is live: gateways, sessions, watchers, spendable authentications. Memory only; the session
//! documents are the truth.

use crate::control::{Open, in_session, put};
use crate::directory::{all, kinds, load, parse};
use crate::found::Found;
use crate::identity::{Spendable, Waiting};
use crate::{Control, Error, Op};
use sallyport_model::access::Terms;
use sallyport_model::authority::{Down, DownSink, View};
use sallyport_model::company::{Guest, Part};
use sallyport_model::inventory::{Identity, Logon, Rest};
use sallyport_model::rules::RuleSet;
use sallyport_model::steering::Steering;
use sallyport_model::{AccountId, Handle, IdentityId, Limits, TargetId};
use sallyport_model::{AuthId, GatewayId, LoginId, RecordingId, SessionId, Timestamp, WatchId};
use sallyport_policy::{Facts, Right};
use sallyport_store::{Change, DocId, Document, Draft};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Failed sign-ins per source that are ledgered singly within a minute.
const FAILURE_BUDGET: u32 = 5;
/// Within this time one person's reads of one recording are one playing: of its output, its marks.
const PLAYING: Duration = Duration::from_secs(60);
/// Authentications that are remembered at most.
const SPENDABLE: usize = 100_000;
/// How long it is remembered which login an exchange of keys served, while there is room; a minute at least.
const EXCHANGE: Duration = Duration::from_secs(24 * 3600);
/// How long a sign-in at a gateway waits for its second factor.
const FACTOR: Duration = Duration::from_secs(120);

/// An open session, as a document. Deleted at its end: the ledger holds the history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionBody {
    pub(crate) id: SessionId,
    pub(crate) identity: IdentityId,
    pub(crate) handle: Handle,
    pub(crate) target: TargetId,
    pub(crate) account: AccountId,
    pub(crate) address: String,
    pub(crate) protocol: String,
    pub(crate) gateway: GatewayId,
    pub(crate) recording: RecordingId,
    pub(crate) key: String,
    pub(crate) from: IpAddr,
    pub(crate) reason: String,
    pub(crate) limits: Limits,
    pub(crate) policy: String,
    pub(crate) determining: Vec<String>,
    pub(crate) opened: Timestamp,
    /// Demands that were met when it was permitted; they stay met for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) met: BTreeSet<String>,
    /// What its sign-in had shown.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) factors: BTreeSet<String>,
    /// That it must end. From then on it opens no channel and uses no credential; its gateway is told
    /// at once, or when it is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ending: Option<Ending>,
    /// The rule sets that its limits name, as they were when it was permitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<RuleSet>,
    /// The node that its gateway is connected to.
    #[serde(default)]
    pub(crate) node: String,
    /// The account that was logged in at, where that is another one: its way stays the one that it began by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) logon: Option<Logon>,
    /// What staff want of it.
    #[serde(default, skip_serializing_if = "Steering::is_new")]
    pub(crate) steering: Steering,
    /// Who is with it beside its user, as its gateway says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) guests: Vec<Guest>,
    /// Whether it waits for an observer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) waits: bool,
    /// The jump hosts that it goes over, the outermost first, with the account on each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hops: Vec<(TargetId, AccountId)>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// Why a session must end, and what its client is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Somebody with the right to said so.
    Killed(String),
    /// The right to it was taken back.
    Revoked(String),
}

impl SessionBody {
    /// What its gateway must be told.
    pub(crate) fn orders(&self) -> impl Iterator<Item = Down> + use<> {
        let id = self.id;
        let ending = self.ending.clone().map(|ending| match ending {
            Ending::Killed(said) => Down::Kill(id, said),
            Ending::Revoked(why) => Down::Revoke(id, why),
        });
        let steering = (!self.steering.is_new()).then(|| Down::Steer(id, self.steering.clone()));
        ending.into_iter().chain(steering)
    }

    /// What is known when it is asked anew whether something in it is permitted.
    pub(crate) fn facts<'a>(&'a self, found: &'a Found, who: &'a Identity, now: Timestamp) -> Facts<'a> {
        let mut facts = found.facts(who, now, self.from, &self.reason);
        facts.met.clone_from(&self.met);
        facts.factors.clone_from(&self.factors);
        facts
    }

    /// The terms that were permitted, for a place that was looked up anew.
    pub(crate) fn terms(&self, place: sallyport_model::inventory::Place, entry: u64) -> Terms {
        let place = if self.limits.post_quantum.target() { place.post_quantum() } else { place };
        Terms {
            identity: self.identity,
            handle: self.handle.clone(),
            place,
            limits: self.limits.clone(),
            policy: self.policy.clone(),
            determining: self.determining.clone(),
            entry,
            rules: self.rules.clone(),
        }
    }
}

/// A view of a live session.
pub struct Watching {
    /// The watch, to be ended.
    pub id: WatchId,
    /// Events in the recording's encoding.
    pub views: mpsc::Receiver<View>,
}

#[derive(Default)]
struct Inner {
    gateways: HashMap<GatewayId, DownSink>,
    sessions: HashMap<SessionId, GatewayId>,
    /// Sessions whose first entry is on its way: nobody knows yet whether they begin.
    opening: HashMap<SessionId, GatewayId>,
    watchers: HashMap<WatchId, (SessionId, mpsc::Sender<View>)>,
    auths: HashMap<AuthId, Spendable>,
    /// Sign-ins that wait for a second factor, with the instant after which they wait no more.
    waiting: HashMap<LoginId, (Timestamp, Arc<Waiting>)>,
    /// Exchanges of keys that somebody has signed for, with the login that it was for.
    exchanges: HashMap<Vec<u8>, (LoginId, Timestamp)>,
    failures: HashMap<IpAddr, (Timestamp, u32)>,
    /// Who has played what lately.
    plays: HashMap<(String, SessionId), Timestamp>,
}

/// The registry of what is live.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<Mutex<Inner>>);

/// A session whose first entry is on its way.
pub(crate) struct Opening {
    live: Live,
    session: SessionId,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.live.lock().opening.remove(&self.session);
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn gateways(&self) -> usize {
        self.lock().gateways.len()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    pub(crate) fn join(&self, gateway: GatewayId, sessions: &[SessionId], down: DownSink) {
        let mut inner = self.lock();
        inner.gateways.insert(gateway, down);
        inner.sessions.extend(sessions.iter().map(|session| (*session, gateway)));
    }

    pub(crate) fn leave(&self, gateway: GatewayId) {
        let mut inner = self.lock();
        let Inner { gateways, sessions, watchers, .. } = &mut *inner;
        gateways.remove(&gateway);
        watchers.retain(|_, (session, _)| sessions.get(session) != Some(&gateway));
    }

    pub(crate) fn connected(&self, gateway: GatewayId) -> bool {
        self.lock().gateways.contains_key(&gateway)
    }

    /// Notes that a session's first entry is on its way, until the guard goes.
    pub(crate) fn opening(&self, session: SessionId, gateway: GatewayId) -> Opening {
        self.lock().opening.insert(session, gateway);
        Opening { live: self.clone(), session }
    }

    /// Whether nobody knows yet if this session begins. To be asked before its document is looked for.
    pub(crate) fn is_opening(&self, session: SessionId) -> bool {
        self.lock().opening.contains_key(&session)
    }

    /// Whether a session may yet begin of a gateway that has left.
    pub(crate) fn opens_for_nobody(&self) -> bool {
        let inner = self.lock();
        inner.opening.values().any(|gateway| !inner.gateways.contains_key(gateway))
    }

    pub(crate) fn began(&self, session: SessionId, gateway: GatewayId) {
        self.lock().sessions.insert(session, gateway);
    }

    /// Forgets a session. Its watchers still wait for their last view: calls may overtake views.
    pub(crate) fn ended(&self, session: SessionId) {
        self.lock().sessions.remove(&session);
    }

    /// Lets go of watchers whose last view did not come.
    pub(crate) fn release(&self, session: SessionId) {
        self.lock().watchers.retain(|_, (watched, _)| *watched != session);
    }

    /// Sends a message to the gateway of a session; false where none is connected.
    pub(crate) fn send(&self, session: SessionId, message: Down) -> bool {
        let sink = {
            let inner = self.lock();
            inner.sessions.get(&session).and_then(|gateway| inner.gateways.get(gateway)).cloned()
        };
        sink.is_some_and(|sink| sink(message))
    }

    /// Takes in a session's document: what it says of its end, and of what staff want, its gateway is told.
    pub(crate) fn follow(&self, document: &Document) {
        let Some(session) = parse::<SessionBody>(document) else { return };
        for order in session.orders() {
            self.send(session.id, order);
        }
    }

    /// Tells every gateway.
    pub(crate) fn broadcast(&self, message: impl Fn() -> Down) {
        let sinks: Vec<DownSink> = self.lock().gateways.values().cloned().collect();
        for sink in sinks {
            sink(message());
        }
    }

    pub(crate) fn watch(&self, session: SessionId, watch: WatchId) -> mpsc::Receiver<View> {
        let (views, receiver) = mpsc::channel(256);
        self.lock().watchers.insert(watch, (session, views));
        receiver
    }

    pub(crate) fn unwatch(&self, watch: WatchId) {
        let found = self.lock().watchers.remove(&watch);
        if let Some((session, _)) = found {
            self.send(session, Down::Unwatch(watch));
        }
    }

    /// Passes a view on. A watcher that does not keep up is dropped, never waited for.
    pub(crate) fn view(&self, gateway: GatewayId, view: View) {
        let watch = view.watch;
        let last = view.last;
        let sender = self.lock().watchers.get(&watch).map(|(_, sender)| sender.clone());
        if sender.is_none() && !last {
            // Of an earlier control, or given up: nobody takes it any more.
            let sink = self.lock().gateways.get(&gateway).cloned();
            sink.map(|sink| sink(Down::Unwatch(watch)));
            return;
        }
        let kept = sender.is_some_and(|sender| sender.try_send(view).is_ok());
        if last || !kept {
            self.unwatch(watch);
        }
    }

    /// Whether a proof for this exchange of keys serves this login: a proof is one connection's, and serves no second.
    pub(crate) fn first_login(&self, exchange: &[u8], login: LoginId, now: Timestamp) -> bool {
        let mut inner = self.lock();
        for age in [EXCHANGE, Duration::from_secs(60)] {
            if inner.exchanges.len() >= SPENDABLE {
                inner.exchanges.retain(|_, (_, at)| now.since(*at) < age);
            }
        }
        inner.exchanges.entry(exchange.to_vec()).or_insert((login, now)).0 == login
    }

    pub(crate) fn remember(&self, auth: AuthId, spendable: Spendable, now: Timestamp) {
        let mut inner = self.lock();
        if inner.auths.len() >= SPENDABLE {
            inner.auths.retain(|_, s| s.expires > now);
        }
        inner.auths.insert(auth, spendable);
    }

    /// Remembers a sign-in that waits for its second factor.
    pub(crate) fn wait_for_factor(&self, login: LoginId, waiting: Waiting, now: Timestamp) {
        let mut inner = self.lock();
        inner.waiting.retain(|_, (until, _)| *until > now);
        if inner.waiting.len() < SPENDABLE {
            inner.waiting.insert(login, (now.plus(FACTOR), Arc::new(waiting)));
        }
    }

    /// The sign-in that waits here; it goes on waiting, because a code may be mistyped.
    pub(crate) fn waits_for_factor(&self, login: LoginId, gateway: GatewayId, now: Timestamp) -> Option<Arc<Waiting>> {
        let inner = self.lock();
        let (until, waiting) = inner.waiting.get(&login)?;
        (*until > now && waiting.gateway == gateway).then(|| waiting.clone())
    }

    pub(crate) fn spendable(&self, auth: AuthId, gateway: GatewayId, now: Timestamp) -> Option<Spendable> {
        self.lock().auths.get(&auth).filter(|s| s.gateway == gateway && s.expires > now).cloned()
    }

    /// Whether it was just written down that somebody plays a recording.
    pub(crate) fn is_played(&self, op: &Op, session: SessionId, now: Timestamp) -> bool {
        let key = (op.actor.to_string(), session);
        self.lock().plays.get(&key).is_some_and(|at| now.since(*at) < PLAYING)
    }

    /// Notes that it was written down.
    pub(crate) fn played(&self, op: &Op, session: SessionId, now: Timestamp) {
        let mut inner = self.lock();
        inner.plays.retain(|_, at| now.since(*at) < PLAYING);
        inner.plays.insert((op.actor.to_string(), session), now);
    }

    /// Whether a failure is to be ledgered, and how many before it were not.
    pub(crate) fn failure(&self, from: IpAddr, now: Timestamp) -> Option<u32> {
        let mut inner = self.lock();
        if inner.failures.len() > 10_000 {
            inner.failures.retain(|_, (since, _)| now.since(*since) < Duration::from_secs(60));
        }
        let (since, count) = inner.failures.entry(from).or_insert((now, 0));
        if now.since(*since) >= Duration::from_secs(60) {
            let unlisted = count.saturating_sub(FAILURE_BUDGET);
            (*since, *count) = (now, 1);
            return Some(unlisted);
        }
        *count = count.saturating_add(1);
        (*count <= FAILURE_BUDGET).then_some(0)
    }
}

/// How many live sessions staff have paused, or wait for an observer.
pub(crate) fn held(open: &Open) -> usize {
    let sessions = all::<SessionBody>(&open.store, kinds::SESSION);
    sessions.iter().filter(|(_, session)| session.value.steering.paused.is_some() || session.value.waits).count()
}

/// The part of a session that says whether it waits for an observer: all of them are looked through often.
#[derive(Deserialize)]
struct Waits {
    #[serde(default)]
    waits: bool,
}

/// How many live sessions wait for an observer.
pub(crate) fn waiting(open: &Open) -> usize {
    all::<Waits>(&open.store, kinds::SESSION).iter().filter(|(_, session)| session.value.waits).count()
}

fn not_live(session: SessionId) -> Error {
    Error::NotFound(format!("session {session} is not live: `sallyport sessions` lists what is"))
}

impl Control {
    /// Ends a live session. When this returns the end is durable: the gateway is told at once where it is
    /// connected and otherwise as soon as it is, and without it the session ends within its grace.
    ///
    /// # Errors
    /// When the actor lacks the right or the session is not live.
    pub async fn kill(&self, op: &Op, session: SessionId, reason: &str) -> Result<(), Error> {
        self.require(op, Right::SessionKill)?;
        let said = if reason.is_empty() {
            format!("ended by {}", op.actor)
        } else {
            format!("ended by {}: {reason}", op.actor)
        };
        let draft = self.draft(&op.actor, "session.killed", session, &[("reason", reason)]);
        self.order_end(&*self.opened()?, session, Ending::Killed(said), draft).await
    }

    /// Writes into a session's document that it must end.
    pub(crate) async fn order_end(
        &self,
        open: &Open,
        session: SessionId,
        ending: Ending,
        draft: Draft,
    ) -> Result<(), Error> {
        self.amend(open, session, |body| {
            body.ending = Some(ending.clone());
            Ok(draft.clone())
        })
        .await
        .map(drop)
    }

    /// Changes a live session's document, with the entry that says so. Whoever follows the documents tells its gateway, on
    /// whatever node that is. Gives the entry's index; a repeated change has the same.
    pub(crate) async fn amend(
        &self,
        open: &Open,
        session: SessionId,
        change: impl Fn(&mut SessionBody) -> Result<Draft, Error>,
    ) -> Result<u64, Error> {
        let id = DocId::new(session);
        loop {
            let known = load::<SessionBody>(&open.store, &id, kinds::SESSION).ok_or_else(|| not_live(session))?;
            let mut body = known.value;
            let draft = change(&mut body)?;
            let put = put(session, known.version, kinds::SESSION, &body)?;
            match open.store.commit(Change::entry(in_session(draft, session)).put(put).repeatable()).await {
                Ok(committed) => return Ok(committed.index),
                // It ended in this moment, or somebody else changes it too: look again.
                Err(sallyport_store::Error::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Looks over the shoulder of a live session.
    ///
    /// # Errors
    /// When the actor lacks the right or the session is not live.
    pub async fn watch(&self, op: &Op, session: SessionId) -> Result<Watching, Error> {
        self.require(op, Right::SessionWatch)?;
        let known = self.live_session(session)?;
        if self.elsewhere(&known) {
            return self.watch_elsewhere(op, &known).await;
        }
        let own = self.acting(op)?;
        let draft = self.draft(&op.actor, "session.watched", session, &[]);
        self.opened()?.store.commit(Change::entry(in_session(draft, session))).await?;
        let id = WatchId::new(&self.env);
        let views = self.live.watch(session, id);
        let guest = Guest { id, identity: own.id, handle: own.handle, part: Part::Observer };
        if !self.live.send(session, Down::Watch(session, guest)) {
            self.live.unwatch(id);
            return Err(Error::failed("the gateway of this session is not connected"));
        }
        Ok(Watching { id, views })
    }

    /// Stops looking.
    pub fn unwatch(&self, watch: WatchId) {
        self.live.unwatch(watch);
    }

    pub(crate) fn live_session(&self, session: SessionId) -> Result<SessionBody, Error> {
        let open = self.opened()?;
        let found = load::<SessionBody>(&open.store, &DocId::new(session), kinds::SESSION);
        found.map(|found| found.value).ok_or_else(|| not_live(session))
    }
}
