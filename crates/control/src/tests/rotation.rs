//! Rotation of keys: what opens meanwhile, pause and resume, and a crash at every named step.

use super::house::*;
use crate::{AddSlot, Control, Keys, Opening};
use sallyport_model::authority::{Call, Reply};
use sallyport_model::way::Stop;
use sallyport_model::{Env, Kind, Secret};
use sallyport_vault::EpochState;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The step at which this process ends.
static CRASH: OnceLock<String> = OnceLock::new();

/// Where an act is: the process ends here, as by kill -9, if a test wants it to.
pub(crate) fn reached(step: &str) {
    if CRASH.get().is_some_and(|wanted| wanted == step) {
        std::process::abort();
    }
}

impl House {
    async fn advance(&self) {
        self.control.advance_keys(&self.control.opened().unwrap()).await.unwrap();
    }

    async fn keys(&self) -> Keys {
        self.control.keys(&self.admin()).await.unwrap()
    }

    async fn reopened(mut self) -> Self {
        self.control.close().await;
        self.control = opened(&self.env, self.dir.path()).await;
        self
    }

    /// Whether the credential is lent as it was stored.
    async fn lends(self: &Arc<Self>) -> bool {
        let gateway = self.gateway().await;
        let session = gateway.open("ada").await;
        let lent = matches!(gateway.call(Call::Password(session, Stop::Target)).await, Reply::Password(_));
        gateway.call(gateway.close(session)).await;
        lent
    }
}

async fn opened(env: &Env, data: &Path) -> Arc<Control> {
    let control = Arc::new(Control::new(env.clone(), data, "node-1"));
    control.unseal_with_key_file(&std::fs::read(data.join("keys/vault.key")).unwrap()).await.unwrap();
    control
}

fn states(keys: &Keys, domain: &str) -> Vec<EpochState> {
    keys.epochs.iter().filter(|line| line.domain == domain).map(|line| line.state).collect()
}

