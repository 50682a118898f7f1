//! What one side of a connection is set to.

use crate::Role;
use crate::key::{self, HostKey};
use std::sync::Arc;

/// Fills bytes with randomness.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What one side of a connection is set to.
pub struct Settings {
    pub(super) role: Role,
    pub(super) host_key: Option<HostKey>,
    pub(super) accepted: Vec<Vec<u8>>,
    pub(super) signatures: Vec<&'static str>,
    pub(super) random: Random,
    pub(super) rekey: u64,
}

/// Bytes under one set of keys, as OpenSSH has it for these ciphers.
pub(super) const REKEY: u64 = 1 << 30;
impl Settings {
    /// A server with this key.
    #[must_use]
    pub fn server(host_key: HostKey, random: Random) -> Self {
        Self {
            role: Role::Server,
            host_key: Some(host_key),
            accepted: Vec::new(),
            signatures: vec!["ssh-ed25519"],
            random,
            rekey: REKEY,
        }
    }

    /// A client that accepts these host keys (bytes), whose sorts alone are asked for.
    #[must_use]
    pub fn client(accepted: Vec<Vec<u8>>, random: Random) -> Self {
        let sort = |name: &str| accepted.iter().any(|key| key::kind(key).is_ok_and(|kind| kind == key::type_of(name)));
        let signatures = key::SIGNATURES.into_iter().filter(|name| sort(name)).collect();
        Self { role: Role::Client, host_key: None, accepted, signatures, random, rekey: REKEY }
    }

    /// A client that accepts no key, and asks for keys that sign by these algorithms: it ends with
    /// [`crate::Error::HostKey`], which has the key.
    #[must_use]
    pub fn looker(signatures: Vec<&'static str>, random: Random) -> Self {
        Self { role: Role::Client, host_key: None, accepted: Vec::new(), signatures, random, rekey: REKEY }
    }

    /// Keys are exchanged again after so many bytes.
    #[must_use]
    pub const fn rekey_after(mut self, bytes: u64) -> Self {
        self.rekey = bytes;
        self
    }
}
