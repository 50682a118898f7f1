//! Anchors: what is older than one is refused, what is late is told, and what must not be late freezes.

use super::house::*;
use crate::{Anchor, AnchorPolicy, Control, Error, FileAnchor};
use sallyport_model::authority::{Call, Reply};
use sallyport_model::{Kind, Secret};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SOON: AnchorPolicy = AnchorPolicy { max_age: Duration::from_millis(1), freeze: false };
const FREEZE: AnchorPolicy = AnchorPolicy { max_age: Duration::from_millis(1), freeze: true };
pub(super) const LATER: AnchorPolicy = AnchorPolicy { max_age: Duration::from_secs(3600), freeze: true };

pub(super) fn file(path: &Path, policy: AnchorPolicy) -> Vec<Arc<dyn Anchor>> {
    vec![Arc::new(FileAnchor::new("offsite", path, policy))]
}

pub(super) fn with(house: &House, anchors: Vec<Arc<dyn Anchor>>) -> Control {
    Control::new(house.env.clone(), house.dir.path(), "node-1").with_anchors(anchors)
}

async fn unseal(house: &House, control: &Control) -> Result<(), Error> {
    control.unseal_with_key_file(&fs::read(house.dir.path().join("keys/vault.key")).unwrap()).await
}

/// A house that keeps one anchor outside its data directory.
pub(super) async fn anchored(policy: AnchorPolicy) -> (House, tempfile::TempDir, PathBuf) {
    let mut house = House::applied().await;
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("checkpoint");
    house.control.close().await;
    house.control = Arc::new(with(&house, file(&path, policy)));
    unseal(&house, &house.control).await.unwrap();
    (house, outside, path)
}

/// The database file, once the house is closed.
pub(super) fn database(house: &House) -> Vec<(PathBuf, Vec<u8>)> {
    ["sallyport.db", "sallyport.db-wal", "sallyport.db-shm"]
        .iter()
        .map(|name| house.dir.path().join(name))
        .filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes)))
        .collect()
}

pub(super) fn put_back(house: &House, files: &[(PathBuf, Vec<u8>)]) {
    for name in ["sallyport.db-wal", "sallyport.db-shm"] {
        let _ = fs::remove_file(house.dir.path().join(name));
    }
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

/// Waits, by looking, until something is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what} did not come");
}

