//! Several nodes on one database.

use super::body;
use super::house::{House, ORIGIN, join, keys, keys_of, list_first, until};
use crate::*;
use sallyport_ledger::replay::Replayer;
use sallyport_ledger::{Checkpoint, Verifier};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

fn quiet() -> Follower {
    Arc::new(|_, _| {})
}

async fn two_nodes() -> (House, Store, Store) {
    let house = House::on_postgres();
    let (one, _) = house.open().await.unwrap();
    list_first(&house, &one).await;
    let two = join(&house, 2, quiet()).await;
    until("the second node", || one.working(|set| set.version(&Nodes::id())) == 2).await;
    (house, one, two)
}

async fn stops(store: &Store, what: &str) {
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(30), store.failed()).await;
    assert!(stopped.is_ok(), "{what}: the node goes on");
}

#[tokio::test]
async fn a_node_sees_what_another_wrote_before_it_writes_itself() {
    let (house, one, two) = two_nodes().await;
    one.commit(house.put("a", 0, "{\"x\":1}")).await.unwrap();
    two.commit(house.put("a", 1, "{\"x\":2}")).await.unwrap();
    assert!(matches!(one.commit(house.put("a", 1, "{\"x\":9}")).await, Err(Error::Conflict(_))));
    assert_eq!(body(&one, "a").unwrap(), "{\"x\":2}", "whoever lost knows why");
    one.commit(Change::entry(house.draft("a")).delete(DocId::new("a"), 2)).await.unwrap();
    until("the deletion", || body(&two, "a").is_none()).await;
    one.close().await;
    two.close().await;
    let (again, report) = house.open_as(keys_of(2), quiet()).await.unwrap();
    assert_eq!(report.documents, 1, "the list of nodes");
    again.close().await;
}

/// Two documents of one name are no conflict of versions: a claim shows it, within a batch and between nodes.
#[tokio::test]
async fn a_name_is_claimed_once_within_a_batch_and_between_nodes() {
    let house = House::on_postgres();
    let (one, _) = house.open().await.unwrap();
    list_first(&house, &one).await;
    let known: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let follower: Follower = {
        let known = known.clone();
        Arc::new(move |id, _| {
            known.lock().unwrap().insert(id.to_string());
        })
    };
    let two = join(&house, 2, follower).await;
    let claimed = |owners: &'static [&'static str]| {
        let known = known.clone();
        Claim::new("target x", move || !owners.iter().any(|id| known.lock().unwrap().contains(*id)))
    };
    // At one moment through one node: whatever batches they come into, one is written.
    let write = |id: &'static str| two.commit(house.put(id, 0, "{}").claim(claimed(&["a", "b", "c"])));
    let (a, b, c) = tokio::join!(write("a"), write("b"), write("c"));
    let outcomes = [a, b, c];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|o| matches!(o, Ok(_) | Err(Error::Taken(_)))), "{outcomes:?}");
    // What the other node wrote is known by then, however lately it came.
    one.commit(house.put("d", 0, "{}")).await.unwrap();
    let late = two.commit(house.put("e", 0, "{}").claim(claimed(&["d"]))).await;
    assert!(matches!(&late, Err(Error::Taken(name)) if name == "target x"), "{late:?}");
    assert!(body(&two, "e").is_none());
    two.commit(house.put("f", 0, "{}").claim(claimed(&[]))).await.unwrap();
}

