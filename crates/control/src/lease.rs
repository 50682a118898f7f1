//! Uses of a credential: lent or signed for one session, each with its entry first.

use crate::access::entry_id;
use crate::approach::Approach;
use crate::control::{Open, identity, in_session};
use crate::directory::{kinds, load};
use crate::found::{Found, place_of};
use crate::sessions::SessionBody;
use crate::slots::borrowed;
use crate::ssh_ca::SshCa;
use crate::{Actor, Control, Error};
use sallyport_model::access::{Channel, Denial, LeaseKind};
use sallyport_model::authority::{BECOMING_INFO, Certified, PASSWORD_INFO, Reply, password_aad};
use sallyport_model::inventory::{Account, By, CertificateTerms, Rest, Target};
use sallyport_model::sealed::PublicKey;
use sallyport_model::secret::SecretBytes;
use sallyport_model::way::Stop;
use sallyport_model::{AccountId, CallId, GatewayId, Kind, SecretId, SessionId, Timestamp};
use sallyport_policy::conceivable;
use sallyport_ssh_transport::certificate::{Contents, Holder};
use sallyport_ssh_transport::wire::{Cursor, Put as _};
use sallyport_ssh_transport::{auth, key};
use sallyport_store::{Change, DocId, Draft};
use sallyport_vault::{SecretKind, SshKey, VersionBody, Where, sign_ed25519};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the certificate of a session is good: it is shown once, within seconds.
const CERTIFIED_FOR: Duration = Duration::from_secs(300);
/// How far the clock of a target may be behind ours.
pub(crate) const SKEW: Duration = Duration::from_secs(60);
/// The algorithm of a proof by a certified key.
const CERTIFIED_ED25519: &str = "ssh-ed25519-cert-v01@openssh.com";
/// Lengths of the identifiers of exchanges of keys: of the hashes that they are made by.
pub(crate) const EXCHANGES: [usize; 3] = [32, 48, 64];
/// That of SHA-1, which a target's exchange may have by exception.
const OLD_EXCHANGE: usize = 20;
/// What a certificate must say for a jump host to connect onward.
const FORWARDING: &str = "permit-port-forwarding";
/// What a certificate must say for channels to be served.
const EXTENSIONS: [(&str, &[Channel]); 4] = [
    ("permit-X11-forwarding", &[Channel::X11]),
    ("permit-agent-forwarding", &[Channel::Agent]),
    (FORWARDING, &[Channel::ForwardLocal, Channel::ForwardRemote, Channel::ForwardSocket]),
    ("permit-pty", &[Channel::Shell]),
];

/// What is known of a secret without opening it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretBody {
    pub(crate) id: SecretId,
    pub(crate) account: AccountId,
    pub(crate) environment: sallyport_model::name::Label,
    pub(crate) kind: SecretKind,
    pub(crate) version: u64,
    pub(crate) stored: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public: Option<String>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// Id of the document of one version.
pub(crate) fn version_id(secret: SecretId, version: u64) -> String {
    format!("{secret}@{version}")
}

/// The secret of an account on a target.
pub(crate) fn secret_of(open: &Open, target: &Target, account: &Account) -> Result<SecretBody, Error> {
    let missing = || Error::failed("the account's credential is gone from the vault");
    let id = account.secret.ok_or_else(missing)?;
    let body = load::<SecretBody>(&open.store, &DocId::new(id), kinds::SECRET).ok_or_else(missing)?.value;
    // INVARIANT: a secret serves the account and the environment that it was stored for, no other.
    if body.account != account.id || account.target != target.id || body.environment != target.environment {
        return Err(Error::failed("the credential belongs to another account or environment"));
    }
    Ok(body)
}

/// What a session may do with the credential of the account that is logged in at.
pub(crate) fn lease_kind(open: &Open, found: &Found) -> Result<LeaseKind, Error> {
    let account = found.logs_in();
    if account.certificate.is_some() {
        return Ok(LeaseKind::SshCertificate);
    }
    let secret = secret_of(open, &found.target, account)?;
    match secret.kind {
        SecretKind::Password => Ok(LeaseKind::Password),
        SecretKind::SshEd25519 => {
            secret.public.map(LeaseKind::SshKey).ok_or_else(|| Error::failed("the key has no public half"))
        }
        SecretKind::PasswordVerifier
        | SecretKind::Totp
        | SecretKind::RecoveryCodes
        | SecretKind::TlsKey
        | SecretKind::AcmeAccount => Err(Error::failed("this is no credential of an account")),
    }
}

/// What an entry says of the use of a secret.
fn of(secret: &SecretBody) -> Vec<(&'static str, String)> {
    vec![("secret", secret.id.to_string()), ("version", secret.version.to_string())]
}

/// What an entry says of whose credential it is, where that is not the account that the session is of.
fn whose(found: &Found, account: &Account) -> Option<(&'static str, String)> {
    let other = account.id != found.account.id;
    other.then(|| ("of", format!("{}@{}", account.name, found.target.name)))
}