#[tokio::test]
async fn an_older_database_is_refused_and_accepted_only_by_size_and_root_as_the_first_entry() {
    let (mut house, _outside, path) = anchored(LATER).await;
    house.control.close().await;
    let old = database(&house);
    house.control = Arc::new(with(&house, file(&path, LATER)));
    unseal(&house, &house.control).await.unwrap();
    house.token("ada").await;
    house.control.close().await;
    let newest = fs::read_to_string(&path).unwrap();
    put_back(&house, &old);

    let control = with(&house, file(&path, LATER));
    let error = unseal(&house, &control).await.err().unwrap();
    let Error::Rollback(rollback) = &error else { panic!("{error}") };
    assert_eq!(rollback.against[0].anchor, "offsite");
    assert!(error.to_string().contains(&format!("--size {} --root {}", rollback.size, rollback.root)), "{error}");
    assert!(error.to_string().contains(&rollback.against[0].size.to_string()), "{error}");
    assert!(control.status().sealed);
    assert_eq!(fs::read_to_string(&path).unwrap(), newest, "the anchor keeps what it has");

    for (size, root) in [(rollback.size + 1, rollback.root.clone()), (rollback.size, "x".into())] {
        let wrong = with(&house, file(&path, LATER)).accepting_rollback(size, &root);
        assert!(matches!(unseal(&house, &wrong).await, Err(Error::Rollback(_))));
    }
    let control = with(&house, file(&path, LATER)).accepting_rollback(rollback.size, &rollback.root);
    control.unseal(HERE, crate::Opening::Passphrase(Secret::new(house.recovery.expose().clone()))).await.unwrap();
    control.close().await;

    house.control = Arc::new(with(&house, file(&path, LATER)));
    unseal(&house, &house.control).await.unwrap();
    let first = crate::Wanted { from: rollback.size, limit: 1, ..Default::default() };
    let entry = house.control.ledger(&house.admin(), &first).await.unwrap().remove(0).entry;
    assert_eq!((entry.action.as_str(), entry.actor.as_str()), ("ledger.rollback_accepted", "host"));
    assert!(entry.fact("against").contains("offsite"), "{:?}", entry.facts);
    assert_ne!(fs::read_to_string(&path).unwrap(), newest, "the anchor goes on from what was accepted");
    let nothing = with(&house, file(&path, LATER)).accepting_rollback(rollback.size, &rollback.root);
    house.control.close().await;
    assert_eq!(unseal(&house, &nothing).await.err().unwrap().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_fork_of_the_same_size_or_larger_is_refused_too() {
    let (house, _outside, path) = anchored(LATER).await;
    house.control.close().await;
    let base = database(&house);
    // One history reaches the anchor ...
    let one = with(&house, file(&path, LATER));
    unseal(&house, &one).await.unwrap();
    one.close().await;
    // ... and another one, as long or longer, is what the database says.
    put_back(&house, &base);
    let two = with(&house, Vec::new());
    unseal(&house, &two).await.unwrap();
    two.note(crate::Actor::Host, "test.more", "x", &[]).await.unwrap();
    two.close().await;
    let error = unseal(&house, &with(&house, file(&path, LATER))).await.err().unwrap();
    assert!(matches!(error, Error::Rollback(_)), "{error}");
}

#[tokio::test]
async fn a_forged_anchor_is_put_aside_told_and_blocks_nothing() {
    let (house, outside, path) = anchored(LATER).await;
    house.control.close().await;
    let (other, _elsewhere, theirs) = anchored(LATER).await;
    other.control.close().await;
    for forged in [fs::read(&theirs).unwrap(), b"nonsense".to_vec(), vec![0xff; 64]] {
        fs::write(&path, &forged).unwrap();
        let control = with(&house, file(&path, LATER));
        unseal(&house, &control).await.unwrap();
        assert!(!control.status().frozen);
        control.close().await;
        assert_eq!(fs::read(outside.path().join("checkpoint.forged")).unwrap(), forged);
    }
    let control = Arc::new(with(&house, file(&path, LATER)));
    unseal(&house, &control).await.unwrap();
    let mut house = house;
    house.control = control;
    assert_eq!(house.entries("anchor.forged").await, 3);
}

#[tokio::test]
async fn a_late_anchor_is_told_once_and_freezes_new_sessions_where_it_must() {
    let (mut house, outside, path) = anchored(FREEZE).await;
    // So strict a policy is late for a moment after each entry.
    until("the anchor", async || !house.control.status().frozen).await;
    // The directory goes away: the anchor cannot be written any more.
    let gone = outside.path().with_extension("gone");
    fs::rename(outside.path(), &gone).unwrap();
    house.token("ada").await;
    until("the entry of a late anchor", async || house.entries("anchor.late").await == 1).await;
    let status = house.control.status();
    assert!(status.frozen && status.anchors_late == 1);
    let line = house.control.anchors(&house.admin()).unwrap().remove(0);
    assert!(line.late && line.problem.contains("checkpoint"), "{line:?}");
    let shared = Arc::new(house);
    let gateway = shared.gateway().await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@web-1");
    let denied = denial(gateway.call(Call::Open(ask)).await);
    assert_eq!(denied.kind, Kind::Unavailable);
    assert_eq!(shared.entries("session.denied").await, 1);
    fs::rename(&gone, outside.path()).unwrap();
    until("the entry of an anchor that caught up", async || shared.entries("anchor.caught_up").await == 1).await;
    until("the thaw", async || !shared.control.status().frozen).await;
    let session = gateway.ask(gateway.login("ada").await, "ops@web-1");
    // Each entry makes a head that the anchor lacks for a moment; an anchor that may be no millisecond late is late then.
    until("a session", async || matches!(gateway.call(Call::Open(session.clone())).await, Reply::Opened(_))).await;
    drop(gateway);
    house = Arc::into_inner(shared).unwrap();
    house.control.close().await;
    assert!(path.exists());
}

#[tokio::test]
async fn an_anchor_that_only_warns_stops_nothing_even_at_start() {
    let mut house = House::applied().await;
    house.control.close().await;
    let nowhere = house.dir.path().join("no/such/directory/checkpoint");
    house.control = Arc::new(with(&house, file(&nowhere, SOON)));
    unseal(&house, &house.control).await.unwrap();
    until("the entry of a late anchor", async || house.entries("anchor.late").await == 1).await;
    assert!(!house.control.status().frozen);
    let shared = Arc::new(house);
    shared.gateway().await.open("ada").await;
}

#[tokio::test]
async fn two_servers_with_one_key_are_found_by_their_anchor() {
    let (house, _outside, path) = anchored(LATER).await;
    let current = async || house.control.anchors(&house.admin()).unwrap()[0].size == house.control.status().entries;
    until("the anchor's newest head", current).await;
    // A clone of this installation has written to the same anchor meanwhile.
    let keys = house.control.node_keys(house.control.status().cluster.unwrap()).unwrap();
    let clone = sallyport_ledger::Checkpoint::new(&keys.origin, 1_000_000, [7; 32]).sign(&[&keys.signer]).unwrap();
    fs::write(&path, clone).unwrap();
    house.token("ada").await;
    until("the contradiction", async || house.entries("anchor.late").await == 1).await;
    assert!(house.control.status().frozen, "a contradiction is not waited for");
    let problem = house.control.anchors(&house.admin()).unwrap().remove(0).problem;
    assert!(problem.contains("1000000"), "{problem}");
}
