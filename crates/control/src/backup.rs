//! Backups: what the ledger is told of one that was made, and of one that was restored.

use crate::control::{Open, put};
use crate::directory::{kinds, load};
use crate::founding::directories;
use crate::unseal::{Opening, Stored};
use crate::{Actor, Control, Error, Op, durable};
use sallyport_model::access::Denial;
use sallyport_model::inventory::Rest;
use sallyport_model::{EntryId, Env, Kind, Timestamp};
use sallyport_store::{Change, Connected, DocId, Filled, Filling, Place};
use sallyport_vault::{KeyFile, Share, Unlock, Vault, VaultError};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

/// Fixed id of the document that holds the last backup.
const LAST: &str = "backup";
/// What a restore leaves for the first start, in the data directory.
const RESTORED: &str = "restored.json";
/// Longest of these files that is read, in bytes.
const MAX_RESTORED: usize = 64 << 10;

/// A backup that was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// Name of its file, without directories.
    pub file: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Entries of the ledger in it.
    pub size: u64,
    /// Root over them, as base64.
    pub root: String,
    /// Fingerprints of those who can open it.
    pub recipients: Vec<String>,
    /// Recordings in it.
    pub recordings: u64,
}

/// When the last backup was made, as a document: so every node knows.
#[derive(Debug, Serialize, Deserialize)]
struct Last {
    at: Timestamp,
    size: u64,
    #[serde(flatten)]
    rest: Rest,
}

/// What was restored, kept until the ledger says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restored {
    /// Of the entry to come: a crash between the ledger and the end of this file tells nothing twice.
    pub id: EntryId,
    /// When the backup was made, RFC 3339.
    pub made: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Entries of the ledger in it.
    pub size: u64,
    /// Root over them, as base64.
    pub root: String,
}

impl Control {
    /// Tells the ledger of a backup, before its file gets its name; the index of the entry.
    ///
    /// # Errors
    /// When somebody else than the host asks, or the entry cannot be written.
    pub async fn backup_made(&self, op: &Op, made: &Made) -> Result<u64, Error> {
        if op.actor != Actor::Host {
            return Err(Denial::new(Kind::Denied, "backups are made on the host").into());
        }
        let open = self.opened()?;
        let facts = [
            ("bytes", made.bytes.to_string()),
            ("sha256", made.sha256.clone()),
            ("size", made.size.to_string()),
            ("root", made.root.clone()),
            ("recipients", made.recipients.join(" ")),
            ("recordings", made.recordings.to_string()),
        ];
        let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
        loop {
            let draft = self.draft(&op.actor, "backup.made", &made.file, &facts);
            let was = open.store.working(|set| set.version(&DocId::new(LAST)));
            let last = Last { at: self.env.now(), size: made.size, rest: Rest::new() };
            match open.store.commit(Change::entry(draft).put(put(LAST, was, kinds::SETTING, &last)?)).await {
                Ok(committed) => return Ok(committed.index),
                // Another node's backup came first: both are told.
                Err(sallyport_store::Error::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// When the last backup was made; none while sealed.
    #[must_use]
    pub fn last_backup(&self) -> Option<Timestamp> {
        let open = self.opened().ok()?;
        load::<Last>(&open.store, &DocId::new(LAST), kinds::SETTING).map(|last| last.value.at)
    }

    /// Opens the vault of a database that is being restored, and verifies all of it as a start would.
    ///
    /// # Errors
    /// When the slot opens another vault or none, or anything is not what the installation wrote.
    pub async fn check_restored(&self, filling: &mut Filling, with: Vec<Opening>) -> Result<Filled, Error> {
        let stored = Stored::read(filling.connected()).await?;
        let cluster = stored.cluster;
        let vault = self.vault_of(stored, with).await?;
        Ok(filling.check(&vault.document_key(), self.node_keys(cluster)?).await?)
    }

    /// Opens a vault that is not this control plane's yet: by the first thing that does, or by all shares together.
    async fn vault_of(&self, stored: Stored, with: Vec<Opening>) -> Result<Vault, Error> {
        for opening in with {
            match opening {
                Opening::KeyFile(text) => {
                    let key = KeyFile::parse(text.expose().as_bytes()).map_err(Error::usage)?;
                    return stored.unlocked(move |stored| stored.open(&Unlock::KeyFile(&key))).await;
                }
                Opening::Passphrase(phrase) => {
                    return stored.unlocked(move |stored| stored.open(&Unlock::Passphrase(&phrase))).await;
                }
                Opening::Share(text) => {
                    let share = Share::parse(&text).map_err(VaultError::from)?;
                    let slot = stored.slot_of(&share)?;
                    let (id, confirmed) = (slot.id, slot.confirmed());
                    let progress = self.gathering.present(self.env.now(), slot, share)?;
                    if progress.complete() && confirmed {
                        let quorum = self.gathering.quorum(self.env.now(), id).ok_or(VaultError::NoQuorum)?;
                        return stored.unlocked(move |stored| stored.open(&Unlock::Shares(&quorum))).await;
                    }
                }
                Opening::Token(_) => {
                    return Err(Error::usage("a restore opens the vault with a key file, a passphrase or shares"));
                }
            }
        }
        Err(VaultError::NoQuorum.into())
    }

    /// The restore that the ledger does not know of yet.
    pub(crate) fn restored(&self) -> Result<Option<Restored>, Error> {
        let path = self.data.join(RESTORED);
        let cannot = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read `{}`: {e}", path.display()));
        let bytes = durable::read(&path, MAX_RESTORED).map_err(|e| cannot(&e))?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(|e| cannot(&e))).transpose()
    }

    /// Tells the ledger of a restore, before anything else.
    pub(crate) async fn tell_restored(&self, open: &Open) -> Result<(), Error> {
        let Some(restored) = self.restored()? else { return Ok(()) };
        let facts = [
            ("made", restored.made.clone()),
            ("sha256", restored.sha256.clone()),
            ("size", restored.size.to_string()),
            ("root", restored.root.clone()),
        ];
        let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
        let mut draft = self.draft(&Actor::Host, "backup.restored", "installation", &facts);
        draft.id = restored.id;
        open.store.commit(Change::entry(draft).repeatable()).await?;
        match std::fs::remove_file(self.data.join(RESTORED)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::failed(error)),
            _ => Ok(()),
        }
    }
}

impl Restored {
    /// A restore that is to be told.
    #[must_use]
    pub fn new(env: &Env, made: String, sha256: String, size: u64, root: String) -> Self {
        Self { id: EntryId::new(env), made, sha256, size, root }
    }

    /// Leaves it for the first start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn leave(&self, data: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(Error::failed)?;
        durable::replace(&data.join(RESTORED), &text).map_err(|e| Error::failed(format!("cannot write it: {e}")))
    }
}

/// Begins to fill the empty database of a host.
///
/// # Errors
/// When it is not empty or cannot be used.
pub async fn refill(place: &Place) -> Result<Filling, Error> {
    Ok(Connected::open(place, true).await?.fill().await?)
}

/// The directories of an installation, made where they are not.
///
/// # Errors
/// When they cannot be made.
pub fn furnish(data: &Path) -> Result<(), Error> {
    directories(data)
}
