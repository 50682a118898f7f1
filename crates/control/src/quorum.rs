//! Acts of weight on the host: where custodians hold shares, a quorum of them stands behind each.

use crate::directory::{all, kinds};
use crate::{Control, Error};
use sallyport_ledger::Entry;
use sallyport_store::Store;
use sallyport_vault::SlotBody;
use std::collections::BTreeMap;

/// Entries that say which slots have shares.
pub(crate) const SAID_OF_SLOTS: &[&str] = &["vault.slot_added", "vault.slot_removed"];

/// The slots that a quorum opens, each with its rule, such as `2-of-3`.
#[derive(Debug, Default)]
pub(crate) struct Shared(BTreeMap<String, String>);

impl Shared {
    /// As the ledger says: whoever deletes a slot from the database does not get rid of its custodians.
    pub(crate) fn said(entries: &[Entry]) -> Self {
        let mut shared = BTreeMap::new();
        for entry in entries {
            let rule = entry.fact("shares");
            match entry.action.as_str() {
                "vault.slot_added" if !rule.is_empty() => {
                    shared.insert(entry.object.clone(), rule.to_owned());
                }
                "vault.slot_removed" => drop(shared.remove(&entry.object)),
                _ => {}
            }
        }
        Self(shared)
    }

    /// As the verified documents say.
    pub(crate) fn stored(store: &Store) -> Self {
        let slots = all::<SlotBody>(store, kinds::SLOT).into_iter().map(|(_, slot)| slot.value);
        let shared = slots.filter(SlotBody::confirmed).filter_map(|slot| Some((slot.id.to_string(), slot.rule()?)));
        Self(shared.map(|(id, (k, n))| (id, format!("{k}-of-{n}"))).collect())
    }

    /// What stands behind an act when the vault was opened this way: the rule of the quorum, or `none` where
    /// there is no slot with shares.
    ///
    /// # Errors
    /// When there is one, and the vault was opened otherwise.
    pub(crate) fn behind(&self, opened: &str) -> Result<String, Error> {
        let rules = self.0.values().cloned().collect::<Vec<_>>().join(", ");
        match (self.0.iter().next(), opened) {
            (None, _) => Ok("none".into()),
            (Some(_), Control::BY_SHARES) => Ok(rules),
            (Some((id, rule)), other) => Err(Error::usage(format!(
                "custodians hold shares of this vault ({rule}, slot `{id}`): a quorum of them has to stand behind an act that \
                 gives up what was written, or lends the rights of an administrator. The vault was opened with another slot ({other}): repeat it with `--shares-stdin`"
            ))),
        }
    }
}
