//! Connections to the target: one carries many channels, and more are made where it takes no further session.

use crate::dial::{Upstream, dial};
use bytes::Bytes;
use sallyport_gateway::spine::{DialError, Live};
use sallyport_model::{Env, Kind};
use sallyport_ssh_transport::link::{Arrivals, Link, NotOpened, Reader, Writer};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections to one target that a session may have: sshd takes ten sessions on each.
const MOST: usize = 32;

/// What comes of a new connection: what its target begins, and how its jump hosts went.
pub(super) type Born = (Arrivals, JoinSet<Option<String>>);

/// A session's connections to its target.
pub(super) struct Pool {
    upstreams: Mutex<Vec<Upstream>>,
    /// Held while one more is made, so that many channels do not make one each.
    making: tokio::sync::Mutex<()>,
    /// Where what comes of a new connection goes.
    born: mpsc::UnboundedSender<Born>,
    env: Env,
}

impl Pool {
    pub(super) fn new(first: Upstream, env: Env) -> (Self, mpsc::UnboundedReceiver<Born>) {
        let (born, births) = mpsc::unbounded_channel();
        let pool = Self { upstreams: Mutex::default(), making: tokio::sync::Mutex::default(), born, env };
        pool.add(first);
        (pool, births)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Upstream>> {
        self.upstreams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, mut upstream: Upstream) {
        if let Some(arrivals) = upstream.arrivals.take() {
            let _ = self.born.send((arrivals, std::mem::take(&mut upstream.lost)));
        }
        self.lock().push(upstream);
    }

    /// The connections that are there, the newest first.
    fn links(&self) -> Vec<Link> {
        let mut upstreams = self.lock();
        upstreams.retain(|upstream| !upstream.link.gone());
        upstreams.iter().rev().map(|upstream| upstream.link.clone()).collect()
    }

    /// The first connection: forwards hang on it, and end with it.
    pub(super) fn first(&self) -> Option<Link> {
        self.links().pop()
    }

    /// Opens a session channel on a connection that takes one.
    pub(super) async fn session(&self, live: &Live) -> Result<(Reader, Writer), DialError> {
        if let Some(channel) = self.on_any().await {
            return Ok(channel);
        }
        let _making = self.making.lock().await;
        if let Some(channel) = self.on_any().await {
            return Ok(channel);
        }
        if self.lock().len() >= MOST {
            return Err(DialError::new(Kind::Unavailable, "the target takes no more sessions"));
        }
        self.add(Box::pin(dial(live.clearance(), &self.env)).await?);
        self.on_any().await.ok_or_else(|| DialError::new(Kind::Unavailable, "the target opens no session"))
    }

    async fn on_any(&self) -> Option<(Reader, Writer)> {
        for link in self.links() {
            if let Ok(channel) = link.open("session", Bytes::new()).await {
                return Some(channel);
            }
        }
        None
    }

    /// Opens a channel that is no session on the first connection.
    pub(super) async fn open(&self, kind: &str, data: Bytes) -> Result<(Reader, Writer), NotOpened> {
        self.first().ok_or(NotOpened::Gone)?.open(kind, data).await
    }
}
