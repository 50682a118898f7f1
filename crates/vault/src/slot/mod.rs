//! Seal slots: each holds a public key to which the root key is sealed, and its private key under what opens the slot.
//!
//! Because the root key is sealed to *public* keys, it can be replaced without any custodian
//! present. A slot's parameters are checked against a floor and a ceiling before they cost
//! anything, since whoever writes to the database may have written them.
//!
//! INVARIANT: a slot is under a MAC by a key of the root key that it opens. A slot that somebody
//! else wrote can hold any public key, but not that MAC, and the root key is sealed to no slot
//! without it.

mod opener;
mod quorum;

pub use opener::{Argon, NewSlot, Opener, SlotMode, TokenPlace, Unlock};
pub use quorum::Quorum;

use crate::VaultError;
use crate::crypto::{self, Context, Key};
use crate::shamir::Share;
use crate::text::{Base64, SealedText};
use opener::{Fresh, Protection};
use sallyport_model::inventory::Rest;
use sallyport_model::sealed::{PrivateKey, PublicKey};
use sallyport_model::{ClusterId, Env, SlotId, Timestamp};
use serde::{Deserialize, Serialize};

/// Most slots that a vault may have; more are refused before any is tried.
pub(crate) const MAX_SLOTS: usize = 16;
/// Longest label, in characters.
const MAX_LABEL: usize = 80;
const ROOT_INFO: &[u8] = b"sallyport-v1/root";
const DAMAGED: VaultError = VaultError::Damaged { what: "seal slot" };

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
    /// When it was made.
    pub created: Timestamp,
    /// Which root key it opens; it must be the keyring's.
    pub root_version: u32,
    protection: Protection,
    public: Base64,
    commitment: Base64,
    private: Base64,
    /// The root key, sealed; absent until a quorum of a new set of shares was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<SealedText>,
    mac: Base64,
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
            Protection::Shamir { .. } => SlotMode::Shamir,
            Protection::Token { .. } => SlotMode::Token,
        }
    }

    /// Whether it opens the vault. A new set of shares does so once a quorum of it was presented.
    #[must_use]
    pub const fn confirmed(&self) -> bool {
        self.root.is_some()
    }

    /// How many shares open it, out of how many; `None` where it has no shares.
    #[must_use]
    pub const fn rule(&self) -> Option<(u8, u8)> {
        if let Protection::Shamir { k, n, .. } = &self.protection { Some((*k, *n)) } else { None }
    }

    /// Where a token keeps its key, and what the token has wrapped; `None` where it has no token.
    #[must_use]
    pub fn token(&self) -> Option<(&TokenPlace, &[u8])> {
        if let Protection::Token { place, wrapped, .. } = &self.protection { Some((place, &wrapped.0)) } else { None }
    }

    /// Whether a share is one of this slot's, as it was dealt.
    ///
    /// # Errors
    /// Tells a share of another installation or set from one that was altered.
    pub fn check_share(&self, share: &Share) -> Result<(), VaultError> {
        if !share.is_of_cluster(self.cluster) {
            return Err(VaultError::ForeignCluster { what: "share" });
        }
        let Protection::Shamir { k, n, commitments, .. } = &self.protection else {
            return Err(VaultError::ForeignShare);
        };
        if !share.is_of_set(self.id) {
            return Err(VaultError::ForeignShare);
        }
        let stored = commitments.get(usize::from(share.number()).saturating_sub(1)).ok_or(DAMAGED)?;
        let found = opener::share_commitment(self.id, share.number(), share.value())?;
        if share.rule() == (*k, *n) && crypto::equal(&found, &stored.0) {
            Ok(())
        } else {
            Err(VaultError::WrongShare(share.number()))
        }
    }

    /// The root key, where `unlock` is this slot's; `None` where it is not.
    pub(crate) fn open(&self, unlock: &Unlock<'_>) -> Result<Option<Key>, VaultError> {
        let Some(sealed) = &self.root else { return Ok(None) };
        let Some(private) = self.private_key(unlock)? else { return Ok(None) };
        let context = root_context(self.cluster, self.root_version);
        let root = private.open(ROOT_INFO, context.as_bytes(), &sealed.sealed()).map_err(|_| DAMAGED)?;
        let root = crypto::key_from(&root).ok_or(DAMAGED)?;
        if self.is_authentic(&root)? { Ok(Some(root)) } else { Err(DAMAGED) }
    }

    /// The private half, where `unlock` is this slot's.
    fn private_key(&self, unlock: &Unlock<'_>) -> Result<Option<PrivateKey>, VaultError> {
        let Some(key) = self.protection.key(self.id, unlock)? else { return Ok(None) };
        if !crypto::equal(&crypto::commitment(&key, &self.context())?, &self.commitment.0) {
            return Ok(None);
        }
        let private = crypto::unwrap(&key, &self.context(), &self.private.0).ok_or(DAMAGED)?;
        Ok(Some(PrivateKey::from_bytes(private)))
    }

    /// Whether whoever held this root key wrote the slot as it is.
    pub(crate) fn is_authentic(&self, root: &Key) -> Result<bool, VaultError> {
        Ok(crypto::equal(&self.tag(root)?, &self.mac.0))
    }

    /// The slot with a root key sealed to it. Whoever calls has checked that the slot is authentic.
    pub(crate) fn with_root(mut self, root: &Key, root_version: u32) -> Result<Self, VaultError> {
        let public = PublicKey(self.public.0.as_slice().try_into().map_err(|_| DAMAGED)?);
        let context = root_context(self.cluster, root_version);
        let sealed = public
            .seal(ROOT_INFO, context.as_bytes(), root.expose())
            .map_err(|_| VaultError::Primitive("sealing the root key"))?;
        self.root_version = root_version;
        self.root = Some(SealedText::from(sealed));
        self.signed(root)
    }

    /// The slot after the root key was replaced: sealed to it where it is confirmed, under its MAC in any case.
    pub(crate) fn under(self, root: &Key, root_version: u32) -> Result<Self, VaultError> {
        if self.confirmed() { self.with_root(root, root_version) } else { Self { root_version, ..self }.signed(root) }
    }

    /// The slot with the root key sealed to it, after a quorum of its shares has opened its private half.
    pub(crate) fn confirmed_by(self, quorum: &Quorum, root: &Key, root_version: u32) -> Result<Self, VaultError> {
        let private = self.private_key(&Unlock::Shares(quorum))?.ok_or(VaultError::NoQuorum)?;
        let slot = self.with_root(root, root_version)?;
        // The pair must fit: a slot that seals to another key than the shares open is no way back.
        let sealed = slot.root.as_ref().ok_or(DAMAGED)?.sealed();
        let context = root_context(slot.cluster, root_version);
        private.open(ROOT_INFO, context.as_bytes(), &sealed).map_err(|_| DAMAGED)?;
        Ok(slot)
    }

    fn signed(mut self, root: &Key) -> Result<Self, VaultError> {
        self.mac = Base64(self.tag(root)?);
        Ok(self)
    }

    fn tag(&self, root: &Key) -> Result<Vec<u8>, VaultError> {
        crypto::body_mac(root, self.cluster, "slot-mac", self)
    }

    fn context(&self) -> Context {
        let context =
            Context::new("slot").bytes(self.cluster.as_bytes()).bytes(self.id.as_bytes()).bytes(&self.public.0);
        self.protection.context(context)
    }
}

