//! The gateway's parts, and what its sessions share.

use super::door::Sessions;
use super::freeze::Arrears;
use super::recover;
use crate::authority::{Authority, Client};
use crate::dial::Dialer;
use crate::observe::journal::{self, Journal, Sizes};
use crate::observe::tail::Tail;
use crate::observe::{Observer, Recorder};
use crate::transport::Connect;
use sallyport_model::access::{Denial, Terms};
use sallyport_model::name::Label;
use sallyport_model::{Env, GatewayId, Kind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Makes a session's observers from its terms. An error denies the session.
pub type ObserversFor = Arc<dyn Fn(&Terms) -> Result<Vec<Box<dyn Observer>>, Denial> + Send + Sync>;

/// What a gateway starts from.
pub struct Setup {
    /// Time and randomness.
    pub env: Env,
    /// Who it is: new with every start.
    pub id: GatewayId,
    /// The zone whose targets it reaches.
    pub zone: Label,
    /// The transport to control.
    pub connect: Box<dyn Connect>,
    /// The journal's directory, this gateway's alone.
    pub journal: PathBuf,
    /// How large the journal may be.
    pub sizes: Sizes,
    /// Where finished recordings go.
    pub recordings: PathBuf,
    /// The memory that the parent holds too.
    pub tail: Tail,
    /// The way to targets; it knows the product's own addresses.
    pub dialer: Arc<Dialer>,
    /// The observers of each session; see [`Gateway::no_observers`].
    pub observers: ObserversFor,
}

/// A gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// What an earlier gateway left cannot be made whole.
    #[error(transparent)]
    Recover(#[from] recover::Error),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Journal(error) => error.kind(),
            Self::Recover(error) => error.kind(),
        }
    }
}

/// What a gateway's sessions share.
pub(super) struct Parts {
    /// Time and randomness.
    pub(super) env: Env,
    /// The way to control.
    pub(super) authority: Arc<dyn Authority>,
    /// Evidence.
    pub(super) recorder: Arc<Recorder>,
    /// The way to targets.
    pub(super) dialer: Arc<Dialer>,
    /// The observers of each session.
    pub(super) observers: ObserversFor,
    /// What the ledger has yet to hear of running sessions.
    pub(super) arrears: Arc<Arrears>,
}

/// A gateway: what its sessions share.
pub struct Gateway {
    pub(super) parts: Parts,
    pub(super) sessions: Sessions,
    pub(super) stop: CancellationToken,
    pub(super) running: TaskTracker,
}

impl Gateway {
    /// Starts one: what an earlier gateway left in tail and journal is made whole first, then evidence
    /// and the way to control come up, and orphans are closed as control names them. Needs a runtime.
    ///
    /// # Errors
    /// When journal or tail cannot be used.
    pub async fn start(setup: Setup) -> Result<Arc<Self>, Error> {
        let Setup { env, id, zone, connect, journal, sizes, recordings, tail, dialer, observers } = setup;
        let (journal, found) = Journal::open(&journal, sizes)?;
        let remains = recover::finish(&env, &journal, &tail, found).await?;
        let recorder = Recorder::start(env.clone(), journal.clone(), tail, &recordings);
        let authority: Arc<dyn Authority> = Arc::new(Client::start(env.clone(), id, zone, connect));
        let closing = recover::close(env.clone(), authority.clone(), journal, recordings, remains);
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        let until = stop.clone();
        tokio::spawn(async move { until.run_until_cancelled(closing).await });
        let parts = Parts { env, authority, recorder, dialer, observers, arrears: Arc::default() };
        Ok(Arc::new(Self { parts, sessions: Sessions::default(), stop, running }))
    }

    /// Waits until control was reached once.
    pub async fn reached(&self) {
        let _ = self.parts.authority.welcome().wait_for(Option::is_some).await;
    }

    /// Evidence, for its health.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.parts.recorder
    }

    /// No observers beside the recorder and the rules of the policy.
    #[must_use]
    pub fn no_observers() -> ObserversFor {
        Arc::new(|_| Ok(Vec::new()))
    }

    /// Open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Is cancelled when the gateway begins to stop.
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
