//! How often somebody may try: counted in the database, for all nodes together, per identity and per source.
//!
//! A try is counted before it is looked at, by compare and set, so that many at once are not more than one after the
//! other. Behind the free ones each waits twice as long as the one before.

use crate::control::Open;
use crate::{Control, Error};
use sallyport_model::IdentityId;
use sallyport_store::Mark;
use std::net::IpAddr;
use std::time::Duration;

/// What was counted longer ago is forgotten.
pub(super) const FORGET: Duration = Duration::from_secs(24 * 3600);
/// The longest time to wait for the next try.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Whose tries are counted.
pub(super) struct Limit {
    name: String,
    free: u32,
}

impl Limit {
    /// Passwords for an identity; those for nobody are counted together.
    pub(super) fn password(identity: Option<IdentityId>) -> Self {
        Self { name: format!("password {}", identity.map_or_else(|| "nobody".into(), |id| id.to_string())), free: 5 }
    }

    /// Second factors of an identity.
    pub(super) fn factor(identity: IdentityId) -> Self {
        Self { name: format!("factor {identity}"), free: 5 }
    }

    /// Codes of logins that an identity enters.
    pub(super) fn login_code(identity: IdentityId) -> Self {
        Self { name: format!("login code {identity}"), free: 5 }
    }

    /// Logins from an address that want to be allowed in a browser.
    pub(super) fn logins(from: IpAddr) -> Self {
        Self { name: format!("logins {}", network(from)), free: 20 }
    }

    /// Whatever comes from an address.
    pub(super) fn source(from: IpAddr) -> Self {
        Self { name: format!("source {}", network(from)), free: 50 }
    }

    /// How long the try behind so many waits.
    fn wait(&self, count: u32) -> Duration {
        match count.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1_u64.checked_shl(over).unwrap_or(u64::MAX)).min(LONGEST),
        }
    }
}

/// An address. A network of IPv6 counts as one: whoever has an address has 2^64 of them.
pub(super) fn network(from: IpAddr) -> String {
    match from {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
        IpAddr::V4(address) => address.to_string(),
    }
}

impl Control {
    /// Counts a try, and says whether it may be made. Whoever asks does the same work either way.
    pub(super) async fn try_once(&self, open: &Open, limits: &[&Limit]) -> Result<bool, Error> {
        for limit in limits {
            if !self.take(open, limit).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn take(&self, open: &Open, limit: &Limit) -> Result<bool, Error> {
        loop {
            let was = open.store.mark(&limit.name).await?;
            let now = self.env.now();
            let count = was.filter(|mark| now.since(mark.at) < FORGET).map_or(0, |mark| mark.count);
            if was.is_some_and(|mark| now.since(mark.at) < limit.wait(count)) {
                return Ok(false);
            }
            let mark = Mark { count: count.saturating_add(1), at: now };
            // Whoever was faster has counted one more, so this ends: at the latest when there is a wait.
            if open.store.set_mark(&limit.name, was, mark).await? {
                return Ok(true);
            }
        }
    }

    /// The try was a good one: what was counted against an identity is forgotten, and of a source it is one less.
    pub(super) async fn succeeded(&self, open: &Open, own: &Limit, source: &Limit) -> Result<(), Error> {
        open.store.forget_mark(&own.name).await?;
        loop {
            let Some(was) = open.store.mark(&source.name).await? else { return Ok(()) };
            let less = Mark { count: was.count.saturating_sub(1), at: was.at };
            if open.store.set_mark(&source.name, Some(was), less).await? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
