//! Giving up what was written: a quorum of custodians stands behind it where there are some, and the ledger says which.

use super::house::*;
use crate::{AddedSlot, Control, Heal, Opening, Wanted};
use sallyport_model::Kind;

/// A control plane over the same data directory that takes out what is not proven.
fn healing(house: &House) -> Control {
    Control::new(house.env.clone(), house.dir.path(), "node-1").healing(Heal::Accept)
}

async fn by_key_file(house: &House, control: &Control) -> Result<(), crate::Error> {
    let key = std::fs::read(house.dir.path().join("keys/vault.key")).unwrap();
    control.unseal_with_key_file(&key).await
}

/// Presents the first shares of a slot.
async fn by_shares(control: &Control, added: &AddedSlot) {
    for (share, left) in added.shares.iter().zip([true, false]) {
        let progress = control.unseal(HERE, Opening::Share(secret(share.expose()))).await.unwrap();
        assert_eq!(progress.is_some(), left);
    }
}

/// What the newest entry of this action says of the quorum.
async fn said(house: &mut House, action: &str) -> String {
    house.control = std::sync::Arc::new(Control::new(house.env.clone(), house.dir.path(), "node-1"));
    house.unseal().await;
    let wanted = Wanted { actions: vec![action.into()], limit: 10, ..Default::default() };
    let entry = house.control.ledger(&house.admin(), &wanted).await.unwrap().pop().unwrap().entry;
    entry.fact("quorum").to_owned()
}

#[tokio::test]
async fn without_custodians_any_slot_heals_and_the_entry_says_that_no_quorum_stood_behind_it() {
    let mut house = House::founded().await;
    house.furnish().await;
    house.control.close().await;
    house.sql("DELETE FROM documents WHERE kind = 'target'", &[]).await;
    let control = healing(&house);
    by_key_file(&house, &control).await.unwrap();
    control.close().await;
    assert_eq!(said(&mut house, "quarantine.accepted").await, "none");
}

#[tokio::test]
async fn where_custodians_hold_shares_only_their_quorum_heals_even_if_somebody_deletes_their_slot() {
    let mut house = House::founded().await;
    house.furnish().await;
    let added = house.shared(2, 3).await;
    house.control.close().await;
    house.sql("DELETE FROM documents WHERE kind = 'target'", &[]).await;
    let refused = by_key_file(&house, &healing(&house)).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::Usage);
    assert!(refused.to_string().contains("2-of-3") && refused.to_string().contains("--shares-stdin"), "{refused}");
    let recovery = Opening::Passphrase(secret(house.recovery.expose()));
    let refused = healing(&house).unseal(HERE, recovery).await.err().unwrap();
    assert!(refused.to_string().contains("another slot (passphrase)"), "{refused}");
    let control = healing(&house);
    by_shares(&control, &added).await;
    control.close().await;
    assert_eq!(said(&mut house, "quarantine.accepted").await, "2-of-3");

    // The slot itself is deleted: the ledger still knows of it.
    house.control.close().await;
    house.sql("DELETE FROM documents WHERE id = $1", &[&added.slot.id.to_string()]).await;
    let refused = by_key_file(&house, &healing(&house)).await.err().unwrap();
    assert!(refused.to_string().contains("2-of-3"), "{refused}");
}

#[tokio::test]
async fn an_older_ledger_is_accepted_by_the_custodians_where_it_knows_of_some() {
    for with_custodians in [false, true] {
        let (mut house, _outside, path) = super::anchors::anchored(super::anchors::LATER).await;
        let added = if with_custodians { Some(house.shared(2, 3).await) } else { None };
        house.control.close().await;
        let old = super::anchors::database(&house);
        house.control =
            std::sync::Arc::new(super::anchors::with(&house, super::anchors::file(&path, super::anchors::LATER)));
        house.unseal().await;
        house.token("ada").await;
        house.control.close().await;
        super::anchors::put_back(&house, &old);
        let anchored = || super::anchors::with(&house, super::anchors::file(&path, super::anchors::LATER));
        let error = by_key_file(&house, &anchored()).await.err().unwrap();
        let crate::Error::Rollback(found) = &error else { panic!("{error}") };
        let control = anchored().accepting_rollback(found.size, &found.root);
        match &added {
            None => by_key_file(&house, &control).await.unwrap(),
            Some(added) => {
                let refused = by_key_file(&house, &control).await.err().unwrap();
                assert!(refused.to_string().contains("--shares-stdin"), "{refused}");
                let control = anchored().accepting_rollback(found.size, &found.root);
                by_shares(&control, added).await;
                control.close().await;
            }
        }
        control.close().await;
        let wanted = if with_custodians { "2-of-3" } else { "none" };
        assert_eq!(said(&mut house, "ledger.rollback_accepted").await, wanted);
    }
}
