//! What opens a slot: a key file, a passphrase, a quorum of shares, or a key that a token keeps.

use crate::crypto::{self, Context, Key};
use crate::shamir::{self, Share};
use crate::slot::Quorum;
use crate::text::Base64;
use crate::{KeyFile, VaultError};
use argon2::{Algorithm, Argon2, Params, Version};
use sallyport_model::secret::SecretBytes;
use sallyport_model::{ClusterId, Env, Secret, SlotId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Fewest characters of a new passphrase.
const MIN_PASSPHRASE: usize = 12;

/// Cost of Argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argon {
    m_kib: u32,
    t: u32,
    p: u32,
}

impl Argon {
    /// Least memory, in KiB.
    pub const MIN_MEMORY_KIB: u32 = 8 * 1024;
    /// Most memory, in KiB: a writer of the database must not be able to exhaust the machine.
    pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;
    /// Most passes.
    pub const MAX_PASSES: u32 = 10;
    /// Most lanes.
    pub const MAX_LANES: u32 = 16;

    /// What new slots use: 64 MiB, 3 passes, 4 lanes (RFC 9106 section 4, second choice).
    #[must_use]
    pub const fn house() -> Self {
        Self { m_kib: 64 * 1024, t: 3, p: 4 }
    }

    /// The cheapest cost that is accepted at all, for tests.
    #[must_use]
    pub const fn cheapest() -> Self {
        Self { m_kib: Self::MIN_MEMORY_KIB, t: 1, p: 1 }
    }

    /// A cost of one's own: memory in KiB, passes, lanes.
    ///
    /// # Errors
    /// When one of them is outside its floor or ceiling.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, VaultError> {
        let argon = Self { m_kib: memory_kib, t: passes, p: lanes };
        argon.check()?;
        Ok(argon)
    }

    fn check(self) -> Result<(), VaultError> {
        let sound = (Self::MIN_MEMORY_KIB..=Self::MAX_MEMORY_KIB).contains(&self.m_kib)
            && (1..=Self::MAX_PASSES).contains(&self.t)
            && (1..=Self::MAX_LANES).contains(&self.p);
        if sound {
            return Ok(());
        }
        Err(VaultError::Refused(format!(
            "the passphrase cost m={} KiB t={} p={} is outside m={}..{} KiB, t=1..{}, p=1..{}",
            self.m_kib,
            self.t,
            self.p,
            Self::MIN_MEMORY_KIB,
            Self::MAX_MEMORY_KIB,
            Self::MAX_PASSES,
            Self::MAX_LANES
        )))
    }

    pub(crate) fn hash(self, passphrase: &str, salt: &[u8]) -> Result<Key, VaultError> {
        self.check()?;
        let failed = |_| VaultError::Primitive("the passphrase hash");
        let params = Params::new(self.m_kib, self.t, self.p, Some(crypto::KEY)).map_err(failed)?;
        let mut out = Zeroizing::new([0; crypto::KEY]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, out.as_mut_slice())
            .map_err(failed)?;
        Ok(Secret::new(*out))
    }
}

/// Where a token keeps the key that opens a slot, as it is asked for. No module and no PIN: those come from
/// the configuration, never from a document.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPlace {
    /// Label of the token: slot numbers change, labels stay.
    pub token: String,
    /// Label of the key.
    pub key: String,
    /// How the token wraps, such as `rsa-oaep-sha256`.
    pub mechanism: String,
}

/// What protects a slot's private key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Protection {
    KeyFile { salt: Base64 },
    Passphrase { argon: Argon, salt: Base64 },
    Shamir { k: u8, n: u8, salt: Base64, commitments: Vec<Base64> },
    Token { place: TokenPlace, wrapped: Base64, salt: Base64 },
}

/// How a slot is opened, without the parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlotMode {
    /// With a key file.
    KeyFile,
    /// With a passphrase.
    Passphrase,
    /// With a quorum of shares.
    Shamir,
    /// With a key that a token keeps (PKCS#11).
    Token,
}

impl SlotMode {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::KeyFile => "key_file",
            Self::Passphrase => "passphrase",
            Self::Shamir => "shamir",
            Self::Token => "pkcs11",
        }
    }
}

/// What makes a new slot.
pub struct NewSlot<'a> {
    /// What people call it.
    pub label: &'a str,
    /// Whether its key is kept away from every machine.
    pub offline: bool,
    /// What opens it.
    pub opener: Opener<'a>,
}

