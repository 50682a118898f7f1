//! The envelope of one secret version: a data key of its own, wrapped, committed to, and bound to its place.
//!
//! ```text
//! magic "SPV1" | fmt u8 | alg u8 | domain u16+text | epoch u32
//!   | wrapped data key [80] | commitment [32] | nonce [12] | ciphertext and tag
//! ```
//!
//! Numbers are big-endian. AAD of both layers is the length-prefixed list of ("sallyport-v1",
//! layer, cluster, domain, kind, field, id, version, epoch, alg).

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
const FORMAT: u8 = 1;
/// AES-256-GCM at both layers, keys by HKDF-SHA256.
const ALGORITHM: u8 = 1;
const FIELD: &str = "value";
const MAX_SECRET: usize = 64 * 1024;
const DAMAGED: VaultError = VaultError::Damaged { what: "secret version" };

/// What a secret's bytes are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// A password, UTF-8.
    Password,
    /// The 32-byte seed of an Ed25519 key (RFC 8032).
    SshEd25519,
}

impl SecretKind {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SshEd25519 => "ssh_ed25519",
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
    out.extend(crypto::wrap(env, epoch_key, &bound.context("data-key"), data_key.expose())?);
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
    let written =
        Where { environment: body.environment.clone(), secret: body.secret, version: body.version, kind: body.kind };
    if written != *place {
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
    let Some(EpochKey::Symmetric(epoch_key)) = ring.epoch(&domain, header.epoch) else {
        return Err(DAMAGED);
    };
    let bound = Bound { cluster, domain: &domain, place, field, epoch: header.epoch };
    let data_key = crypto::unwrap(epoch_key, &bound.context("data-key"), header.wrapped).ok_or(DAMAGED)?;
    let data_key = crypto::key_from(&data_key).ok_or(DAMAGED)?;
    if !crypto::equal(&crypto::commitment(&data_key, &bound.context("value"))?, header.commitment) {
        return Err(DAMAGED);
    }
    crypto::open(&bound.value_key(&data_key)?, header.nonce, &bound.context("value"), header.ciphertext).ok_or(DAMAGED)
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
    fn context(&self, layer: &str) -> Context {
        Context::new(layer)
            .bytes(self.cluster.as_bytes())
            .text(self.domain)
            .text(self.place.kind.word())
            .text(self.field)
            .bytes(self.place.secret.as_bytes())
            .number(self.place.version)
            .number(self.epoch.into())
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
