//! The storage suite: what any database must keep.

use crate::*;
use house::{House, ORIGIN};
use sallyport_ledger::replay::Replayer;
use sallyport_ledger::{Checkpoint, proof};

mod connect;
mod failover;
mod house;
mod load;
mod lost;
mod nodes;

/// Runs each test on both databases.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::House::on_sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::House::on_postgres()).await;
            })+
        }
    };
}

on_both!(
    a_change_is_durable_with_its_entry_and_survives_a_restart,
    a_loser_gets_a_conflict_and_its_neighbours_are_not_touched,
    two_writers_of_one_document_in_one_batch_cannot_both_win,
    changes_of_one_document_in_one_batch_add_up,
    changes_of_one_commit_stand_or_fall_together,
    a_repeated_change_is_written_once,
    every_entry_is_in_the_tree_of_the_signed_head,
    what_was_altered_behind_our_back_is_found_at_start,
    a_replaced_entry_is_found_by_its_proof,
    an_older_version_of_a_document_put_back_is_found,
    a_foreign_key_opens_nothing_and_a_newer_schema_is_refused,
    a_writer_beside_us_stops_the_batcher,
    a_filter_narrows_and_orders,
);

fn body(store: &Store, id: &str) -> Option<String> {
    store.working(|set| set.get(&DocId::new(id)).map(|d| String::from_utf8(d.body.to_vec()).unwrap()))
}

async fn a_change_is_durable_with_its_entry_and_survives_a_restart(house: House) {
    let (store, report) = house.open().await.unwrap();
    assert_eq!((report.size, report.documents), (0, 0));
    assert_eq!(store.commit(house.put("a", 0, "{\"x\":1}")).await.unwrap().index, 0);
    assert_eq!(store.commit(house.put("a", 1, "{\"x\":2}")).await.unwrap().index, 1);
    assert_eq!(body(&store, "a").unwrap(), "{\"x\":2}");
    store.close().await;
    let (store, report) = house.open().await.unwrap();
    assert_eq!(report.documents, 1);
    assert_eq!(report.size, 3, "closing wrote the state root");
    assert_eq!(body(&store, "a").unwrap(), "{\"x\":2}");
}

async fn a_loser_gets_a_conflict_and_its_neighbours_are_not_touched(house: House) {
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{}")).await.unwrap();
    let (lost, won, other) = tokio::join!(
        store.commit(house.put("a", 0, "{}")),
        store.commit(house.put("a", 1, "{}")),
        store.commit(house.put("b", 0, "{}"))
    );
    assert!(matches!(lost, Err(Error::Conflict(id)) if id.as_str() == "a"));
    assert!(won.is_ok() && other.is_ok());
    let mut change = house.put("c", 0, "{}");
    change.expect.push((DocId::new("a"), 1));
    assert!(matches!(store.commit(change).await, Err(Error::Conflict(_))));
    assert!(body(&store, "c").is_none());
}

