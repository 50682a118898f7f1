//! The unsealed vault: what may be done while the root key is in memory. Dropping it seals.

use crate::crypto::{self, Key};
use crate::keyring::{AUTHN, DOCUMENTS, EpochKey, RECORDINGS, Ring, secrets_domain};
use crate::slot::{self, MAX_SLOTS};
use crate::{
    EpochState, KeyringBody, NewSlot, Opener, PreparedSlot, Quorum, SlotBody, Unlock, VaultError, VersionBody, Where,
    envelope,
};
use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use sallyport_model::authority::RecordingKey;
use sallyport_model::name::Label;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{ClusterId, Env, Secret};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The unsealed vault.
///
/// ```compile_fail
/// fn show<T: std::fmt::Debug>() {}
/// show::<sallyport_vault::Vault>();
/// ```
/// ```compile_fail
/// fn copy<T: Clone>() {}
/// copy::<sallyport_vault::Vault>();
/// ```
/// ```compile_fail
/// fn wire<T: serde::Serialize>() {}
/// wire::<sallyport_vault::Vault>();
/// ```
pub struct Vault {
    cluster: ClusterId,
    root: Key,
    body: KeyringBody,
    ring: Ring,
    documents: DocumentKey,
    /// A root key whose keyring is being committed, with its version.
    staged: Mutex<Option<(u32, Key)>>,
}

