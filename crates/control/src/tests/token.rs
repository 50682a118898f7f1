//! Slots that a token opens, against SoftHSM2: a real module, loaded in a process of its own.

use super::house::*;
use crate::token::apart;
use crate::{AddSlot, Control, Error, Opening, TokenConfig};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use sallyport_model::{Env, Kind};
use sallyport_vault::VaultError;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "135790";

fn softhsm(args: &[&str]) {
    let output = Command::new("softhsm2-util").args(args).output().expect("softhsm2-util: install `softhsm2`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn init_token(label: &str) {
    softhsm(&["--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", PIN]);
}

fn config(token: &str, key: &str, pin: Option<&str>) -> TokenConfig {
    TokenConfig { module: MODULE.into(), token: token.into(), key: key.into(), pin: pin.map(secret) }
}

/// SoftHSM finds its tokens by its environment, which a test must not change for its neighbours.
#[test]
fn a_token_opens_its_slot_and_every_trouble_with_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let settings = dir.path().join("softhsm2.conf");
    let tokens = dir.path().join("tokens").display().to_string();
    std::fs::write(
        &settings,
        format!("directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"),
    )
    .unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::token::in_a_process_with_tokens", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", &settings)
        .env("SALLYPORT_TEST_TOKENS", dir.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

impl House {
    /// The same house with another configuration of its token.
    async fn with(&mut self, config: TokenConfig) {
        self.control.close().await;
        let control = Control::new(self.env.clone(), self.dir.path(), "node-1").with_token(config);
        self.control = std::sync::Arc::new(control);
    }

    async fn by_token(&self, pin: Option<&str>) -> Result<(), Error> {
        match pin {
            Some(pin) => self.control.unseal(HERE, Opening::Token(secret(pin))).await.map(drop),
            None => self.control.unseal_with_token().await,
        }
    }
}

#[tokio::test]
#[ignore = "started by the test of the token, in a process of its own"]
async fn in_a_process_with_tokens() {
    let dir = PathBuf::from(told("TOKENS"));
    init_token("house");
    let mut house = House::founded().await;
    let key_file = house.dir.path().join("keys/vault.key");
    house.with(config("house", "seal", Some(PIN))).await;

    // No slot of the token yet: the key file still opens the vault.
    let none = house.by_token(None).await.err().unwrap();
    assert!(matches!(none, Error::Vault(VaultError::NoSlot(_))), "{none}");
    house.control.unseal_with_key_file(&std::fs::read(&key_file).unwrap()).await.unwrap();
    let op = house.admin();
    house.control.add_slot(&op, "HSM of this host", false, AddSlot::Token(None)).await.unwrap();
    house.control.seal(&op).await.unwrap();
    house.by_token(None).await.unwrap();
    assert_eq!(house.entries("vault.unsealed").await, 3);
    // The root key is replaced without the token, and the slot opens the new one.
    house.control.rotate_root(&house.admin()).await.unwrap();
    house.control.seal(&house.admin()).await.unwrap();

    // Another token beside it gets other slot numbers: the label finds the right one.
    init_token("neighbour");
    house.by_token(None).await.unwrap();
    house.control.seal(&house.admin()).await.unwrap();

    wrong_pins(&mut house).await;
    gone_and_back(&mut house, &dir).await;
    other_keys(&mut house).await;
    house.with(TokenConfig { module: "/nonexistent.so".into(), ..config("house", "seal", Some(PIN)) }).await;
    let module = house.by_token(None).await.err().unwrap();
    assert!(module.kind() == Kind::Usage && module.to_string().contains("[seal.pkcs11] module"), "{module}");
    house.unseal_by(house.recovery.expose()).await.unwrap();
    assert!(house.entries("vault.unseal_failed").await >= 2, "the wrong PINs are in the ledger");
}

async fn wrong_pins(house: &mut House) {
    house.with(config("house", "seal", Some("000000"))).await;
    let wrong = house.by_token(None).await.err().unwrap();
    assert!(wrong.kind() == Kind::Denied && wrong.to_string().contains("PIN"), "{wrong}");
    house.by_token(Some(PIN)).await.unwrap();
    house.control.seal(&house.admin()).await.unwrap();
    // The configuration's right PIN does not stand in for the one that a caller presents.
    house.with(config("house", "seal", Some(PIN))).await;
    assert_eq!(house.by_token(Some("000000")).await.err().unwrap().kind(), Kind::Denied);
    house.with(config("house", "seal", None)).await;
    let missing = house.by_token(None).await.err().unwrap();
    assert!(missing.kind() == Kind::Usage && missing.to_string().contains("pin_file"), "{missing}");
    house.by_token(Some(PIN)).await.unwrap();
    house.control.seal(&house.admin()).await.unwrap();
}

async fn gone_and_back(house: &mut House, dir: &Path) {
    house.with(config("house", "seal", Some(PIN))).await;
    std::fs::rename(dir.join("tokens"), dir.join("pocket")).unwrap();
    std::fs::create_dir(dir.join("tokens")).unwrap();
    init_token("stranger");
    let gone = house.by_token(None).await.err().unwrap();
    assert!(gone.kind() == Kind::Unavailable && gone.to_string().contains("stranger"), "{gone}");
    std::fs::remove_dir_all(dir.join("tokens")).unwrap();
    std::fs::rename(dir.join("pocket"), dir.join("tokens")).unwrap();
    house.by_token(None).await.unwrap();
    house.control.seal(&house.admin()).await.unwrap();
}

/// A token of the same name with another key, and a key that could be taken out.
async fn other_keys(house: &mut House) {
    house.by_token(None).await.unwrap();
    house.control.close().await;
    softhsm(&["--delete-token", "--token", "house"]);
    init_token("house");
    let empty = house.by_token(None).await.err().unwrap();
    assert!(empty.kind() == Kind::Denied && empty.to_string().contains("no key"), "{empty}");
    house.unseal_by(house.recovery.expose()).await.unwrap();
    let op = house.admin();
    house.control.add_slot(&op, "new HSM", false, AddSlot::Token(None)).await.unwrap();
    house.control.seal(&op).await.unwrap();
    // The first slot was made with the key that is gone; the token has another one by the same name.
    house.by_token(None).await.unwrap();
    house.control.seal(&house.admin()).await.unwrap();

    make_an_extractable_key("open");
    house.with(config("house", "open", Some(PIN))).await;
    house.unseal_by(house.recovery.expose()).await.unwrap();
    let error = house.control.add_slot(&house.admin(), "x", false, AddSlot::Token(None)).await.err().unwrap();
    assert!(error.to_string().contains("never leaves it"), "{error}");
    house.control.close().await;
}

fn make_an_extractable_key(label: &str) {
    let module = Pkcs11::new(MODULE).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let named = |slot: &Slot| module.get_token_info(*slot).unwrap().label().trim_end() == "house";
    let slot = module.get_slots_with_initialized_token().unwrap().into_iter().find(named).unwrap();
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&PIN.to_owned().into())).unwrap();
    let template = [
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    drop(session);
    module.finalize().unwrap();
}

#[tokio::test]
async fn a_token_that_does_not_answer_holds_nobody() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let hangs = apart(Duration::from_millis(50), move || {
        let _ = held.recv();
        Ok(())
    });
    let hung = hangs.await.err().unwrap();
    assert!(hung.kind() == Kind::Unavailable && hung.to_string().contains("not answered"), "{hung}");
    let next = apart(Duration::from_secs(5), || Ok(())).await.err().unwrap();
    assert!(next.to_string().contains("busy"), "{next}");
    drop(release);
    let free = async {
        while apart(Duration::from_secs(5), || Ok(())).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.unwrap();
}

#[test]
fn a_node_without_a_token_says_what_to_set() {
    let control = Control::new(Env::system(), Path::new("/nonexistent"), "node-1");
    let error = control.token(sallyport_model::ClusterId::new(&Env::system())).err().unwrap();
    assert!(error.to_string().contains("[seal.pkcs11]"), "{error}");
}
