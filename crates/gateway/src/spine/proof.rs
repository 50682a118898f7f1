//! Proofs that a step was taken. Their fields are private and none can be copied: the only way to have
//! one is to have taken the step.
//!
//! ```compile_fail
//! use sallyport_gateway::spine::Permit;
//! fn forge(terms: sallyport_model::access::Terms, session: sallyport_model::SessionId) -> Permit {
//!     Permit { session, terms }
//! }
//! ```
//! ```compile_fail
//! fn copy(who: &sallyport_gateway::spine::Authenticated) -> sallyport_gateway::spine::Authenticated {
//!     who.clone()
//! }
//! ```
//! ```compile_fail
//! fn copy(lease: &sallyport_gateway::spine::Lease) -> sallyport_gateway::spine::Lease {
//!     lease.clone()
//! }
//! ```
//! ```compile_fail
//! fn copy(go: &sallyport_gateway::spine::Clearance) -> sallyport_gateway::spine::Clearance {
//!     go.clone()
//! }
//! ```

use crate::authority::{self, Authority, PATIENCE};
use crate::dial::{self, Dialer};
use crate::socket::Socket;
use sallyport_model::access::{Denial, From as Source, LeaseKind, Terms};
use sallyport_model::authority::{
    Asking, AuthStep, BECOMING_INFO, Call, Certified, Choice, Evidence, LoginCode, PASSWORD_INFO, Places, Reply,
    password_aad,
};
use sallyport_model::inventory::Place;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::secret::SecretBytes;
use sallyport_model::way::{Exchange, Hop, Stop};
use sallyport_model::{AuthId, Env, Handle, IdentityId, Kind, LoginId, SessionId};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Control knows who the client is.
pub struct Authenticated {
    auth: AuthId,
    identity: IdentityId,
    handle: Handle,
}

impl Authenticated {
    pub(super) fn new(who: sallyport_model::authority::Authenticated) -> Self {
        Self { auth: who.auth, identity: who.identity, handle: who.handle }
    }