impl Vault {
    /// Makes a vault: its slots and its keyring, which the caller stores, and the vault unsealed.
    ///
    /// `dev` lifts the rule that there be two slots, one of them offline.
    ///
    /// # Errors
    /// When the slots break that rule, or randomness fails.
    pub fn create(
        env: &Env,
        cluster: ClusterId,
        slots: &[NewSlot<'_>],
        dev: bool,
    ) -> Result<(Self, Vec<SlotBody>, KeyringBody), VaultError> {
        let refused = |text: &str| Err(VaultError::Refused(text.to_owned()));
        if slots.is_empty() || slots.len() > MAX_SLOTS {
            return refused("a vault has 1 to 16 seal slots");
        }
        if slots.iter().any(|slot| matches!(slot.opener, Opener::Shamir { .. })) {
            return refused("a vault is founded without shares: add them afterwards, so that a quorum is tried first");
        }
        if !dev {
            slot::check_rule(slots.iter().map(|slot| slot.offline))?;
        }
        let root = crypto::fresh_key(env);
        let body = KeyringBody::create(env, cluster, &root)?;
        let bodies = slots
            .iter()
            .map(|slot| PreparedSlot::new(env, cluster, slot)?.under(&root, body.root_version))
            .collect::<Result<Vec<_>, _>>()?;
        let vault = Self::with_root(cluster, root, &body)?;
        Ok((vault, bodies, body))
    }

    /// Opens a vault with one of its slots. A passphrase costs its Argon2id time and memory per
    /// passphrase slot: call it off the runtime's threads.
    ///
    /// # Errors
    /// Tells a wrong key file or passphrase, a foreign cluster, damage, and refused parameters apart.
    pub fn unseal(
        cluster: ClusterId,
        slots: &[SlotBody],
        keyring: &KeyringBody,
        unlock: &Unlock<'_>,
    ) -> Result<Self, VaultError> {
        let (mode, name, wrong) = unlock.about();
        if slots.len() > MAX_SLOTS {
            return Err(VaultError::Refused("more than 16 seal slots are stored: somebody altered the store".into()));
        }
        if keyring.cluster != cluster {
            return Err(VaultError::ForeignCluster { what: "keyring" });
        }
        if slots.iter().any(|slot| slot.cluster != cluster) {
            return Err(VaultError::ForeignCluster { what: "seal slot" });
        }
        // One damaged slot must not keep a sound one from opening; its failure counts only at the end.
        let mut failure = None;
        let mut tried = false;
        for slot in slots.iter().filter(|slot| slot.mode() == mode && slot.confirmed()) {
            tried = true;
            match slot.open(unlock) {
                Ok(Some(root)) if slot.root_version == keyring.root_version => {
                    return Self::with_root(cluster, root, keyring);
                }
                Ok(Some(_)) => failure = Some(VaultError::Damaged { what: "seal slot" }),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) => Err(error),
            None if tried => Err(wrong),
            None => Err(VaultError::NoSlot(name)),
        }
    }

    fn with_root(cluster: ClusterId, root: Key, body: &KeyringBody) -> Result<Self, VaultError> {
        let ring = body.open(cluster, &root)?;
        let documents = DocumentKey::new(&ring)?;
        Ok(Self { cluster, root, body: body.clone(), ring, documents, staged: Mutex::default() })
    }

    /// The installation.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The keyring as it was last adopted.
    #[must_use]
    pub const fn keyring(&self) -> &KeyringBody {
        &self.body
    }

    /// The key under which documents are sealed, for the store to hold.
    #[must_use]
    pub fn document_key(&self) -> DocumentKey {
        self.documents.clone()
    }

    /// MAC of a document; see [`DocumentKey::mac`].
    #[must_use]
    pub fn document_mac(&self, kind: &str, schema: u32, id: &str, version: u64, body: &[u8]) -> [u8; 32] {
        self.documents.mac(kind, schema, id, version, body)
    }

    /// The keyring with a domain for this environment, where it has none yet: `None` says that
    /// nothing needs to be done. The vault itself does not change: commit the body, then `adopt` it.
    ///
    /// # Errors
    /// When a primitive fails.
    pub fn ensure_domain(&self, env: &Env, environment: &Label) -> Result<Option<KeyringBody>, VaultError> {
        let name = secrets_domain(environment);
        if self.body.has(&name) {
            return Ok(None);
        }
        self.body.with_domain(env, &self.root, &name).map(Some)
    }

    /// Takes over a keyring that was committed here or on another node.
    ///
    /// # Errors
    /// When it is damaged, foreign or older than the present one, or under a root key that is not known here.
    /// The vault stays as it was then.
    pub fn adopt(&mut self, body: &KeyringBody) -> Result<(), VaultError> {
        if body.version < self.body.version {
            return Err(VaultError::Damaged { what: "keyring (it is older than the one in use)" });
        }
        if *body == self.body {
            return Ok(());
        }
        let staged = self.staged.get_mut().unwrap_or_else(PoisonError::into_inner);
        let replaced = body.root_version != self.body.root_version;
        let root = match &*staged {
            _ if !replaced => &self.root,
            Some((version, key)) if *version == body.root_version => key,
            _ => return Err(VaultError::RootReplaced),
        };
        let ring = body.open(self.cluster, root)?;
        self.documents.replace(&ring)?;
        self.ring = ring;
        self.body = body.clone();
        if replaced && let Some((_, root)) = staged.take() {
            self.root = root;
        }
        Ok(())
    }

    /// A new slot, as it is to be stored beside these.
    ///
    /// # Errors
    /// When there are 16 slots already.
    pub fn new_slot(&self, slots: &[SlotBody], prepared: &PreparedSlot) -> Result<SlotBody, VaultError> {
        if slots.len() >= MAX_SLOTS {
            return Err(VaultError::Refused("a vault has at most 16 seal slots: remove one first".into()));
        }
        prepared.under(&self.root, self.body.root_version)
    }

    /// The keyring with a version more and nothing else: whoever changes the slots commits it beside them, so
    /// that no two changes of slots or keys pass each other.
    ///
    /// # Errors
    /// When a primitive fails.
    pub fn touch(&self) -> Result<KeyringBody, VaultError> {
        self.body.touched(&self.root)
    }

    /// A slot with shares, as it is to be stored once a quorum has shown that it opens.
    ///
    /// # Errors
    /// When the slot is not this vault's, or the shares do not open it.
    pub fn confirm_slot(&self, slot: &SlotBody, quorum: &Quorum) -> Result<SlotBody, VaultError> {
        self.check_slots(std::slice::from_ref(slot))?;
        slot.clone().confirmed_by(quorum, &self.root, self.body.root_version)
    }

    /// Refuses slots that nobody who held the root key has written.
    ///
    /// # Errors
    /// Names the first such slot.
    pub fn check_slots(&self, slots: &[SlotBody]) -> Result<(), VaultError> {
        for slot in slots {
            if slot.cluster != self.cluster || !slot.is_authentic(&self.root)? {
                return Err(VaultError::ForeignSlot(slot.id));
            }
        }
        Ok(())
    }

    /// A new root key: the keyring and the slots as they are to be stored, in one change, since either
    /// without the other opens nothing. No custodian is needed. The vault itself does not change:
    /// commit the bodies, then `adopt` the keyring.
    ///
    /// `dev` lifts the rule that there be two slots, one of them offline.
    ///
    /// # Errors
    /// When a slot is not this vault's, or the slots break that rule: then the new key is sealed to nobody.
    pub fn replace_root(
        &self,
        env: &Env,
        slots: &[SlotBody],
        dev: bool,
    ) -> Result<(KeyringBody, Vec<SlotBody>), VaultError> {
        self.check_slots(slots)?;
        let confirmed = slots.iter().filter(|slot| slot.confirmed()).map(|slot| slot.offline);
        if !dev {
            slot::check_rule(confirmed)?;
        }
        let root = crypto::fresh_key(env);
        let body = self.body.under(env, &self.root, &root)?;
        let slots = slots.iter().map(|s| s.clone().under(&root, body.root_version)).collect::<Result<Vec<_>, _>>()?;
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner) = Some((body.root_version, root));
        Ok((body, slots))
    }

