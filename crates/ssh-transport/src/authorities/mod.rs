//! Authorities of host keys: whose certificates a client believes, of which host, and when.

use crate::certificate::{self, Holder};
use std::sync::Arc;

/// Whose certificates of host keys are believed, and which host they must be of.
#[derive(Clone)]
pub struct Authorities {
    /// The authorities' keys (bytes).
    pub keys: Vec<Vec<u8>>,
    /// Names of the host: a certificate must be good for one of them.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub now: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Why a certificate of a host key is not believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unbelieved {
    /// It is none, or was altered.
    #[error("cannot be read, or was altered")]
    Unreadable,
    /// Somebody else's signature.
    #[error("is signed by an authority that is not listed for it")]
    Foreign,
    /// It is somebody's who signs in.
    #[error("is a user's certificate and no host's")]
    User,
    /// Other hosts, or none.
    #[error("is good for other names ({0}): list one of them as an alias, or have it certified for the target's host")]
    Names(String),
    /// Not yet, or no more.
    #[error("is not good at this time: renew it on the host, or set the clocks")]
    Time,
    /// It demands something that nobody here knows.
    #[error("has a critical option, and host certificates have none")]
    Critical,
}

impl Authorities {
    /// The key that a certificate is of, where it is believed.
    pub(crate) fn judge(&self, blob: &[u8]) -> Result<Vec<u8>, Unbelieved> {
        let found = certificate::read(blob).map_err(|_| Unbelieved::Unreadable)?;
        let said = found.contents;
        if !self.keys.contains(&found.authority) {
            return Err(Unbelieved::Foreign);
        }
        if said.holder != Holder::Host {
            return Err(Unbelieved::User);
        }
        let named = |name: &String| self.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !said.principals.iter().any(named) {
            let names = said.principals.join(", ");
            return Err(Unbelieved::Names(names.chars().filter(|c| !c.is_control()).take(200).collect()));
        }
        let now = (self.now)();
        if now < said.after || now >= said.before {
            return Err(Unbelieved::Time);
        }
        if !said.critical.is_empty() {
            return Err(Unbelieved::Critical);
        }
        Ok(said.key)
    }
}

#[cfg(test)]
mod tests;
