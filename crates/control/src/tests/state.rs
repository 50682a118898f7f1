//! Sealing, unsealing, restarts.

use super::house::*;
use crate::Control;
use sallyport_model::Kind;
use sallyport_model::authority::{Call, Reply};
use sallyport_model::way::Stop;
use std::sync::Arc;

#[tokio::test]
async fn a_sealed_vault_answers_sealed_and_the_recovery_passphrase_opens_it() {
    let house = Arc::new(House::applied().await);
    let gateway = house.gateway().await;
    let session = gateway.open("ada").await;
    house.control.seal(&house.admin()).await.unwrap();
    assert_eq!(gateway.orders.lock().unwrap().as_slice(), ["seal"]);
    assert_eq!(denial(gateway.call(Call::Password(session, Stop::Target)).await).kind, Kind::Sealed);
    assert!(house.control.status().sealed);
    let wrong = house.unseal_by("wrong horse battery staple").await;
    assert!(wrong.is_err() && house.control.status().sealed);
    house.unseal_by(house.recovery.expose()).await.unwrap();
    assert!(
        matches!(gateway.call(Call::Password(session, Stop::Target)).await, Reply::Password(_)),
        "the session is still known"
    );
    assert_eq!(house.entries("vault.unsealed").await, 2);
}

#[tokio::test]
async fn a_restart_of_control_keeps_sessions_tokens_and_answers() {
    let mut house = House::applied().await;
    let token = house.token("ada").await;
    let shared = Arc::new(house);
    let gateway = shared.gateway().await;
    let ask = gateway.ask(gateway.login("ada").await, "ops@web-1");
    let (id, session, gateway_id) = (sallyport_model::CallId::new(&shared.env), ask.session, gateway.id);
    let Reply::Opened(before) = gateway.call_as(id, Call::Open(ask.clone())).await else { panic!("denied") };
    drop(gateway);
    house = Arc::into_inner(shared).unwrap();
    house.control.close().await;
    house.control = Arc::new(Control::new(house.env.clone(), house.dir.path(), "node-1"));
    house.control.unseal_with_key_file(&std::fs::read(house.dir.path().join("keys/vault.key")).unwrap()).await.unwrap();
    let house = Arc::new(house);
    assert!(house.control.sign_in(&token).is_ok());
    let gateway = Gateway::join(house.clone(), gateway_id, vec![session]).await;
    assert!(gateway.welcome.orphans.is_empty());
    let Reply::Opened(after) = gateway.call_as(id, Call::Open(ask)).await else {
        panic!("the lost reply is not repeated")
    };
    assert_eq!(before.terms, after.terms);
    assert_eq!(house.entries("session.opened").await, 1);
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_a_clear_error() {
    let house = House::founded().await;
    let fresh = Control::new(house.env.clone(), house.dir.path(), "node-1");
    let error = fresh.unseal_with_key_file(b"not a key file").await.err().unwrap();
    assert_eq!(error.kind(), Kind::Usage);
    let other = sallyport_vault::KeyFile::generate(&house.env).encode();
    let error = fresh.unseal_with_key_file(other.expose().as_bytes()).await.err().unwrap();
    assert!(error.to_string().contains("key file"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    assert!(Control::new(house.env.clone(), empty.path(), "n").unseal_with_key_file(b"x").await.is_err());
}

#[tokio::test]
async fn no_secret_is_in_the_data_directory_in_plain() {
    let house = House::applied().await;
    let token = house.token("ada").await;
    house.control.close().await;
    let mut seen = 0;
    let mut open = vec![house.dir.path().to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for canary in [PASSWORD, token.expose(), house.recovery.expose()] {
                assert!(
                    !bytes.windows(canary.len()).any(|w| w == canary.as_bytes()),
                    "{} holds a secret",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen >= 3);
}
