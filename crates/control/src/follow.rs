//! What control does with what the store tells: names, keys, policies and sessions as they are now, whoever wrote them.

use crate::control::PolicyBody;
use crate::directory::{Directory, kinds, parse};
use crate::sessions::Live;
use crate::sign_in::Answers;
use sallyport_model::authority::Down;
use sallyport_policy::PolicySet;
use sallyport_store::{DocId, Document, Nodes};
use sallyport_vault::{KeyringBody, Vault};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::{Notify, watch};

/// What follows the store.
pub(crate) struct Follow {
    pub(crate) directory: Arc<Directory>,
    pub(crate) vault: Arc<RwLock<Vault>>,
    pub(crate) policy: Arc<RwLock<Arc<PolicySet>>>,
    pub(crate) live: Live,
    /// Told when keys may have to be looked after: here, those of nodes.
    pub(crate) keys_due: Arc<Notify>,
    pub(crate) answers: Arc<Answers>,
    /// Why the stored policies do not load, where they do not. Then nothing is permitted.
    pub(crate) broken: Mutex<Option<String>>,
    /// Set when the keys in memory are not the stored ones and cannot become them: another node has replaced the
    /// root key.
    pub(crate) outdated: watch::Sender<bool>,
}

impl Follow {
    pub(crate) fn hear(&self, id: &DocId, document: Option<&Document>) {
        let Some(document) = document else { return self.directory.delete(id) };
        self.directory.put(id, document);
        match &*document.kind {
            kinds::KEYRING => self.keyring(document),
            kinds::POLICY => self.policies(document),
            kinds::SESSION => self.live.follow(document),
            kinds::PENDING => self.answers.tell(),
            Nodes::KIND => self.keys_due.notify_one(),
            _ => {}
        }
    }

    /// A keyring that was committed here or on another node.
    fn keyring(&self, document: &Document) {
        let Some(body) = parse::<KeyringBody>(document) else { return };
        let mut vault = self.vault.write().unwrap_or_else(PoisonError::into_inner);
        let before = vault.recording_key().ok();
        if let Err(error) = vault.adopt(&body) {
            tracing::error!(%error, "The keyring that was written cannot be used: a new process opens the vault anew");
            self.outdated.send_replace(true);
        }
        match vault.recording_key() {
            Ok(key) if before != Some(key) => self.live.broadcast(|| Down::RecordingKey(key)),
            _ => {}
        }
    }

    /// The enforced set, before whoever wrote it gets an answer. One that does not load permits nothing.
    fn policies(&self, document: &Document) {
        let files = parse::<PolicyBody>(document).map(|body| body.files);
        let loaded = files.ok_or_else(|| "the document is unreadable".to_owned());
        let loaded = loaded.and_then(|files| PolicySet::load(&files).map_err(|e| e.to_string()));
        let (set, broken) = match loaded {
            Ok(set) => (Some(set), None),
            Err(error) => {
                tracing::error!(error, "The stored policies do not load: nothing is permitted");
                (PolicySet::load(&[]).ok(), Some(error))
            }
        };
        if let Some(set) = set {
            *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        }
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken;
    }
}
