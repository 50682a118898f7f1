//! Seal slots: shares, the rule of two, planted slots, and what failed while the vault was sealed.

use super::house::*;
use crate::gathering::{Gathering, PATIENCE};
use crate::spool::{Attempt, Spool};
use crate::{AddSlot, AddedSlot, Control, Opening};
use sallyport_ledger::Signer;
use sallyport_model::{ClusterId, EntryId, Env, Kind, Secret, SlotId};
use sallyport_vault::{KeyFile, NewSlot, Opener, PreparedSlot, Share, SlotBody, SlotMode, Vault, VaultError};
use sqlx::Connection as _;
use std::sync::Arc;

impl House {
    /// A set of shares that counts.
    pub(super) async fn shared(&self, k: u8, n: u8) -> AddedSlot {
        let op = self.admin();
        let added = self.control.add_slot(&op, "board", true, AddSlot::Shamir { k, n }).await.unwrap();
        for share in added.shares.iter().take(k.into()) {
            self.control.confirm_slot(&op, share).await.unwrap();
        }
        added
    }

    async fn present(&self, share: &Secret<String>) -> Result<Option<crate::Progress>, crate::Error> {
        self.control.unseal(HERE, Opening::Share(secret(share.expose()))).await
    }

    pub(super) async fn sql(&self, statement: &str, bind: &[&str]) {
        let path = format!("sqlite:{}", self.dir.path().join("sallyport.db").display());
        let mut conn = sqlx::SqliteConnection::connect(&path).await.unwrap();
        let query = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
        bind.iter().fold(query, |query, value| query.bind((*value).to_owned())).execute(&mut conn).await.unwrap();
    }

    /// The slot of the host's key file, and the one on paper.
    fn founding_slots(&self) -> (SlotBody, SlotBody) {
        let by = |mode| self.slots().into_iter().find(|slot| slot.mode() == mode).unwrap();
        (by(SlotMode::KeyFile), by(SlotMode::Passphrase))
    }

    fn slots(&self) -> Vec<SlotBody> {
        crate::slots::slots(&self.control.opened().unwrap()).into_iter().map(|(_, slot)| slot).collect()
    }
}

#[tokio::test]
async fn a_set_of_shares_counts_once_a_quorum_was_presented_and_then_opens_the_vault() {
    let house = House::founded().await;
    let op = house.admin();
    let added = house.control.add_slot(&op, "board", true, AddSlot::Shamir { k: 3, n: 5 }).await.unwrap();
    assert_eq!((added.shares.len(), added.slot.confirmed), (5, false));
    assert_eq!((house.entries("vault.slot_begun").await, house.entries("vault.slot_added").await), (1, 0));
    // Before that it opens nothing.
    house.control.seal(&op).await.unwrap();
    let early = house.present(&added.shares[0]).await.err().unwrap();
    assert!(early.to_string().contains("never confirmed"), "{early}");
    house.unseal_by(house.recovery.expose()).await.unwrap();

    let op = house.admin();
    for (at, (share, have)) in [(4, 1), (0, 2)].into_iter().enumerate() {
        let progress = house.control.confirm_slot(&op, &added.shares[share]).await.unwrap();
        assert_eq!((progress.have, progress.need, progress.complete()), (have, 3, false), "{at}");
    }
    let twice = house.control.confirm_slot(&op, &added.shares[4]).await.err().unwrap();
    assert!(twice.to_string().contains("share 5 was presented already"), "{twice}");
    assert!(house.control.confirm_slot(&op, &added.shares[1]).await.unwrap().complete());
    assert_eq!(house.entries("vault.slot_added").await, 1);
    assert!(house.control.confirm_slot(&op, &added.shares[2]).await.is_err(), "it counts already");

    house.control.seal(&house.admin()).await.unwrap();
    for share in [1, 3] {
        assert!(house.present(&added.shares[share]).await.unwrap().is_some());
        assert!(house.control.status().sealed);
    }
    assert!(house.present(&added.shares[2]).await.unwrap().is_none());
    assert!(!house.control.status().sealed);
}

