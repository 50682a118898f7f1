//! One connection to the API: whether it is known who calls, and what may be asked until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Requests of a stranger that are worked on at once; the next ones wait unread.
const FEW: usize = 4;

/// What is known of a connection while it is open.
pub(super) struct Visit {
    known: AtomicBool,
    begun: Notify,
    few: Semaphore,
    stay: Box<dyn Fn() + Send + Sync>,
}

impl Visit {
    /// A stranger's. `stay` is called once somebody has shown who they are; what it owns lives as long as the connection.
    pub(super) fn new(stay: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        let few = Semaphore::new(FEW);
        Arc::new(Self { known: AtomicBool::new(false), begun: Notify::new(), few, stay: Box::new(stay) })
    }

    /// Somebody has shown who they are.
    pub(super) fn know(&self) {
        if !self.known.swap(true, Ordering::Relaxed) {
            (self.stay)();
        }
    }

    /// The turn of a request; strangers wait for theirs.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.begun.notify_one();
        if self.known.load(Ordering::Relaxed) { None } else { self.few.acquire().await.ok() }
    }

    /// Resolves where nothing at all was asked for so long.
    pub(super) async fn silent(&self, patience: Duration) {
        if timeout(patience, self.begun.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}
