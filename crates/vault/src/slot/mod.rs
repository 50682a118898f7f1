//! Seal slots: each holds a public key to which the root key is sealed, and its private key under a key file or a passphrase.
//!
//! Because the root key is sealed to *public* keys, it can be replaced without any custodian
//! present. A slot's parameters are checked against a floor and a ceiling before they cost
//! anything, since whoever writes to the database may have written them.

use crate::crypto::{self, Context, Key};
use crate::text::{Base64, SealedText};
use crate::{KeyFile, VaultError};
use argon2::{Algorithm, Argon2, Params, Version};
use sallyport_model::inventory::Rest;
use sallyport_model::sealed::{PrivateKey, PublicKey};
use sallyport_model::{ClusterId, Env, Secret, SlotId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Most slots that a vault may have; more are refused before any is tried.
pub(crate) const MAX_SLOTS: usize = 16;

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

    fn hash(self, passphrase: &str, salt: &[u8]) -> Result<Key, VaultError> {
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

/// What protects a slot's private key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Protection {
    KeyFile { salt: Base64 },
    Passphrase { argon: Argon, salt: Base64 },
}

/// How a slot is opened, without the parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlotMode {
    /// With a key file.
    KeyFile,
    /// With a passphrase.
    Passphrase,
}

impl SlotMode {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::KeyFile => "key_file",
            Self::Passphrase => "passphrase",
        }
    }
}

/// What makes a new slot.
pub enum NewSlot<'a> {
    /// A slot opened by a key file.
    KeyFile {
        /// The key.
        key: &'a KeyFile,
        /// What people call the slot.
        label: &'a str,
        /// Whether the key is kept away from every machine.
        offline: bool,
    },
    /// A slot opened by a passphrase.
    Passphrase {
        /// At least 12 characters.
        passphrase: &'a Secret<String>,
        /// Its cost.
        argon: Argon,
        /// What people call the slot.
        label: &'a str,
        /// Whether it is written down and kept away from every machine.
        offline: bool,
    },
}

impl NewSlot<'_> {
    /// Whether its key is kept away from every machine.
    pub(crate) const fn offline(&self) -> bool {
        match self {
            Self::KeyFile { offline, .. } | Self::Passphrase { offline, .. } => *offline,
        }
    }
}

