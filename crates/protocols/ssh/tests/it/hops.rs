//! Targets behind jump hosts: real ones, one inside the other, and ones that misbehave.

use crate::hostile::scripted;
use crate::rig::{Rig, finish, key, target, text};
use sallyport_gateway::conformance::PASSWORD;
use sallyport_gateway::conformance::desk::{Credential, Target};
use sallyport_model::access::EndReason;
use sallyport_recording::What;
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

/// A target behind one jump host for each of these configurations, the outermost first, and what was changed of it.
async fn over(lines: &[&str], change: impl FnOnce(&mut Target, &[Sshd])) -> (Rig, Vec<Sshd>) {
    let bastions: Vec<Sshd> = lines.iter().map(|lines| Sshd::with(PASSWORD, lines).unwrap()).collect();
    let rig = Rig::with(|known, sshd| {
        known.credential = key(sshd);
        let by_key = |sshd| Target { credential: key(sshd), ..target(sshd) };
        let named = |number| format!("bastion-{number}").parse().unwrap();
        known.hops = bastions.iter().enumerate().map(|(number, sshd)| (named(number), by_key(sshd))).collect();
        change(known, &bastions);
    })
    .await;
    (rig, bastions)
}

/// What a session that cannot begin tells its client.
async fn refused(rig: &Rig) -> String {
    let output = rig.run(&[], "true").await;
    assert_ne!(output.status.code(), Some(0));
    rig.bench.returned(SOON).await.unwrap();
    let closes = rig.bench.desk.closes();
    assert_eq!(closes[0].reason, EndReason::DialFail, "{}", closes[0].note);
    assert!(closes[0].complete, "its recording is sealed");
    let told = text(&output.stderr);
    assert!(told.contains(&closes[0].note), "the ledger says what the client was told: {told}");
    told
}