#[tokio::test]
async fn a_new_root_key_needs_nobody_and_every_slot_opens_it() {
    let house = Arc::new(House::applied().await);
    let op = house.admin();
    let added = house.control.add_slot(&op, "board", true, AddSlot::Shamir { k: 2, n: 3 }).await.unwrap();
    for share in &added.shares[..2] {
        house.control.confirm_slot(&op, share).await.unwrap();
    }
    assert_eq!(house.control.rotate_root(&op).await.unwrap(), 2);
    assert_eq!(house.control.rotate_root(&op).await.unwrap(), 3);
    assert!(house.lends().await, "the vault stays open throughout");
    house.control.seal(&op).await.unwrap();
    for share in &added.shares[1..] {
        house.control.unseal(HERE, Opening::Share(secret(share.expose()))).await.unwrap();
    }
    assert!(house.lends().await);
    house.control.seal(&house.admin()).await.unwrap();
    house.unseal_by(house.recovery.expose()).await.unwrap();
    assert_eq!((house.keys().await.root_version, house.entries("vault.root_rotated").await), (3, 2));
    let ada = house.signed_in("ada").await;
    assert_eq!(house.control.rotate_root(&ada).await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(house.control.rotate_epoch(&ada, None).await.err().unwrap().kind(), Kind::Denied);
    assert_eq!(house.control.pause_rotation(&ada, true).await.err().unwrap().kind(), Kind::Denied);
    Arc::into_inner(house).unwrap().reopened().await.keys().await;
}

#[tokio::test]
async fn new_epochs_carry_everything_over_and_the_old_ones_go_when_nothing_is_under_them() {
    let house = Arc::new(House::applied().await);
    let token = house.token("ada").await;
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    house.control.rotate_epoch(&house.admin(), None).await.unwrap();
    assert_eq!(states(&house.keys().await, "secrets/demo"), [EpochState::Active, EpochState::Pending]);
    assert!(matches!(gateway.call(Call::Password(session, Stop::Target)).await, Reply::Password(_)));
    house.advance().await;
    assert!(matches!(gateway.call(Call::Password(session, Stop::Target)).await, Reply::Password(_)));
    let keys = house.keys().await;
    assert_eq!(*gateway.orders.lock().unwrap(), ["recording key 2"], "its gateways seal to the new key at once");
    assert_eq!(states(&keys, "secrets/demo"), [EpochState::Destroyed, EpochState::Active]);
    // The session's document keeps the old epoch of documents, tokens keep theirs until they expire.
    assert_eq!(states(&keys, "documents"), [EpochState::DecryptOnly, EpochState::Active]);
    let left = |domain: &str| keys.epochs.iter().find(|l| l.domain == domain && l.epoch == 1).unwrap().left;
    assert_eq!((left("documents"), left("recordings")), (Some(1), None));
    assert!(left("authn").unwrap() >= 2);
    assert!(house.control.sign_in(&token).is_ok());
    gateway.call(gateway.close(session)).await;
    house.advance().await;
    let keys = house.keys().await;
    assert_eq!(states(&keys, "documents"), [EpochState::Destroyed, EpochState::Active]);
    assert_eq!(states(&keys, "authn"), [EpochState::DecryptOnly, EpochState::Active]);
    assert_eq!(states(&keys, "recordings"), [EpochState::DecryptOnly, EpochState::Active]);
    drop(gateway);

    let house = Arc::new(Arc::into_inner(house).unwrap().reopened().await);
    assert!(house.control.sign_in(&token).is_ok() && house.lends().await);
    assert_eq!(house.entries("vault.epoch_destroyed").await, 2);
    let unknown = house.control.rotate_epoch(&house.admin(), Some("secrets/none")).await.err().unwrap();
    assert!(unknown.kind() == Kind::NotFound && unknown.to_string().contains("secrets/demo"), "{unknown}");
}

#[tokio::test]
async fn a_pause_holds_over_a_restart_and_old_ciphertexts_open_meanwhile() {
    let house = House::applied().await;
    let op = house.admin();
    assert!(house.control.pause_rotation(&op, true).await.unwrap().paused);
    house.control.rotate_epoch(&op, Some("secrets/demo")).await.unwrap();
    house.advance().await;
    let house = house.reopened().await;
    house.advance().await;
    let keys = house.keys().await;
    assert_eq!(states(&keys, "secrets/demo"), [EpochState::DecryptOnly, EpochState::Active]);
    assert!(keys.paused && keys.epochs.iter().any(|l| l.domain == "secrets/demo" && l.left == Some(1)));
    let house = Arc::new(house);
    assert!(house.lends().await);
    house.control.pause_rotation(&house.admin(), false).await.unwrap();
    house.advance().await;
    assert_eq!(states(&house.keys().await, "secrets/demo"), [EpochState::Destroyed, EpochState::Active]);
    assert!(house.lends().await);
    assert_eq!((house.entries("vault.rotation_paused").await, house.entries("vault.rotation_resumed").await), (1, 1));
}

#[tokio::test]
async fn many_versions_are_carried_over_in_batches_behind_the_scenes() {
    let house = House::applied().await;
    let op = house.admin();
    for _ in 0..150 {
        let new = crate::NewSecret::Password(Secret::new(b"a password".to_vec()));
        house.control.put_secret(&op, &"ops@web-1".parse().unwrap(), new).await.unwrap();
    }
    let control = house.control.clone();
    let tending = tokio::spawn(async move { control.tend_keys().await });
    house.control.rotate_epoch(&op, Some("secrets/demo")).await.unwrap();
    let done = async {
        while states(&house.keys().await, "secrets/demo") != [EpochState::Destroyed, EpochState::Active] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.unwrap();
    tending.abort();
    assert_eq!(house.entries("vault.rewrapped").await, 3, "151 versions, 64 at a time");
    assert!(Arc::new(house).lends().await);
}

/// Every named step of every act, with the act that passes it.
const STEPS: [(&str, &str); 13] = [
    ("root", "root.before_commit"),
    ("root", "root.after_commit"),
    ("epoch", "epoch.before_pending"),
    ("epoch", "epoch.after_pending"),
    ("epoch", "epoch.after_active"),
    ("epoch", "epoch.after_batch"),
    ("epoch", "epoch.before_destroy"),
    ("epoch", "epoch.after_destroy"),
    ("add", "slot.before_confirm"),
    ("add", "slot.after_confirm"),
    ("remove", "slot.before_remove"),
    ("remove", "slot.after_remove"),
    ("unseal", "unseal.after_ledger"),
];

#[tokio::test]
async fn a_crash_at_every_step_leaves_a_vault_that_opens_and_a_rotation_that_goes_on() {
    for (act, step) in STEPS {
        let house = House::applied().await;
        let token = house.token("ada").await;
        let recovery = house.recovery.expose().clone();
        house.control.close().await;
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::rotation::a_process_that_ends_at_a_step", "--ignored", "--quiet"])
            .env("SALLYPORT_TEST_ACT", act)
            .env("SALLYPORT_TEST_STEP", step)
            .env("SALLYPORT_TEST_DATA", house.dir.path())
            .env("SALLYPORT_TEST_RECOVERY", &recovery)
            .output()
            .unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status.status);
        assert_eq!(signal, Some(6), "{step}: {}", String::from_utf8_lossy(&status.stdout));

        let house = Arc::new(house.reopened().await);
        assert!(house.control.sign_in(&token).is_ok() && house.lends().await, "{step}");
        house.control.seal(&house.admin()).await.unwrap();
        house.unseal_by(&recovery).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        // What was begun goes on, and everything can be done again.
        house.advance().await;
        if act == "epoch" && step != "epoch.before_pending" {
            assert_eq!(
                states(&house.keys().await, "secrets/demo"),
                [EpochState::Destroyed, EpochState::Active],
                "{step}"
            );
        }
        let op = house.admin();
        house.control.rotate_root(&op).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        house.control.rotate_epoch(&op, Some("secrets/demo")).await.unwrap();
        house.advance().await;
        assert!(house.lends().await, "{step}");
    }
}

#[tokio::test]
#[ignore = "started by the crash test, in a process of its own"]
async fn a_process_that_ends_at_a_step() {
    let data = std::path::PathBuf::from(told("DATA"));
    let env = Env::system();
    let op = crate::control::system("test");
    let control = opened(&env, &data).await;
    CRASH.set(told("STEP")).unwrap();
    match told("ACT").as_str() {
        "root" => drop(control.rotate_root(&op).await),
        "epoch" => {
            control.rotate_epoch(&op, None).await.unwrap();
            control.advance_keys(&control.opened().unwrap()).await.unwrap();
        }
        "add" => {
            let added = control.add_slot(&op, "board", true, AddSlot::Shamir { k: 2, n: 2 }).await.unwrap();
            for share in &added.shares {
                control.confirm_slot(&op, share).await.unwrap();
            }
        }
        "remove" => {
            let added = control.add_slot(&op, "spare", true, AddSlot::KeyFile).await.unwrap();
            control.remove_slot(&op, added.slot.id).await.unwrap();
        }
        "unseal" => {
            control.seal(&op).await.unwrap();
            let wrong = Opening::Passphrase(secret("wrong horse battery staple"));
            assert!(control.unseal(HERE, wrong).await.is_err());
            control.unseal(HERE, Opening::Passphrase(Secret::new(told("RECOVERY")))).await.unwrap();
        }
        other => panic!("no act is called {other}"),
    }
    panic!("the step {} was not passed", told("STEP"));
}
