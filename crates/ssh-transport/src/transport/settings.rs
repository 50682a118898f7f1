//! What one side of a connection is set to.

use crate::key::{self, HostKey};
use crate::{Error, Role, certificate};
use std::sync::Arc;

/// Fills bytes with randomness.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What one side of a connection is set to.
pub struct Settings {
    pub(super) role: Role,
    pub(super) host_key: Option<Arc<HostKey>>,
    /// What is shown in its place to clients that ask for one.
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) accepted: Vec<Vec<u8>>,
    pub(super) signatures: Vec<&'static str>,
    pub(super) random: Random,
    pub(super) rekey: u64,
}

/// The algorithm of host keys by which a client asks for a certificate.
const CERTIFIED: &str = "ssh-ed25519-cert-v01@openssh.com";
/// Bytes under one set of keys, as OpenSSH has it for these ciphers.
pub(super) const REKEY: u64 = 1 << 30;
impl Settings {
    /// A server with this key.
    #[must_use]
    pub fn server(host_key: impl Into<Arc<HostKey>>, random: Random) -> Self {
        Self {
            role: Role::Server,
            host_key: Some(host_key.into()),
            certificate: None,
            accepted: Vec::new(),
            signatures: vec!["ssh-ed25519"],
            random,
            rekey: REKEY,
        }
    }

    /// The server, with a certificate of its key for those clients that ask for one.
    ///
    /// # Errors
    /// When it is no certificate, or another key's.
    pub fn certified(mut self, certificate: Vec<u8>) -> Result<Self, Error> {
        let said = certificate::read(&certificate)?.contents;
        let own = self.host_key.as_ref().is_some_and(|key| key.public() == said.key);
        if !own || said.holder != certificate::Holder::Host {
            return Err(Error::Key);
        }
        self.signatures = vec![CERTIFIED, "ssh-ed25519"];
        self.certificate = Some(certificate);
        Ok(self)
    }

    /// What a server shows for this algorithm: its key, or the certificate of it.
    pub(super) fn shown(&self, algorithm: &str) -> Option<&[u8]> {
        match &self.certificate {
            Some(certificate) if algorithm == CERTIFIED => Some(certificate),
            _ => self.host_key.as_ref().map(|key| key.public()),
        }
    }

    /// A client that accepts these host keys (bytes), whose sorts alone are asked for.
    #[must_use]
    pub fn client(accepted: Vec<Vec<u8>>, random: Random) -> Self {
        let sort = |name: &str| accepted.iter().any(|key| key::kind(key).is_ok_and(|kind| kind == key::type_of(name)));
        let signatures = key::SIGNATURES.into_iter().filter(|name| sort(name)).collect();
        Self { role: Role::Client, host_key: None, certificate: None, accepted, signatures, random, rekey: REKEY }
    }

    /// A client that accepts no key, and asks for keys that sign by these algorithms: it ends with
    /// [`crate::Error::HostKey`], which has the key.
    #[must_use]
    pub fn looker(signatures: Vec<&'static str>, random: Random) -> Self {
        Self {
            role: Role::Client,
            host_key: None,
            certificate: None,
            accepted: Vec::new(),
            signatures,
            random,
            rekey: REKEY,
        }
    }

    /// Keys are exchanged again after so many bytes.
    #[must_use]
    pub const fn rekey_after(mut self, bytes: u64) -> Self {
        self.rekey = bytes;
        self
    }
}