    pub(super) const fn auth(&self) -> AuthId {
        self.auth
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> IdentityId {
        self.identity
    }

    /// Who it is, by name.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// One login conversation: proofs go up, an answer comes down.
pub struct Login {
    authority: Arc<dyn Authority>,
    id: LoginId,
    from: IpAddr,
    exchange: Option<String>,
    /// When it has taken too long.
    until: Arc<Mutex<Instant>>,
}

/// How long a client may take to log in.
const LOGIN: Duration = Duration::from_secs(if cfg!(any(test, feature = "conformance")) { 30 } else { 120 });

/// The answer to a proof.
pub enum Step {
    /// This is who it is.
    Authenticated(Authenticated),
    /// Go on.
    More,
}

impl Login {
    pub(super) fn new(env: &Env, authority: Arc<dyn Authority>, from: IpAddr) -> Self {
        let until = Arc::new(Mutex::new(Instant::now() + LOGIN));
        Self { authority, id: LoginId::new(env), from, exchange: None, until }
    }

    /// Resolves once it has taken too long. Whoever goes to a browser has the time that a code has.
    pub(super) fn overdue(&self) -> impl Future<Output = ()> + use<> {
        let until = self.until.clone();
        async move {
            loop {
                let instant = *until.lock().unwrap_or_else(PoisonError::into_inner);
                if instant <= Instant::now() {
                    return;
                }
                tokio::time::sleep_until(instant).await;
            }
        }
    }

    /// Notes the method by which keys were exchanged with the client: policies may demand one. Every proof goes with it.
    pub fn exchanged(&mut self, method: &str) {
        self.exchange = Some(method.to_owned());
    }

    /// Where the client comes from.
    #[must_use]
    pub const fn from(&self) -> IpAddr {
        self.from
    }

    /// Whether there is any hope to log in now; the text may be shown to anybody.
    ///
    /// # Errors
    /// When control is not reached, so that no proof can be accepted.
    pub fn possible(&self) -> Result<(), Denial> {
        if self.authority.welcome().borrow().is_some() && self.authority.away() < PATIENCE {
            Ok(())
        } else {
            Err(Denial::unavailable("the authority"))
        }
    }

    /// Tells control of a client whose user name is none, which is a sign-in that failed.
    pub async fn misnamed(&self) {
        let _ = self.step(None, Evidence::Misnamed).await;
    }

    /// Shows a proof.
    ///
    /// # Errors
    /// When it is not accepted, or control is not reached.
    pub async fn step(&self, handle: Option<Handle>, evidence: Evidence) -> Result<Step, Denial> {
        match self.say(handle, evidence).await? {
            Reply::Authenticated(who) => Ok(Step::Authenticated(Authenticated::new(who))),
            Reply::More => Ok(Step::More),
            Reply::Denied(denial) => Err(denial),
            _ => Err(authority::Error::Misfit.into()),
        }
    }

    /// Asks that whoever has this handle may allow the login in a browser: what is to be shown for that.
    ///
    /// # Errors
    /// When there are too many of them, or control is not reached.
    pub async fn by_browser(&self, handle: Handle, asking: Asking) -> Result<LoginCode, Denial> {
        match self.say(Some(handle), Evidence::Browser(asking)).await? {
            Reply::LoginCode(code) => {
                let end = Instant::now() + Duration::from_secs(code.seconds.into()) + PATIENCE;
                let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
                *until = end.max(*until);
                Ok(code)
            }
            Reply::Denied(denial) => Err(denial),
            _ => Err(authority::Error::Misfit.into()),
        }
    }

    async fn say(&self, handle: Option<Handle>, evidence: Evidence) -> Result<Reply, Denial> {
        let late = if let Evidence::Allowed(late) = &evidence { *late } else { 0 };
        let step = AuthStep { handle, from: Source(self.from), evidence, exchange: self.exchange.clone() };
        let patience = PATIENCE + Duration::from_secs(late.into());
        Ok(self.authority.call(Call::AuthStep(self.id, step), patience).await?)
    }
}

/// Where somebody may go who has signed in.
pub struct Choices<'a> {
    who: &'a Authenticated,
    authority: &'a dyn Authority,
}

impl<'a> Choices<'a> {
    pub(super) const fn new(who: &'a Authenticated, authority: &'a dyn Authority) -> Self {
        Self { who, authority }
    }

    /// Who chooses.
    #[must_use]
    pub const fn who(&self) -> &Authenticated {
        self.who
    }

    /// The first places that these words fit.
    ///
    /// # Errors
    /// When the sign-in is over its time, or control is not reached.
    pub async fn find(&self, search: &str) -> Result<Vec<Choice>, Denial> {
        let asked = Places { who: self.who.auth(), search: search.to_owned() };
        match self.authority.call(Call::Places(asked), PATIENCE).await? {
            Reply::Places(places) => Ok(places),
            Reply::Denied(denial) => Err(denial),
            _ => Err(authority::Error::Misfit.into()),
        }
    }
}

/// Control permitted the session on these terms.
pub struct Permit {
    session: SessionId,
    terms: Terms,
}

impl Permit {
    pub(super) const fn new(session: SessionId, terms: Terms) -> Self {
        Self { session, terms }
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What was permitted.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }
}

/// The right to use a credential, while the session lasts. It gives uses, not keys.
pub struct Lease {
    session: SessionId,
    /// Whose credential it is, of those that the session needs.
    stop: Stop,
    kind: LeaseKind,
    key: Arc<PrivateKey>,
    authority: Arc<dyn Authority>,
}

impl Lease {
    pub(super) fn new(
        session: SessionId,
        (stop, kind): (Stop, LeaseKind),
        key: Arc<PrivateKey>,
        authority: Arc<dyn Authority>,
    ) -> Self {
        Self { session, stop, kind, key, authority }
    }

    /// What sort of credential it is.
    #[must_use]
    pub const fn kind(&self) -> &LeaseKind {
        &self.kind
    }

    /// The password, for one injection. It comes sealed to the session's key.
    ///
    /// # Errors
    /// When control refuses or is not reached.
    pub async fn password(&self) -> Result<SecretBytes, Denial> {
        self.lent(Call::Password(self.session, self.stop), PASSWORD_INFO).await
    }

