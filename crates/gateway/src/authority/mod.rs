//! Control, as the gateway sees it: calls that are repeated until answered, and orders that come down.

mod client;

pub use client::Client;

use sallyport_model::access::{Denial, EndReason};
use sallyport_model::authority::{Boxed, Call, Pulse, Reply, View, Welcome};
use sallyport_model::company::Guest;
use sallyport_model::steering::Steering;
use sallyport_model::{Kind, SessionId, WatchId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a caller waits for steps that a client waits for.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Control cannot be reached, or answers what was not asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// No answer in time. The call may have taken effect.
    #[error("the authority did not answer in time; try again shortly")]
    Silent,
    /// The message cannot be sent.
    #[error("the message is too large for the authority; send less")]
    TooLarge,
    /// The reply belongs to another sort of call.
    #[error("the authority gave an answer that does not fit the question")]
    Misfit,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Silent => Kind::Unavailable,
            Self::TooLarge => Kind::Usage,
            Self::Misfit => Kind::Failed,
        }
    }
}

impl From<Error> for Denial {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// What control orders of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// End it, and tell the client this.
    End(EndReason, String),
    /// Send what happens to this watcher.
    Watch(Guest),
    /// Stop sending it.
    Unwatch(WatchId),
    /// What staff want of it, whole.
    Steer(Steering),
}

/// The one way to control.
pub trait Authority: Send + Sync {
    /// Sends a call and waits at most `patience` for its reply. A lost connection is replaced and
    /// the call repeated under its id, which makes it harmless.
    fn call(&self, call: Call, patience: Duration) -> Boxed<'_, Result<Reply, Error>>;

    /// Offers a piece to a watcher; false where it cannot be taken now.
    fn view(&self, view: View) -> bool;

    /// What control said when it was last reached; `None` until it was.
    fn welcome(&self) -> watch::Receiver<Option<Arc<Welcome>>>;

    /// Begins to receive a session's orders, and names it in every later `Hello`. To be done
    /// before the session is asked for, so that no order finds nobody.
    fn enlist(&self, session: SessionId) -> mpsc::UnboundedReceiver<Order>;

    /// Ends what `enlist` began.
    fn delist(&self, session: SessionId);

    /// How long control has not said that it hears what is decided, by the monotonic clock: what sessions' grace
    /// is measured by.
    fn silence(&self) -> Duration;

    /// What control is able to now, as far as is known here: not reached, it is deaf.
    fn hearing(&self) -> watch::Receiver<Pulse>;

    /// How long nothing at all has come from control.
    fn away(&self) -> Duration;
}

#[cfg(test)]
mod tests;
