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
mod tests {
    use super::*;
    use crate::certificate::{Contents, signed};
    use crate::key::HostKey;

    fn made(change: impl FnOnce(&mut Contents)) -> Vec<u8> {
        let authority = HostKey::from_seed(&[7; 32]).unwrap();
        let mut contents = Contents {
            key: HostKey::from_seed(&[9; 32]).unwrap().public().to_vec(),
            serial: 1,
            holder: Holder::Host,
            id: "web-1".into(),
            principals: vec!["web-1.example.org".into()],
            after: 1_000,
            before: 2_000,
            critical: Vec::new(),
            extensions: Vec::new(),
        };
        change(&mut contents);
        let unsigned = contents.unsigned(&[3; 32], authority.public()).unwrap();
        let signature = authority.sign(&unsigned);
        signed(unsigned, &signature)
    }

    fn judged(blob: &[u8], seed: u8, now: u64) -> Result<Vec<u8>, Unbelieved> {
        let keys = vec![HostKey::from_seed(&[seed; 32]).unwrap().public().to_vec()];
        let names = vec!["10.0.0.7".into(), "Web-1.example.org".into()];
        Authorities { keys, names, now: Arc::new(move || now) }.judge(blob)
    }

    #[test]
    fn a_certificate_is_believed_of_its_host_in_its_time_from_a_listed_authority_and_no_other() {
        let key = HostKey::from_seed(&[9; 32]).unwrap().public().to_vec();
        assert_eq!(judged(&made(|_| {}), 7, 1_500), Ok(key));
        assert_eq!(judged(&made(|_| {}), 8, 1_500), Err(Unbelieved::Foreign));
        assert_eq!(judged(&made(|c| c.holder = Holder::User), 7, 1_500), Err(Unbelieved::User));
        for (now, fine) in [(999, false), (1_000, true), (1_999, true), (2_000, false)] {
            assert_eq!(judged(&made(|_| {}), 7, now).is_ok(), fine, "{now}");
        }
        let other = made(|c| c.principals = vec!["web-2.example.org".into(), "*.example.org".into()]);
        let names = "web-2.example.org, *.example.org".to_owned();
        assert_eq!(judged(&other, 7, 1_500), Err(Unbelieved::Names(names)));
        assert_eq!(judged(&made(|c| c.principals.clear()), 7, 1_500), Err(Unbelieved::Names(String::new())));
        let critical = made(|c| c.critical = vec![("force-command".into(), "true".into())]);
        assert_eq!(judged(&critical, 7, 1_500), Err(Unbelieved::Critical));
        let mut altered = made(|_| {});
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(judged(&altered, 7, 1_500), Err(Unbelieved::Unreadable));
    }
}