#[tokio::test]
async fn a_wrong_share_is_named_the_good_ones_stay_and_it_is_in_the_ledger() {
    let house = House::founded().await;
    let added = house.shared(2, 3).await;
    let old = house.control.add_slot(&house.admin(), "old board", true, AddSlot::Shamir { k: 2, n: 2 }).await.unwrap();
    house.control.remove_slot(&house.admin(), old.slot.id).await.unwrap();
    house.control.seal(&house.admin()).await.unwrap();
    house.present(&added.shares[0]).await.unwrap();
    let mut typed = added.shares[1].expose().clone();
    let last = if typed.ends_with('x') { 'y' } else { 'x' };
    typed.pop();
    typed.push(last);
    let mistyped = house.present(&secret(&typed)).await.err().unwrap();
    assert!(mistyped.kind() == Kind::Usage && mistyped.to_string().contains("mistyped"), "{mistyped}");
    let duplicate = house.present(&added.shares[0]).await.err().unwrap();
    assert!(duplicate.to_string().contains("share 1 was presented already"), "{duplicate}");
    let foreign = house.present(&old.shares[0]).await.err().unwrap();
    assert_eq!((foreign.kind(), foreign.to_string().contains("removed")), (Kind::Denied, true), "{foreign}");
    assert!(house.present(&added.shares[2]).await.unwrap().is_none(), "the first share is still there");
    assert_eq!(house.entries("vault.unseal_failed").await, 1, "what was mistyped or doubled is no attempt");
}

#[tokio::test]
async fn only_the_holder_of_a_share_cancels_what_was_presented() {
    let house = House::founded().await;
    let added = house.shared(2, 3).await;
    let other = House::founded().await.shared(2, 3).await;
    house.control.seal(&house.admin()).await.unwrap();
    house.present(&added.shares[0]).await.unwrap();
    for stranger in [secret("nonsense"), secret(other.shares[0].expose())] {
        assert!(house.control.cancel_unseal(HERE, stranger).await.is_err());
    }
    let progress = house.present(&added.shares[0]).await.err().unwrap();
    assert!(progress.to_string().contains("already"), "nothing was dropped: {progress}");
    house.control.cancel_unseal(HERE, secret(added.shares[2].expose())).await.unwrap();
    assert_eq!(house.present(&added.shares[1]).await.unwrap().unwrap().have, 1);
    house.control.cancel_unseal(HERE, secret(added.shares[2].expose())).await.unwrap();
    let nothing = house.control.cancel_unseal(HERE, secret(added.shares[2].expose())).await.err().unwrap();
    assert!(nothing.to_string().contains("nothing to cancel"), "{nothing}");
}

#[test]
fn shares_wait_for_a_quarter_of_an_hour_and_no_longer() {
    let (env, key) = (Env::system(), KeyFile::generate(&Env::system()));
    let cluster = ClusterId::new(&env);
    let host = NewSlot { label: "host", offline: false, opener: Opener::KeyFile(&key) };
    let (vault, ..) = Vault::create(&env, cluster, &[host], true).ok().unwrap();
    let board = NewSlot { label: "board", offline: true, opener: Opener::Shamir { k: 3, n: 3 } };
    let prepared = PreparedSlot::new(&env, cluster, &board).ok().unwrap();
    let slot = vault.new_slot(&[], &prepared).unwrap();
    let share = |at: usize| Share::parse(&prepared.shares[at].encode()).ok().unwrap();
    let gathering = Gathering::default();
    let start = env.now();
    let later = |half: u32| start.plus(PATIENCE / 2 * half);
    assert_eq!(gathering.present(start, &slot, share(0)).unwrap().have, 1);
    assert_eq!(gathering.present(later(1), &slot, share(1)).unwrap().have, 2);
    // The time counts from the first share: nobody keeps the wait open by adding to it.
    assert!(gathering.quorum(later(2), slot.id).is_none());
    assert_eq!(gathering.present(later(2), &slot, share(2)).unwrap().have, 1);
    assert_eq!(gathering.present(later(2), &slot, share(2)).err(), Some(VaultError::DuplicateShare(3)));
    assert!(gathering.quorum(later(1), slot.id).is_none(), "a clock that was set back ends the wait");
}

