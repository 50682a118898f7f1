//! Uses of a credential: lent or signed for one session, each with its entry first.

use crate::access::{Found, by_id, entry_id};
use crate::control::{Open, in_session};
use crate::directory::{kinds, load};
use crate::sessions::SessionBody;
use crate::{Actor, Control, Error};
use sallyport_model::access::{Denial, LeaseKind};
use sallyport_model::authority::{PASSWORD_INFO, Reply};
use sallyport_model::inventory::Rest;
use sallyport_model::sealed::PublicKey;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{AccountId, CallId, GatewayId, Kind, SecretId, SessionId, Timestamp};
use sallyport_store::{Change, DocId, Draft};
use sallyport_vault::{SecretKind, VersionBody, Where, sign_ed25519};
use serde::{Deserialize, Serialize};

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

/// The secret of an account.
pub(crate) fn secret_of(open: &Open, found: &Found) -> Result<SecretBody, Error> {
    let missing = || Error::failed("the account's credential is gone from the vault");
    let id = found.account.secret.ok_or_else(missing)?;
    let body = load::<SecretBody>(&open.store, &DocId::new(id), kinds::SECRET).ok_or_else(missing)?.value;
    // INVARIANT: a secret serves the account and the environment that it was stored for, no other.
    if body.account != found.account.id || body.environment != found.target.environment {
        return Err(Error::failed("the credential belongs to another account or environment"));
    }
    Ok(body)
}

/// What a session may do with the account's credential.
pub(crate) fn lease_kind(open: &Open, found: &Found) -> Result<LeaseKind, Error> {
    let secret = secret_of(open, found)?;
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
    pub(crate) async fn lend(&self, gateway: GatewayId, call: CallId, session: SessionId) -> Result<Reply, Error> {
        let open = self.opened()?;
        let (body, secret) = self.leased(&open, gateway, session)?;
        if secret.kind != SecretKind::Password {
            return Err(Denial::new(Kind::Denied, "this credential is a key: it is used, never lent").into());
        }
        self.note_use(&open, call, &body, &secret, "credential.lent").await?;
        let key: [u8; 32] = hex::decode(&body.key)
            .ok()
            .and_then(|b| b.try_into().ok())
            .ok_or_else(|| Error::failed("no session key"))?;
        let value = open_secret(&open, &secret)?;
        let sealed = PublicKey(key).seal(PASSWORD_INFO, session.as_bytes(), value.expose()).map_err(Error::failed)?;
        Ok(Reply::Password(sealed))
    }

    /// A signature over an SSH authentication request of this very session, and over nothing else.
    pub(crate) async fn sign(
        &self,
        gateway: GatewayId,
        call: CallId,
        session: SessionId,
        data: &[u8],
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let (body, secret) = self.leased(&open, gateway, session)?;
        let (SecretKind::SshEd25519, Some(public)) = (secret.kind, &secret.public) else {
            return Err(Denial::new(Kind::Denied, "this credential is no key").into());
        };
        let found = by_id(&open, body.target, body.account).ok_or_else(|| Error::failed("the account is gone"))?;
        if !is_auth_request(data, found.account.name.as_str(), public) {
            return Err(
                Denial::new(Kind::Denied, "the key signs SSH authentication requests of its own account only").into()
            );
        }
        self.note_use(&open, call, &body, &secret, "credential.signed").await?;
        let seed = open_secret(&open, &secret)?;
        let signature = sign_ed25519(&seed, data).map_err(Error::failed)?;
        let mut blob = Vec::with_capacity(83);
        for part in [b"ssh-ed25519".as_slice(), &signature] {
            blob.extend_from_slice(&u32::try_from(part.len()).unwrap_or(0).to_be_bytes());
            blob.extend_from_slice(part);
        }
        Ok(Reply::Signature(blob))
    }

    fn leased(&self, open: &Open, gateway: GatewayId, session: SessionId) -> Result<(SessionBody, SecretBody), Error> {
        let body = self.going_on(gateway, session)?;
        let found = by_id(open, body.target, body.account).ok_or_else(|| Error::failed("the account is gone"))?;
        let secret = secret_of(open, &found)?;
        Ok((body, secret))
    }

    /// The entry precedes the use.
    async fn note_use(
        &self,
        open: &Open,
        call: CallId,
        session: &SessionBody,
        secret: &SecretBody,
        action: &'static str,
    ) -> Result<(), Error> {
        let actor = Actor::Identity(session.identity, session.handle.clone());
        let facts = [("secret", secret.id.to_string()), ("version", secret.version.to_string())];
        let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
        let draft = Draft { id: entry_id(call), ..self.draft(&actor, action, &session.address, &facts) };
        open.store.commit(Change::entry(in_session(draft, session.id)).repeatable()).await?;
        Ok(())
    }
}

/// Whether bytes are what RFC 4252 section 7 has a client sign: session identifier, then
/// `SSH_MSG_USERAUTH_REQUEST` for this user, `ssh-connection`, `publickey`, TRUE, this key.
fn is_auth_request(data: &[u8], user: &str, public: &str) -> bool {
    use base64::Engine as _;
    let Some(blob) = public.split(' ').nth(1).and_then(|b| base64::engine::general_purpose::STANDARD.decode(b).ok())
    else {
        return false;
    };
    let mut rest = data;
    let session = string(&mut rest).is_some_and(|s| matches!(s.len(), 20 | 32 | 48 | 64));
    let message = rest.split_first().is_some_and(|(byte, tail)| {
        rest = tail;
        *byte == 50
    });
    session
        && message
        && string(&mut rest) == Some(user.as_bytes())
        && string(&mut rest) == Some(b"ssh-connection")
        && string(&mut rest) == Some(b"publickey")
        && rest.split_first().is_some_and(|(byte, tail)| {
            rest = tail;
            *byte == 1
        })
        && string(&mut rest) == Some(b"ssh-ed25519")
        && string(&mut rest) == Some(blob.as_slice())
        && rest.is_empty()
}

/// Takes an SSH string (RFC 4251 section 5) off the front.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    let (value, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(value)
}