/// What unseals.
pub enum Unlock<'a> {
    /// A key file.
    KeyFile(&'a KeyFile),
    /// A passphrase.
    Passphrase(&'a Secret<String>),
}

/// The document of one slot.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SlotBody {
    /// Identity of the document.
    pub id: SlotId,
    /// The installation it belongs to.
    pub cluster: ClusterId,
    /// What people call it.
    pub label: String,
    /// Whether its key is kept away from every machine.
    pub offline: bool,
    /// Which root key it opens; it must be the keyring's.
    pub root_version: u32,
    protection: Protection,
    public: Base64,
    commitment: Base64,
    private: Base64,
    root: SealedText,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

impl SlotBody {
    /// How it is opened.
    #[must_use]
    pub const fn mode(&self) -> SlotMode {
        match self.protection {
            Protection::KeyFile { .. } => SlotMode::KeyFile,
            Protection::Passphrase { .. } => SlotMode::Passphrase,
        }
    }

    /// A new slot that opens `root`.
    pub(crate) fn create(
        env: &Env,
        cluster: ClusterId,
        new: &NewSlot<'_>,
        root: &Key,
        root_version: u32,
    ) -> Result<Self, VaultError> {
        let salt = Base64(env.random::<32>().to_vec());
        let (protection, label, offline) = match new {
            NewSlot::KeyFile { label, offline, .. } => (Protection::KeyFile { salt }, label, offline),
            NewSlot::Passphrase { passphrase, argon, label, offline } => {
                if passphrase.expose().chars().count() < MIN_PASSPHRASE {
                    let text = format!("a passphrase of a slot has at least {MIN_PASSPHRASE} characters");
                    return Err(VaultError::Refused(text));
                }
                (Protection::Passphrase { argon: *argon, salt }, label, offline)
            }
        };
        let (private, public) = PrivateKey::generate(env).map_err(|_| VaultError::Primitive("a slot's key pair"))?;
        let mut slot = Self {
            id: SlotId::new(env),
            cluster,
            label: (*label).to_owned(),
            offline: *offline,
            root_version,
            protection,
            public: Base64(public.0.to_vec()),
            commitment: Base64(Vec::new()),
            private: Base64(Vec::new()),
            root: seal_root(public, &root_context(cluster, root_version), root)?,
            rest: Rest::new(),
        };
        let unlock = match new {
            NewSlot::KeyFile { key, .. } => Unlock::KeyFile(key),
            NewSlot::Passphrase { passphrase, .. } => Unlock::Passphrase(passphrase),
        };
        let key = slot.slot_key(&unlock)?.ok_or(VaultError::Primitive("a slot's key"))?;
        slot.commitment = Base64(crypto::commitment(&key, &slot.context())?.to_vec());
        slot.private = Base64(crypto::wrap(env, &key, &slot.context(), private.bytes().expose())?);
        Ok(slot)
    }

    /// The root key, where `unlock` is this slot's; `None` where it is not.
    pub(crate) fn open(&self, unlock: &Unlock<'_>) -> Result<Option<Key>, VaultError> {
        const DAMAGED: VaultError = VaultError::Damaged { what: "seal slot" };
        let Some(key) = self.slot_key(unlock)? else { return Ok(None) };
        if !crypto::equal(&crypto::commitment(&key, &self.context())?, &self.commitment.0) {
            return Ok(None);
        }
        let private = crypto::unwrap(&key, &self.context(), &self.private.0).ok_or(DAMAGED)?;
        let context = root_context(self.cluster, self.root_version);
        let root = PrivateKey::from_bytes(private)
            .open(b"sallyport-v1/root", context.as_bytes(), &self.root.sealed())
            .map_err(|_| DAMAGED)?;
        Ok(Some(crypto::key_from(&root).ok_or(DAMAGED)?))
    }

    /// The key that protects the private half, from what a person or a machine presents.
    fn slot_key(&self, unlock: &Unlock<'_>) -> Result<Option<Key>, VaultError> {
        let (secret, salt) = match (&self.protection, unlock) {
            (Protection::KeyFile { salt }, Unlock::KeyFile(file)) => {
                return crypto::derive(file.key().expose(), &salt.0, &Context::new("slot/key-file")).map(Some);
            }
            (Protection::Passphrase { argon, salt }, Unlock::Passphrase(passphrase)) => {
                if salt.0.len() != crypto::KEY {
                    return Err(VaultError::Damaged { what: "seal slot" });
                }
                (argon.hash(passphrase.expose(), &salt.0)?, salt)
            }
            _ => return Ok(None),
        };
        crypto::derive(secret.expose(), &salt.0, &Context::new("slot/passphrase")).map(Some)
    }

    fn context(&self) -> Context {
        let context =
            Context::new("slot").bytes(self.cluster.as_bytes()).bytes(self.id.as_bytes()).bytes(&self.public.0);
        match &self.protection {
            Protection::KeyFile { salt } => context.text("key-file").bytes(&salt.0),
            Protection::Passphrase { argon, salt } => context
                .text("passphrase")
                .bytes(&salt.0)
                .number(argon.m_kib.into())
                .number(argon.t.into())
                .number(argon.p.into()),
        }
    }
}

fn root_context(cluster: ClusterId, root_version: u32) -> Context {
    Context::new("root").bytes(cluster.as_bytes()).number(root_version.into())
}

fn seal_root(public: PublicKey, context: &Context, root: &Key) -> Result<SealedText, VaultError> {
    public
        .seal(b"sallyport-v1/root", context.as_bytes(), root.expose())
        .map(SealedText::from)
        .map_err(|_| VaultError::Primitive("sealing the root key"))
}

#[cfg(test)]
mod tests;
