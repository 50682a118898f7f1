//! Quarantine: a database that is not what this installation wrote decides nothing, until somebody on the host heals it.

use crate::control::{CLUSTER, KEYRING};
use crate::quorum::{SAID_OF_SLOTS, Shared};
use crate::{Actor, Control, Error};
use sallyport_model::ClusterId;
use sallyport_store::{Connected, Examined, Finding, Healing, Place};
use sallyport_vault::DocumentKey;
use std::sync::{Arc, PoisonError};

/// What opening the vault does about a database that was altered.
#[derive(Clone)]
pub enum Heal {
    /// Only says what is wrong, also where nothing would be decided wrongly.
    Show,
    /// Takes out what is not proven.
    Accept,
    /// Puts back what this other database holds and the ledger proves, and takes out the rest.
    Restore(Place),
}

impl Control {
    /// Makes this control plane one that examines the whole database when it opens the vault, and heals it.
    #[must_use]
    pub fn healing(mut self, heal: Heal) -> Self {
        self.heal = Some(heal);
        self
    }

    /// What is wrong with the database; nothing is decided by it then.
    #[must_use]
    pub fn quarantine(&self) -> Option<Arc<Vec<Finding>>> {
        self.quarantined.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A start that failed: the quarantine where objects are to blame, else the failure as it is.
    pub(crate) async fn put_in_quarantine(
        &self,
        error: sallyport_store::Error,
        key: &DocumentKey,
        cluster: ClusterId,
    ) -> Error {
        let Ok(mut connected) = self.connect().await else { return error.into() };
        match self.examine(&mut connected, key, cluster).await {
            Ok(examined) if !examined.findings().is_empty() => self.isolate(examined.findings().to_vec()),
            _ => error.into(),
        }
    }

    /// What opens the vault could not be read: the quarantine where the tables are to blame, else the failure as it is.
    pub(crate) async fn unreadable(&self, connected: &mut Connected, error: Error) -> Error {
        match connected.structure().await {
            Ok(found) if !found.is_empty() => self.isolate(found),
            _ => error,
        }
    }

    fn isolate(&self, findings: Vec<Finding>) -> Error {
        let findings = Arc::new(findings);
        *self.quarantined.write().unwrap_or_else(PoisonError::into_inner) = Some(findings.clone());
        Error::Quarantined(findings.len())
    }

    async fn examine(
        &self,
        connected: &mut Connected,
        key: &DocumentKey,
        cluster: ClusterId,
    ) -> Result<Examined, Error> {
        Ok(connected.examine(key, self.node_keys(cluster)?, SAID_OF_SLOTS).await?)
    }

    /// Does what this control plane was made for, where it was made to heal.
    pub(crate) async fn heal_first(
        &self,
        connected: &mut Connected,
        key: &DocumentKey,
        cluster: ClusterId,
        opened: &str,
    ) -> Result<(), Error> {
        let Some(heal) = &self.heal else { return Ok(()) };
        let examined = self.examine(connected, key, cluster).await?;
        if matches!(heal, Heal::Show) {
            return Err(self.isolate(examined.findings().to_vec()));
        }
        if examined.findings().is_empty() {
            return Err(Error::NotFound(
                "every object is as this installation wrote it: there is nothing to heal, start the server".into(),
            ));
        }
        let from = if let Heal::Restore(place) = heal { Some(backup(place).await?) } else { None };
        let quorum = Shared::said(examined.kept()).behind(opened)?;
        let actor = Actor::Host.to_string();
        let healing =
            Healing { env: &self.env, key, actor: &actor, quorum: &quorum, needed: &[KEYRING, CLUSTER], from };
        let findings = connected.heal(examined, healing).await?;
        for finding in findings {
            tracing::warn!(%finding, "Healed");
        }
        Ok(())
    }
}

/// Opens the database that is restored from.
async fn backup(place: &Place) -> Result<Connected, Error> {
    if let Place::File(path) = place
        && !path.is_file()
    {
        let path = path.display();
        return Err(Error::usage(format!("`{path}` is no database file: name the `sallyport.db` of a backup")));
    }
    Ok(Connected::to_read(place).await?)
}