/// A new slot before the vault has sealed its root key to it, with its shares where it has some.
pub struct PreparedSlot {
    slot: SlotBody,
    /// The shares, which exist here and on paper only.
    pub shares: Vec<Share>,
}

impl PreparedSlot {
    /// Everything about a slot that needs no vault. A passphrase costs its Argon2id time and memory: call it off
    /// the runtime's threads.
    ///
    /// # Errors
    /// When the passphrase is too short, the label is none, or the rule of the shares is none.
    pub fn new(env: &Env, cluster: ClusterId, new: &NewSlot<'_>) -> Result<Self, VaultError> {
        if new.label.chars().count() > MAX_LABEL || new.label.chars().any(char::is_control) {
            return Err(VaultError::Refused(format!(
                "the label of a slot is one line of at most {MAX_LABEL} characters"
            )));
        }
        let id = SlotId::new(env);
        let Fresh { protection, key, shares } = Protection::create(env, cluster, id, &new.opener)?;
        let (private, public) = PrivateKey::generate(env).map_err(|_| VaultError::Primitive("a slot's key pair"))?;
        let mut slot = SlotBody {
            id,
            cluster,
            label: new.label.to_owned(),
            offline: new.offline,
            created: env.now(),
            root_version: 0,
            protection,
            public: Base64(public.0.to_vec()),
            commitment: Base64(Vec::new()),
            private: Base64(Vec::new()),
            root: None,
            mac: Base64(Vec::new()),
            rest: Rest::new(),
        };
        slot.commitment = Base64(crypto::commitment(&key, &slot.context())?.to_vec());
        slot.private = Base64(crypto::wrap(env, &key, &slot.context(), private.bytes().expose())?);
        Ok(Self { slot, shares })
    }

    /// The slot's identity.
    #[must_use]
    pub const fn id(&self) -> SlotId {
        self.slot.id
    }

    /// The slot as it is to be stored. One with shares does not open anything before it is confirmed.
    pub(crate) fn under(&self, root: &Key, root_version: u32) -> Result<SlotBody, VaultError> {
        let slot = self.slot.clone();
        if slot.rule().is_none() {
            return slot.with_root(root, root_version);
        }
        SlotBody { root_version, ..slot }.signed(root)
    }
}

/// Refuses a list of slots by which losing one thing, or one host, loses everything.
///
/// # Errors
/// Says which part of the rule is broken.
pub(crate) fn check_rule(slots: impl Iterator<Item = bool> + Clone) -> Result<(), VaultError> {
    let refused = |text: &str| Err(VaultError::Refused(text.to_owned()));
    if slots.clone().count() < 2 {
        return refused(
            "a vault needs two seal slots at least, so that losing one key does not lose everything: add another first",
        );
    }
    if !slots.clone().any(|offline| offline) {
        return refused(
            "one seal slot must be offline: a passphrase on paper, shares, or a key file kept elsewhere: add one first",
        );
    }
    Ok(())
}

fn root_context(cluster: ClusterId, root_version: u32) -> Context {
    Context::new("root").bytes(cluster.as_bytes()).number(root_version.into())
}

#[cfg(test)]
mod tests;
