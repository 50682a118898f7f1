//! A reference `Desk` in memory: it decides by simple tables and keeps every entry for the suite to read.

use sallyport_model::access::{Channel, Denial, LeaseKind, Terms};
use sallyport_model::authority::{
    Authenticated, BECOMING_INFO, Boxed, Call, Certified, Choice, Close, Desk, Down, DownSink, Evidence, Figures,
    Hello, Open, Opened, Orphan, PASSWORD_INFO, Places, Pulse, RecordingKey, Reply, SshProof, VERSION, View, Welcome,
    decode, encode, password_aad,
};
use sallyport_model::company::{Guest, Part};
use sallyport_model::inventory::{By, HostKey, Logon, Place, Platform, SessionKey};
use sallyport_model::rules::Act;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::steering::Steering;
use sallyport_model::way::{Accepts, Hop, Stop};
use sallyport_model::{
    AccountName, AuthId, CallId, ClusterId, Env, GatewayId, Handle, IdentityId, Kind, Limits, RecordingId, SessionId,
    TargetName, WatchId,
};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        let (id, identity) = (WatchId::new(&self.env), IdentityId::new(&self.env));
        let guest = Guest { id, identity, handle: who.clone(), part: Part::Observer };
        self.order_all(|session| Down::Watch(session, guest.clone()));
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

    fn answer(&self, gateway: GatewayId, call: Call) -> Reply {
        let mut state = self.state();
        if state.down && !matches!(call, Call::AuthStep(..)) {
            return Reply::Denied(Denial::unavailable("the ledger"));
        }
        match call {
            Call::AuthStep(_, step) => {
                let (known, proved) = match &step.evidence {
                    Evidence::SshKey { key, proof: None } => (state.keys.get(key).cloned(), false),
                    // Without what verifies it a proof is none: nothing is believed because a gateway says so.
                    Evidence::SshKey { key, proof: Some(proof) } => {
                        let good = state.verify.as_ref().is_some_and(|verify| verify(key, proof));
                        (state.keys.get(key).cloned().filter(|_| good), true)
                    }
                    Evidence::Token(token) if token.expose() == PASSWORD_TYPED => return Reply::More,
                    Evidence::Token(token) => (state.tokens.get(token.expose()).cloned(), true),
                    Evidence::Code(code) if code.expose() == CODE => (step.handle.clone(), true),
                    Evidence::Code(_) => (None, true),
                };
                let named = |handle: &Handle| step.handle.as_ref().is_none_or(|wanted| wanted == handle);
                match known.filter(named) {
                    Some(_) if !proved => Reply::More,
                    Some(handle) => match state.authenticated(&self.env, &handle, gateway) {
                        Some(who) => Reply::Authenticated(who),
                        None => Reply::Denied(Denial::unknown()),
                    },
                    None => Reply::Denied(Denial::new(Kind::Denied, "this proof is not accepted")),
                }
            }
            Call::Open(open) => state.open(gateway, open),
            Call::Channel(ask) => {
                let text = format!("{} {}", ask.kind.action(), ask.detail);
                let forbidden = state.forbidden.contains(&ask.kind).then(|| format!("{text} is not permitted"));
                match ask.refused.or(forbidden) {
                    None => state.done("channel.opened", Some(ask.session), text),
                    Some(why) => {
                        state.done("channel.denied", Some(ask.session), text);
                        Reply::Denied(Denial::new(Kind::Denied, why))
                    }
                }
            }
            Call::Places(asked) => state.places(&asked),
            Call::Password(session, stop) => state.password(session, stop),
            Call::Becoming(session) => state.becoming(session),
            Call::Sign(session, challenge, stop) => state.sign(session, &challenge, stop),
            Call::Certify(session, exchange, stop) => state.certify(session, &exchange, stop),
            Call::Anchor(anchor) => {
                let text = format!("{} {}", anchor.segments, hex(&anchor.chain));
                state.done("recording.anchored", Some(anchor.session), text)
            }
            Call::Thawed(thawed) => {
                let text = format!("{} {}", thawed.without.word(), thawed.millis);
                state.done("session.frozen", Some(thawed.session), text)
            }
            Call::Company(told) => {
                let (who, part) = told.whom.map_or_else(Default::default, |g| (g.handle.to_string(), g.part.word()));
                state.done(
                    "session.company",
                    Some(told.session),
                    format!("{:?} {who} {part} {}", told.change, told.why),
                )
            }
            Call::Judged(_) if state.unjudging => Reply::Denied(Denial::unavailable("the ledger")),
            Call::Judged(judged) => {
                let text = format!("{} {} {}", judged.guarantee.word(), judged.rule, judged.command);
                let done = state.done(judged.action(), Some(judged.session), text);
                if judged.act == Act::Hold && !state.approved {
                    return Reply::Denied(Denial::new(Kind::NeedsApproval, "nobody has approved it"));
                }
                done
            }
            Call::Close(close) => state.close(close),
        }
    }
}

