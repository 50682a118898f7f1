//! The envelope of one secret version: a data key of its own, wrapped, committed to, and bound to its place.
//!
//! ```text
//! magic "SPV1" | fmt u8 | alg u8 | domain u16+text | epoch u32
//!   | wrapped data key [80] | commitment [32] | nonce [12] | ciphertext and tag
//! ```
//!
//! Numbers are big-endian. AAD of both layers is the length-prefixed list of ("sallyport-v1",
//! layer, cluster, domain, kind, field, id, version, alg); the layer that wraps the data key adds
//! the epoch. The value's layer does not, so that a new epoch wraps the data key anew and leaves
//! the value as it is.

use crate::VaultError;
use crate::crypto::{self, Context, KEY, Key, NONCE, TAG, WRAP};
use crate::keyring::{EpochKey, Ring, secrets_domain};
use crate::text::Base64;
use sallyport_model::inventory::Rest;
use sallyport_model::name::Label;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{ClusterId, Env, SecretId};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 4] = b"SPV1";
const FORMAT: u8 = 2;
/// AES-256-GCM at both layers, keys by HKDF-SHA256.
const ALGORITHM: u8 = 1;
const FIELD: &str = "value";
const MAX_SECRET: usize = 64 * 1024;
/// Bytes before the domain's name.
const HEAD: usize = MAGIC.len() + 2 + 2;
const DAMAGED: VaultError = VaultError::Damaged { what: "secret version" };

/// What a secret's bytes are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// A password, UTF-8.
    Password,
    /// The 32-byte seed of an Ed25519 key (RFC 8032).
    SshEd25519,
    /// What is kept of the password that somebody signs in with: a [`PasswordVerifier`](crate::PasswordVerifier).
    PasswordVerifier,
    /// The shared secret of codes by the clock (RFC 6238), 20 bytes.
    Totp,
    /// What is kept of recovery codes: keyed hashes, with their key.
    RecoveryCodes,
    /// The private key of a certificate of the API: PKCS#8 as PEM.
    TlsKey,
    /// The credentials of an account at an ACME directory, JSON.
    AcmeAccount,
}

impl SecretKind {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SshEd25519 => "ssh_ed25519",
            Self::PasswordVerifier => "password_verifier",
            Self::Totp => "totp",
            Self::RecoveryCodes => "recovery_codes",
            Self::TlsKey => "tls_key",
            Self::AcmeAccount => "acme_account",
        }
    }
}

/// Where a secret version belongs, as the *caller* knows it from the document it decides by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Where {
    /// The environment of its target.
    pub environment: Label,
    /// The secret.
    pub secret: SecretId,
    /// Its version, from 1.
    pub version: u64,
    /// What its bytes are.
    pub kind: SecretKind,
}

/// The document of one secret version.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct VersionBody {
    /// The environment, and with it the key domain.
    pub environment: Label,
    /// The secret.
    pub secret: SecretId,
    /// Its version, from 1.
    pub version: u64,
    /// What its bytes are.
    pub kind: SecretKind,
    sealed: Base64,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

impl VersionBody {
    /// The place that the document itself names. It is the document's MAC that vouches for it.
    #[must_use]
    pub fn place(&self) -> Where {
        Where { environment: self.environment.clone(), secret: self.secret, version: self.version, kind: self.kind }
    }

    /// The domain of keys that it is under.
    #[must_use]
    pub fn domain(&self) -> String {
        secrets_domain(&self.environment)
    }

    /// The epoch that its data key is wrapped under; `None` where the envelope is damaged.
    #[must_use]
    pub fn epoch(&self) -> Option<u32> {
        Header::parse(&self.sealed.0).map(|header| header.epoch)
    }
}

/// Seals a value into its place. The environment's domain must be in the ring.
pub(crate) fn seal(
    env: &Env,
    cluster: ClusterId,
    ring: &Ring,
    place: &Where,
    value: &SecretBytes,
) -> Result<VersionBody, VaultError> {
    if value.is_empty() || value.len() > MAX_SECRET {
        return Err(VaultError::Refused(format!("a secret is 1 to {MAX_SECRET} bytes long")));
    }
    let domain = secrets_domain(&place.environment);
    let Some((epoch, EpochKey::Symmetric(epoch_key))) = ring.active(&domain) else {
        return Err(VaultError::NoDomain(place.environment.to_string()));
    };
    let bound = Bound { cluster, domain: &domain, place, field: FIELD, epoch };
    let data_key = crypto::fresh_key(env);
    let nonce: [u8; NONCE] = env.random();
    let length =
        u16::try_from(domain.len()).map_err(|_| VaultError::Refused("the environment's name is too long".into()))?;

    let mut out = Vec::with_capacity(256_usize.saturating_add(value.len()));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[FORMAT, ALGORITHM]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(domain.as_bytes());
    out.extend_from_slice(&epoch.to_be_bytes());
    out.extend(crypto::wrap(env, epoch_key, &bound.data_key_context(), data_key.expose())?);
    out.extend_from_slice(&crypto::commitment(&data_key, &bound.context("value"))?);
    out.extend_from_slice(&nonce);
    out.extend(crypto::seal(&bound.value_key(&data_key)?, nonce, &bound.context("value"), value.expose())?);
    Ok(VersionBody {
        environment: place.environment.clone(),
        secret: place.secret,
        version: place.version,
        kind: place.kind,
        sealed: Base64(out),
        rest: Rest::new(),
    })
}

