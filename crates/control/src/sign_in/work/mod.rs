//! The work of passwords: bounded, off the runtime's threads, and the same for everybody.

use crate::Error;
use sallyport_model::{Env, Secret};
use sallyport_vault::PasswordVerifier;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Passwords that are worked on at once: each takes a core and tens of MiB.
const AT_ONCE: usize = 2;
/// Those that may wait for it.
const QUEUE: usize = 64;

const FULL: &str = "too many people sign in at this moment: try again in a few seconds";

/// The places where passwords are worked on.
pub(super) struct PasswordWork {
    queue: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    done: AtomicU64,
}

impl Default for PasswordWork {
    fn default() -> Self {
        Self {
            queue: Arc::new(Semaphore::new(AT_ONCE + QUEUE)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            done: AtomicU64::new(0),
        }
    }
}

impl PasswordWork {
    /// Whether the password is the verifier's. Those who have none are checked against nobody's.
    pub(super) async fn matches(&self, verifier: PasswordVerifier, password: Secret<String>) -> Result<bool, Error> {
        self.apart(move || Ok(verifier.matches(&password)?)).await
    }

    /// What is to be kept of a password.
    pub(super) async fn verifier(&self, env: &Env, password: Secret<String>) -> Result<PasswordVerifier, Error> {
        let env = env.clone();
        self.apart(move || Ok(PasswordVerifier::new(&env, &password)?)).await
    }

    /// How often it was done.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.queue.clone().try_acquire_owned().map_err(|_| Error::Busy(FULL))?;
        let turn = self.turns.clone().acquire_owned().await.map_err(Error::failed)?;
        self.done.fetch_add(1, Ordering::Relaxed);
        // Place and turn go with the work: whoever hangs up has not made room for the next.
        let done = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        done.await.map_err(Error::failed)?
    }
}

#[cfg(test)]
mod tests;
