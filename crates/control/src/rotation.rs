//! Rotation of keys, online: a new root key in one change, new epochs step by step, and data keys wrapped anew behind them.
//!
//! Where a rotation stands is written in the documents alone: in the states of the keyring's epochs, and in what is
//! still under an old one. So it goes on after a crash at the step where it was, and any node can do any step.
//!
//! ```text
//! pending -> active -> decrypt-only -> destroyed
//!    |          |           |            once nothing is under it any more
//!    |          |           what is under it is wrapped anew, in batches that can be paused
//!    |          seals, after every node that follows the ledger has loaded it
//!    opens, never seals
//! ```

use crate::control::{KEYRING, Open, put};
use crate::directory::{all, kinds, load, parse};
use crate::slots::borrowed;
use crate::steps::reached;
use crate::{Actor, Control, Error, Op};
use sallyport_model::Timestamp;
use sallyport_model::inventory::{Rest, Token};
use sallyport_model::sign_in::{Device, Link, Pending};
use sallyport_policy::Right;
use sallyport_store::{Change, DocId, Document, Put};
use sallyport_vault::{AUTHN, DOCUMENTS, EpochState, KeyringBody, RECORDINGS, Vault, VaultError, VersionBody};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Documents that one change carries over: their effects must fit one ledger entry.
const BATCH: usize = 64;
/// How often it is looked whether something is left to do, besides being told.
const LOOK: Duration = Duration::from_secs(60);
/// How long an epoch stays pending where several nodes share a store: each must have loaded it before anything is
/// sealed under it. A node that takes longer does not know the key, stops, and opens the vault anew.
const SETTLE: Duration = Duration::from_secs(5);
/// The document that holds whether the work behind a rotation pauses.
const ROTATION: &str = kinds::ROTATION;

/// Whether the work behind a rotation pauses, as a document: a restart does not resume it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RotationBody {
    paused: bool,
    #[serde(flatten)]
    rest: Rest,
}

/// One epoch of one domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EpochLine {
    /// The domain, such as `secrets/prod`.
    pub domain: String,
    /// The epoch, from 1.
    pub epoch: u32,
    /// Where it stands.
    pub state: EpochState,
    /// What is still under it and has to be carried over or to expire; `None` where that is not counted: under the
    /// active epoch, and of recordings, which keep the epoch that they were made under.
    pub left: Option<u64>,
}

/// The keys of the vault, without their values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keys {
    /// Which root key this is, from 1.
    pub root_version: u32,
    /// Every epoch of every domain.
    pub epochs: Vec<EpochLine>,
    /// Whether the work behind a rotation pauses.
    pub paused: bool,
}

/// What is under epochs that merely open.
#[derive(Default)]
struct Left {
    /// Documents whose MAC, and versions whose data key, is under an old epoch.
    documents: Vec<DocId>,
    versions: Vec<DocId>,
    /// Counts by domain and epoch.
    counts: BTreeMap<(String, u32), u64>,
}