#[tokio::test]
async fn two_slots_stay_one_of_them_offline_and_a_removed_one_opens_nothing_ever_again() {
    let house = House::founded().await;
    let op = house.admin();
    let (host, paper) = house.founding_slots();
    let refused = |id: SlotId| {
        let (control, op) = (house.control.clone(), op.clone());
        async move { control.remove_slot(&op, id).await.err().unwrap() }
    };
    for id in [host.id, paper.id] {
        assert!(refused(id).await.to_string().contains("two seal slots at least"));
    }
    let added = house.control.add_slot(&op, "second host", false, AddSlot::KeyFile).await.unwrap();
    assert!(refused(paper.id).await.to_string().contains("offline"), "the last offline slot stays");
    // An unconfirmed set of shares counts for nothing.
    let unconfirmed = house.control.add_slot(&op, "board", true, AddSlot::Shamir { k: 2, n: 2 }).await.unwrap();
    assert!(refused(paper.id).await.to_string().contains("offline"));
    assert_eq!(refused(SlotId::new(&house.env)).await.kind(), Kind::NotFound);
    assert_eq!(house.control.remove_slot(&op, unconfirmed.slot.id).await.unwrap(), 2);

    // The key file of the host goes: with the root key replaced, an old copy of its slot opens nothing.
    let before = house.slots();
    assert_eq!(house.control.remove_slot(&op, host.id).await.unwrap(), 3);
    let key = std::fs::read(house.dir.path().join("keys/vault.key")).unwrap();
    let keyring = house.control.opened().unwrap().vault().keyring().clone();
    let unlock = KeyFile::parse(&key).unwrap();
    let unlock = sallyport_vault::Unlock::KeyFile(&unlock);
    assert!(Vault::unseal(host.cluster, &before, &keyring, &unlock).is_err());
    house.control.seal(&op).await.unwrap();
    let fresh = Control::new(house.env.clone(), house.dir.path(), "node-1");
    assert_eq!(fresh.unseal_with_key_file(&key).await.err().unwrap().kind(), Kind::Denied);
    fresh.unseal_with_key_file(added.key_file.unwrap().expose().as_bytes()).await.unwrap();
    fresh.close().await;
    house.unseal_by(house.recovery.expose()).await.unwrap();
    assert_eq!((house.entries("vault.slot_removed").await, house.entries("vault.unseal_failed").await), (2, 1));
}