    /// The keyring with a pending epoch more in these domains, or in all. `None` says that each has one already.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn begin_epoch(&self, env: &Env, domain: Option<&str>) -> Result<Option<KeyringBody>, VaultError> {
        let all = || self.body.in_state(EpochState::Active).into_iter().map(|(name, _)| name).collect();
        let names = domain.map_or_else(all, |name| vec![name.to_owned()]);
        self.body.with_pending(env, &self.root, &names)
    }

    /// The keyring with its pending epochs active. `None` says that none is pending.
    ///
    /// # Errors
    /// When a primitive fails.
    pub fn activate_epochs(&self) -> Result<Option<KeyringBody>, VaultError> {
        self.body.with_active(&self.root)
    }

    /// The keyring without the keys of these epochs: what is still under them is lost. Whoever calls has
    /// looked that nothing is.
    ///
    /// # Errors
    /// When one of them does more than open.
    pub fn destroy_epochs(&self, gone: &[(String, u32)]) -> Result<KeyringBody, VaultError> {
        self.body.without(&self.root, gone)
    }

    /// A secret version with its data key under the active epoch; `None` where it is there already.
    ///
    /// # Errors
    /// When the envelope is damaged: then it is not carried on.
    pub fn rewrap(&self, env: &Env, body: &VersionBody) -> Result<Option<VersionBody>, VaultError> {
        envelope::rewrap(env, self.cluster, &self.ring, body)
    }

    /// Seals a value into its place, under a data key of its own.
    ///
    /// # Errors
    /// `NoDomain` where the environment's domain was not made and adopted.
    pub fn seal_secret(&self, env: &Env, place: &Where, value: &SecretBytes) -> Result<VersionBody, VaultError> {
        envelope::seal(env, self.cluster, &self.ring, place, value)
    }

    /// Opens a value, if it is the one that was sealed into this very place.
    ///
    /// # Errors
    /// When it belongs elsewhere or was altered.
    pub fn open_secret(&self, place: &Where, body: &VersionBody) -> Result<SecretBytes, VaultError> {
        envelope::open(self.cluster, &self.ring, place, body)
    }

    /// The public key to which gateways seal the data keys of recordings.
    ///
    /// # Errors
    /// When the keyring has no such key.
    pub fn recording_key(&self) -> Result<RecordingKey, VaultError> {
        match self.ring.active(RECORDINGS) {
            Some((epoch, EpochKey::Pair(_, key))) => Ok(RecordingKey { epoch, key: *key }),
            _ => Err(VaultError::Damaged { what: "keyring" }),
        }
    }

    /// The private half of one epoch of the recording key; `None` for an unknown or destroyed epoch.
    #[must_use]
    pub fn recording_private(&self, epoch: u32) -> Option<&PrivateKey> {
        match self.ring.epoch(RECORDINGS, epoch) {
            Some(EpochKey::Pair(private, _)) => Some(private),
            _ => None,
        }
    }

    /// HMAC-SHA256 of a token's text under the active epoch, `<epoch>:<hexadecimal>`: all that is stored of it.
    ///
    /// # Errors
    /// When the keyring has no such key.
    pub fn token_verifier(&self, token: &Secret<String>) -> Result<String, VaultError> {
        self.token_verifiers(token).into_iter().next().ok_or(VaultError::Damaged { what: "keyring" })
    }

    /// The verifiers of a token under every living epoch, the active one first: by one of them it is found.
    #[must_use]
    pub fn token_verifiers(&self, token: &Secret<String>) -> Vec<String> {
        let of = |(epoch, key): (u32, &Key)| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
            let mut context = hmac::Context::with_key(&key);
            context.update(b"sallyport-v1/token\0");
            context.update(token.expose().as_bytes());
            format!("{epoch}:{}", HEXLOWER.encode(context.sign().as_ref()))
        };
        self.ring.symmetric(AUTHN).into_iter().map(of).collect()
    }
}

