//! One order at a directory: account, proof that the name is ours, certificate.

use super::Acme;
use super::http::Http;
use crate::edge::certificate::{certified, validity};
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, ChallengeHandle, ChallengeStatus, ChallengeType, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sallyport_control::{CertificateBody, Challenge, Control, Error, NewCertificate};
use sallyport_model::Secret;
use std::time::Duration;

/// How long the directory may take to look at the proof, and to issue; where it does not say when to ask again, it is asked
/// after half a second, and then at ever longer intervals.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.3).timeout(Duration::from_secs(120));
/// How long other nodes may take to know what they must show, too.
const KNOWN: Duration = Duration::from_secs(3);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody answered at the directory's address, or not as a directory does.
    #[error("the directory is not reached: {0}")]
    Unreached(String),
    /// The directory said no.
    #[error("the directory refused: {0}")]
    Refused(String),
    /// It was not for us to go on.
    #[error("{0}")]
    NotOurs(#[from] Error),
}

impl Failure {
    /// Whether the directory was reached.
    pub(super) const fn reached(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// With every cause, which is where the reason stands.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl From<instant_acme::Error> for Failure {
    fn from(error: instant_acme::Error) -> Self {
        match &error {
            instant_acme::Error::Other(cause) => Self::Unreached(whole(cause.as_ref())),
            instant_acme::Error::Json(_) | instant_acme::Error::Http(_) | instant_acme::Error::InvalidUri(_) => {
                Self::Unreached(whole(&error))
            }
            _ => Self::Refused(whole(&error)),
        }
    }
}

fn wrong(what: impl std::fmt::Display) -> Failure {
    Failure::Refused(what.to_string())
}

/// Orders a certificate and keeps it.
pub(super) async fn carry_out(
    control: &Control,
    known: &CertificateBody,
    settings: &Acme,
    name: &str,
    several: bool,
) -> Result<(), Failure> {
    let names = [Identifier::Dns(name.to_owned())];
    let mut order = match account(control, known, settings, true).await?.new_order(&NewOrder::new(&names)).await {
        // A directory that has forgotten its accounts is given a new one.
        Err(instant_acme::Error::Api(problem))
            if problem.r#type.as_deref().is_some_and(|kind| kind.ends_with("accountDoesNotExist")) =>
        {
            account(control, known, settings, false).await?.new_order(&NewOrder::new(&names)).await?
        }
        order => order?,
    };
    let challenges = challenges(&mut order).await?;
    control.order_certificate(known, &settings.directory, challenges).await?;
    if several {
        tokio::time::sleep(KNOWN).await;
    }
    prove(&mut order).await?;
    let new = fetch(&mut order, &settings.directory, name).await?;
    Ok(control.keep_certificate(new).await?)
}

fn builder(settings: &Acme) -> Result<AccountBuilder, Failure> {
    let http = Http::new(settings.root.as_deref()).map_err(Failure::Unreached)?;
    Ok(Account::builder_with_http(Box::new(http)))
}

/// The account at the directory: the one in the vault, or one that is made.
async fn account(control: &Control, known: &CertificateBody, settings: &Acme, kept: bool) -> Result<Account, Failure> {
    if kept && let Some(credentials) = control.directory_account(&settings.directory)? {
        let credentials = serde_json::from_slice(credentials.expose())
            .map_err(|e| Error::Failed(format!("the account at the directory: {e}")))?;
        return Ok(builder(settings)?.from_credentials(credentials).await?);
    }
    let contact: Vec<String> = settings.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let new = NewAccount {
        contact: &contact.iter().map(String::as_str).collect::<Vec<_>>(),
        terms_of_service_agreed: settings.accept_terms,
        only_return_existing: false,
    };
    let (account, credentials) = builder(settings)?.create(&new, settings.directory.clone(), None).await?;
    let credentials = Secret::new(serde_json::to_vec(&credentials).map_err(wrong)?);
    control.keep_directory_account(known, &settings.directory, credentials).await?;
    Ok(account)
}

/// What must be shown before the directory looks: nothing for a name that it has seen before and still believes, which it may
/// (RFC 8555 section 7.1.3).
async fn challenges(order: &mut Order) -> Result<Vec<Challenge>, Failure> {
    let mut challenges = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or_else(|| wrong("it offers no proof by TLS (tls-alpn-01, RFC 8737)"))?;
        let digest = challenge.key_authorization().digest().as_ref().try_into().map_err(wrong)?;
        let Identifier::Dns(name) = &challenge.identifier().identifier else {
            return Err(wrong("it asks about something that is no name"));
        };
        challenges.push(Challenge { name: name.clone(), digest });
    }
    Ok(challenges)
}

/// Has the directory look, and waits until it is content.
async fn prove(order: &mut Order) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        // Of an order taken up again it may look already; to be told once more is an error to it.
        let waits = |challenge: &ChallengeHandle<'_>| challenge.status == ChallengeStatus::Pending;
        if let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01).filter(waits) {
            // A directory that looks at once says at once what it saw.
            challenge.set_ready().await.map_err(seen)?;
        }
    }
    match order.poll_ready(&PATIENCE).await.map_err(seen)? {
        OrderStatus::Ready | OrderStatus::Valid => Ok(()),
        _ => Err(why_not(order).await),
    }
}

/// What the directory says of a proof that it did not like.
async fn why_not(order: &mut Order) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let _ = authorization.refresh().await;
        if let Some(error) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return unproven(error);
        }
    }
    wrong("it does not say why")
}

/// What went wrong while the directory looked.
fn seen(error: instant_acme::Error) -> Failure {
    match error {
        instant_acme::Error::Api(problem) => unproven(&problem),
        other => other.into(),
    }
}

fn unproven(problem: &instant_acme::Problem) -> Failure {
    wrong(format_args!("it could not see on port 443 of the name that it is ours: {problem}"))
}

/// Has the certificate issued for a key that is made for it.
async fn fetch(order: &mut Order, directory: &str, name: &str) -> Result<NewCertificate, Failure> {
    let key = KeyPair::generate().map_err(wrong)?;
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(wrong)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key).map_err(wrong)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().map_err(wrong)?;
    let (from, until) = validity(certificates.first().ok_or_else(|| wrong("it issued nothing"))?).map_err(wrong)?;
    certified(certificates, &PrivateKeyDer::try_from(key.serialize_der()).map_err(wrong)?).map_err(wrong)?;
    let (directory, names) = (directory.to_owned(), vec![name.to_owned()]);
    Ok(NewCertificate { directory, names, chain, key: Secret::new(key.serialize_pem()), from, until })
}
