//! The login at a server that has proven its host key.

use super::Server;
use sallyport_gateway::spine::{DialError, Lease};
use sallyport_model::Kind;
use sallyport_model::access::LeaseKind;
use sallyport_ssh_transport::wire::{Put as _, lists};
use sallyport_ssh_transport::{Error, Leg, auth, key};
use tokio::io::{AsyncRead, AsyncWrite};

/// Banners that a server may show while it is logged in to.
const BANNERS: u32 = 16;
/// Rounds of questions that a server may ask.
const ROUNDS: u32 = 8;
/// What is to be done about a credential that is not accepted.
const STORED: &str = "check or rotate it";
const CERTIFIED: &str = "its `TrustedUserCAKeys` must hold the keys that `sallyport vault ca` shows for `targets`, and it \
                         must let the certificate's principal in as that user";

/// A login at one server, with the uses of one credential.
pub(super) struct Login<'a, S> {
    leg: Leg<S>,
    server: &'a Server<'a>,
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

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Login<'a, S> {
    pub(super) const fn new(leg: Leg<S>, server: &'a Server<'a>) -> Self {
        Self { leg, server, banners: 0 }
    }

    /// Logs in, and gives the leg back.
    pub(super) async fn run(mut self, lease: &Lease) -> Result<Leg<S>, DialError> {
        let (accepted, advice) = match lease.kind() {
            LeaseKind::Password => (self.by_password(lease).await?, STORED),
            LeaseKind::SshKey(public) => (self.by_key(public, lease).await?, STORED),
            LeaseKind::SshCertificate => (self.by_certificate(lease).await?, CERTIFIED),
        };
        if accepted {
            return Ok(self.leg);
        }
        let account = self.server.account;
        Err(self.server.error(Kind::Denied, format!("did not accept the credential of `{account}`; {advice}")))
    }

    /// A login that broke says nothing of the credential.
    fn broke(&self, error: Error) -> DialError {
        let text = match error {
            Error::HungUp | Error::Io(_) | Error::Disconnected(_) => {
                "closed the connection during the login; it may be stopping, or limit logins".to_owned()
            }
            error => format!("broke off the login: {error}"),
        };
        self.server.error(Kind::Unavailable, text)
    }

    /// Sends a request of authentication that is whole already.
    fn request(&mut self, request: &[u8]) -> Result<(), DialError> {
        self.leg.send(|out| out.bytes(request)).map_err(|error| self.broke(error))
    }

    async fn outcome(&mut self) -> Result<Taken, DialError> {
        self.taken().await.map_err(|error| self.broke(error))
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
        let challenge = auth::proof(&session, self.server.account, algorithm, &blob);
        let signature = lease.sign(challenge).await?;
        let request = auth::with_key(self.server.account, algorithm, &blob, &signature);
        self.request(&request)?;
        Ok(matches!(self.outcome().await?, Taken::In))
    }

    /// Shows a certificate that control has made for this very exchange of keys.
    async fn by_certificate(&mut self, lease: &Lease) -> Result<bool, DialError> {
        let session = self.leg.transport().session().unwrap_or_default().to_vec();
        let made = lease.certify(session).await?;
        let bad = |_| DialError::new(Kind::Failed, "the certificate that control has made is none");
        let algorithm = key::kind(&made.certificate).map_err(bad)?;
        let request = auth::with_key(self.server.account, algorithm, &made.certificate, &made.signature);
        self.request(&request)?;
        Ok(matches!(self.outcome().await?, Taken::In))
    }

    async fn by_password(&mut self, lease: &Lease) -> Result<bool, DialError> {
        let secret = lease.password().await?;
        let password = secret.expose();
        let account = self.server.account;
        self.leg.send(|out| auth::with_password(out, account, password)).map_err(|error| self.broke(error))?;
        match self.outcome().await? {
            Taken::In => return Ok(true),
            // A demand for a new password, which is not ours to choose here.
            Taken::Asks(_) => return Ok(false),
            Taken::Refused(methods) if lists(&methods, "keyboard-interactive") => {}
            Taken::Refused(_) => return Ok(false),
        }
        self.leg.send(|out| auth::to_be_asked(out, account)).map_err(|error| self.broke(error))?;
        let mut said = false;
        for _ in 0..ROUNDS {
            let prompts = match self.outcome().await? {
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
            self.leg.send(|out| auth::answer(out, answers)).map_err(|error| self.broke(error))?;
        }
        Ok(false)
    }
}
