//! The keyring: epoch keys per domain, each wrapped by a key that hangs on the root key; one document.
//!
//! Domains: `documents` (MAC key of sealed documents), `authn` (verifiers of tokens),
//! `recordings` (an X25519 pair, whose public half gateways may hold) and one
//! `secrets/<environment>` per environment, made on demand.
//!
//! INVARIANT: the whole body is under a MAC by a key of the root key, so that the state of an
//! epoch, which the wrapping does not cover, cannot be changed by a writer of the database.

use crate::VaultError;
use crate::crypto::{self, Context, Key};
use crate::text::Base64;
use sallyport_model::inventory::Rest;
use sallyport_model::name::Label;
use sallyport_model::sealed::{PrivateKey, PublicKey};
use sallyport_model::{ClusterId, Env, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The domain of the MAC keys of sealed documents.
pub const DOCUMENTS: &str = "documents";
/// The domain of the keys that verifiers of tokens are made with.
pub const AUTHN: &str = "authn";
/// The domain of the pairs that recordings are sealed to.
pub const RECORDINGS: &str = "recordings";

const DAMAGED: VaultError = VaultError::Damaged { what: "keyring" };

/// Where an epoch of a domain stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochState {
    /// Made, but not yet loaded by every node: opens, never seals.
    Pending,
    /// The one that seals.
    Active,
    /// Opens what it once sealed.
    DecryptOnly,
    /// Gone for good.
    Destroyed,
}

impl EpochState {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::DecryptOnly => "decrypt_only",
            Self::Destroyed => "destroyed",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
struct EpochBody {
    epoch: u32,
    state: EpochState,
    created: Timestamp,
    /// The key, wrapped; absent once destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped: Option<Base64>,
    /// The public half, in asymmetric domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public: Option<Base64>,
    #[serde(flatten)]
    rest: Rest,
}

/// The document of all epoch keys.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct KeyringBody {
    /// The installation it belongs to.
    pub cluster: ClusterId,
    /// Grows by one with every change.
    pub version: u64,
    /// Which root key opens it.
    pub root_version: u32,
    domains: BTreeMap<String, Vec<EpochBody>>,
    mac: Base64,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

impl KeyringBody {
    /// Every domain with its epochs and their states, for people.
    pub fn epochs(&self) -> impl Iterator<Item = (&str, u32, EpochState)> {
        self.domains.iter().flat_map(|(name, epochs)| epochs.iter().map(|e| (name.as_str(), e.epoch, e.state)))
    }

    /// When the newest pending epoch was made; `None` where none is pending.
    #[must_use]
    pub fn pending_since(&self) -> Option<Timestamp> {
        let pending = self.domains.values().flatten().filter(|epoch| epoch.state == EpochState::Pending);
        pending.map(|epoch| epoch.created).max()
    }

    /// A first keyring with the domains that every vault has.
    pub(crate) fn create(env: &Env, cluster: ClusterId, root: &Key) -> Result<Self, VaultError> {
        let mut body = Self {
            cluster,
            version: 0,
            root_version: 1,
            domains: BTreeMap::new(),
            mac: Base64(Vec::new()),
            rest: Rest::new(),
        };
        for name in [DOCUMENTS, AUTHN, RECORDINGS] {
            body.add_domain(env, root, name)?;
        }
        body.seal(root)?;
        Ok(body)
    }

    /// This keyring with one domain more, as it is to be stored.
    pub(crate) fn with_domain(&self, env: &Env, root: &Key, name: &str) -> Result<Self, VaultError> {
        let mut body = self.clone();
        body.add_domain(env, root, name)?;
        body.seal(root)?;
        Ok(body)
    }

    /// Whether it has the domain.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.domains.contains_key(name)
    }

    /// This keyring with a version more.
    pub(crate) fn touched(&self, root: &Key) -> Result<Self, VaultError> {
        let mut body = self.clone();
        body.seal(root)?;
        Ok(body)
    }

    /// The domains that have an epoch in this state, with the newest such epoch.
    pub(crate) fn in_state(&self, state: EpochState) -> Vec<(String, u32)> {
        let newest = |epochs: &Vec<EpochBody>| epochs.iter().rev().find(|e| e.state == state).map(|e| e.epoch);
        self.domains.iter().filter_map(|(name, epochs)| Some((name.clone(), newest(epochs)?))).collect()
    }