#[tokio::test]
async fn an_idle_node_follows_the_documents_of_others_in_order() {
    let house = House::on_postgres();
    let (one, _) = house.open().await.unwrap();
    list_first(&house, &one).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let follower: Follower = {
        let heard = heard.clone();
        Arc::new(move |id, document| heard.lock().unwrap().push(format!("{id} {}", document.map_or(0, |d| d.version))))
    };
    let two = join(&house, 2, follower).await;
    heard.lock().unwrap().clear();
    one.commit(house.put("a", 0, "{}")).await.unwrap();
    until("the entry", || heard.lock().unwrap().len() == 1).await;
    two.commit(house.put("b", 0, "{}")).await.unwrap();
    one.commit(house.put("c", 0, "{}")).await.unwrap();
    until("the entry", || heard.lock().unwrap().len() == 3).await;
    assert_eq!(heard.lock().unwrap().as_slice(), ["a 1", "b 1", "c 1"]);
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn nodes_that_contend_write_each_change_once_and_agree() {
    let (house, one, two) = two_nodes().await;
    let three = join(&house, 3, quiet()).await;
    let house = Arc::new(house);
    let mut writers = Vec::new();
    for (node, store) in [&one, &two, &three].into_iter().enumerate() {
        for writer in 0..4 {
            let (store, house) = (store.clone(), house.clone());
            writers.push(tokio::spawn(async move {
                let mut won = 0_u64;
                for turn in 0..15 {
                    // Every second change is of a document that all contend for.
                    let id = if turn % 2 == 0 { "shared".to_owned() } else { format!("own-{node}-{writer}") };
                    loop {
                        let was = store.working(|set| set.version(&DocId::new(&id)));
                        match store.commit(house.put(&id, was, "{}")).await {
                            Ok(_) => break,
                            Err(Error::Conflict(_)) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    won += u64::from(turn % 2 == 0);
                }
                won
            }));
        }
    }
    let mut won = 0;
    for writer in writers {
        won += writer.await.unwrap();
    }
    assert_eq!(one.commit(house.put("last", 0, "{}")).await.unwrap().index, 3 + 12 * 15);
    let size = one.working(WorkingSet::size);
    for store in [&two, &three] {
        until("the last change", || store.working(WorkingSet::size) == size).await;
        assert_eq!(store.working(WorkingSet::root), one.working(WorkingSet::root));
        assert_eq!(store.head(), one.head());
    }
    assert_eq!(one.working(|set| set.version(&DocId::new("shared"))), won, "a change was lost or written twice");
    let keys = [keys_of(1), keys_of(2), keys_of(3)];
    let trust: Vec<&Verifier> = keys.iter().map(|k| k.signer.verifier()).collect();
    let checkpoint = Checkpoint::open(&one.head(), ORIGIN, &trust).unwrap();
    let mut replayer = Replayer::new([checkpoint.clone()]);
    for (_, body) in one.bodies(0, 10_000).await.unwrap() {
        replayer.push(&body, None).unwrap();
    }
    assert_eq!(replayer.finish().unwrap().root, checkpoint.root);
    for store in [one, two, three] {
        store.close().await;
    }
    house.open().await.unwrap().0.close().await;
}

#[tokio::test]
async fn a_host_that_is_not_listed_is_no_node_and_a_name_or_key_is_listed_once() {
    let (house, one, two) = two_nodes().await;
    let error = house.open_as(keys_of(3), quiet()).await.err().unwrap();
    assert!(error.to_string().contains("init --join"), "{error}");
    let stolen = NodeKeys { node: "node-1".into(), ..keys_of(3) };
    assert!(house.open_as(stolen, quiet()).await.is_err(), "another key under a listed name");
    let (nodes, _) = one.working(Nodes::of).unwrap();
    assert_eq!(nodes.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["node-1", "node-2"]);
    assert!(nodes.clone().with("node-2", keys_of(3).signer.verifier()).is_err());
    assert!(nodes.with("node-3", keys_of(2).signer.verifier()).is_err());
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn a_node_joins_while_others_write_and_is_let_go_like_any_other() {
    let house = House::on_postgres();
    let (one, _) = house.open().await.unwrap();
    list_first(&house, &one).await;
    let joining = NodeKeys { joining: true, ..keys_of(2) };
    let (two, _) = house.open_as(joining, quiet()).await.unwrap();
    // Before it is listed, it follows what others write.
    one.commit(house.put("a", 0, "{}")).await.unwrap();
    until("what the other wrote", || body(&two, "a").is_some()).await;
    let (nodes, was) = two.working(Nodes::of).unwrap();
    let listed = nodes.with("node-2", keys_of(2).signer.verifier()).unwrap();
    two.commit(Change::entry(house.draft("nodes")).put(listed.put(was))).await.unwrap();
    two.commit(house.put("b", 0, "{}")).await.unwrap();
    until("what it wrote", || body(&one, "b").is_some()).await;
    let (nodes, was) = one.working(Nodes::of).unwrap();
    let without = nodes.without("node-2").unwrap();
    one.commit(Change::entry(house.draft("nodes")).put(without.put(was))).await.unwrap();
    stops(&two, "removed").await;
    one.close().await;
}

#[tokio::test]
async fn a_node_that_is_no_longer_listed_stops() {
    let (house, one, two) = two_nodes().await;
    let (_, was) = one.working(Nodes::of).unwrap();
    let alone = Nodes::default().with("node-1", keys().signer.verifier()).unwrap();
    one.commit(Change::entry(house.draft("nodes")).put(alone.put(was))).await.unwrap();
    stops(&two, "removed").await;
    assert!(matches!(two.commit(house.put("x", 0, "{}")).await, Err(Error::Stopped)));
    one.commit(house.put("a", 0, "{}")).await.unwrap();
    one.close().await;
}

#[tokio::test]
async fn a_head_signed_by_a_key_that_is_not_listed_stops_every_node() {
    let (house, one, two) = two_nodes().await;
    // It has the vault's keys, and never lists itself.
    let keys = NodeKeys { joining: true, ..keys_of(9) };
    let (foreign, _) = house.open_as(keys, quiet()).await.unwrap();
    let _ = foreign.commit(house.put("evil", 0, "{}")).await;
    for store in [&one, &two] {
        stops(store, "an unlisted signer").await;
        assert!(body(store, "evil").is_none(), "it was taken in");
    }
}

#[tokio::test]
async fn a_node_that_runs_twice_stops() {
    let house = House::on_postgres();
    let (one, _) = house.open().await.unwrap();
    list_first(&house, &one).await;
    let (again, _) = house.open().await.unwrap();
    again.commit(house.put("a", 0, "{}")).await.unwrap();
    stops(&one, "its own name").await;
    again.close().await;
}

#[tokio::test]
async fn a_second_writer_of_a_file_stops_the_first() {
    let house = House::on_sqlite();
    let (one, _) = house.open().await.unwrap();
    one.commit(house.put("a", 0, "{}")).await.unwrap();
    let (two, _) = house.open().await.unwrap();
    two.commit(house.put("b", 0, "{}")).await.unwrap();
    assert!(matches!(one.commit(house.put("c", 0, "{}")).await, Err(Error::Head(_))));
    stops(&one, "a foreign writer").await;
    two.close().await;
}

/// What a database may do with the rows while a node writes them; the other node must not believe it.
#[tokio::test]
async fn a_database_that_alters_what_a_node_writes_stops_the_others() {
    let acts = [
        ("documents", "NEW.body := '{\"x\":666}'; RETURN NEW;", "an edited body"),
        ("documents", "NEW.kind := 'other'; RETURN NEW;", "an edited kind"),
        ("documents", "IF TG_OP = 'UPDATE' THEN RETURN OLD; END IF; RETURN NEW;", "a write that is swallowed"),
        ("entries", "NEW.body := (SELECT body FROM entries WHERE idx = 0); RETURN NEW;", "another entry's body"),
        ("entries", "NEW.idx := NEW.idx + 1000; RETURN NEW;", "a moved entry"),
        (
            "head",
            "NEW.note := (SELECT note FROM head); NEW.size := NEW.size + 1; RETURN NEW;",
            "a head of another size",
        ),
        ("head", "NEW.note := 'forged'; RETURN NEW;", "a forged head"),
    ];
    for (table, act, what) in acts {
        let (house, one, two) = two_nodes().await;
        one.commit(house.put("a", 0, "{\"x\":1}")).await.unwrap();
        until("the document", || body(&two, "a").is_some()).await;
        let trick = format!(
            "CREATE FUNCTION trick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act} END $$;
             CREATE TRIGGER trick BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION trick()"
        );
        house.sql(trick.leak()).await;
        let _ = one.commit(house.put("a", 1, "{\"x\":2}")).await;
        stops(&two, what).await;
        assert_eq!(body(&two, "a").unwrap(), "{\"x\":1}", "{what} was believed");
    }
}

#[tokio::test]
async fn a_head_that_is_set_back_stops_every_node() {
    let (house, one, two) = two_nodes().await;
    house.sql("CREATE TABLE stash AS SELECT * FROM head").await;
    one.commit(house.put("a", 0, "{}")).await.unwrap();
    until("the document", || body(&two, "a").is_some()).await;
    house.sql("UPDATE head SET size = stash.size, note = stash.note FROM stash").await;
    for store in [&one, &two] {
        stops(store, "an older head").await;
    }
}
