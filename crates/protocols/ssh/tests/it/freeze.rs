//! Frozen sessions, as the stock client and a real sshd see them.

use crate::rig::{Heard, Rig, finish, target};
use sallyport_gateway::conformance::PASSWORD;
use sallyport_gateway::conformance::bench::until;
use sallyport_testkit::sshd::Sshd;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const SOON: Duration = Duration::from_secs(10);
/// Long enough for both sides to hang up if nobody answered their keep-alives.
const PAUSE: Duration = Duration::from_secs(5);
const ALIVE: [&str; 4] = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_sessions_stay_connected_on_both_legs_say_so_and_lose_nothing() {
    let lively = Sshd::with(PASSWORD, "ClientAliveInterval 1\nClientAliveCountMax 2\n").unwrap();
    let rig = Rig::with(|known, _| *known = target(&lively)).await;
    let shell = [&ALIVE[..], &["-tt"]].concat();
    let mut person =
        rig.ssh(&shell, "stty -echo; echo ready; read x; echo got-$x").stdin(Stdio::piped()).spawn().unwrap();
    let (shown, told) = (Heard::of(person.stdout.take().unwrap()), Heard::of(person.stderr.take().unwrap()));
    let mut upload = rig.ssh(&ALIVE, "echo ready; wc -c").stdin(Stdio::piped()).spawn().unwrap();
    let counted = Heard::of(upload.stdout.take().unwrap());
    until(SOON, || shown.has("ready") && counted.has("ready")).await.unwrap();

    rig.bench.desk.ledger_down(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    person.stdin.as_mut().unwrap().write_all(b"typed\n").await.unwrap();
    let mut bytes = upload.stdin.take().unwrap();
    let sending = tokio::spawn(async move { bytes.write_all(&vec![b'z'; 8 << 20]).await });
    tokio::time::sleep(PAUSE).await;
    assert!(!shown.has("got-"), "a frozen session went on");
    assert!(told.has("paused: the ledger takes no entries; what you type waits"), "nothing was said");
    assert!(person.try_wait().unwrap().is_none() && upload.try_wait().unwrap().is_none(), "a client hung up");

    rig.bench.desk.ledger_down(false);
    until(SOON, || shown.has("got-typed") && told.has("it goes on")).await.unwrap();
    sending.await.unwrap().unwrap();
    until(SOON, || counted.has(&(8 << 20).to_string())).await.unwrap();
    assert_eq!(finish(person).await.status.code(), Some(0));
    assert_eq!(finish(upload).await.status.code(), Some(0));
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.entries_of("session.frozen").len(), 2);
}