#[tokio::test]
async fn slots_need_their_right_and_sound_input() {
    let house = House::applied().await;
    let ada = house.signed_in("ada").await;
    let slot = house.slots()[0].id;
    assert_eq!(house.control.add_slot(&ada, "x", false, AddSlot::KeyFile).await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(house.control.confirm_slot(&ada, &secret("x")).await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(house.control.remove_slot(&ada, slot).await.err().unwrap().kind(), Kind::Denied);
    let op = house.admin();
    for (label, add) in [
        ("", AddSlot::KeyFile),
        ("two\nlines", AddSlot::KeyFile),
        ("x", AddSlot::Shamir { k: 1, n: 3 }),
        ("x", AddSlot::Shamir { k: 4, n: 3 }),
        ("x", AddSlot::Passphrase(secret("short"))),
    ] {
        assert_eq!(house.control.add_slot(&op, label, false, add).await.err().unwrap().kind(), Kind::Usage, "{label}");
    }
    let passphrase = "another horse battery staple";
    house.control.add_slot(&op, "safe", true, AddSlot::Passphrase(secret(passphrase))).await.unwrap();
    house.control.seal(&op).await.unwrap();
    house.unseal_by(passphrase).await.unwrap();
}

#[tokio::test]
async fn a_slot_planted_in_the_database_gets_no_root_key() {
    let house = House::founded().await;
    let stranger = House::founded().await;
    let op = house.admin();
    // A sound slot of another installation, relabelled to this one, beside its own rows.
    let mut planted = stranger.slots()[0].clone();
    planted.cluster = house.slots()[0].cluster;
    let (id, body) = (planted.id.to_string(), serde_json::to_string(&planted).unwrap());
    let insert = "INSERT INTO documents (id, kind, schema, version, body, mac) \
                  VALUES ($1, 'slot', 1, 1, CAST($2 AS BLOB), zeroblob(32))";
    house.sql(insert, &[&id, &body]).await;
    let acts = [
        house.control.rotate_root(&op).await.err(),
        house.control.remove_slot(&op, house.slots()[0].id).await.err(),
        house.control.add_slot(&op, "x", false, AddSlot::KeyFile).await.err(),
    ];
    for refused in acts {
        let refused = refused.unwrap();
        assert!(refused.kind() == Kind::Failed && refused.to_string().contains(&id), "{refused}");
    }
    assert_eq!((house.entries("vault.slots_altered").await, house.entries("vault.root_rotated").await), (3, 0));
    house.sql("DELETE FROM documents WHERE id = $1", &[&id]).await;

    // A slot whose own row was edited, or that was hidden, stops it too.
    let own = house.founding_slots().0.id.to_string();
    house
        .sql("UPDATE documents SET body = CAST(replace(body, 'this host', 'that host') AS BLOB) WHERE id = $1", &[&own])
        .await;
    assert!(house.control.rotate_root(&op).await.err().unwrap().to_string().contains(&own));
    house
        .sql("UPDATE documents SET body = CAST(replace(body, 'that host', 'this host') AS BLOB) WHERE id = $1", &[&own])
        .await;
    assert_eq!(house.control.rotate_root(&op).await.unwrap(), 2);
}

#[tokio::test]
async fn what_failed_while_sealed_is_ledgered_first_and_once() {
    let house = House::founded().await;
    house.control.seal(&house.admin()).await.unwrap();
    assert!(house.unseal_by("wrong horse battery staple").await.is_err());
    let other = KeyFile::generate(&house.env).encode();
    assert!(house.control.unseal(HERE, Opening::KeyFile(secret(other.expose()))).await.is_err());
    let file = house.dir.path().join("spool/unseal");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("wrong passphrase") && !text.contains("wrong horse"), "the reason, never what was typed");
    house.unseal_by(house.recovery.expose()).await.unwrap();
    assert!(!file.exists());
    assert_eq!(house.entries("vault.unseal_failed").await, 2);
    // A crash after the ledger had them and before the spool was emptied: nothing is told twice.
    house.control.seal(&house.admin()).await.unwrap();
    std::fs::write(&file, &text).unwrap();
    house.unseal_by(house.recovery.expose()).await.unwrap();
    assert_eq!(house.entries("vault.unseal_failed").await, 2);
    let all = sallyport_store::Filter { limit: 1000, ..Default::default() };
    let rows = house.control.opened().unwrap().store.entries(&all).await.unwrap();
    let actions: Vec<_> =
        rows.iter().map(|row| row.entry.action.as_str()).filter(|a| a.starts_with("vault.")).collect();
    // The domain is that of the gateway's host key, which the first start puts into the vault.
    let first = ["vault.unsealed", "vault.domain_created", "vault.sealed"];
    assert_eq!(actions[..3], first);
    assert_eq!(actions[3..6], ["vault.unseal_failed", "vault.unseal_failed", "vault.unsealed"]);
}

#[tokio::test]
async fn a_spool_that_was_altered_is_said_and_does_not_keep_the_vault_closed() {
    let house = House::founded().await;
    house.control.seal(&house.admin()).await.unwrap();
    assert!(house.unseal_by("wrong horse battery staple").await.is_err());
    let file = house.dir.path().join("spool/unseal");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("127.0.0.1", "127.0.0.2")).unwrap();
    house.unseal_by(house.recovery.expose()).await.unwrap();
    assert_eq!((house.entries("vault.spool_altered").await, house.entries("vault.unseal_failed").await), (1, 0));
}

#[test]
fn the_spool_is_bounded_and_loses_no_count() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    let signer = Arc::new(Signer::new("sallyport/test", &Secret::new(vec![7; 32])).unwrap());
    let spool = Spool::new(dir.path(), signer);
    for _ in 0..200 {
        let (id, at) = (EntryId::new(&env), env.now());
        spool.add(&Attempt { id, at, how: "passphrase", why: "wrong passphrase".into(), from: HERE }).unwrap();
    }
    assert!(std::fs::metadata(dir.path().join("spool/unseal")).unwrap().len() < 16 * 1024);
    let drafts = spool.changes(|draft| draft).unwrap();
    assert_eq!(drafts.len(), 33);
    assert_eq!(drafts.iter().map(|d| d.facts["times"].parse::<u64>().unwrap()).sum::<u64>(), 200);
    spool.clear().unwrap();
    assert!(spool.changes(|draft| draft).unwrap().is_empty());
}