impl State {
    fn done(&mut self, action: &'static str, session: Option<SessionId>, text: String) -> Reply {
        self.entries.push(Entry { action, session, text });
        Reply::Done(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    fn authenticated(&mut self, env: &Env, handle: &Handle, gateway: GatewayId) -> Option<Authenticated> {
        let identity = *self.people.get(handle)?;
        let auth = AuthId::new(env);
        self.auths.insert(auth, (handle.clone(), gateway));
        Some(Authenticated { auth, identity, handle: handle.clone() })
    }

    fn open(&mut self, gateway: GatewayId, open: Open) -> Reply {
        let Some((handle, _)) = self.auths.get(&open.who).filter(|(_, by)| *by == gateway).cloned() else {
            return Reply::Denied(Denial::new(Kind::Denied, "log in again"));
        };
        let account = open.ask.account.as_str();
        if account == HELD_ACCOUNT && !self.approved {
            return Reply::Denied(Denial::new(Kind::NeedsApproval, "request req_1 waits for an approval"));
        }
        let (Some(target), Some(identity)) = (self.targets.get(&open.ask.target), self.people.get(&handle)) else {
            return Reply::Denied(Denial::unknown());
        };
        if account == DENIED_ACCOUNT {
            return Reply::Denied(Denial::unknown());
        }
        let (login, becomes) = (target.login.clone().unwrap_or(open.ask.account.clone()), target.becomes.clone());
        let place = Place {
            target: open.ask.target.clone(),
            host: target.host.clone(),
            port: target.port,
            account: becomes.as_ref().map_or_else(|| login.clone(), |becomes| becomes.account.clone()),
            host_keys: target.host_keys.clone(),
            grace: target.grace,
            anchor: target.anchor,
            freezes: target.freezes,
            logon: becomes.as_ref().map(|becomes| Logon { account: login, by: becomes.by }),
            platform: target.platform,
            hops: target.hops.iter().map(|(name, hop)| hop.as_hop(name, &open.ask.account)).collect(),
            accepts: target.accepts.clone(),
        };
        let lease = target.credential.lease();
        let terms = Terms {
            identity: *identity,
            handle: handle.clone(),
            place,
            limits: target.limits.clone(),
            policy: "0".repeat(64),
            determining: vec!["suite".into()],
            entry: u64::try_from(self.entries.len()).unwrap_or(u64::MAX),
            rules: target.rules.clone(),
        };
        let credential = target.credential.clone();
        let hops = target.hops.iter().map(|(_, hop)| hop.credential.clone()).collect();
        let key = open.key;
        let session = OpenSession { recording: open.recording, gateway, key, credential, becomes, hops };
        self.open.insert(open.session, session);
        self.headers.insert(open.recording, open.header.clone());
        let text = format!("{handle} {} {} {}", open.ask.account, open.ask.target, hex(&open.header));
        self.done("session.opened", Some(open.session), text);
        Reply::Opened(Box::new(Opened { terms, lease }))
    }

    /// Every target, for the account that the suite uses.
    fn places(&self, asked: &Places) -> Reply {
        let Ok(account) = "ops".parse::<AccountName>() else { return Reply::Denied(Denial::unknown()) };
        if !self.auths.contains_key(&asked.who) {
            return Reply::Denied(Denial::new(Kind::Denied, "the sign-in is over its time: connect again"));
        }
        let mut names: Vec<_> = self.targets.keys().filter(|name| name.as_str().contains(&asked.search)).collect();
        names.sort();
        let choice = |target: &TargetName| Choice {
            account: account.clone(),
            target: target.clone(),
            usable: true,
            note: String::new(),
        };
        Reply::Places(names.into_iter().map(choice).collect())
    }

    /// The key of a session, and which of its credentials is meant.
    fn lent(&self, session: SessionId, stop: Stop) -> Option<(SessionKey, &Credential)> {
        let open = self.open.get(&session)?;
        let credential = match stop {
            Stop::Target => &open.credential,
            Stop::Hop(number) => open.hops.get(usize::from(number))?,
        };
        Some((open.key, credential))
    }

    fn note_lent(&mut self, session: SessionId, what: &str, stop: Stop) {
        let text = match stop {
            Stop::Target => what.to_owned(),
            Stop::Hop(number) => format!("{what} of hop {number}"),
        };
        self.done("credential.lent", Some(session), text);
    }

    fn password(&mut self, session: SessionId, stop: Stop) -> Reply {
        let (key, password) = match self.lent(session, stop) {
            Some((key, Credential::Password(password))) => (key, password.clone()),
            _ => return Reply::Denied(Denial::unknown()),
        };
        self.lend((session, stop), (key, &password), (PASSWORD_INFO, "password"))
    }

    fn becoming(&mut self, session: SessionId) -> Reply {
        let (key, password) = match self.open.get(&session) {
            Some(OpenSession { key, becomes: Some(Becomes { password: Some(password), .. }), .. }) => {
                (*key, password.clone())
            }
            _ => return Reply::Denied(Denial::new(Kind::Unavailable, "no password is stored for that")),
        };
        self.lend((session, Stop::Target), (key, &password), (BECOMING_INFO, "becoming"))
    }

    fn lend(
        &mut self,
        (session, stop): (SessionId, Stop),
        (key, password): (SessionKey, &str),
        (info, what): (&[u8], &str),
    ) -> Reply {
        match key.seal(info, &password_aad(session, stop), password.as_bytes()) {
            Ok(sealed) => {
                self.note_lent(session, what, stop);
                Reply::Password(sealed)
            }
            Err(error) => Reply::Denied(Denial::new(Kind::Failed, error.to_string())),
        }
    }

    fn sign(&mut self, session: SessionId, challenge: &[u8], stop: Stop) -> Reply {
        let signature = match self.lent(session, stop) {
            Some((_, Credential::Key(_, sign))) => sign(challenge),
            _ => return Reply::Denied(Denial::unknown()),
        };
        self.note_lent(session, "signature", stop);
        Reply::Signature(signature)
    }

    fn certify(&mut self, session: SessionId, exchange: &[u8], stop: Stop) -> Reply {
        let certified = match self.lent(session, stop) {
            Some((_, Credential::Certificate(certify))) => certify(exchange),
            _ => return Reply::Denied(Denial::unknown()),
        };
        self.note_lent(session, "certificate", stop);
        Reply::Certified(certified)
    }

    fn close(&mut self, close: Close) -> Reply {
        if self.open.remove(&close.session).is_none() {
            return Reply::Denied(Denial::unknown());
        }
        let (up, down) = close.bytes;
        let text = format!(
            "{} complete={} segments={} bytes={up}/{down} {}",
            close.reason, close.complete, close.anchor.segments, close.note
        );
        self.closes.insert(close.session, close.clone());
        self.done("session.closed", Some(close.session), text)
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
            let reply = self.answer(gateway, call);
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