    /// This keyring under another root key: every living epoch key wrapped anew, nothing else changed.
    pub(crate) fn under(&self, env: &Env, old: &Key, new: &Key) -> Result<Self, VaultError> {
        let ring = self.open(self.cluster, old)?;
        let mut body = self.clone();
        body.root_version = self.root_version.checked_add(1).ok_or(VaultError::Primitive("counting root keys"))?;
        let ring_key = body.ring_key(new)?;
        for (name, epochs) in &self.domains {
            let mut rewrapped = epochs.clone();
            for epoch in rewrapped.iter_mut().filter(|e| e.state != EpochState::Destroyed) {
                let key = ring.epoch(name, epoch.epoch).ok_or(DAMAGED)?;
                epoch.wrapped = Some(body.wrap_epoch(env, &ring_key, (name, epoch.epoch), key)?);
            }
            body.domains.insert(name.clone(), rewrapped);
        }
        body.seal(new)?;
        Ok(body)
    }

    /// This keyring with a pending epoch more in each of these domains. Domains where one is pending already stay.
    pub(crate) fn with_pending(&self, env: &Env, root: &Key, names: &[String]) -> Result<Option<Self>, VaultError> {
        let mut body = self.clone();
        let ring_key = body.ring_key(root)?;
        let mut changed = false;
        for name in names {
            let epochs = self.domains.get(name).ok_or_else(|| VaultError::NoDomain(name.clone()))?;
            if epochs.iter().any(|e| e.state == EpochState::Pending) {
                continue;
            }
            let next = epochs.iter().map(|e| e.epoch).max().unwrap_or(0).saturating_add(1);
            let fresh = body.fresh_epoch(env, &ring_key, (name, next), EpochState::Pending)?;
            body.domains.entry(name.clone()).or_default().push(fresh);
            changed = true;
        }
        if changed {
            body.seal(root)?;
        }
        Ok(changed.then_some(body))
    }

    /// This keyring with its pending epochs active, and what was active before opening only.
    pub(crate) fn with_active(&self, root: &Key) -> Result<Option<Self>, VaultError> {
        let mut body = self.clone();
        let mut changed = false;
        for epochs in body.domains.values_mut().filter(|epochs| epochs.iter().any(|e| e.state == EpochState::Pending)) {
            for epoch in epochs {
                match epoch.state {
                    EpochState::Active => epoch.state = EpochState::DecryptOnly,
                    EpochState::Pending => epoch.state = EpochState::Active,
                    EpochState::DecryptOnly | EpochState::Destroyed => {}
                }
            }
            changed = true;
        }
        if changed {
            body.seal(root)?;
        }
        Ok(changed.then_some(body))
    }

    /// This keyring without the keys of these epochs. Only an epoch that merely opens can be destroyed.
    pub(crate) fn without(&self, root: &Key, gone: &[(String, u32)]) -> Result<Self, VaultError> {
        let mut body = self.clone();
        for (name, number) in gone {
            let epochs = body.domains.get_mut(name).ok_or_else(|| VaultError::NoDomain(name.clone()))?;
            let epoch = epochs.iter_mut().find(|e| e.epoch == *number && e.state == EpochState::DecryptOnly);
            let epoch = epoch.ok_or_else(|| {
                VaultError::Refused(format!("epoch {number} of `{name}` is in use: only one that merely opens can go"))
            })?;
            epoch.state = EpochState::Destroyed;
            epoch.wrapped = None;
        }
        body.seal(root)?;
        Ok(body)
    }

    /// Checks the whole body and unwraps every key.
    pub(crate) fn open(&self, cluster: ClusterId, root: &Key) -> Result<Ring, VaultError> {
        if self.cluster != cluster {
            return Err(VaultError::ForeignCluster { what: "keyring" });
        }
        if !crypto::equal(&self.tag(root)?, &self.mac.0) {
            return Err(DAMAGED);
        }
        let ring_key = self.ring_key(root)?;
        let mut domains = BTreeMap::new();
        for (name, epochs) in &self.domains {
            let mut domain = Domain { active: None, keys: BTreeMap::new() };
            for body in epochs.iter().filter(|e| e.state != EpochState::Destroyed) {
                let key = self.open_epoch(&ring_key, name, body)?;
                if body.state == EpochState::Active && domain.active.replace(body.epoch).is_some() {
                    return Err(DAMAGED);
                }
                domain.keys.insert(body.epoch, key);
            }
            domains.insert(name.clone(), domain);
        }
        Ok(Ring { domains })
    }

    fn open_epoch(&self, ring_key: &Key, name: &str, body: &EpochBody) -> Result<EpochKey, VaultError> {
        let wrapped = body.wrapped.as_ref().ok_or(DAMAGED)?;
        let public = body.public.as_ref().map(|p| p.0.as_slice());
        let bytes = crypto::unwrap(ring_key, &self.context(name, body.epoch, public), &wrapped.0).ok_or(DAMAGED)?;
        match public {
            Some(public) => {
                let public = PublicKey(public.try_into().map_err(|_| DAMAGED)?);
                Ok(EpochKey::Pair(PrivateKey::from_bytes(bytes), public))
            }
            None => crypto::key_from(&bytes).map(EpochKey::Symmetric).ok_or(DAMAGED),
        }
    }

