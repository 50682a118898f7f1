//! What one side of a connection is set to.

use crate::authorities::Authorities;
use crate::key::{self, HostKey};
use crate::negotiate::Spoken;
use crate::{Error, Role, certificate, old};
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
    /// Whose certificates of host keys are accepted beside them.
    pub(super) authorities: Option<Authorities>,
    pub(super) spoken: Spoken,
    pub(super) random: Random,
    pub(super) rekey: u64,
}

/// The algorithm of host keys by which a client asks for a certificate.
const CERTIFIED: &str = "ssh-ed25519-cert-v01@openssh.com";
/// Bytes under one set of keys, as OpenSSH has it for these ciphers.
pub(super) const REKEY: u64 = 1 << 30;
impl Settings {
    fn new(role: Role, signatures: Vec<&'static str>, random: Random) -> Self {
        let spoken = Spoken::new(signatures);
        let (host_key, certificate, accepted, authorities) = (None, None, Vec::new(), None);
        Self { role, host_key, certificate, accepted, authorities, spoken, random, rekey: REKEY }
    }

    /// A server with this key.
    #[must_use]
    pub fn server(host_key: impl Into<Arc<HostKey>>, random: Random) -> Self {
        Self { host_key: Some(host_key.into()), ..Self::new(Role::Server, vec!["ssh-ed25519"], random) }
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
        self.spoken.signatures = vec![CERTIFIED, "ssh-ed25519"];
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
        Self { accepted, ..Self::new(Role::Client, signatures, random) }
    }

    /// The client, which also accepts host keys that these authorities have certified, and asks for certificates first.
    #[must_use]
    pub fn believing(mut self, authorities: Authorities) -> Self {
        let plain = std::mem::take(&mut self.spoken.signatures);
        self.spoken.signatures = certificate::HOST_ALGORITHMS.into_iter().chain(plain).collect();
        self.authorities = Some(authorities);
        self
    }

    /// The client, which also speaks these old algorithms of [`crate::old::names`], behind all others.
    #[must_use]
    pub fn excepting(mut self, names: &[String]) -> Self {
        old::admit(&mut self.spoken, names);
        let rsa = self.accepted.iter().any(|key| key::kind(key).is_ok_and(|kind| kind == key::SSH_RSA));
        if rsa && names.iter().any(|name| name == key::SSH_RSA) {
            self.spoken.signatures.push(key::SSH_RSA);
        }
        self
    }

    /// Only what stays secret from a quantum computer of tomorrow is spoken.
    #[must_use]
    pub fn post_quantum(mut self) -> Self {
        self.spoken = self.spoken.post_quantum();
        self
    }

    /// A client that accepts no key, and asks for keys that sign by these algorithms: it ends with
    /// [`crate::Error::HostKey`], which has the key.
    #[must_use]
    pub fn looker(signatures: Vec<&'static str>, random: Random) -> Self {
        Self::new(Role::Client, signatures, random)
    }

    /// The same, which speaks all that is old too, behind all others: it trusts nothing and says nothing.
    #[must_use]
    pub fn speaking_old(self) -> Self {
        let names: Vec<String> = old::names().into_iter().map(str::to_owned).collect();
        self.excepting(&names)
    }

    /// Keys are exchanged again after so many bytes.
    #[must_use]
    pub const fn rekey_after(mut self, bytes: u64) -> Self {
        self.rekey = bytes;
        self
    }
}
