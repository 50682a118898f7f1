//! `dial`: the target's leg. Its host key is compared with the pinned ones before anything is sent to it.

use crate::config;
use crate::meter::{Cut, Meter, TargetStream};
use russh::client::{self, AuthResult, Handle, Handler, KeyboardInteractiveAuthResponse, Session};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::HashAlg;
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{ChannelId, Error, MethodKind, MethodSet, SendError, cipher};
use sallyport_gateway::spine::{Clearance, DialError, Lease};
use sallyport_model::Kind;
use sallyport_model::access::{Denial, LeaseKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connection to the target, logged in. It carries one channel.
pub struct Upstream {
    pub(crate) handle: Handle<TargetLeg>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) _cut: Cut,
}

/// The handler of one connection to a target.
pub(crate) struct TargetLeg {
    pinned: Vec<String>,
    refused: Arc<AtomicBool>,
    meter: Arc<Meter>,
}

impl Handler for TargetLeg {
    type Error = Error;

    /// Runs before the first key exchange is done, so before any credential is sent.
    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let known = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                config::openssh(key).is_some_and(|key| self.pinned.contains(&key))
            }
            PublicKeyOrCertificate::Certificate(_) => false,
        };
        self.refused.store(!known, Ordering::Release);
        Ok(known)
    }

    /// CVE-2023-48795: ChaCha20-Poly1305 is safe under strict key exchange only.
    async fn kex_done(
        &mut self,
        _secret: Option<&[u8]>,
        names: &russh::Names,
        _session: &mut Session,
    ) -> Result<(), Error> {
        if names.cipher == cipher::CHACHA20_POLY1305 && !names.strict_kex() { Err(Error::KexInit) } else { Ok(()) }
    }

    async fn data(&mut self, _channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Error> {
        self.meter.add(data.len());
        Ok(())
    }

    async fn extended_data(
        &mut self,
        _channel: ChannelId,
        _code: u32,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.meter.add(data.len());
        Ok(())
    }
}

/// Connects to the permitted place, checks who answers, and injects the credential.
pub(crate) async fn dial(go: &Clearance) -> Result<Upstream, DialError> {
    let place = go.place();
    if place.host_keys.is_empty() {
        let text = "no host key of the target is pinned, so nothing may be sent to it; ask its owner to pin one";
        return Err(DialError::new(Kind::Denied, text));
    }
    let stream = go.connect().await?;
    let meter = Meter::new();
    let cut = Cut(meter.clone());
    let refused = Arc::new(AtomicBool::new(false));
    let leg = TargetLeg { pinned: place.host_keys.clone(), refused: refused.clone(), meter: meter.clone() };
    let stream = TargetStream::new(stream, meter.clone());
    let handle = client::connect_stream(Arc::new(config::client(&place.host_keys)), stream, leg).await;
    let mut handle = handle.map_err(|error| {
        if refused.load(Ordering::Acquire) {
            DialError::new(Kind::Denied, "the target shows a host key that is not pinned: no credential was sent")
        } else {
            DialError::new(Kind::Unavailable, format!("the target's SSH server did not agree with us: {error}"))
        }
    })?;
    authenticate(&mut handle, place.account.as_str(), go.lease()).await?;
    Ok(Upstream { handle, meter, _cut: cut })
}

async fn authenticate(handle: &mut Handle<TargetLeg>, account: &str, lease: &Lease) -> Result<(), DialError> {
    let broke = |error: Error| DialError::new(Kind::Unavailable, format!("the login at the target broke: {error}"));
    let accepted = match lease.kind() {
        LeaseKind::Password => by_password(handle, account, lease).await?,
        LeaseKind::SshKey(public) => {
            let bad = |_| DialError::new(Kind::Failed, "the leased key is no OpenSSH key; rotate the account's key");
            let key = PublicKey::from_openssh(public).map_err(bad)?;
            let hash = match key.algorithm().is_rsa() {
                true => handle.best_supported_rsa_hash().await.map_err(broke)?.flatten().or(Some(HashAlg::Sha512)),
                false => None,
            };
            let mut signer = Signer { lease };
            match handle.authenticate_publickey_with(account, key, hash, &mut signer).await {
                Ok(result) => result.success(),
                Err(SignError::Denied(denial)) => return Err(denial.into()),
                Err(SignError::Gone) => return Err(broke(Error::Disconnect)),
            }
        }
    };
    if accepted {
        Ok(())
    } else if handle.is_closed() {
        // A refusal leaves the connection open for another try; one that broke says nothing of the credential.
        let text = "the target closed the connection during the login; it may be stopping, or limit logins";
        Err(DialError::new(Kind::Unavailable, text))
    } else {
        let text = format!("the target did not accept the credential of `{account}`; check or rotate it");
        Err(DialError::new(Kind::Denied, text))
    }
}

async fn by_password(handle: &mut Handle<TargetLeg>, account: &str, lease: &Lease) -> Result<bool, DialError> {
    let broke = |error: Error| DialError::new(Kind::Unavailable, format!("the login at the target broke: {error}"));
    let secret = lease.password().await?;
    let no_text = |_| DialError::new(Kind::Failed, "the account's password is no UTF-8 text; rotate it");
    let password = std::str::from_utf8(secret.expose()).map_err(no_text)?;
    let other = match handle.authenticate_password(account, password).await.map_err(broke)? {
        AuthResult::Success => return Ok(true),
        AuthResult::Failure { remaining_methods, .. } => asks(&remaining_methods),
    };
    if !other {
        return Ok(false);
    }
    let mut answer = handle.authenticate_keyboard_interactive_start(account, None).await.map_err(broke)?;
    let mut asked = false;
    loop {
        match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                // The one question that a password answers: hidden, alone, and asked once.
                let replies = match prompts.as_slice() {
                    [] => Vec::new(),
                    [prompt] if !prompt.echo && !asked => {
                        asked = true;
                        vec![password.to_owned()]
                    }
                    _ => return Ok(false),
                };
                answer = handle.authenticate_keyboard_interactive_respond(replies).await.map_err(broke)?;
            }
        }
    }
}

fn asks(methods: &MethodSet) -> bool {
    methods.contains(&MethodKind::KeyboardInteractive)
}

/// Lets control sign: the key never comes here.
struct Signer<'a> {
    lease: &'a Lease,
}

enum SignError {
    Denied(Denial),
    Gone,
}

impl From<SendError> for SignError {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

impl russh::Signer for Signer<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        _hash: Option<HashAlg>,
        mut challenge: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let blob = self.lease.sign(challenge.clone()).await.map_err(SignError::Denied)?;
        // RFC 4252 section 7: the request is followed by the signature as a string.
        let length = u32::try_from(blob.len()).map_err(|_| SignError::Gone)?;
        challenge.extend_from_slice(&length.to_be_bytes());
        challenge.extend_from_slice(&blob);
        Ok(challenge)
    }
}