    /// The password that `su` or `sudo` of the target asks for, for one answer. It comes sealed to the session's key.
    ///
    /// # Errors
    /// When control refuses, has none, or is not reached.
    pub async fn becoming(&self) -> Result<SecretBytes, Denial> {
        self.lent(Call::Becoming(self.session), BECOMING_INFO).await
    }

    async fn lent(&self, call: Call, info: &[u8]) -> Result<SecretBytes, Denial> {
        match self.authority.call(call, PATIENCE).await? {
            Reply::Password(sealed) => self
                .key
                .open(info, &password_aad(self.session, self.stop), &sealed)
                .map_err(|e| Denial::new(Kind::Failed, e.to_string())),
            Reply::Denied(denial) => Err(denial),
            _ => Err(authority::Error::Misfit.into()),
        }
    }

    /// A signature by the leased key, as an SSH signature blob (RFC 4253 section 6.6). The key stays in control.
    ///
    /// # Errors
    /// When control refuses or is not reached.
    pub async fn sign(&self, challenge: Vec<u8>) -> Result<Vec<u8>, Denial> {
        match self.authority.call(Call::Sign(self.session, challenge, self.stop), PATIENCE).await? {
            Reply::Signature(blob) => Ok(blob),
            Reply::Denied(denial) => Err(denial),
            _ => Err(authority::Error::Misfit.into()),
        }
    }

    /// A certificate for this session, with its key's proof for an exchange of keys that has this identifier. The key
    /// stays in control, which has forgotten it by now.
    ///
    /// # Errors
    /// When control refuses or is not reached.
    pub async fn certify(&self, exchange: Vec<u8>) -> Result<Certified, Denial> {
        match self.authority.call(Call::Certify(self.session, exchange, self.stop), PATIENCE).await? {
            Reply::Certified(certified) => Ok(certified),
            Reply::Denied(denial) => Err(denial),
            _ => Err(authority::Error::Misfit.into()),
        }
    }
}

/// The session may reach its target: it is permitted, leased, its recording's header is durable, and
/// its ledger entry too.
pub struct Clearance {
    permit: Permit,
    lease: Lease,
    /// Of the jump hosts on the way, the outermost first.
    hops: Vec<Lease>,
    dialer: Arc<Dialer>,
    /// What the legs agreed on so far.
    exchanges: Mutex<Vec<Exchange>>,
}

/// The recording's header is on the disk.
pub(super) struct HeaderDurable(pub(super) ());

/// The ledger entry is committed: control said so in its reply to `Open`.
pub(super) struct EntryDurable(pub(super) ());

impl Clearance {
    pub(super) fn new(
        permit: Permit,
        (lease, hops): (Lease, Vec<Lease>),
        dialer: Arc<Dialer>,
        _: (HeaderDurable, EntryDurable),
    ) -> Self {
        Self { permit, lease, hops, dialer, exchanges: Mutex::new(Vec::new()) }
    }

    /// What was permitted.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Where to.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.permit.terms.place
    }

    /// The credential's uses.
    #[must_use]
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The jump hosts on the way, the outermost first, each with the uses of its own credential.
    pub fn hops(&self) -> impl ExactSizeIterator<Item = (&Hop, &Lease)> {
        self.place().hops.iter().zip(&self.hops)
    }

    /// Connects to where the way begins, and to nowhere else: to the permitted place, or to the outermost jump host.
    ///
    /// # Errors
    /// When it may not be reached, or is not.
    pub async fn connect(&self) -> Result<Socket, dial::Error> {
        let Place { host, port, hops, .. } = self.place();
        let (host, port) = hops.first().map_or((host, port), |hop| (&hop.host, &hop.port));
        self.dialer.dial(host, *port).await
    }

    /// Notes what a leg has agreed on, for the entry of the session's end; the first time counts.
    pub fn agreed(&self, exchange: Exchange) {
        let mut known = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|known| known.leg == exchange.leg) {
            known.push(exchange);
        }
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a jump host may be asked to connect there, as far as the text alone can say.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_be_asked_for(&self, host: &str, port: u16) -> Result<(), dial::Error> {
        self.dialer.judge(host, port)
    }
}
