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
use aws_lc_rs::hmac;
use sallyport_model::inventory::Rest;
use sallyport_model::name::Label;
use sallyport_model::sealed::{PrivateKey, PublicKey};
use sallyport_model::{ClusterId, Env, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) const DOCUMENTS: &str = "documents";
pub(crate) const AUTHN: &str = "authn";
pub(crate) const RECORDINGS: &str = "recordings";

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

    /// Checks the whole body and unwraps every key.
    pub(crate) fn open(&self, cluster: ClusterId, root: &Key) -> Result<Ring, VaultError> {
        if self.cluster != cluster {
            return Err(VaultError::ForeignCluster { what: "keyring" });
        }
        let tag = hmac::sign(&self.mac_key(root)?, &self.canonical()?);
        if !crypto::equal(tag.as_ref(), &self.mac.0) {
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
        let epoch = 1;
        let ring_key = self.ring_key(root)?;
        let (wrapped, public) = if name == RECORDINGS {
            let pair = PrivateKey::generate(env).map_err(|_| VaultError::Primitive("the recording key pair"))?;
            let context = self.context(name, epoch, Some(&pair.1.0));
            (crypto::wrap(env, &ring_key, &context, pair.0.bytes().expose())?, Some(Base64(pair.1.0.to_vec())))
        } else {
            let key = crypto::fresh_key(env);
            (crypto::wrap(env, &ring_key, &self.context(name, epoch, None), key.expose())?, None)
        };
        let body = EpochBody {
            epoch,
            state: EpochState::Active,
            created: env.now(),
            wrapped: Some(Base64(wrapped)),
            public,
            rest: Rest::new(),
        };
        self.domains.insert(name.to_owned(), vec![body]);
        Ok(())
    }

    fn seal(&mut self, root: &Key) -> Result<(), VaultError> {
        self.version = self.version.saturating_add(1);
        let tag = hmac::sign(&self.mac_key(root)?, &self.canonical()?);
        self.mac = Base64(tag.as_ref().to_vec());
        Ok(())
    }

    /// The body without its MAC, as JSON with sorted keys: the same bytes on every node, whatever
    /// order a newer one wrote its fields in.
    fn canonical(&self) -> Result<Vec<u8>, VaultError> {
        let mut value = serde_json::to_value(self).map_err(|_| DAMAGED)?;
        if let Some(object) = value.as_object_mut() {
            object.remove("mac");
        }
        value.sort_all_objects();
        serde_json::to_vec(&value).map_err(|_| DAMAGED)
    }

    fn ring_key(&self, root: &Key) -> Result<Key, VaultError> {
        crypto::derive(root.expose(), self.cluster.as_bytes(), &Context::new("ring"))
    }

    fn mac_key(&self, root: &Key) -> Result<hmac::Key, VaultError> {
        let key = crypto::derive(root.expose(), self.cluster.as_bytes(), &Context::new("ring-mac"))?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
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

    /// Every living symmetric key of a domain, the active one first.
    pub(crate) fn symmetric(&self, domain: &str) -> Vec<&Key> {
        let Some(domain) = self.domains.get(domain) else { return Vec::new() };
        let active = domain.active.and_then(|epoch| domain.keys.get(&epoch));
        let others = domain.keys.iter().filter(|(epoch, _)| Some(**epoch) != domain.active).map(|(_, key)| key);
        active
            .into_iter()
            .chain(others)
            .filter_map(|key| if let EpochKey::Symmetric(key) = key { Some(key) } else { None })
            .collect()
    }
}

#[cfg(test)]
mod tests;