async fn two_writers_of_one_document_in_one_batch_cannot_both_win(house: House) {
    let (store, _) = house.open().await.unwrap();
    let writers = (0..20).map(|_| {
        let (store, change) = (store.clone(), house.put("a", 0, "{}"));
        tokio::spawn(async move { store.commit(change).await.is_ok() })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        won += usize::from(writer.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn changes_of_one_document_in_one_batch_add_up(house: House) {
    let (store, _) = house.open().await.unwrap();
    let ask = |change| {
        let store = store.clone();
        async move { store.commit(change).await.unwrap() }
    };
    // Sent together, so that one batch has them all.
    let mut made = house.put("a", 0, "{}");
    made = made.put(house.put("b", 0, "{}").put.remove(0));
    let away = Change::entry(house.draft("b")).delete(DocId::new("b"), 1);
    let brief = house.put("c", 0, "{}");
    let gone = Change::entry(house.draft("c")).delete(DocId::new("c"), 1);
    tokio::join!(
        ask(made),
        ask(house.put("a", 1, "{}")),
        ask(house.put("a", 2, "{\"x\":3}")),
        ask(away),
        ask(brief),
        ask(gone)
    );
    store.close().await;
    let (store, report) = house.open().await.unwrap();
    assert_eq!(report.documents, 1);
    assert_eq!(body(&store, "a").unwrap(), "{\"x\":3}");
    store.close().await;
}

async fn a_filter_narrows_and_orders(house: House) {
    let (store, _) = house.open().await.unwrap();
    let session = sallyport_model::SessionId::new(&house.env);
    for (action, inside) in [("one", true), ("two", false), ("one", false), ("two", true)] {
        let mut draft = house.draft("x");
        draft.action = action;
        draft.session = inside.then_some(session);
        draft.actor = if inside { "ada".into() } else { "bob".into() };
        store.commit(Change::entry(draft)).await.unwrap();
    }
    let all = Filter { limit: 10, ..Filter::default() };
    let ask = async |filter: Filter| -> Vec<u64> {
        store.entries(&filter).await.unwrap().into_iter().map(|row| row.index).collect()
    };
    assert_eq!(ask(all.clone()).await, [0, 1, 2, 3]);
    assert_eq!(ask(Filter { newest_first: true, limit: 2, ..all.clone() }).await, [3, 2]);
    assert_eq!(ask(Filter { from: 1, before: Some(3), ..all.clone() }).await, [1, 2]);
    let (one, two) = (vec!["one".to_owned()], vec!["one".to_owned(), "two".to_owned()]);
    assert_eq!(ask(Filter { actions: one.clone(), ..all.clone() }).await, [0, 2]);
    assert_eq!(ask(Filter { actions: two, session: Some(session), ..all.clone() }).await, [0, 3]);
    assert_eq!(ask(Filter { actions: one.clone(), session: Some(session), ..all.clone() }).await, [0]);
    // What others did takes nothing of the limit.
    let bob = Filter { actor: Some("bob".into()), newest_first: true, ..all.clone() };
    assert_eq!(ask(Filter { limit: 1, before: Some(2), ..bob.clone() }).await, [1]);
    assert_eq!(ask(Filter { actions: one, ..bob.clone() }).await, [2]);
    assert_eq!(ask(Filter { session: Some(session), ..bob }).await, [0_u64; 0]);
    assert_eq!(store.bodies(2, 1).await.unwrap()[0].0, 2);
    store.close().await;
}

async fn changes_of_one_commit_stand_or_fall_together(house: House) {
    let (store, _) = house.open().await.unwrap();
    let both = store.commit_all(vec![house.put("a", 0, "{}"), house.put("b", 0, "{}")]).await.unwrap();
    assert_eq!(both.index, 1, "the index of the last");
    let chained = vec![house.put("a", 1, "{}"), house.put("a", 2, "{\"x\":3}")];
    assert_eq!(store.commit_all(chained).await.unwrap().index, 3, "a later one sees what an earlier one did");

    let (lost, neighbour) = tokio::join!(
        store.commit_all(vec![house.put("c", 0, "{}"), house.put("a", 1, "{}")]),
        store.commit(house.put("c", 0, "{}")),
    );
    assert!(matches!(lost, Err(Error::Conflict(id)) if id.as_str() == "a"));
    assert!(neighbour.is_ok(), "the first of the lost pair left no trace");
    assert!(store.commit_all(Vec::new()).await.is_err());
    store.close().await;
    let (store, _) = house.open().await.unwrap();
    assert_eq!(body(&store, "a").unwrap(), "{\"x\":3}");
}

async fn a_repeated_change_is_written_once(house: House) {
    let (store, _) = house.open().await.unwrap();
    let change = house.put("a", 0, "{}").repeatable();
    let first = store.commit(change.clone()).await.unwrap();
    assert_eq!(store.commit(change).await.unwrap(), first);
    assert_eq!(store.entries(&Filter { limit: 100, ..Filter::default() }).await.unwrap().len(), 1);
}

async fn every_entry_is_in_the_tree_of_the_signed_head(house: House) {
    let (store, _) = house.open().await.unwrap();
    for i in 0..600_u32 {
        if i % 200 == 0 {
            store.commit(house.put(&format!("d{i}"), 0, "{}")).await.unwrap();
        }
        let jobs: Vec<_> = (0..3).map(|_| Change::entry(house.draft("x"))).collect();
        if i % 30 == 0 {
            for job in jobs {
                store.commit(job).await.unwrap();
            }
        }
    }
    let signer = house::keys().signer;
    let checkpoint = Checkpoint::open(&store.head(), ORIGIN, &[signer.verifier()]).unwrap();
    let mut replayer = Replayer::new([checkpoint.clone()]);
    for (index, body) in store.bodies(0, 10_000).await.unwrap() {
        let tiles = store.tiles(proof::needed_for_inclusion(index, checkpoint.size).unwrap()).await.unwrap();
        let path = proof::prove_inclusion(index, checkpoint.size, &tiles).unwrap();
        let leaf = sallyport_ledger::leaf_hash(&body);
        proof::verify_inclusion(&leaf, index, checkpoint.size, &path, &checkpoint.root).unwrap();
        replayer.push(&body, Some(&leaf)).unwrap();
    }
    assert_eq!(replayer.finish().unwrap().root, checkpoint.root);
}

/// What somebody with a shell on the database might do, and that opening finds it.
async fn what_was_altered_behind_our_back_is_found_at_start(house: House) {
    let acts: [(&'static str, &str); 8] = [
        ("UPDATE documents SET body = '{\"x\":9}' WHERE id = 'a'", "edited body"),
        ("UPDATE documents SET version = 7 WHERE id = 'a'", "edited version"),
        ("UPDATE documents SET kind = 'other' WHERE id = 'a'", "edited kind"),
        ("DELETE FROM documents WHERE id = 'a'", "deleted document"),
        (
            "UPDATE documents SET body = (SELECT body FROM documents WHERE id = 'b'), mac = (SELECT mac FROM documents WHERE id = 'b') WHERE id = 'a'",
            "swapped",
        ),
        ("DELETE FROM entries WHERE idx = (SELECT MAX(idx) FROM entries)", "cut ledger"),
        ("UPDATE head SET size = 1", "edited head"),
        ("UPDATE tiles SET data = (SELECT body FROM entries WHERE idx = 0)", "edited tiles"),
    ];
    for (statement, what) in acts {
        let house = house.another();
        let (store, _) = house.open().await.unwrap();
        store.commit(house.put("a", 0, "{\"x\":1}")).await.unwrap();
        store.commit(house.put("b", 0, "{\"x\":2}")).await.unwrap();
        store.commit(house.put("a", 1, "{\"x\":3}")).await.unwrap();
        store.close().await;
        house.sql(statement).await;
        assert!(house.open().await.is_err(), "{what}");
    }
}

async fn a_replaced_entry_is_found_by_its_proof(house: House) {
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{}")).await.unwrap();
    store.commit(house.put("b", 0, "{}")).await.unwrap();
    house.sql("UPDATE entries SET body = (SELECT body FROM entries WHERE idx = 0) WHERE idx = 1").await;
    let checkpoint = Checkpoint::open(&store.head(), ORIGIN, &[house::keys().signer.verifier()]).unwrap();
    let tiles = store.tiles(proof::needed_for_inclusion(1, checkpoint.size).unwrap()).await.unwrap();
    let path = proof::prove_inclusion(1, checkpoint.size, &tiles).unwrap();
    let body = store.bodies(1, 1).await.unwrap().remove(0).1;
    let leaf = sallyport_ledger::leaf_hash(&body);
    assert!(proof::verify_inclusion(&leaf, 1, checkpoint.size, &path, &checkpoint.root).is_err());
}

async fn an_older_version_of_a_document_put_back_is_found(house: House) {
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{\"x\":1}")).await.unwrap();
    house.sql("CREATE TABLE stash AS SELECT * FROM documents").await;
    store.commit(house.put("a", 1, "{\"x\":2}")).await.unwrap();
    store.close().await;
    house.sql("DELETE FROM documents").await;
    house.sql("INSERT INTO documents SELECT * FROM stash").await;
    assert!(matches!(house.open().await.err(), Some(Error::State { .. })));
}

async fn a_foreign_key_opens_nothing_and_a_newer_schema_is_refused(mut house: House) {
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{}")).await.unwrap();
    store.close().await;
    let right = std::mem::replace(&mut house.key, house::key(&house.env));
    assert!(matches!(house.open().await.err(), Some(Error::Forged(_))));
    house.key = right;
    house.sql("UPDATE meta SET value = 99").await;
    assert!(matches!(house.open().await.err(), Some(Error::TooNew { found: 99, .. })));
}

async fn a_writer_beside_us_stops_the_batcher(house: House) {
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{}")).await.unwrap();
    house.sql("UPDATE head SET note = 'forged'").await;
    assert!(matches!(store.commit(house.put("b", 0, "{}")).await, Err(Error::Head(_))));
    assert!(matches!(store.commit(house.put("b", 0, "{}")).await, Err(Error::Stopped)));
    tokio::time::timeout(std::time::Duration::from_secs(5), store.failed()).await.unwrap();
    assert!(body(&store, "b").is_none());
}

#[test]
fn the_state_tree_does_not_depend_on_order() {
    let mut one = StateTree::default();
    let mut two = StateTree::default();
    let leaf_of = |i: u64| leaf(&DocId::new(i), i, &[0; 32]);
    for i in 0..50 {
        one.replace(&DocId::new(i), None, Some(leaf_of(i)));
    }
    let ids: Vec<_> = (0..50_u64).rev().map(|i| (DocId::new(i), leaf_of(i))).collect();
    two.fill(ids.iter().map(|(id, l)| (id, *l)));
    assert_eq!(one.root(), two.root());
    one.replace(&DocId::new(3), Some(leaf_of(3)), None);
    assert_ne!(one.root(), two.root());
}
