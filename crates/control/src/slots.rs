//! Seal slots: added, confirmed, removed. Each act is one change, so that a crash leaves the slots of before or of after.

use crate::control::{KEYRING, Open, put};
use crate::directory::{all, kinds, load};
use crate::gathering::Progress;
use crate::steps::reached;
use crate::{Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::{Kind, Secret, SlotId, Timestamp};
use sallyport_policy::Right;
use sallyport_store::{Change, DocId, Document};
use sallyport_vault::{Argon, KeyFile, KeyringBody, NewSlot, Opener, PreparedSlot, Share, SlotBody, Vault, VaultError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a change is made anew because keys or slots were changed in the meantime.
pub(crate) const TRIES: usize = 4;

/// What a new slot is opened with.
pub enum AddSlot {
    /// A key file, which is made here and shown once.
    KeyFile,
    /// A passphrase of at least 12 characters.
    Passphrase(Secret<String>),
    /// Any `k` of `n` shares, which are made here and shown once.
    Shamir {
        /// How many open together.
        k: u8,
        /// How many there are.
        n: u8,
    },
    /// A key that this node's token keeps, with the token's PIN where the configuration does not give it.
    Token(Option<Secret<String>>),
}

/// A slot, without what it is made of.
#[derive(Clone, Debug)]
pub struct SlotLine {
    /// The slot.
    pub id: SlotId,
    /// `key_file`, `passphrase`, `shamir`, `pkcs11`.
    pub kind: &'static str,
    /// What people call it.
    pub label: String,
    /// Whether its key is kept away from every machine.
    pub offline: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it opens the vault.
    pub confirmed: bool,
    /// How many shares open it, out of how many.
    pub rule: Option<(u8, u8)>,
}

impl SlotLine {
    pub(crate) fn of(slot: &SlotBody) -> Self {
        Self {
            id: slot.id,
            kind: slot.mode().word(),
            label: slot.label.clone(),
            offline: slot.offline,
            created: slot.created,
            confirmed: slot.confirmed(),
            rule: slot.rule(),
        }
    }
}

/// A slot that was added, and what its owners must keep. Shown once.
pub struct AddedSlot {
    /// The slot.
    pub slot: SlotLine,
    /// The text of its key file.
    pub key_file: Option<Secret<String>>,
    /// The texts of its shares.
    pub shares: Vec<Secret<String>>,
}

impl Control {
    /// Adds a slot. One with shares opens nothing before a quorum of them was presented once.
    ///
    /// # Errors
    /// When the actor lacks the right, the input is wrong, or the stored slots are not the vault's.
    pub async fn add_slot(&self, op: &Op, label: &str, offline: bool, add: AddSlot) -> Result<AddedSlot, Error> {
        self.require(op, Right::VaultSlot)?;
        let open = self.opened()?;
        self.check_stored_slots(op, &open).await?;
        let (env, cluster, label) = (self.env.clone(), open.cluster, label.trim().to_owned());
        if label.is_empty() {
            return Err(Error::usage(
                "give the slot a label that says who keeps what opens it, such as `safe in Bern`",
            ));
        }
        let (add, wrapped) = match add {
            AddSlot::Token(pin) => (AddSlot::Token(None), Some(self.token(cluster)?.wrap(&env, pin).await?)),
            other => (other, None),
        };
        let prepare = move || {
            let mut key_file = None;
            let opener = match &add {
                AddSlot::KeyFile => Opener::KeyFile(key_file.insert(KeyFile::generate(&env))),
                AddSlot::Passphrase(passphrase) => Opener::Passphrase(passphrase, Argon::house()),
                AddSlot::Shamir { k, n } => Opener::Shamir { k: *k, n: *n },
                AddSlot::Token(_) => {
                    let (secret, wrapped, place) = wrapped.as_ref().ok_or(VaultError::WrongToken)?;
                    Opener::Token { secret, wrapped, place: place.clone() }
                }
            };
            let prepared = PreparedSlot::new(&env, cluster, &NewSlot { label: &label, offline, opener })?;
            Ok::<_, VaultError>((prepared, key_file.map(|key| key.encode())))
        };
        let (prepared, key_file) = tokio::task::spawn_blocking(prepare).await.map_err(Error::failed)??;
        let slot = self
            .change_slots(&open, |vault, slots, _| {
                let slot = vault.new_slot(slots, &prepared)?;
                let facts = slot_facts(&slot);
                let action = if slot.confirmed() { "vault.slot_added" } else { "vault.slot_begun" };
                let change = Change::entry(self.draft(&op.actor, action, slot.id, &borrowed(&facts))).put(put(
                    slot.id,
                    0,
                    kinds::SLOT,
                    &slot,
                )?);
                Ok((change, vault.touch()?, slot))
            })
            .await?;
        Ok(AddedSlot {
            slot: SlotLine::of(&slot),
            key_file,
            shares: prepared.shares.iter().map(Share::encode).collect(),
        })
    }

    /// One share more of a new set: once a quorum is there, and has opened the slot, the slot counts.
    ///
    /// # Errors
    /// When the actor lacks the right, or names what is wrong with the share.
    pub async fn confirm_slot(&self, op: &Op, share: &Secret<String>) -> Result<Progress, Error> {
        self.require(op, Right::VaultSlot)?;
        let open = self.opened()?;
        let share = Share::parse(share).map_err(VaultError::from)?;
        if !share.is_of_cluster(open.cluster) {
            return Err(VaultError::ForeignCluster { what: "share" }.into());
        }
        let slots = slots(&open);
        let of_set = |slot: &&SlotBody| slot.rule().is_some() && share.is_of_set(slot.id);
        let slot = slots.iter().map(|(_, slot)| slot).find(of_set).ok_or(VaultError::ForeignShare)?;
        if slot.confirmed() {
            return Err(Error::usage("this set of shares was confirmed already: it opens the vault"));
        }
        let progress = self.gathering.present(self.env.now(), slot, share)?;
        if !progress.complete() {
            return Ok(progress);
        }
        self.check_stored_slots(op, &open).await?;
        let quorum = self.gathering.quorum(self.env.now(), progress.slot).ok_or(VaultError::NoQuorum)?;
        reached("slot.before_confirm");
        let outcome = self
            .change_slots(&open, |vault, _, versions| {
                let gone = || Error::NotFound("the slot was removed in the meantime".into());
                let now = load::<SlotBody>(&open.store, &DocId::new(progress.slot), kinds::SLOT).ok_or_else(gone)?;
                let slot = vault.confirm_slot(&now.value, &quorum)?;
                let facts = slot_facts(&slot);
                let was = versions.get(&slot.id).copied().unwrap_or(now.version);
                let change = Change::entry(self.draft(&op.actor, "vault.slot_added", slot.id, &borrowed(&facts)))
                    .put(put(slot.id, was, kinds::SLOT, &slot)?);
                Ok((change, vault.touch()?, ()))
            })
            .await;
        reached("slot.after_confirm");
        self.gathering.drop_slot(self.env.now(), progress.slot);
        outcome.map(|()| progress)
    }

    /// Removes a slot and replaces the root key, so that what opened it opens nothing any more, not even with
    /// an old copy of the slot beside the present keyring.
    ///
    /// # Errors
    /// When the actor lacks the right, there is no such slot, or those that stay would break the rule of two.
    pub async fn remove_slot(&self, op: &Op, id: SlotId) -> Result<u32, Error> {
        self.require(op, Right::VaultSlot)?;
        let open = self.opened()?;
        self.check_stored_slots(op, &open).await?;
        reached("slot.before_remove");
        let version = self
            .change_slots(&open, |vault, slots, versions| {
                let unknown =
                    || Error::NotFound(format!("there is no seal slot `{id}`: `sallyport vault slot list` names them"));
                let gone = slots.iter().find(|slot| slot.id == id).ok_or_else(unknown)?;
                let rest: Vec<_> = slots.iter().filter(|slot| slot.id != id).cloned().collect();
                let (keyring, sealed) = vault.replace_root(&self.env, &rest, false)?;
                let mut facts = slot_facts(gone);
                facts.push(("root_version", keyring.root_version.to_string()));
                let mut change = Change::entry(self.draft(&op.actor, "vault.slot_removed", id, &borrowed(&facts)))
                    .delete(DocId::new(id), versions.get(&id).copied().unwrap_or(0));
                for slot in &sealed {
                    change = change.put(put(slot.id, versions.get(&slot.id).copied().unwrap_or(0), kinds::SLOT, slot)?);
                }
                let version = keyring.root_version;
                Ok((change, keyring, version))
            })
            .await?;
        reached("slot.after_remove");
        self.gathering.drop_slot(self.env.now(), id);
        Ok(version)
    }

    /// Commits a change of slots or of the root key, with the keyring that goes with it; made anew where somebody
    /// else has changed either in the meantime.
    pub(crate) async fn change_slots<T>(
        &self,
        open: &Open,
        make: impl Fn(&Vault, &[SlotBody], &BTreeMap<SlotId, u64>) -> Result<(Change, KeyringBody, T), Error>,
    ) -> Result<T, Error> {
        for _ in 0..TRIES {
            let (change, out) = {
                let vault = open.vault();
                let stored = slots(open);
                let versions = stored.iter().map(|(version, slot)| (slot.id, *version)).collect();
                let bodies: Vec<_> = stored.into_iter().map(|(_, slot)| slot).collect();
                let (change, keyring, out) = make(&vault, &bodies, &versions)?;
                (change.put(put(KEYRING, vault.keyring().version, kinds::KEYRING, &keyring)?), out)
            };
            match open.store.commit(change).await {
                Ok(_) => return Ok(out),
                Err(sallyport_store::Error::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(busy())
    }

    /// Commits what was made under the active keys; made anew where they were replaced in the meantime, so that
    /// nothing is stored under a key that is about to go.
    pub(crate) async fn under_keys<T>(
        &self,
        open: &Open,
        make: impl Fn(&Vault) -> Result<(Change, T), Error>,
    ) -> Result<T, Error> {
        for _ in 0..TRIES {
            let (change, out) = {
                let vault = open.vault();
                let (mut change, out) = make(&vault)?;
                change.expect.push((DocId::new(KEYRING), vault.keyring().version));
                (change, out)
            };
            match open.store.commit(change).await {
                Ok(_) => return Ok(out),
                Err(sallyport_store::Error::Conflict(id)) if id.as_str() == KEYRING => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(busy())
    }

    /// Looks at the database itself for slots that are not the ones this vault wrote. The working set would not show
    /// them, and no key would be sealed to them; but somebody who plants a slot waits for just such an act.
    pub(crate) async fn check_stored_slots(&self, op: &Op, open: &Arc<Open>) -> Result<(), Error> {
        let mut strange = Vec::new();
        // A change that lands between the two readings is no forgery: what differs must differ every time.
        for _ in 0..TRIES {
            let stored = self.connect().await?.raw(kinds::SLOT).await?;
            strange = open.store.working(|set| {
                let altered = stored.iter().filter(|(id, found)| {
                    let same = |known: &Document| {
                        (known.version, known.mac, &known.body) == (found.version, found.mac, &found.body)
                    };
                    !set.get(id).is_some_and(same)
                });
                let missing = set.of_kind(kinds::SLOT).filter(|(id, _)| !stored.iter().any(|(found, _)| found == *id));
                altered.map(|(id, _)| id.to_string()).chain(missing.map(|(id, _)| id.to_string())).collect()
            });
            if strange.is_empty() {
                return Ok(());
            }
        }
        let names = strange.join(" ");
        self.note(op.actor.clone(), "vault.slots_altered", "vault", &[("slots", &names)]).await?;
        Err(Denial::new(
            Kind::Failed,
            format!(
                "the database holds seal slots that this vault did not write, or lacks some that it wrote ({names}): \
                 no key is changed; find out who wrote to the database, and restore those rows"
            ),
        )
        .into())
    }
}

/// The slots with the versions of their documents.
pub(crate) fn slots(open: &Open) -> Vec<(u64, SlotBody)> {
    all::<SlotBody>(&open.store, kinds::SLOT).into_iter().map(|(_, slot)| (slot.version, slot.value)).collect()
}

pub(crate) fn borrowed<'a>(facts: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    facts.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn slot_facts(slot: &SlotBody) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("kind", slot.mode().word().to_owned()),
        ("label", slot.label.clone()),
        ("offline", slot.offline.to_string()),
    ];
    facts.extend(slot.rule().map(|(k, n)| ("shares", format!("{k}-of-{n}"))));
    facts
}

pub(crate) fn busy() -> Error {
    Denial::new(Kind::Conflict, "keys or slots are being changed at this moment: repeat").into()
}
