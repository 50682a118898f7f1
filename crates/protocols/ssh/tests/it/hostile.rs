//! Clients and targets that misbehave, and a gateway that dies.

use crate::rig::{Fixed, Rig, finish, text};
use sallyport_gateway::conformance::bench::until;
use sallyport_gateway::conformance::desk::Credential;
use sallyport_gateway::conformance::{Bench, Fixture, Oracle, Transport};
use sallyport_model::access::EndReason;
use sallyport_recording::What;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_at_once_through_cat() {
    let rig = Rig::new().await;
    let size = 50 << 20;
    let mut child = rig.ssh(&[], "cat").stdin(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sending = tokio::spawn(async move { input.write_all(&vec![b'z'; size]).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), output.read_to_end(&mut all)).await.expect("it stalls").unwrap();
    sending.await.unwrap().unwrap();
    assert_eq!(all.len(), size);
    assert_eq!(finish(child).await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_vanishes_ends_the_session() {
    let mut rig = Rig::new().await;
    let mut child = rig.ssh(&[], "echo here; sleep 60").spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut line = [0; 5];
    output.read_exact(&mut line).await.unwrap();
    rig.server.sshd.vanish().unwrap();
    assert_ne!(finish(child).await.status.code(), Some(0));
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::TargetClose);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_stalls_can_still_be_killed() {
    let rig = Rig::new().await;
    let mut child = rig.ssh(&[], "echo here; cat >/dev/null").stdin(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut line = [0; 5];
    output.read_exact(&mut line).await.unwrap();
    rig.server.sshd.stall().unwrap();
    let sending = tokio::spawn(async move { input.write_all(&vec![b'z'; 20 << 20]).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.bench.desk.kill_all();
    let output = finish(child).await;
    assert!(text(&output.stderr).contains("killed by the suite"), "{}", text(&output.stderr));
    drop(sending.await);
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::Kill);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_host_key_never_receives_a_credential() {
    let rig = Rig::with(|target, _| {
        let other = russh::keys::PrivateKey::from(russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&[9; 32]));
        target.host_keys = vec![other.public_key().to_openssh().unwrap().trim().to_owned()];
    })
    .await;
    let output = rig.run(&[], "true").await;
    assert!(text(&output.stderr).contains("host key that is not pinned"), "{}", text(&output.stderr));
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::DialFail);
    assert!(rig.bench.desk.entries_of("credential.lent").is_empty());
    let log = rig.server.sshd.log();
    assert!(!log.contains("Failed password") && !log.contains("Accepted"), "{log}");
}

/// A server that hangs up when it is shown a password.
struct HangsUp;

impl russh::server::Handler for HangsUp {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, _password: &str) -> Result<russh::server::Auth, russh::Error> {
        Err(russh::Error::Disconnect)
    }
}

/// A target that opens a channel of a forward before it has said that it listens.
struct Eager;

impl russh::server::Handler for Eager {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, _password: &str) -> Result<russh::server::Auth, russh::Error> {
        Ok(russh::server::Auth::Accept)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut russh::server::Session,
    ) -> Result<bool, russh::Error> {
        session.channel_open_forwarded_tcpip(address, *port, "192.0.2.1", 4711)?;
        Ok(true)
    }
}

/// A target that is scripted: its port and its host key.
pub(crate) async fn scripted<H>(handler: impl Fn() -> H + Send + 'static) -> (u16, String)
where
    H: russh::server::Handler<Error = russh::Error> + Send + 'static,
{
    let key = russh::keys::PrivateKey::from(russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&[5; 32]));
    let public = key.public_key().to_openssh().unwrap().trim().to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(russh::server::Config { keys: vec![key], ..russh::server::Config::default() });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let running = russh::server::run_stream(config.clone(), stream, handler()).await;
            tokio::spawn(async move { drop(running.unwrap().await) });
        }
    });
    (port, public)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_right_behind_the_yes_to_a_listener_is_carried() {
    let (port, public) = scripted(|| Eager).await;
    let rig = Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![public])).await;
    let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let forward = format!("9000:127.0.0.1:{}", service.local_addr().unwrap().port());
    let _ssh = rig.ssh(&["-N", "-R", &forward], "").spawn().unwrap();
    tokio::time::timeout(SOON, service.accept()).await.expect("nothing comes through").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_broke_is_told_from_one_that_was_refused() {
    let (port, public) = scripted(|| HangsUp).await;
    let rig = Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![public])).await;
    let output = rig.run(&[], "true").await;
    assert!(text(&output.stderr).contains("closed the connection during the login"), "{}", text(&output.stderr));

    let rig = Rig::with(|target, _| target.credential = Credential::Password("not-this-one".into())).await;
    let output = rig.run(&[], "true").await;
    assert!(text(&output.stderr).contains("did not accept the credential"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_packet_before_login_ends_the_connection() {
    let rig = Rig::new().await;
    #[expect(clippy::disallowed_methods, reason = "a hostile client")]
    let mut raw = tokio::net::TcpStream::connect(rig.bench.address).await.unwrap();
    raw.write_all(b"SSH-2.0-hostile\r\n\xff\xff\xff\xf0\x04\x14").await.unwrap();
    let mut all = Vec::new();
    let read = tokio::time::timeout(SOON, raw.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "the gateway waits for four gigabytes");
    assert_eq!(text(&rig.run(&[], "echo alive").await.stdout), "alive\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_the_gateway_loses_nothing_of_the_tail() {
    let rig = Rig::new().await;
    let mut child = rig.ssh(&[], "echo before the crash; sleep 60").spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut line = [0; 17];
    output.read_exact(&mut line).await.unwrap();
    // The journal stops here as it does when the process dies: what follows is in the tail alone.
    let Rig { fixed, bench, server, .. } = rig;
    let session = bench.desk.leased()[0];
    let (directory, desk, tail) = bench.crash();
    let again = Bench::over(fixed.protocol(), Transport::Unix, directory, desk, tail).await.unwrap();
    again.returned(SOON).await.unwrap();
    let close = again.desk.closed(session).unwrap();
    assert_eq!((close.reason, close.complete), (EndReason::Orphan, false));
    let shipped = again.directory.path().join("recordings");
    until(SOON, || std::fs::read_dir(&shipped).is_ok_and(|mut files| files.next().is_some())).await.unwrap();
    let events = again.events().await.unwrap();
    let seen = events.iter().any(|e| matches!(&e.what, What::Output(b) if text(b).contains("before the crash")));
    assert!(seen, "{events:?}");
    assert!(server.connections() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixture_without_a_pinned_key_is_not_dialled() {
    let fixed = Fixed::new();
    let bench = Bench::start(fixed.protocol(), Transport::Unix).await.unwrap();
    let (server, mut target) = fixed.target().await.unwrap();
    target.host_keys.clear();
    let name = bench.know(target).await.unwrap();
    let output = finish(fixed.ssh(bench.address, "ops", name.as_str(), &[]).arg("true").spawn().unwrap()).await;
    assert!(text(&output.stderr).contains("no host key of the target is pinned"), "{}", text(&output.stderr));
    assert_eq!(server.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_silent_connections_delay_nobody_and_are_bounded() {
    let rig = Rig::new().await;
    let mut silent = Vec::new();
    for _ in 0..31 {
        #[expect(clippy::disallowed_methods, reason = "a hostile client")]
        silent.push(tokio::net::TcpStream::connect(rig.bench.address).await.unwrap());
    }
    assert_eq!(text(&rig.run(&[], "echo in time").await.stdout), "in time\n");
    for _ in 0..20 {
        #[expect(clippy::disallowed_methods, reason = "a hostile client")]
        silent.push(tokio::net::TcpStream::connect(rig.bench.address).await.unwrap());
    }
    let mut dropped = 0;
    for stream in &mut silent {
        let mut greeting = [0; 64];
        let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut greeting)).await;
        dropped += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!(dropped >= 19, "{dropped} of 51 were dropped");
    silent.clear();
    let mut answer = String::new();
    for _ in 0..20 {
        answer = text(&rig.run(&[], "echo after").await.stdout);
        if !answer.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(answer, "after\n", "places do not come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_control_a_client_is_told_before_it_is_refused() {
    let fixed = Fixed::new();
    let directory = tempfile::tempdir().unwrap();
    let nobody = sallyport_gateway::transport::unix::Connector::new(directory.path().join("nobody"));
    let address = crate::crash::alone(&fixed, directory.path(), Box::new(nobody)).await;
    let output = finish(fixed.ssh(address, "ops", "web-1", &[]).arg("true").spawn().unwrap()).await;
    assert!(text(&output.stderr).contains("the authority is not available"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(255));
}

/// What comes before the identification is bounded, from either side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_before_the_identification_ends_the_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let lines = b"welcome to this machine\r\n".repeat(200);
            tokio::spawn(async move { while stream.write_all(&lines).await.is_ok() {} });
        }
    });
    let rig = Rig::with(|target, _| target.port = port).await;
    let output = rig.run(&[], "true").await;
    assert!(text(&output.stderr).contains("did not agree with us"), "{}", text(&output.stderr));
    for flood in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-", b"SSH-1.5-old\r\n"] {
        #[expect(clippy::disallowed_methods, reason = "a hostile client")]
        let raw = tokio::net::TcpStream::connect(rig.bench.address).await.unwrap();
        let (mut read, mut write) = raw.into_split();
        let flood = flood.repeat(1000);
        let flooding = tokio::spawn(async move { while write.write_all(&flood).await.is_ok() {} });
        let mut all = Vec::new();
        let over = tokio::time::timeout(SOON, read.read_to_end(&mut all)).await;
        assert!(over.is_ok() && all.len() < 4096, "the gateway goes on listening");
        tokio::time::timeout(SOON, flooding).await.expect("the gateway goes on reading").unwrap();
    }
}

/// A banner is a line or two, and a target that says nothing else is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_lies_about_itself_reaches_nobody() {
    let (port, public) = scripted(|| Eager).await;
    let rig = Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![public])).await;
    // It accepts any credential, and then refuses all that a session needs.
    let output = rig.run(&[], "true").await;
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "");
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_no_ssh_server_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { while stream.write_all(&[b'x'; 4096]).await.is_ok() {} });
        }
    });
    let rig = Rig::with(|target, _| target.port = port).await;
    let output = rig.run(&[], "true").await;
    assert!(text(&output.stderr).contains("did not agree with us"), "{}", text(&output.stderr));
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::DialFail);
}
