//! Waiting for real processes, by the real clock.

use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Polls until something is there. Panics with `what` after `seconds`.
///
/// # Errors
/// When it does not come in time.
pub fn wait_for<T>(what: &str, seconds: u64, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let until = now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        ensure!(now() < until, "{what} did not come within {seconds} s");
        pause();
    }
}

/// The real clock, by which real processes are waited for.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests poll real processes by the real clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The pause between two looks at a process.
pub fn pause() {
    nap(Duration::from_millis(20));
}

/// A pause of this length. A test waits with [`wait_for`]; this is for faults and clients, which take their time.
#[expect(clippy::disallowed_methods, reason = "a pause of a thread of its own, outside any runtime")]
pub fn nap(length: Duration) {
    std::thread::sleep(length);
}