    fn add_domain(&mut self, env: &Env, root: &Key, name: &str) -> Result<(), VaultError> {
        let ring_key = self.ring_key(root)?;
        let body = self.fresh_epoch(env, &ring_key, (name, 1), EpochState::Active)?;
        self.domains.insert(name.to_owned(), vec![body]);
        Ok(())
    }

    fn fresh_epoch(
        &self,
        env: &Env,
        ring_key: &Key,
        (name, epoch): (&str, u32),
        state: EpochState,
    ) -> Result<EpochBody, VaultError> {
        let key = if name == RECORDINGS {
            let pair = PrivateKey::generate(env).map_err(|_| VaultError::Primitive("the recording key pair"))?;
            EpochKey::Pair(pair.0, pair.1)
        } else {
            EpochKey::Symmetric(crypto::fresh_key(env))
        };
        let wrapped = self.wrap_epoch(env, ring_key, (name, epoch), &key)?;
        let public = if let EpochKey::Pair(_, public) = &key { Some(Base64(public.0.to_vec())) } else { None };
        Ok(EpochBody { epoch, state, created: env.now(), wrapped: Some(wrapped), public, rest: Rest::new() })
    }

    fn wrap_epoch(
        &self,
        env: &Env,
        ring_key: &Key,
        (name, epoch): (&str, u32),
        key: &EpochKey,
    ) -> Result<Base64, VaultError> {
        let wrapped = match key {
            EpochKey::Symmetric(key) => crypto::wrap(env, ring_key, &self.context(name, epoch, None), key.expose())?,
            EpochKey::Pair(private, public) => {
                crypto::wrap(env, ring_key, &self.context(name, epoch, Some(&public.0)), private.bytes().expose())?
            }
        };
        Ok(Base64(wrapped))
    }

    fn seal(&mut self, root: &Key) -> Result<(), VaultError> {
        self.version = self.version.saturating_add(1);
        self.mac = Base64(self.tag(root)?);
        Ok(())
    }

    fn tag(&self, root: &Key) -> Result<Vec<u8>, VaultError> {
        crypto::body_mac(root, self.cluster, "ring-mac", self)
    }

    fn ring_key(&self, root: &Key) -> Result<Key, VaultError> {
        crypto::derive(root.expose(), self.cluster.as_bytes(), &Context::new("ring"))
    }

    fn context(&self, domain: &str, epoch: u32, public: Option<&[u8]>) -> Context {
        Context::new("keyring")
            .bytes(self.cluster.as_bytes())
            .text(domain)
            .number(epoch.into())
            .number(self.root_version.into())
            .bytes(public.unwrap_or_default())
            .text("aes-256-gcm")
    }
}

/// The domain of an environment's secrets.
pub(crate) fn secrets_domain(environment: &Label) -> String {
    format!("secrets/{environment}")
}

/// A key of one epoch, in the clear.
pub(crate) enum EpochKey {
    Symmetric(Key),
    Pair(PrivateKey, PublicKey),
}

struct Domain {
    active: Option<u32>,
    keys: BTreeMap<u32, EpochKey>,
}

/// The opened keyring.
pub(crate) struct Ring {
    domains: BTreeMap<String, Domain>,
}

impl Ring {
    /// The key that seals in a domain, with its epoch.
    pub(crate) fn active(&self, domain: &str) -> Option<(u32, &EpochKey)> {
        let domain = self.domains.get(domain)?;
        let epoch = domain.active?;
        Some((epoch, domain.keys.get(&epoch)?))
    }

    /// A key of one epoch of a domain.
    pub(crate) fn epoch(&self, domain: &str, epoch: u32) -> Option<&EpochKey> {
        self.domains.get(domain)?.keys.get(&epoch)
    }

    /// Every living symmetric key of a domain with its epoch, the active one first.
    pub(crate) fn symmetric(&self, domain: &str) -> Vec<(u32, &Key)> {
        let Some(domain) = self.domains.get(domain) else { return Vec::new() };
        let is_active = |epoch: &u32| Some(*epoch) == domain.active;
        let active = domain.keys.iter().filter(|(epoch, _)| is_active(epoch));
        let others = domain.keys.iter().filter(|(epoch, _)| !is_active(epoch));
        active
            .chain(others)
            .filter_map(|(epoch, key)| if let EpochKey::Symmetric(key) = key { Some((*epoch, key)) } else { None })
            .collect()
    }
}

#[cfg(test)]
mod tests;
