//! A reference `Desk` in memory: it decides by simple tables and keeps every entry for the suite to read.

mod answers;

use sallyport_model::access::{Channel, Denial, LeaseKind};
use sallyport_model::authority::{
    AuthStep, Authenticated, Boxed, Call, Certified, Close, Desk, Down, DownSink, Evidence, Figures, Hello, Orphan,
    Pulse, RecordingKey, Reply, SshProof, VERSION, View, Welcome, decode, encode,
};
use sallyport_model::company::{Guest, Part};
use sallyport_model::inventory::{By, HostKey, Platform, SessionKey};
use sallyport_model::sealed::PrivateKey;
use sallyport_model::steering::Steering;
use sallyport_model::way::{Accepts, Hop};
use sallyport_model::{
    AccountName, AuthId, CallId, ClusterId, Env, GatewayId, Handle, IdentityId, Limits, RecordingId, SessionId,
    TargetName, WatchId,
};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Signs a challenge and gives an SSH signature blob.
pub type Sign = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Whether somebody with this key has made this proof.
pub type Verify = Arc<dyn Fn(&str, &SshProof) -> bool + Send + Sync>;

/// Makes a certificate for an exchange of keys with this identifier.
pub type Certify = Arc<dyn Fn(&[u8]) -> Certified + Send + Sync>;

/// A credential that the desk lends.
#[derive(Clone)]
pub enum Credential {
    /// A password.
    Password(String),
    /// An OpenSSH public key and what signs with it.
    Key(String, Sign),
    /// What makes certificates.
    Certificate(Certify),
}

/// A target that the desk knows.
#[derive(Clone)]
pub struct Target {
    /// Where it is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The account's name there, where it is not the one that is asked for.
    pub login: Option<AccountName>,
    /// Its pinned host keys.
    pub host_keys: Vec<HostKey>,
    /// What opens its account.
    pub credential: Credential,
    /// What bounds its sessions.
    pub limits: Limits,
    /// The rule sets that they name.
    pub rules: Vec<sallyport_model::rules::RuleSet>,
    /// Seconds of grace.
    pub grace: u32,
    /// Seconds between anchors.
    pub anchor: u32,
    /// Whether its sessions freeze while control is not heard.
    pub freezes: bool,
    /// What sort of system it is.
    pub platform: Platform,
    /// What the account that is logged in at becomes, where the sessions are of another one.
    pub becomes: Option<Becomes>,
    /// Jump hosts on the way, the outermost first, each by its name.
    pub hops: Vec<(TargetName, Target)>,
    /// What else it may show and speak.
    pub accepts: Accepts,
}

/// An account that another one becomes.
#[derive(Clone)]
pub struct Becomes {
    /// Its name.
    pub account: AccountName,
    /// By what.
    pub by: By,
    /// What is answered where that asks.
    pub password: Option<String>,
}

impl Credential {
    fn lease(&self) -> LeaseKind {
        match self {
            Self::Password(_) => LeaseKind::Password,
            Self::Key(public, _) => LeaseKind::SshKey(public.clone()),
            Self::Certificate(_) => LeaseKind::SshCertificate,
        }
    }
}

impl Target {
    fn as_hop(&self, name: &TargetName, asked: &AccountName) -> Hop {
        Hop {
            target: name.clone(),
            host: self.host.clone(),
            port: self.port,
            account: self.login.clone().unwrap_or_else(|| asked.clone()),
            host_keys: self.host_keys.clone(),
            lease: self.credential.lease(),
            accepts: self.accepts.clone(),
        }
    }
}

/// An entry that the desk wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What happened, such as `session.opened`.
    pub action: &'static str,
    /// The session, where there is one.
    pub session: Option<SessionId>,
    /// Everything else.
    pub text: String,
}

/// Ada's password, and the code that goes with it.
pub const PASSWORD_TYPED: &[u8] = b"correct horse";
/// The code.
pub const CODE: &[u8] = b"123456";
/// The account that is denied whatever the target.
pub const DENIED_ACCOUNT: &str = "denied";
/// The account that needs an approval until [`Reference::approve`].
pub const HELD_ACCOUNT: &str = "held";