impl Control {
    /// The epochs of every domain, and what is left to carry over.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub async fn keys(&self, op: &Op) -> Result<Keys, Error> {
        self.require(op, Right::VaultStatus)?;
        self.key_lines(self.opened()?).await
    }

    /// Replaces the root key: seals a new one to every slot and wraps the keyring anew, in one change. No custodian
    /// is needed. Answers with the version of the new key.
    ///
    /// # Errors
    /// When the actor lacks the right, or a stored slot is not the vault's: then nothing changes.
    pub async fn rotate_root(&self, op: &Op) -> Result<u32, Error> {
        self.require(op, Right::VaultRotate)?;
        let open = self.opened()?;
        self.check_stored_slots(op, &open).await?;
        reached("root.before_commit");
        let version = self
            .change_slots(&open, |vault, slots, versions| {
                let (keyring, sealed) = vault.replace_root(&self.env, slots, false)?;
                let facts = [("root_version", keyring.root_version.to_string()), ("slots", sealed.len().to_string())];
                let mut change = Change::entry(self.draft(&op.actor, "vault.root_rotated", "vault", &borrowed(&facts)));
                for slot in &sealed {
                    change = change.put(put(slot.id, versions.get(&slot.id).copied().unwrap_or(0), kinds::SLOT, slot)?);
                }
                let version = keyring.root_version;
                Ok((change, keyring, version))
            })
            .await?;
        reached("root.after_commit");
        Ok(version)
    }

    /// Begins a new epoch in a domain, or in all of them. What follows is done by [`Control::tend_keys`].
    ///
    /// # Errors
    /// When the actor lacks the right, or there is no such domain.
    pub async fn rotate_epoch(&self, op: &Op, domain: Option<&str>) -> Result<Keys, Error> {
        self.require(op, Right::VaultRotate)?;
        let open = self.opened()?;
        let known: BTreeSet<String> = open.vault().keyring().epochs().map(|(name, ..)| name.to_owned()).collect();
        if let Some(name) = domain.filter(|name| !known.contains(*name)) {
            let list = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Error::NotFound(format!("there is no domain of keys `{name}`: there are {list}")));
        }
        reached("epoch.before_pending");
        let (action, name) = ("vault.epoch_begun", domain.unwrap_or("all"));
        self.change_keyring(&open, &op.actor, action, name, |vault| vault.begin_epoch(&self.env, domain)).await?;
        reached("epoch.after_pending");
        self.keys_due.notify_one();
        self.key_lines(open).await
    }

    /// Pauses the work behind a rotation, or resumes it; a restart changes neither.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub async fn pause_rotation(&self, op: &Op, paused: bool) -> Result<Keys, Error> {
        self.require(op, Right::VaultRotate)?;
        let open = self.opened()?;
        let was = load::<RotationBody>(&open.store, &DocId::new(ROTATION), ROTATION);
        let (version, body) = was.map_or_else(Default::default, |was| (was.version, was.value));
        if body.paused != paused {
            let action = if paused { "vault.rotation_paused" } else { "vault.rotation_resumed" };
            let change = Change::entry(self.draft(&op.actor, action, "vault", &[]));
            let body = RotationBody { paused, ..body };
            open.store.commit(change.put(put(ROTATION, version, ROTATION, &body)?)).await?;
        }
        self.keys_due.notify_one();
        self.key_lines(open).await
    }

    /// Goes on with whatever rotation is due, and vouches for the ledger keys of nodes that join, as long as the vault is
    /// open. Never returns.
    pub async fn tend_keys(&self) {
        loop {
            let pending = self.opened().is_ok_and(|open| open.vault().keyring().pending_since().is_some());
            tokio::select! {
                () = self.keys_due.notified() => {}
                () = tokio::time::sleep(if pending { SETTLE } else { LOOK }) => {}
            }
            let Ok(open) = self.opened() else { continue };
            if let Err(error) = self.advance_keys(&open).await {
                tracing::warn!(%error, "The rotation of keys does not go on; it is tried again");
            }
            if let Err(error) = self.vouch(&open).await {
                tracing::warn!(%error, "The ledger keys of other nodes are not vouched for; it is tried again");
            }
        }
    }

    /// Does what is due: activates pending epochs, carries over what is under old ones, destroys those that are empty.
    pub(crate) async fn advance_keys(&self, open: &Arc<Open>) -> Result<(), Error> {
        let actor = Actor::System("vault");
        let now = self.env.now();
        let settled = |since: Timestamp| !self.is_shared() || now.since(since) >= SETTLE;
        let due = open.vault().keyring().pending_since().is_some_and(settled);
        if due && self.change_keyring(open, &actor, "vault.epoch_activated", "vault", |v| v.activate_epochs()).await? {
            reached("epoch.after_active");
        }
        let merely_opens = open.vault().keyring().epochs().any(|(_, _, state)| state == EpochState::DecryptOnly);
        if !merely_opens {
            return Ok(());
        }
        let left = self.left(open.clone()).await?;
        for (what, ids) in [("data keys", left.versions), ("documents", left.documents)] {
            for batch in ids.chunks(BATCH) {
                if paused(open) || self.opened().is_err() {
                    return Ok(());
                }
                self.carry_over(open, what, batch).await?;
                reached("epoch.after_batch");
            }
        }
        self.destroy_unused(open).await
    }

    /// Writes documents anew, so that MAC and data key come under the active epochs. A document that somebody else
    /// changes at the same moment is theirs: they write it under the active epochs anyway.
    async fn carry_over(&self, open: &Open, what: &'static str, ids: &[DocId]) -> Result<(), Error> {
        let change = {
            let vault = open.vault();
            let documents: Vec<(DocId, Document)> = open
                .store
                .working(|set| ids.iter().filter_map(|id| Some((id.clone(), set.get(id)?.clone()))).collect());
            let puts: Vec<Put> =
                documents.iter().filter_map(|(id, document)| self.carried(&vault, id, document)).collect();
            if puts.is_empty() {
                return Ok(());
            }
            let count = puts.len().to_string();
            let facts = [("what", what), ("count", count.as_str())];
            let mut change = Change::entry(self.draft(&Actor::System("vault"), "vault.rewrapped", "vault", &facts));
            change.put = puts;
            change.expect.push((DocId::new(KEYRING), vault.keyring().version));
            change
        };
        match open.store.commit(change).await {
            // The next look finds what is left.
            Ok(_) | Err(sallyport_store::Error::Conflict(_)) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// A document as it is to be written anew; `None` where nothing of it is under an old epoch.
    fn carried(&self, vault: &Vault, id: &DocId, document: &Document) -> Option<Put> {
        let rewrapped = if &*document.kind == kinds::VERSION {
            let body = parse::<VersionBody>(document)?;
            let outcome = vault.rewrap(&self.env, &body);
            outcome.inspect_err(|error| tracing::error!(%id, %error, "A secret version is not carried over")).ok()?
        } else {
            None
        };
        let current =
            vault.document_mac(&document.kind, document.schema, id.as_str(), document.version, &document.body);
        if rewrapped.is_none() && current == document.mac {
            return None;
        }
        let body = match rewrapped {
            Some(body) => serde_json::to_vec(&body).ok()?,
            None => document.body.to_vec(),
        };
        let kind = kinds::ALL.iter().copied().find(|kind| *kind == &*document.kind)?;
        Some(Put { id: id.clone(), was: document.version, kind, schema: document.schema, body })
    }

    async fn destroy_unused(&self, open: &Arc<Open>) -> Result<(), Error> {
        let lines = self.key_lines(open.clone()).await?;
        let unused = |line: &&EpochLine| line.state == EpochState::DecryptOnly && line.left == Some(0);
        let gone: Vec<_> = lines.epochs.iter().filter(unused).map(|line| (line.domain.clone(), line.epoch)).collect();
        if gone.is_empty() || paused(open) {
            return Ok(());
        }
        // INVARIANT: what counted as unused stays so. Nothing is sealed under an epoch that merely opens, and what
        // was being sealed while it was active is committed only if the keyring is still that one (`under_keys`).
        reached("epoch.before_destroy");
        let names = gone.iter().map(|(domain, epoch)| format!("{domain}@{epoch}")).collect::<Vec<_>>().join(" ");
        let actor = Actor::System("vault");
        self.change_keyring(open, &actor, "vault.epoch_destroyed", &names, |vault| {
            vault.destroy_epochs(&gone).map(Some)
        })
        .await?;
        reached("epoch.after_destroy");
        Ok(())
    }

    /// Commits a new keyring; `false` where there was nothing to change.
    async fn change_keyring(
        &self,
        open: &Open,
        actor: &Actor,
        action: &'static str,
        object: &str,
        make: impl FnOnce(&Vault) -> Result<Option<KeyringBody>, VaultError>,
    ) -> Result<bool, Error> {
        let change = {
            let vault = open.vault();
            let Some(keyring) = make(&vault)? else { return Ok(false) };
            let version = keyring.version.to_string();
            let draft = self.draft(actor, action, object, &[("keyring", &version)]);
            Change::entry(draft).put(put(KEYRING, vault.keyring().version, kinds::KEYRING, &keyring)?)
        };
        open.store.commit(change).await?;
        Ok(true)
    }

    async fn key_lines(&self, open: Arc<Open>) -> Result<Keys, Error> {
        let left = self.left(open.clone()).await?;
        let vault = open.vault();
        let keyring = vault.keyring();
        let epochs = keyring
            .epochs()
            .map(|(domain, epoch, state)| {
                let counted = state == EpochState::DecryptOnly && domain != RECORDINGS;
                let count = left.counts.get(&(domain.to_owned(), epoch)).copied().unwrap_or(0);
                EpochLine { domain: domain.to_owned(), epoch, state, left: counted.then_some(count) }
            })
            .collect();
        Ok(Keys { root_version: keyring.root_version, epochs, paused: paused(&open) })
    }

    /// What is under epochs that merely open. Looks at every document, off the runtime's threads.
    async fn left(&self, open: Arc<Open>) -> Result<Left, Error> {
        let now = self.env.now();
        tokio::task::spawn_blocking(move || Left::look(&open, now)).await.map_err(Error::failed)
    }
}

impl Left {
    fn look(open: &Open, now: Timestamp) -> Self {
        let mut left = Self::default();
        let (old, key) = {
            let vault = open.vault();
            let old = vault.keyring().epochs().filter(|(_, _, state)| *state == EpochState::DecryptOnly);
            (old.map(|(domain, epoch, _)| (domain.to_owned(), epoch)).collect::<Vec<_>>(), vault.document_key())
        };
        if old.is_empty() {
            return left;
        }
        let documents: Vec<(DocId, Document)> =
            open.store.working(|set| set.all().map(|(id, document)| (id.clone(), document.clone())).collect());
        let of = |domain: &str| old.iter().filter(|epoch| epoch.0 == domain).cloned().collect::<Vec<_>>();
        let old_documents = of(DOCUMENTS);
        for (id, document) in documents {
            let mac = || key.mac(&document.kind, document.schema, id.as_str(), document.version, &document.body);
            // The keyring itself comes under the active epoch with its own next change.
            if !old_documents.is_empty() && id.as_str() != KEYRING && mac() != document.mac {
                // Which of several old epochs it is does not matter: none of them can go before it.
                old_documents.iter().for_each(|epoch| left.count(epoch.clone()));
                // A session's document goes with its session, within hours, and its writer must not be disturbed.
                if &*document.kind != kinds::SESSION {
                    left.documents.push(id.clone());
                }
            }
            if &*document.kind == kinds::VERSION
                && let Some(body) = parse::<VersionBody>(&document)
            {
                let holds =
                    of(&body.domain()).into_iter().filter(|old| body.epoch().is_none_or(|epoch| epoch == old.1));
                // What cannot be read holds every epoch of its domain: it may yet be restored.
                let before = left.versions.len();
                for epoch in holds {
                    left.count(epoch);
                    if left.versions.len() == before {
                        left.versions.push(id.clone());
                    }
                }
            }
        }
        let tokens =
            all::<Token>(&open.store, kinds::TOKEN).into_iter().map(|(_, t)| (t.value.verifier, t.value.expires));
        let devices =
            all::<Device>(&open.store, kinds::DEVICE).into_iter().map(|(_, d)| (d.value.verifier, d.value.expires));
        let links = all::<Link>(&open.store, kinds::LINK).into_iter().map(|(_, l)| (l.value.verifier, l.value.expires));
        let logins =
            all::<Pending>(&open.store, kinds::PENDING).into_iter().map(|(_, l)| (l.value.verifier, l.value.expires));
        for (verifier, expires) in tokens.chain(devices).chain(links).chain(logins) {
            let epoch = verifier.split_once(':').and_then(|(epoch, _)| epoch.parse().ok());
            if expires > now {
                left.count((AUTHN.to_owned(), epoch.unwrap_or(0)));
            }
        }
        left
    }

    fn count(&mut self, epoch: (String, u32)) {
        let count = self.counts.entry(epoch).or_default();
        *count = count.saturating_add(1);
    }
}

fn paused(open: &Open) -> bool {
    load::<RotationBody>(&open.store, &DocId::new(ROTATION), ROTATION).is_some_and(|body| body.value.paused)
}
