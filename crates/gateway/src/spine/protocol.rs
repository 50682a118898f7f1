//! What a protocol is: a few methods, called in one order by one driver.

use super::live::Live;
use super::proof::{Authenticated, Choices, Clearance, Login};
use crate::listen::Downstream;
use sallyport_model::access::{Ask, Denial, EndReason, From as Source};
use sallyport_model::inventory::NotBecome;
use sallyport_model::{AccountName, Kind, SessionId, TargetName};
use std::future::Future;
use std::time::Duration;

/// Carries the bytes of one protocol. It speaks with client and target and decides nothing.
pub trait Protocol: Send + Sync + 'static {
    /// The protocol's name, as targets and asks spell it.
    const NAME: &'static str;

    /// How long a session lives on without a connection, for protocols that make several.
    const LINGER: Duration = Duration::ZERO;

    /// The client's side, after its login.
    type Client: Send + 'static;

    /// The target's side, after the credential was injected.
    type Upstream: Send;

    /// Learns who the client is and what it wants. Every proof goes through `login`.
    fn login(&self, io: Downstream, login: Login)
    -> impl Future<Output = Result<Arrival<Self::Client>, Denial>> + Send;

    /// Tells the client no, in words it can show, and ends it.
    fn deny(&self, client: Self::Client, why: &Denial) -> impl Future<Output = ()> + Send;

    /// Tells the client to wait, keeps it alive for a while, and says whether it still waits. Only
    /// a client with a person before it waits, or `any` one where that is said; every other one is `Unfit` at once.
    fn hold(&self, client: &mut Self::Client, why: &Denial, any: bool) -> impl Future<Output = Hold> + Send;

    /// Lets a person choose who named no target: the account and the target.
    fn choose(
        &self,
        client: &mut Self::Client,
        choices: &Choices<'_>,
    ) -> impl Future<Output = Result<(AccountName, TargetName), Denial>> + Send;

    /// Reaches the target and injects the credential.
    fn dial(&self, go: &Clearance) -> impl Future<Output = Result<Self::Upstream, DialError>> + Send;

    /// Sees whether what lies behind the login is reached too, where something does, and leaves.
    fn prove(&self, _go: &Clearance, upstream: Self::Upstream) -> impl Future<Output = Result<(), DialError>> + Send {
        async move {
            drop(upstream);
            Ok(())
        }
    }

    /// Carries bytes until one side ends, and gives why, with what is to be added in words. Whatever crosses goes through
    /// the tap of `live`.
    fn relay(
        &self,
        client: Self::Client,
        upstream: Self::Upstream,
        live: Live,
    ) -> impl Future<Output = (EndReason, String)> + Send;
}

/// A client that has logged in.
pub struct Arrival<C> {
    /// Its connection.
    pub client: C,
    /// Who it is.
    pub who: Authenticated,
    /// What it wants.
    pub wish: Wish,
}

/// What a client wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// A new session.
    Open(Ask),
    /// A new session, where to is to be chosen; from where the client comes.
    Choose(Source),
    /// To be a further connection of a session of its own.
    Join(SessionId),
}

/// Whether a held client still waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hold {
    /// It waits.
    Waiting,
    /// It left.
    Gone,
    /// It is not the kind that waits, for this reason; which says what to do, too.
    Unfit(&'static str),
}

/// The target was not reached or did not accept us. The text is for the client and the ledger.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct DialError {
    message: String,
    kind: Kind,
    not_become: Option<NotBecome>,
}

impl DialError {
    /// With a text that holds no secret.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { message: message.into(), kind, not_become: None }
    }

    /// The same: the logon account did not become the account, and this is why.
    #[must_use]
    pub fn not_become(self, why: NotBecome) -> Self {
        Self { not_become: Some(why), ..self }
    }

    /// Why the logon account did not become the account, where that is what failed.
    #[must_use]
    pub const fn why_not_become(&self) -> Option<NotBecome> {
        self.not_become
    }

    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<crate::dial::Error> for DialError {
    fn from(error: crate::dial::Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<DialError> for Denial {
    fn from(error: DialError) -> Self {
        Self::new(error.kind, error.message)
    }
}

impl From<Denial> for DialError {
    fn from(denial: Denial) -> Self {
        Self::new(denial.kind, denial.message)
    }
}