/// What opens a new slot.
pub enum Opener<'a> {
    /// A key file.
    KeyFile(&'a KeyFile),
    /// A passphrase of at least 12 characters, and the cost of its derivation.
    Passphrase(&'a Secret<String>, Argon),
    /// Any `k` of `n` shares, which are made here. The slot counts once a quorum was presented.
    Shamir {
        /// How many open together.
        k: u8,
        /// How many there are.
        n: u8,
    },
    /// A random secret, which the token has wrapped.
    Token {
        /// The secret, 32 bytes.
        secret: &'a SecretBytes,
        /// What the token made of it.
        wrapped: &'a [u8],
        /// Where the token keeps its key.
        place: TokenPlace,
    },
}

/// What unseals.
pub enum Unlock<'a> {
    /// A key file.
    KeyFile(&'a KeyFile),
    /// A passphrase.
    Passphrase(&'a Secret<String>),
    /// Shares of one set.
    Shares(&'a Quorum),
    /// What the token unwrapped of this slot.
    Token(SlotId, &'a SecretBytes),
}

impl Unlock<'_> {
    /// The slots that it can open, its name for people, and what it means when it opens none of them.
    pub(crate) fn about(&self) -> (SlotMode, &'static str, VaultError) {
        match self {
            Self::KeyFile(_) => (SlotMode::KeyFile, "key file", VaultError::WrongKeyFile),
            Self::Passphrase(_) => (SlotMode::Passphrase, "passphrase", VaultError::WrongPassphrase),
            Self::Shares(_) => (SlotMode::Shamir, "quorum of shares", VaultError::NoQuorum),
            Self::Token(..) => (SlotMode::Token, "key of a token", VaultError::WrongToken),
        }
    }
}

/// A protection made anew, and the key that it gives.
pub(super) struct Fresh {
    pub(super) protection: Protection,
    pub(super) key: Key,
    pub(super) shares: Vec<Share>,
}

impl Protection {
    /// What protects a new slot, with its key; and the shares, where there are any.
    pub(super) fn create(env: &Env, cluster: ClusterId, id: SlotId, opener: &Opener<'_>) -> Result<Fresh, VaultError> {
        let salt = Base64(env.random::<32>().to_vec());
        let mut shares = Vec::new();
        let (protection, secret) = match opener {
            Opener::KeyFile(file) => (Self::KeyFile { salt }, Secret::new(file.key().expose().clone())),
            Opener::Passphrase(passphrase, argon) => {
                if passphrase.expose().chars().count() < MIN_PASSPHRASE {
                    let text = format!("a passphrase of a slot has at least {MIN_PASSPHRASE} characters");
                    return Err(VaultError::Refused(text));
                }
                let hash = argon.hash(passphrase.expose(), &salt.0)?;
                (Self::Passphrase { argon: *argon, salt }, Secret::new(hash.expose().to_vec()))
            }
            Opener::Shamir { k, n } => {
                let (key, points) = shamir::fresh(env, *k, *n)?;
                let commit = |(x, value): &(u8, Key)| Ok(Base64(share_commitment(id, *x, value)?.to_vec()));
                let commitments = points.iter().map(commit).collect::<Result<_, VaultError>>()?;
                shares.extend(points.into_iter().map(|(x, value)| Share::new(cluster, id, (*k, *n), x, value)));
                (Self::Shamir { k: *k, n: *n, salt, commitments }, Secret::new(key.expose().to_vec()))
            }
            Opener::Token { secret, wrapped, place } => {
                if secret.len() != crypto::KEY {
                    return Err(VaultError::Refused("what a token wraps for a slot is 32 bytes".into()));
                }
                let secret = Secret::new(secret.expose().clone());
                (Self::Token { place: place.clone(), wrapped: Base64(wrapped.to_vec()), salt }, secret)
            }
        };
        let key = protection.derive(secret.expose())?;
        Ok(Fresh { protection, key, shares })
    }

    /// The key that protects the private half, from what a person or a machine presents; `None` where
    /// that is of another sort or of another set.
    pub(super) fn key(&self, id: SlotId, unlock: &Unlock<'_>) -> Result<Option<Key>, VaultError> {
        match (self, unlock) {
            (Self::KeyFile { .. }, Unlock::KeyFile(file)) => self.derive(file.key().expose()).map(Some),
            (Self::Passphrase { argon, salt }, Unlock::Passphrase(passphrase)) => {
                if salt.0.len() != crypto::KEY {
                    return Err(VaultError::Damaged { what: "seal slot" });
                }
                self.derive(argon.hash(passphrase.expose(), &salt.0)?.expose()).map(Some)
            }
            (Self::Shamir { k, .. }, Unlock::Shares(quorum)) => {
                let Some(secret) = quorum.combine(id, *k) else { return Ok(None) };
                self.derive(secret.expose()).map(Some)
            }
            (Self::Token { .. }, Unlock::Token(of, secret)) if *of == id => self.derive(secret.expose()).map(Some),
            _ => Ok(None),
        }
    }

    fn derive(&self, secret: &[u8]) -> Result<Key, VaultError> {
        let (purpose, salt) = match self {
            Self::KeyFile { salt } => ("slot/key-file", salt),
            Self::Passphrase { salt, .. } => ("slot/passphrase", salt),
            Self::Shamir { salt, .. } => ("slot/shamir", salt),
            Self::Token { salt, .. } => ("slot/token", salt),
        };
        crypto::derive(secret, &salt.0, &Context::new(purpose))
    }

    /// The slot's context with everything that this protection is made of.
    pub(super) fn context(&self, context: Context) -> Context {
        match self {
            Self::KeyFile { salt } => context.text("key-file").bytes(&salt.0),
            Self::Passphrase { argon, salt } => context
                .text("passphrase")
                .bytes(&salt.0)
                .number(argon.m_kib.into())
                .number(argon.t.into())
                .number(argon.p.into()),
            Self::Shamir { k, n, salt, commitments } => commitments
                .iter()
                .fold(context.text("shamir").bytes(&salt.0).bytes(&[*k, *n]), |all, one| all.bytes(&one.0)),
            Self::Token { place, wrapped, salt } => context
                .text("token")
                .bytes(&salt.0)
                .bytes(&wrapped.0)
                .text(&place.token)
                .text(&place.key)
                .text(&place.mechanism),
        }
    }
}

/// What is stored of one share: enough to tell the right one from every other, and nothing of its value,
/// which is uniform over 256 bits.
pub(super) fn share_commitment(id: SlotId, number: u8, value: &Key) -> Result<[u8; crypto::KEY], VaultError> {
    crypto::commitment(value, &Context::new("share").bytes(id.as_bytes()).bytes(&[number]))
}
