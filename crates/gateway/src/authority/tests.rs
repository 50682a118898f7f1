use super::{Authority, Client, Order};
use crate::conformance::bench::until;
use crate::transport::{Accept, Wire, frame, unix};
use sallyport_model::access::EndReason;
use sallyport_model::authority::{Anchor, Call, Down, Hello, RecordingKey, Reply, Up, VERSION, Welcome};
use sallyport_model::{ClusterId, Env, GatewayId, SessionId};
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

struct Control {
    listener: unix::Listener,
    client: Arc<Client>,
    _directory: tempfile::TempDir,
}

fn start() -> Control {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = unix::Listener::bind(&path).unwrap();
    let env = Env::system();
    let connect = Box::new(unix::Connector::new(&path));
    let client = Arc::new(Client::start(env.clone(), GatewayId::new(&env), "default".parse().unwrap(), connect));
    Control { listener, client, _directory: directory }
}

async fn greet(control: &Control) -> (Wire, Hello) {
    let mut wire = control.listener.accept().await.unwrap();
    let Some(Up::Hello(hello)) = frame::read(&mut wire).await.unwrap() else { panic!("no Hello") };
    let cluster = ClusterId::new(&Env::system());
    let welcome = Welcome { version: VERSION, cluster, recording_key: None, orphans: vec![] };
    frame::write(&mut wire, &Down::Welcome(welcome)).await.unwrap();
    (wire, hello)
}

fn anchor(session: SessionId) -> Call {
    Call::Anchor(Anchor { session, segments: 1, chain: vec![0; 32] })
}

#[tokio::test]
async fn a_call_whose_reply_was_lost_is_repeated_under_its_id() {
    let control = start();
    let session = SessionId::new(&Env::system());
    let client = control.client.clone();
    let calling = tokio::spawn(async move { client.call(anchor(session), SOON).await });
    let (mut wire, _) = greet(&control).await;
    let Some(Up::Call(first, _)) = frame::read(&mut wire).await.unwrap() else { panic!("no call") };
    drop(wire);
    let (mut wire, _) = greet(&control).await;
    let Some(Up::Call(second, _)) = frame::read(&mut wire).await.unwrap() else { panic!("no call") };
    assert_eq!(first, second);
    frame::write(&mut wire, &Down::Reply(second, Reply::Done(7))).await.unwrap();
    assert!(matches!(calling.await.unwrap(), Ok(Reply::Done(7))));
    // A late twin of the reply harms nobody.
    frame::write(&mut wire, &Down::Reply(second, Reply::Done(8))).await.unwrap();
}

#[tokio::test]
async fn open_sessions_are_named_again_and_orders_find_theirs() {
    let control = start();
    let env = Env::system();
    let (one, other) = (SessionId::new(&env), SessionId::new(&env));
    let mut orders = control.client.enlist(one);
    let (mut wire, hello) = greet(&control).await;
    assert_eq!(hello.open, [one]);
    frame::write(&mut wire, &Down::Kill(other, "not mine".into())).await.unwrap();
    frame::write(&mut wire, &Down::Revoke(one, "taken back".into())).await.unwrap();
    let order = tokio::time::timeout(SOON, orders.recv()).await.unwrap();
    assert_eq!(order, Some(Order::End(EndReason::Revoke, "taken back".into())));
    control.client.delist(one);
    drop(wire);
    let (_, hello) = greet(&control).await;
    assert!(hello.open.is_empty());
}

#[tokio::test]
async fn a_rotated_recording_key_serves_from_then_on_and_a_seal_takes_it_away() {
    let control = start();
    let (mut wire, _) = greet(&control).await;
    let (_, key) = sallyport_model::sealed::PrivateKey::generate(&Env::system()).unwrap();
    let key = RecordingKey { epoch: 2, key };
    let known = || control.client.welcome().borrow().as_ref().and_then(|welcome| welcome.recording_key);
    frame::write(&mut wire, &Down::RecordingKey(key)).await.unwrap();
    until(SOON, || known() == Some(key)).await.unwrap();
    frame::write(&mut wire, &Down::Seal).await.unwrap();
    until(SOON, || known().is_none()).await.unwrap();
}

#[tokio::test]
async fn silence_is_measured_and_a_dead_connection_is_replaced() {
    let control = start();
    let (mut wire, _) = greet(&control).await;
    frame::write(&mut wire, &Down::Beat).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(control.client.silence() >= Duration::from_millis(250));
    frame::write(&mut wire, &Down::Beat).await.unwrap();
    until(SOON, || control.client.silence() < Duration::from_millis(200)).await.unwrap();
    // The wire stays open but says nothing more.
    let replaced = tokio::time::timeout(Duration::from_secs(8), greet(&control)).await;
    assert!(replaced.is_ok(), "a silent connection is kept");
    drop(wire);
}

#[tokio::test]
async fn nobody_answers_is_told_in_time() {
    let control = start();
    let (_wire, _) = greet(&control).await;
    let session = SessionId::new(&Env::system());
    let answer = control.client.call(anchor(session), Duration::from_millis(100)).await;
    assert!(matches!(answer, Err(super::Error::Silent)));
}
