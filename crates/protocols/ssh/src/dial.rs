//! `dial`: the target's leg. Its host key is compared with the pinned ones before anything is sent to it.

use crate::config;
use sallyport_gateway::spine::{Clearance, DialError, Lease};
use sallyport_model::Kind;
use sallyport_model::access::LeaseKind;
use sallyport_ssh_transport::link::{Arrivals, Link};
use sallyport_ssh_transport::wire::{Put as _, lists};
use sallyport_ssh_transport::{Error, Leg, Random, SERVICE_ACCEPT, SERVICE_REQUEST, Transport, auth, key};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// A connection to the target, logged in.
pub struct Upstream {
    pub(crate) link: Link,
    /// What the target begins, until the relay takes it.
    pub(crate) arrivals: Option<Arrivals>,
    /// Closes the socket when nobody holds the connection any more.
    _driver: AbortOnDropHandle<Error>,
}

/// How long a dial may take, with login.
const DIAL: Duration = Duration::from_secs(20);
/// Banners that a target may show while it is logged in to.
const BANNERS: u32 = 16;
/// Rounds of questions that a target may ask.
const ROUNDS: u32 = 8;
/// What is to be done about a credential that is not accepted.
const STORED: &str = "check or rotate it";
const CERTIFIED: &str = "its `TrustedUserCAKeys` must hold the keys that `sallyport vault ca` shows for `targets`, and it \
                         must let the certificate's principal in as that user";

/// Connects to the permitted place, checks who answers, and injects the credential.
async fn dial(go: &Clearance, random: &Random) -> Result<Upstream, DialError> {
    let place = go.place();
    if place.host_keys.is_empty() {
        let text = "no host key of the target is pinned, so nothing may be sent to it; ask its owner to pin one";
        return Err(DialError::new(Kind::Denied, text));
    }
    let stream = go.connect().await?;
    let failed = |e: Error| DialError::new(Kind::Failed, e.to_string());
    let transport = Transport::new(Arc::new(config::client(go, random))).map_err(failed)?;
    let mut leg = Leg::new(stream, transport);
    exchange(&mut leg).await.map_err(|error| match error {
        Error::HostKey(_) => {
            DialError::new(Kind::Denied, "the target shows a host key that is not pinned: no credential was sent")
        }
        error => DialError::new(Kind::Unavailable, format!("the target's SSH server did not agree with us: {error}")),
    })?;
    let mut login = Login { leg, account: place.login().as_str(), banners: 0 };
    login.run(go.lease()).await?;
    let mut leg = login.leg;
    leg.authenticated();
    let (link, arrivals, driver) = Link::start(leg, config::TARGET);
    Ok(Upstream { link, arrivals: Some(arrivals), _driver: AbortOnDropHandle::new(tokio::spawn(driver.run())) })
}

/// The same, which may not take longer than a person waits.
pub(crate) async fn dial_soon(go: &Clearance, random: &Random) -> Result<Upstream, DialError> {
    let slow = || DialError::new(Kind::Unavailable, "the target's SSH server did not let us in within 20 seconds");
    tokio::time::timeout(DIAL, Box::pin(dial(go, random))).await.map_err(|_| slow())?
}

/// Keys are exchanged and the service is asked for: from here on the target is who it is pinned to be.
async fn exchange(leg: &mut Leg<TcpStream>) -> Result<(), Error> {
    leg.send(|out| {
        out.byte(SERVICE_REQUEST);
        out.string(b"ssh-userauth");
    })?;
    match leg.receive().await?.first() {
        Some(&SERVICE_ACCEPT) => Ok(()),
        other => Err(Error::OutOfTurn(other.copied().unwrap_or_default())),
    }
}

struct Login<'a> {
    leg: Leg<TcpStream>,
    account: &'a str,
    banners: u32,
}

/// How the target took what it was shown.
enum Taken {
    In,
    /// What may be tried instead.
    Refused(String),
    /// It asks something.
    Asks(Vec<(String, bool)>),
}

/// A login that broke says nothing of the credential.
fn broke(error: Error) -> DialError {
    let text = match error {
        Error::HungUp | Error::Io(_) | Error::Disconnected(_) => {
            "the target closed the connection during the login; it may be stopping, or limit logins".to_owned()
        }
        error => format!("the login at the target broke: {error}"),
    };
    DialError::new(Kind::Unavailable, text)
}