/// Opens a value, if it is the one that was sealed into this place.
pub(crate) fn open(
    cluster: ClusterId,
    ring: &Ring,
    place: &Where,
    body: &VersionBody,
) -> Result<SecretBytes, VaultError> {
    if body.place() != *place {
        return Err(VaultError::WrongPlace);
    }
    open_field(cluster, ring, place, FIELD, &body.sealed.0)
}

fn open_field(
    cluster: ClusterId,
    ring: &Ring,
    place: &Where,
    field: &str,
    sealed: &[u8],
) -> Result<SecretBytes, VaultError> {
    let header = Header::parse(sealed).ok_or(DAMAGED)?;
    let domain = secrets_domain(&place.environment);
    if header.domain != domain.as_bytes() {
        return Err(VaultError::WrongPlace);
    }
    let bound = Bound { cluster, domain: &domain, place, field, epoch: header.epoch };
    let data_key = bound.data_key(ring, &header)?;
    crypto::open(&bound.value_key(&data_key)?, header.nonce, &bound.context("value"), header.ciphertext).ok_or(DAMAGED)
}

/// The same version with its data key under the active epoch; `None` where it is there already. The
/// value is neither opened nor changed, but a data key that is not the value's is not carried on.
pub(crate) fn rewrap(
    env: &Env,
    cluster: ClusterId,
    ring: &Ring,
    body: &VersionBody,
) -> Result<Option<VersionBody>, VaultError> {
    let place = body.place();
    let domain = secrets_domain(&place.environment);
    let header = Header::parse(&body.sealed.0).ok_or(DAMAGED)?;
    if header.domain != domain.as_bytes() {
        return Err(VaultError::WrongPlace);
    }
    let Some((epoch, EpochKey::Symmetric(epoch_key))) = ring.active(&domain) else {
        return Err(VaultError::NoDomain(place.environment.to_string()));
    };
    if header.epoch == epoch {
        return Ok(None);
    }
    let was = Bound { cluster, domain: &domain, place: &place, field: FIELD, epoch: header.epoch };
    let data_key = was.data_key(ring, &header)?;
    let bound = Bound { epoch, ..was };
    let wrapped = crypto::wrap(env, epoch_key, &bound.data_key_context(), data_key.expose())?;
    let mut sealed = body.sealed.0.clone();
    let places = sealed.get_mut(HEAD.saturating_add(domain.len())..).and_then(|rest| rest.get_mut(..4 + KEY + WRAP));
    let (to_epoch, to_wrapped) = places.ok_or(DAMAGED)?.split_at_mut(4);
    to_epoch.copy_from_slice(&epoch.to_be_bytes());
    to_wrapped.copy_from_slice(&wrapped);
    Ok(Some(VersionBody { sealed: Base64(sealed), ..body.clone() }))
}

/// Everything that a value is bound to.
struct Bound<'a> {
    cluster: ClusterId,
    domain: &'a str,
    place: &'a Where,
    field: &'a str,
    epoch: u32,
}

impl Bound<'_> {
    /// The data key that an envelope holds, if it is the one that its value was sealed under.
    fn data_key(&self, ring: &Ring, header: &Header<'_>) -> Result<Key, VaultError> {
        let Some(EpochKey::Symmetric(epoch_key)) = ring.epoch(self.domain, self.epoch) else {
            return Err(DAMAGED);
        };
        let bytes = crypto::unwrap(epoch_key, &self.data_key_context(), header.wrapped).ok_or(DAMAGED)?;
        let key = crypto::key_from(&bytes).ok_or(DAMAGED)?;
        if crypto::equal(&crypto::commitment(&key, &self.context("value"))?, header.commitment) {
            Ok(key)
        } else {
            Err(DAMAGED)
        }
    }

    fn data_key_context(&self) -> Context {
        self.context("data-key").number(self.epoch.into())
    }

    fn context(&self, layer: &str) -> Context {
        Context::new(layer)
            .bytes(self.cluster.as_bytes())
            .text(self.domain)
            .text(self.place.kind.word())
            .text(self.field)
            .bytes(self.place.secret.as_bytes())
            .number(self.place.version)
            .bytes(&[ALGORITHM])
    }

    /// The cipher's key: not the data key itself, since that is what the commitment is made of.
    fn value_key(&self, data_key: &Key) -> Result<Key, VaultError> {
        crypto::derive(data_key.expose(), b"sallyport-v1/value", &self.context("value"))
    }
}

/// The parts of an envelope, borrowed.
struct Header<'a> {
    domain: &'a [u8],
    epoch: u32,
    wrapped: &'a [u8],
    commitment: &'a [u8],
    nonce: [u8; NONCE],
    ciphertext: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&[FORMAT, ALGORITHM])?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (domain, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let (wrapped, rest) = rest.split_at_checked(KEY + WRAP)?;
        let (commitment, rest) = rest.split_at_checked(KEY)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>()?;
        let sound = ciphertext.len() > TAG && ciphertext.len() <= MAX_SECRET + TAG;
        sound.then_some(Self {
            domain,
            epoch: u32::from_be_bytes(*epoch),
            wrapped,
            commitment,
            nonce: *nonce,
            ciphertext,
        })
    }
}

#[cfg(test)]
mod tests;