/// The critical options of an account's certificates.
fn critical(certified: &CertificateTerms) -> Vec<(String, String)> {
    let mut options = Vec::new();
    if let Some(command) = &certified.force_command {
        options.push(("force-command".to_owned(), command.clone()));
    }
    if !certified.source_addresses.is_empty() {
        let networks: Vec<_> = certified.source_addresses.iter().map(ToString::to_string).collect();
        options.push(("source-address".to_owned(), networks.join(",")));
    }
    options
}

/// The serial of a certificate: a call that is repeated gets a certificate of the same one.
fn serial(call: CallId) -> u64 {
    let (_, low) = call.as_bytes().split_at(8);
    low.try_into().map_or(0, u64::from_be_bytes)
}

/// Seconds since 1970, as certificates count.
pub(crate) fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.0 / 1_000_000).unwrap_or(0)
}

fn open_secret(open: &Open, secret: &SecretBody) -> Result<SecretBytes, Error> {
    let id = DocId::new(version_id(secret.id, secret.version));
    let body = load::<VersionBody>(&open.store, &id, kinds::VERSION)
        .ok_or_else(|| Error::failed("the credential's current version is gone from the vault"))?
        .value;
    let place = Where {
        environment: secret.environment.clone(),
        secret: secret.id,
        version: secret.version,
        kind: secret.kind,
    };
    Ok(open.vault().open_secret(&place, &body)?)
}

impl Control {
    /// A password, sealed to the session's key.
    pub(crate) async fn lend(
        &self,
        gateway: GatewayId,
        call: CallId,
        (session, stop): (SessionId, Stop),
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let (body, found) = self.leased(&open, gateway, session)?;
        let place = found.at(stop)?;
        let secret = secret_of(&open, &place.target, place.logs_in())?;
        if secret.kind != SecretKind::Password {
            return Err(Denial::new(Kind::Denied, "this credential is a key: it is used, never lent").into());
        }
        let facts = of(&secret).into_iter().chain(whose(place, place.logs_in()));
        self.note_use(&open, call, (&body, &found, stop), "credential.lent", facts).await?;
        sealed(&open, (&body, stop), &secret, PASSWORD_INFO)
    }

    /// The password by which the logon account of a session becomes the account that it is of, sealed to the session's key.
    pub(crate) async fn lend_becoming(
        &self,
        gateway: GatewayId,
        call: CallId,
        session: SessionId,
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let (body, found) = self.leased(&open, gateway, session)?;
        let Approach::Through(logon, by) = &found.way else {
            return Err(Denial::new(Kind::Denied, "nobody is become in this session").into());
        };
        let owner = match by {
            By::Su => &found.account,
            By::Sudo => logon.as_ref(),
        };
        let secret = secret_of(&open, &found.target, owner).ok().filter(|s| s.kind == SecretKind::Password);
        let secret = secret.ok_or_else(|| {
            let text = format!(
                "`{}` at the target asks for the password of `{}`, and none is stored: store it with `sallyport vault put`",
                by.word(),
                owner.name
            );
            Denial::new(Kind::Unavailable, text)
        })?;
        let mut facts = of(&secret);
        facts.push(("by", by.word().to_owned()));
        facts.extend(whose(&found, owner));
        self.note_use(&open, call, (&body, &found, Stop::Target), "credential.lent", facts).await?;
        sealed(&open, (&body, Stop::Target), &secret, BECOMING_INFO)
    }

    /// A signature over an SSH authentication request of this very session, and over nothing else.
    pub(crate) async fn sign(
        &self,
        gateway: GatewayId,
        call: CallId,
        (session, stop): (SessionId, Stop),
        data: &[u8],
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let (body, found) = self.leased(&open, gateway, session)?;
        let place = found.at(stop)?;
        let secret = secret_of(&open, &place.target, place.logs_in())?;
        let (SecretKind::SshEd25519, Some(public)) = (secret.kind, &secret.public) else {
            return Err(Denial::new(Kind::Denied, "this credential is no key").into());
        };
        if !is_auth_request(data, place.logs_in().name.as_str(), public) {
            return Err(
                Denial::new(Kind::Denied, "the key signs SSH authentication requests of its own account only").into()
            );
        }
        let facts = of(&secret).into_iter().chain(whose(place, place.logs_in()));
        self.note_use(&open, call, (&body, &found, stop), "credential.signed", facts).await?;
        let seed = open_secret(&open, &secret)?;
        Ok(Reply::Signature(signature(&seed, data)?))
    }