impl Login<'_> {
    async fn run(&mut self, lease: &Lease) -> Result<(), DialError> {
        let (accepted, advice) = match lease.kind() {
            LeaseKind::Password => (self.by_password(lease).await?, STORED),
            LeaseKind::SshKey(public) => (self.by_key(public, lease).await?, STORED),
            LeaseKind::SshCertificate => (self.by_certificate(lease).await?, CERTIFIED),
        };
        if accepted {
            return Ok(());
        }
        let text = format!("the target did not accept the credential of `{}`; {advice}", self.account);
        Err(DialError::new(Kind::Denied, text))
    }

    async fn taken(&mut self) -> Result<Taken, Error> {
        loop {
            let payload = self.leg.receive().await?;
            match payload.first() {
                Some(&auth::SUCCESS) => return Ok(Taken::In),
                Some(&auth::FAILURE) => return Ok(Taken::Refused(auth::refused(&payload)?.0.to_owned())),
                Some(&auth::MORE) => return Ok(Taken::Asks(auth::asked(&payload)?)),
                Some(&auth::BANNER) => {
                    self.banners = self.banners.saturating_add(1);
                    if self.banners > BANNERS {
                        return Err(Error::Overrun("too many banners"));
                    }
                }
                other => return Err(Error::OutOfTurn(other.copied().unwrap_or_default())),
            }
        }
    }

    /// Lets control sign: the key never comes here.
    async fn by_key(&mut self, public: &str, lease: &Lease) -> Result<bool, DialError> {
        let bad = |_| DialError::new(Kind::Failed, "the leased key is no OpenSSH key; rotate the account's key");
        let blob = key::parse(public).map_err(bad)?;
        let kind = key::kind(&blob).map_err(bad)?;
        let theirs = self.leg.transport().their_signatures();
        let algorithm = match (kind, theirs) {
            // RFC 8332: the best of both that the server says it takes.
            ("ssh-rsa", Some(theirs)) if !lists(theirs, "rsa-sha2-512") => "rsa-sha2-256",
            ("ssh-rsa", _) => "rsa-sha2-512",
            (other, _) => other,
        };
        let session = self.leg.transport().session().unwrap_or_default().to_vec();
        let challenge = auth::proof(&session, self.account, algorithm, &blob);
        let signature = lease.sign(challenge).await?;
        let request = auth::with_key(self.account, algorithm, &blob, &signature);
        self.leg.send(|out| out.bytes(&request)).map_err(broke)?;
        Ok(matches!(self.taken().await.map_err(broke)?, Taken::In))
    }

    /// Shows a certificate that control has made for this very exchange of keys.
    async fn by_certificate(&mut self, lease: &Lease) -> Result<bool, DialError> {
        let session = self.leg.transport().session().unwrap_or_default().to_vec();
        let made = lease.certify(session).await?;
        let bad = |_| DialError::new(Kind::Failed, "the certificate that control has made is none");
        let algorithm = key::kind(&made.certificate).map_err(bad)?;
        let request = auth::with_key(self.account, algorithm, &made.certificate, &made.signature);
        self.leg.send(|out| out.bytes(&request)).map_err(broke)?;
        Ok(matches!(self.taken().await.map_err(broke)?, Taken::In))
    }

    async fn by_password(&mut self, lease: &Lease) -> Result<bool, DialError> {
        let secret = lease.password().await?;
        let password = secret.expose();
        let account = self.account;
        self.leg.send(|out| auth::with_password(out, account, password)).map_err(broke)?;
        match self.taken().await.map_err(broke)? {
            Taken::In => return Ok(true),
            // A demand for a new password, which is not ours to choose here.
            Taken::Asks(_) => return Ok(false),
            Taken::Refused(methods) if lists(&methods, "keyboard-interactive") => {}
            Taken::Refused(_) => return Ok(false),
        }
        self.leg.send(|out| auth::to_be_asked(out, account)).map_err(broke)?;
        let mut said = false;
        for _ in 0..ROUNDS {
            let prompts = match self.taken().await.map_err(broke)? {
                Taken::In => return Ok(true),
                Taken::Refused(_) => return Ok(false),
                Taken::Asks(prompts) => prompts,
            };
            // The one question that a password answers: hidden, alone, and asked once.
            let answers: &[&[u8]] = match prompts.as_slice() {
                [] => &[],
                [(_, false)] if !said => {
                    said = true;
                    &[password]
                }
                _ => return Ok(false),
            };
            self.leg.send(|out| auth::answer(out, answers)).map_err(broke)?;
        }
        Ok(false)
    }
}