/// The MAC key of sealed documents, prepared once; clones share it, and follow when its epoch changes.
///
/// ```compile_fail
/// fn show<T: std::fmt::Debug>() {}
/// show::<sallyport_vault::DocumentKey>();
/// ```
#[derive(Clone)]
pub struct DocumentKey(Arc<RwLock<Arc<DocumentKeys>>>);

struct DocumentKeys {
    active: hmac::Key,
    older: Vec<hmac::Key>,
}

impl DocumentKeys {
    fn of(ring: &Ring) -> Result<Self, VaultError> {
        if ring.active(DOCUMENTS).is_none() {
            return Err(VaultError::Damaged { what: "keyring" });
        }
        let keys = ring.symmetric(DOCUMENTS);
        let mut keys = keys.into_iter().map(|(_, k)| hmac::Key::new(hmac::HMAC_SHA256, k.expose()));
        let active = keys.next().ok_or(VaultError::Damaged { what: "keyring" })?;
        Ok(Self { active, older: keys.collect() })
    }
}

impl DocumentKey {
    fn new(ring: &Ring) -> Result<Self, VaultError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(DocumentKeys::of(ring)?)))))
    }

    fn replace(&self, ring: &Ring) -> Result<(), VaultError> {
        let keys = Arc::new(DocumentKeys::of(ring)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn keys(&self) -> Arc<DocumentKeys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// HMAC-SHA256 over the length-prefixed identity of a document and its stored bytes.
    #[must_use]
    pub fn mac(&self, kind: &str, schema: u32, id: &str, version: u64, body: &[u8]) -> [u8; 32] {
        let tag = sign(&self.keys().active, kind, schema, id, version, body);
        let mut out = [0; 32];
        out.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        out
    }

    /// Whether `mac` is this document's, in constant time. A key that is being rotated out counts.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "the same list as `mac`, and the MAC")]
    pub fn check(&self, kind: &str, schema: u32, id: &str, version: u64, body: &[u8], mac: &[u8]) -> bool {
        let keys = self.keys();
        std::iter::once(&keys.active)
            .chain(&keys.older)
            .any(|key| crypto::equal(sign(key, kind, schema, id, version, body).as_ref(), mac))
    }
}

fn sign(key: &hmac::Key, kind: &str, schema: u32, id: &str, version: u64, body: &[u8]) -> hmac::Tag {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut head = Vec::with_capacity(128);
    head.extend_from_slice(b"sallyport-v1/document\0");
    head.extend_from_slice(&length(kind));
    head.extend_from_slice(kind.as_bytes());
    head.extend_from_slice(&schema.to_be_bytes());
    head.extend_from_slice(&length(id));
    head.extend_from_slice(id.as_bytes());
    head.extend_from_slice(&version.to_be_bytes());
    // The body is last and alone of unknown length, so it needs no prefix.
    let mut context = hmac::Context::with_key(key);
    context.update(&head);
    context.update(body);
    context.sign()
}

#[cfg(test)]
mod tests;