fn lent(rig: &Rig) -> Vec<String> {
    rig.bench.desk.entries_of("credential.lent").into_iter().map(|entry| entry.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shells_commands_files_and_forwards_go_over_one_and_two_jump_hosts() {
    for (lines, wanted) in [
        (&[""][..], &["signature of hop 0", "signature"][..]),
        (&["", ""], &["signature of hop 0", "signature of hop 1", "signature"]),
    ] {
        let (rig, bastions) = over(lines, |_, _| {}).await;
        let ran = rig.run(&[], "echo out; echo err >&2; exit 3").await;
        assert_eq!((ran.status.code(), text(&ran.stdout).as_str()), (Some(3), "out\n"), "{}", text(&ran.stderr));
        assert_eq!(lent(&rig), wanted);
        rig.bench.returned(SOON).await.unwrap();
        let via = |event: sallyport_recording::Event| match event.what {
            What::Mark { kind, text } if kind == "via" => Some(text),
            _ => None,
        };
        let told: Vec<_> = rig.bench.events().await.unwrap().into_iter().filter_map(via).collect();
        let names: Vec<_> = (0..lines.len()).map(|number| format!("{ACCOUNT}@bastion-{number}")).collect();
        assert_eq!(told, [names.join(", ")], "the recording names them once");
        for bastion in &bastions {
            assert!(bastion.log().contains("Accepted "), "{}", bastion.log());
        }
        let tty = rig.run(&["-tt"], "tty").await;
        assert!(text(&tty.stdout).starts_with("/dev/pts/"), "{}", text(&tty.stderr));
        files(&rig).await;
        much(&rig).await;
        forward(&rig).await;
    }
}

/// SFTP, and scp in both of its ways.
async fn files(rig: &Rig) {
    let (here, there) = (rig.fixed.home().join("here"), rig.scratch().join("there"));
    std::fs::write(&here, "mine ".repeat(200_000)).unwrap();
    let (h, t) = (here.display(), there.display());
    let mut sftp = rig.client("sftp");
    sftp.args(["-o", "BatchMode=no", "-b", "-"]).arg(rig.user_at_host()).stdin(Stdio::piped());
    let mut child = sftp.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("put {h} {t}\nget {t} {h}.back\n").as_bytes()).await.unwrap();
    let output = finish(child).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    for mode in ["-O", "-s"] {
        let remote = format!("{}:{t}{mode}", rig.user_at_host());
        let output = finish(rig.client("scp").args([mode, &h.to_string(), &remote]).spawn().unwrap()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(std::fs::read(format!("{t}{mode}")).unwrap(), std::fs::read(&here).unwrap());
    }
    assert_eq!(std::fs::read(format!("{h}.back")).unwrap(), std::fs::read(&here).unwrap());
}

/// Both ways at once, more than all windows together.
async fn much(rig: &Rig) {
    let size = 12 << 20;
    let mut child = rig.ssh(&[], "cat").stdin(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sending = tokio::spawn(async move { input.write_all(&vec![b'z'; size]).await });
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), output.read_to_end(&mut all)).await.expect("it stalls").unwrap();
    sending.await.unwrap().unwrap();
    assert_eq!(all.len(), size);
    assert_eq!(finish(child).await.status.code(), Some(0));
}

async fn forward(rig: &Rig) {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("127.0.0.1:{}", service.local_addr().unwrap().port());
    let mut child = rig.ssh(&["-W", &at], "").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let (mut stream, _) = tokio::time::timeout(SOON, service.accept()).await.expect("nothing comes").unwrap();
    input.write_all(b"there").await.unwrap();
    let mut said = [0; 5];
    stream.read_exact(&mut said).await.unwrap();
    stream.write_all(b"and back").await.unwrap();
    drop((stream, input));
    assert_eq!(text(&finish(child).await.stdout), "and back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_server_on_the_way_is_held_to_its_own_pins() {
    // The jump host shows the key that is pinned for the target.
    let (rig, bastions) = over(&[""], |known, _| known.hops[0].1.host_keys = known.host_keys.clone()).await;
    let told = refused(&rig).await;
    assert!(told.contains("the jump host `bastion-0` shows a host key that is not pinned"), "{told}");
    assert_eq!(lent(&rig), Vec::<String>::new());
    assert!(!bastions[0].log().contains("Accepted") && !bastions[0].log().contains("Failed"), "{}", bastions[0].log());

    // The second of two shows another one: it is told which of them.
    let (rig, _bastions) = over(&["", ""], |known, bastions| {
        known.hops[1].1.host_keys = vec![bastions[0].host_key().unwrap()];
    })
    .await;
    let told = refused(&rig).await;
    assert!(told.contains("the jump host `bastion-1` shows a host key that is not pinned"), "{told}");
    assert_eq!(lent(&rig), ["signature of hop 0"]);

    // What answers for the target is the jump host itself, whose key is known, but not for the target.
    let (rig, _bastions) = over(&[""], |known, bastions| known.port = bastions[0].address().port()).await;
    let told = refused(&rig).await;
    assert!(told.contains("the target shows a host key that is not pinned: no credential was sent to it"), "{told}");
    assert_eq!(lent(&rig), ["signature of hop 0"]);

    // The target is pinned to the jump host's key, and shows its own.
    let (rig, _bastions) = over(&[""], |known, bastions| known.host_keys = vec![bastions[0].host_key().unwrap()]).await;
    let told = refused(&rig).await;
    assert!(told.contains("the target shows a host key that is not pinned"), "{told}");
    assert!(!rig.server.sshd.log().contains("Accepted"), "{}", rig.server.sshd.log());

    // Without a pin nothing on the way is dialled.
    let (rig, bastions) = over(&["", ""], |known, _| known.hops[1].1.host_keys.clear()).await;
    let before = bastions[0].log();
    let told = refused(&rig).await;
    assert!(told.contains("no host key of the jump host `bastion-1` is pinned"), "{told}");
    assert_eq!(bastions[0].log(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_host_that_vanishes_ends_the_session_and_is_named() {
    for gone in [0, 1] {
        let (rig, mut bastions) = over(&["", ""], |_, _| {}).await;
        let mut child = rig.ssh(&[], "echo here; sleep 60").spawn().unwrap();
        let mut line = [0; 5];
        child.stdout.take().unwrap().read_exact(&mut line).await.unwrap();
        bastions[gone].vanish().unwrap();
        assert_ne!(finish(child).await.status.code(), Some(0));
        rig.bench.returned(SOON).await.unwrap();
        let close = rig.bench.desk.closes().remove(0);
        assert_eq!(close.reason, EndReason::TargetClose);
        let wanted = format!("the connection to the jump host `bastion-{gone}` was lost");
        assert!(close.note.contains(&wanted) && close.complete, "{}", close.note);
    }
    // One that is in the way of nothing any more says nothing.
    let (rig, mut bastions) = over(&[""], |_, _| {}).await;
    assert_eq!(rig.run(&[], "true").await.status.code(), Some(0));
    rig.bench.returned(SOON).await.unwrap();
    bastions[0].vanish().unwrap();
    let close = rig.bench.desk.closes().remove(0);
    assert_eq!((close.reason, close.note.as_str()), (EndReason::TargetClose, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_host_that_does_not_connect_says_what_to_set() {
    let (rig, _bastions) = over(&["AllowTcpForwarding no\n"], |_, _| {}).await;
    let told = refused(&rig).await;
    let wanted = ["the jump host `bastion-0` does not forward connections to 127.0.0.1:", "AllowTcpForwarding local"];
    assert!(wanted.iter().all(|wanted| told.contains(wanted)), "{told}");
    assert!(!rig.server.sshd.log().contains("Accepted"));

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (rig, _bastions) = over(&[""], |known, _| known.port = closed).await;
    let told = refused(&rig).await;
    assert!(told.contains(&format!("the jump host `bastion-0` does not reach 127.0.0.1:{closed}")), "{told}");

    let (rig, _bastions) = over(&[""], |known, _| known.hops[0].1.port = closed).await;
    let told = refused(&rig).await;
    assert!(told.contains("the jump host `bastion-0` is not reached at 127.0.0.1:"), "{told}");

    // A credential that a jump host does not take.
    let (rig, _bastions) = over(&[""], |known, _| {
        known.hops[0].1.credential = Credential::Password("not this".into());
    })
    .await;
    let told = refused(&rig).await;
    assert!(told.contains("the jump host `bastion-0` did not accept the credential of"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_host_is_not_asked_for_a_metadata_service() {
    for host in ["169.254.169.254", "2852039166", "metadata.google.internal"] {
        let (rig, bastions) = over(&["LogLevel DEBUG1\n"], |known, _| known.host = host.into()).await;
        let told = refused(&rig).await;
        assert!(told.contains("no target may be"), "{told}");
        assert!(!bastions[0].log().contains("direct-tcpip"), "{}", bastions[0].log());
    }
}

/// A jump host that lets everybody in, and says nothing to whoever wants to go on.
struct Hangs;

impl russh::server::Handler for Hangs {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, _password: &str) -> Result<russh::server::Auth, russh::Error> {
        Ok(russh::server::Auth::Accept)
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _channel: russh::Channel<russh::server::Msg>,
        _host: &str,
        _port: u32,
        _from: &str,
        _from_port: u32,
        _reply: russh::server::ChannelOpenHandle,
        _session: &mut russh::server::Session,
    ) -> Result<(), russh::Error> {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_host_that_hangs_is_left_in_bounded_time() {
    let (port, public) = scripted(|| Hangs).await;
    let (rig, _bastions) = over(&[""], |known, _| {
        let hop = &mut known.hops[0].1;
        (hop.port, hop.host_keys, hop.credential) = (port, vec![public], Credential::Password("any".into()));
    })
    .await;
    let told = refused(&rig).await;
    assert!(told.contains("the jump host `bastion-0` did not connect to 127.0.0.1:"), "{told}");
    assert!(told.contains("within 10 seconds"), "{told}");
}
