//! The gateway's parts, and what its sessions share.

use super::door::Sessions;
use crate::authority::Authority;
use crate::dial::Dialer;
use crate::observe::{Observer, Recorder};
use sallyport_model::access::{Denial, Terms};
use sallyport_model::{Env, Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Makes a session's observers from its terms. An error denies the session.
pub type ObserversFor = Arc<dyn Fn(&Terms) -> Result<Vec<Box<dyn Observer>>, Denial> + Send + Sync>;

/// What a gateway is made of.
pub struct Parts {
    /// Time and randomness.
    pub env: Env,
    /// The way to control.
    pub authority: Arc<dyn Authority>,
    /// Evidence.
    pub recorder: Arc<Recorder>,
    /// The way to targets.
    pub dialer: Arc<Dialer>,
    /// The observers of each session; see [`Gateway::no_rules`].
    pub observers: ObserversFor,
}

/// A gateway: what its sessions share.
pub struct Gateway {
    pub(super) parts: Parts,
    pub(super) sessions: Sessions,
    pub(super) stop: CancellationToken,
    pub(super) running: TaskTracker,
}

impl Gateway {
    /// A gateway of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        Arc::new(Self { parts, sessions: Sessions::default(), stop, running })
    }

    /// No observers beside the recorder. A session whose limits name command rules is refused,
    /// because nobody would keep them.
    #[must_use]
    pub fn no_rules() -> ObserversFor {
        Arc::new(|terms| {
            if terms.limits.commands.is_empty() {
                Ok(Vec::new())
            } else {
                Err(Denial::new(
                    Kind::Failed,
                    "the policy names command rules that this gateway cannot keep; ask its administrator",
                ))
            }
        })
    }

    /// Open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Where nobody listens, but everybody may ask: ended when the gateway stops.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends every session in good order and waits for their last entries, at most `patience`.
    /// False where some were not closed in time: the next gateway closes them.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.running.close();
        tokio::time::timeout(patience, self.running.wait()).await.is_ok()
    }
}
