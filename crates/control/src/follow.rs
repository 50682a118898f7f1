//! What control does with what the store tells: names, keys and policies as they are now, and the orders of other nodes.

use crate::control::PolicyBody;
use crate::directory::{Directory, kinds, parse};
use crate::sessions::Live;
use sallyport_ledger::Entry;
use sallyport_model::authority::Down;
use sallyport_policy::PolicySet;
use sallyport_store::{DocId, Document, Followed};
use sallyport_vault::{KeyringBody, Vault};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// What follows the store.
pub(crate) struct Follow {
    pub(crate) directory: Arc<Directory>,
    pub(crate) vault: Arc<RwLock<Vault>>,
    pub(crate) policy: Arc<RwLock<Arc<PolicySet>>>,
    pub(crate) live: Live,
    /// Why the stored policies do not load, where they do not. Then nothing is permitted.
    pub(crate) broken: Mutex<Option<String>>,
}

impl Follow {
    pub(crate) fn hear(&self, what: Followed<'_>) {
        match what {
            Followed::Document(id, document) => self.document(id, document),
            Followed::Entry(entry) => self.order(entry),
        }
    }

    fn document(&self, id: &DocId, document: Option<&Document>) {
        let Some(document) = document else { return self.directory.delete(id) };
        self.directory.put(id, document);
        match &*document.kind {
            kinds::KEYRING => self.keyring(document),
            kinds::POLICY => self.policies(document),
            _ => {}
        }
    }

    /// A keyring that was committed here or on another node.
    fn keyring(&self, document: &Document) {
        let Some(body) = parse::<KeyringBody>(document) else { return };
        if let Err(error) = self.vault.write().unwrap_or_else(PoisonError::into_inner).adopt(&body) {
            tracing::error!(%error, "The keyring that was written cannot be used; restart this node");
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

    /// What another node has decided about a session whose gateway may be connected here.
    fn order(&self, entry: &Entry) {
        if let (Some(session), Some(order)) = (entry.session, order(entry))
            && self.live.send(session, order)
        {
            tracing::info!(%session, node = entry.node, action = entry.action, "Carried out another node's order");
        }
    }
}

/// Actions whose entries are orders to the gateway of their session.
pub(crate) const ORDERS: [&str; 2] = ["session.killed", "session.revoked"];

/// The order that an entry is.
pub(crate) fn order(entry: &Entry) -> Option<Down> {
    let session = entry.session?;
    match entry.action.as_str() {
        "session.killed" => Some(Down::Kill(session, killed_by(&entry.actor, entry.fact("reason")))),
        "session.revoked" => Some(Down::Revoke(session, entry.fact("why").to_owned())),
        _ => None,
    }
}

/// What the person at the other end of a killed session is told.
pub(crate) fn killed_by(actor: impl std::fmt::Display, reason: &str) -> String {
    if reason.is_empty() { format!("ended by {actor}") } else { format!("ended by {actor}: {reason}") }
}