/// The desk.
pub struct Reference {
    env: Env,
    cluster: ClusterId,
    private: PrivateKey,
    key: RecordingKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    people: HashMap<Handle, IdentityId>,
    keys: HashMap<String, Handle>,
    verify: Option<Verify>,
    tokens: HashMap<Vec<u8>, Handle>,
    targets: HashMap<TargetName, Target>,
    auths: HashMap<AuthId, (Handle, GatewayId)>,
    open: HashMap<SessionId, OpenSession>,
    replies: HashMap<CallId, Vec<u8>>,
    gateways: HashMap<GatewayId, DownSink>,
    forbidden: HashSet<Channel>,
    entries: Vec<Entry>,
    views: Vec<View>,
    watches: Vec<WatchId>,
    browsers: bool,
    asked: usize,
    down: bool,
    approved: bool,
    unjudging: bool,
    sealed: bool,
    deaf: bool,
    headers: HashMap<RecordingId, Vec<u8>>,
    closes: HashMap<SessionId, Close>,
}

struct OpenSession {
    recording: RecordingId,
    gateway: GatewayId,
    key: SessionKey,
    credential: Credential,
    becomes: Option<Becomes>,
    hops: Vec<Credential>,
}

impl Reference {
    /// An empty desk.
    ///
    /// # Errors
    /// When the system gives no key.
    pub fn new(env: &Env) -> Result<Arc<Self>, String> {
        let (private, key) = PrivateKey::generate(env).map_err(|e| e.to_string())?;
        let key = RecordingKey { epoch: 1, key };
        let cluster = ClusterId::new(env);
        Ok(Arc::new(Self { env: env.clone(), cluster, private, key, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a person with a token and SSH keys.
    pub fn person(&self, handle: &Handle, token: &str, keys: &[String]) {
        let mut state = self.state();
        state.people.insert(handle.clone(), IdentityId::new(&self.env));
        state.tokens.insert(token.as_bytes().to_vec(), handle.clone());
        for key in keys {
            state.keys.insert(key.clone(), handle.clone());
        }
    }

    /// Verifies clients' proofs by this.
    pub fn verify_by(&self, verify: Verify) {
        self.state().verify = Some(verify);
    }

    /// Adds or replaces a target.
    pub fn target(&self, name: &TargetName, target: Target) {
        self.state().targets.insert(name.clone(), target);
    }

    /// Makes the ledger take no entry, or take them again.
    pub fn ledger_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Makes the desk one that does not hear what is decided elsewhere, or one that does again.
    pub fn deafen(&self, deaf: bool) {
        self.state().deaf = deaf;
    }

    /// Seals the vault, or opens it for the next welcome.
    pub fn seal(&self, sealed: bool) {
        let sinks: Vec<_> = {
            let mut state = self.state();
            state.sealed = sealed;
            state.gateways.values().cloned().collect()
        };
        if sealed {
            for sink in sinks {
                sink(Down::Seal);
            }
        }
    }

    /// Approves what [`HELD_ACCOUNT`] waits for.
    pub fn approve(&self) {
        self.state().approved = true;
    }

    /// Gives everybody a code for a browser, in which nobody ever answers.
    pub fn give_codes(&self) {
        self.state().browsers = true;
    }

    /// How often it was asked whether somebody has.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    /// Has no entry for what rules say, as a ledger that is full.
    pub fn refuse_judging(&self, refuses: bool) {
        self.state().unjudging = refuses;
    }

    /// Orders every open session killed.
    pub fn kill_all(&self) {
        self.order_all(|session| Down::Kill(session, "killed by the suite".into()));
    }

    /// Permits these kinds of channels no longer.
    pub fn forbid(&self, kinds: impl IntoIterator<Item = Channel>) {
        self.state().forbidden.extend(kinds);
    }

    /// Orders every open session revoked.
    pub fn revoke_all(&self) {
        self.order_all(|session| Down::Revoke(session, "revoked by the suite".into()));
    }

    /// Has somebody watch every open session; views are kept in [`Reference::views`].
    pub fn watch_all(&self, who: &Handle) {
        let identity = IdentityId::new(&self.env);
        self.order_all(|session| {
            let guest = Guest { id: WatchId::new(&self.env), identity, handle: who.clone(), part: Part::Observer };
            self.state().watches.push(guest.id);
            Down::Watch(session, guest)
        });
    }

    /// Has nobody watch any longer.
    pub fn unwatch_all(&self) {
        let watches = std::mem::take(&mut self.state().watches);
        for watch in watches {
            self.order_all(|_| Down::Unwatch(watch));
        }
    }

    /// Tells every open session what staff want of it.
    pub fn steer_all(&self, steering: &Steering) {
        self.order_all(|session| Down::Steer(session, steering.clone()));
    }

    fn order_all(&self, order: impl Fn(SessionId) -> Down) {
        let orders: Vec<_> = {
            let state = self.state();
            let sink = |open: &OpenSession| state.gateways.get(&open.gateway).cloned();
            state.open.iter().filter_map(|(session, open)| Some((*session, sink(open)?))).collect()
        };
        for (session, sink) in orders {
            sink(order(session));
        }
    }

    /// Forgets every gateway's connection.
    pub fn hang_up(&self) {
        self.state().gateways.clear();
    }

    /// Gateways that are connected.
    #[must_use]
    pub fn gateways(&self) -> usize {
        self.state().gateways.len()
    }

    /// Sessions whose lease is out.
    #[must_use]
    pub fn leased(&self) -> Vec<SessionId> {
        self.state().open.keys().copied().collect()
    }

    /// Every entry so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    /// Entries of one action.
    #[must_use]
    pub fn entries_of(&self, action: &str) -> Vec<Entry> {
        self.state().entries.iter().filter(|entry| entry.action == action).cloned().collect()
    }

    /// How a session was closed.
    #[must_use]
    pub fn closed(&self, session: SessionId) -> Option<Close> {
        self.state().closes.get(&session).cloned()
    }

    /// Every close so far.
    #[must_use]
    pub fn closes(&self) -> Vec<Close> {
        self.state().closes.values().cloned().collect()
    }

    /// Events that watchers were sent.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.state().views.clone()
    }

    /// The hash of a recording's header, as the entry that opened it has it.
    #[must_use]
    pub fn header(&self, recording: RecordingId) -> Option<Vec<u8>> {
        self.state().headers.get(&recording).cloned()
    }

    /// What opens recordings.
    #[must_use]
    pub const fn recording_key(&self) -> &PrivateKey {
        &self.private
    }

    /// Authenticates somebody, as the portal would.
    #[must_use]
    pub fn sign_in(&self, gateway: GatewayId, handle: &Handle) -> Option<Authenticated> {
        self.state().authenticated(&self.env, handle, gateway)
    }
}

impl Desk for Reference {
    fn join<'a>(&'a self, hello: Hello, down: DownSink) -> Boxed<'a, Result<Welcome, Denial>> {
        let mut state = self.state();
        let orphans = state
            .open
            .iter()
            .filter(|(session, _)| !hello.open.contains(session))
            .map(|(session, open)| Orphan { session: *session, recording: open.recording })
            .collect();
        state.gateways.insert(hello.gateway, down);
        let recording_key = (!state.sealed).then_some(self.key);
        let welcome = Welcome { version: VERSION, cluster: self.cluster, recording_key, orphans };
        Box::pin(std::future::ready(Ok(welcome)))
    }

    fn call<'a>(&'a self, gateway: GatewayId, id: CallId, call: Call) -> Boxed<'a, Reply> {
        Box::pin(async move {
            let earlier = self.state().replies.get(&id).cloned();
            if let Some(reply) = earlier.and_then(|bytes| decode(&bytes).ok()) {
                return reply;
            }
            let late = match &call {
                Call::AuthStep(_, AuthStep { evidence: Evidence::Allowed(late), .. }) => *late,
                _ => 0,
            };
            let reply = self.answer(gateway, call);
            if matches!(reply, Reply::More) {
                tokio::time::sleep(Duration::from_secs(late.into())).await;
            }
            if let Ok(bytes) = encode(&reply) {
                self.state().replies.insert(id, bytes);
            }
            reply
        })
    }

    fn pulse(&self) -> Pulse {
        let state = self.state();
        match (state.deaf || state.sealed, state.down) {
            (true, _) => Pulse::Deaf,
            (_, true) => Pulse::Mute,
            _ => Pulse::Well,
        }
    }

    fn view(&self, _gateway: GatewayId, view: View) {
        self.state().views.push(view);
    }

    fn figures(&self, _gateway: GatewayId, _figures: Figures) {}

    fn leave(&self, gateway: GatewayId) {
        self.state().gateways.remove(&gateway);
    }
}