    /// A certificate for this very session, with its key's proof for one exchange of keys with the target. The key is
    /// made here, signs once, and is forgotten: nothing of it is stored or sent.
    pub(crate) async fn certify(
        &self,
        gateway: GatewayId,
        call: CallId,
        (session, stop): (SessionId, Stop),
        exchange: &[u8],
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let (body, found) = self.leased(&open, gateway, session)?;
        let place = found.at(stop)?;
        let Some(certified) = &place.logs_in().certificate else {
            return Err(Denial::new(Kind::Denied, "this account is not opened with a certificate").into());
        };
        if !of_exchange(exchange) {
            return Err(Denial::new(Kind::Usage, "this is the identifier of no exchange of keys").into());
        }
        let signer = self.signer(&open, SshCa::Targets)?;
        let account = place.logs_in().name.as_str();
        let (made, now) = (SshKey::generate(&self.env).map_err(Error::failed)?, self.env.now());
        let contents = Contents {
            key: key::parse(&made.public).map_err(Error::failed)?,
            serial: serial(call),
            holder: Holder::User,
            id: format!("sallyport {session} {}", body.handle),
            principals: vec![certified.principal.clone().unwrap_or_else(|| account.to_owned())],
            after: seconds(now.minus(SKEW)),
            before: seconds(now.plus(CERTIFIED_FOR)),
            critical: critical(certified),
            extensions: match stop {
                Stop::Target => self.needed(&open, &body, &found)?,
                // A jump host does one thing.
                Stop::Hop(_) => vec![FORWARDING.to_owned()],
            },
        };
        let facts = [
            ("serial", contents.serial.to_string()),
            ("principal", contents.principals.join(" ")),
            ("extensions", contents.extensions.join(" ")),
            ("until", now.plus(CERTIFIED_FOR).to_string()),
            ("ca", signer.version.to_string()),
        ];
        let facts = facts.into_iter().chain(whose(place, place.logs_in()));
        self.note_use(&open, call, (&body, &found, stop), "credential.certified", facts).await?;
        let certificate = signer.certify(&contents, &self.env.random())?;
        self.metrics.certificate_issued(SshCa::Targets);
        let proof = auth::proof(exchange, account, CERTIFIED_ED25519, &certificate);
        let signature = signature(&made.seed, &proof)?;
        Ok(Reply::Certified(Certified { certificate, signature }))
    }

    /// The extensions without which the target would refuse what policy lets this session do: no others are given.
    fn needed(&self, open: &Open, session: &SessionBody, found: &Found) -> Result<Vec<String>, Error> {
        let gone = || Denial::new(Kind::Denied, "the right to this session is gone");
        let who = identity(open, session.identity).ok_or_else(gone)?;
        let facts = session.facts(found, &who, self.env.now());
        let policy = open.policy();
        let needs = |channels: &[Channel]| channels.iter().any(|channel| conceivable(&policy, &facts, *channel));
        let given = EXTENSIONS.iter().filter(|(_, channels)| needs(channels));
        Ok(given.map(|(name, _)| (*name).to_owned()).collect())
    }

    /// A session that goes on, and the place that it was opened at.
    fn leased(&self, open: &Open, gateway: GatewayId, session: SessionId) -> Result<(SessionBody, Found), Error> {
        let body = self.going_on(gateway, session)?;
        let found = place_of(open, &body)?;
        Ok((body, found))
    }

    /// The entry precedes the use. Of a jump host's credential it names the jump host.
    async fn note_use(
        &self,
        open: &Open,
        call: CallId,
        (session, found, stop): (&SessionBody, &Found, Stop),
        action: &'static str,
        facts: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Error> {
        let actor = Actor::Identity(session.identity, session.handle.clone());
        let of = match stop {
            Stop::Target => None,
            Stop::Hop(_) => Some(("of", found.at(stop)?.jump().to_string())),
        };
        let facts: Vec<_> = facts.into_iter().chain(of).collect();
        let draft = self.draft(&actor, action, &session.address, &borrowed(&facts));
        let draft = Draft { id: entry_id(call), ..draft };
        open.store.commit(Change::entry(in_session(draft, session.id)).repeatable()).await?;
        Ok(())
    }
}

/// The value of a secret, for nobody but a session's gateway.
fn sealed(
    open: &Open,
    (session, stop): (&SessionBody, Stop),
    secret: &SecretBody,
    info: &[u8],
) -> Result<Reply, Error> {
    let key = hex::decode(&session.key).ok().and_then(|bytes| bytes.try_into().ok());
    let key: [u8; 32] = key.ok_or_else(|| Error::failed("no session key"))?;
    let value = open_secret(open, secret)?;
    let sealed = PublicKey(key).seal(info, &password_aad(session.id, stop), value.expose()).map_err(Error::failed)?;
    Ok(Reply::Password(sealed))
}

/// Whether bytes may be the identifier of an exchange of keys with a target.
fn of_exchange(exchange: &[u8]) -> bool {
    exchange.len() == OLD_EXCHANGE || EXCHANGES.contains(&exchange.len())
}

/// Whether bytes are what RFC 4252 section 7 has a client sign: for this user, with this key, and nothing else.
fn is_auth_request(data: &[u8], user: &str, public: &str) -> bool {
    let (Ok(exchange), Ok(blob)) = (Cursor::new(data).string(), key::parse(public)) else { return false };
    of_exchange(exchange) && data == auth::proof(exchange, user, "ssh-ed25519", &blob)
}

/// An SSH signature blob (RFC 4253 section 6.6) by the key of this seed.
pub(crate) fn signature(seed: &SecretBytes, data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut blob = Vec::with_capacity(83);
    blob.string(b"ssh-ed25519");
    blob.string(&sign_ed25519(seed, data).map_err(Error::failed)?);
    Ok(blob)
}
