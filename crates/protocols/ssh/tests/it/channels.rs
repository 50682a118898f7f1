//! Every kind of channel, by the stock client and a real server; and none of them without its decision.

use crate::rig::{Rig, finish, text};
use sallyport_gateway::conformance::bench::until;
use sallyport_model::access::Channel;
use sallyport_recording::What;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::Child;

const SOON: Duration = Duration::from_secs(20);
/// Bytes that no compression shortens and no short window holds.
const SIZE: usize = 12 << 20;

fn noise() -> Vec<u8> {
    let mut state = 1_u64;
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..SIZE).map(|_| next(&mut state)).collect()
}

/// A file with noise at home, and where a copy of it goes.
fn files(rig: &Rig) -> (std::path::PathBuf, std::path::PathBuf, std::path::PathBuf) {
    let (here, there) = (rig.fixed.home().join("noise"), rig.scratch().join("noise"));
    std::fs::write(&here, noise()).unwrap();
    (here, there, rig.fixed.home().join("back"))
}

fn same(a: &Path, b: &Path) {
    assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap(), "{} and {} differ", a.display(), b.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_puts_and_gets_with_its_default_of_requests_in_flight_and_with_few() {
    let rig = Rig::new().await;
    let (here, there, back) = files(&rig);
    for (number, in_flight) in [&[][..], &["-R", "16"]].into_iter().enumerate() {
        let mut sftp = rig.client("sftp");
        sftp.args(in_flight).args(["-o", "BatchMode=no", "-b", "-"]).arg(rig.user_at_host()).stdin(Stdio::piped());
        let mut child = sftp.spawn().unwrap();
        let batch = format!(
            "put {here} {there}\nget {there} {back}\nmkdir {there}.d{number}\nls -l {there}\nrename {there} {there}.{number}\n",
            here = here.display(),
            there = there.display(),
            back = back.display(),
        );
        child.stdin.take().unwrap().write_all(batch.as_bytes()).await.unwrap();
        let output = finish(child).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        same(&here, &back);
        same(&here, &rig.scratch().join(format!("noise.{number}")));
        std::fs::remove_file(&back).unwrap();
    }
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.entries_of("channel.opened")[0].text, "channel:sftp sftp");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scp_copies_both_ways_in_both_its_modes() {
    let rig = Rig::new().await;
    let (here, there, back) = files(&rig);
    for mode in [&["-O"][..], &[]] {
        let remote = format!("{}:{}", rig.user_at_host(), there.display());
        let output = finish(rig.client("scp").args(mode).arg("-p").arg(&here).arg(&remote).spawn().unwrap()).await;
        assert!(output.status.success(), "{mode:?}: {}", text(&output.stderr));
        same(&here, &there);
        let output = finish(rig.client("scp").args(mode).arg("-p").arg(&remote).arg(&back).spawn().unwrap()).await;
        assert!(output.status.success(), "{mode:?}: {}", text(&output.stderr));
        same(&here, &back);
        std::fs::remove_file(&back).unwrap();
        std::fs::remove_file(&there).unwrap();
    }
}

/// Gives back what it is sent, on the target's side.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    port
}

/// Sends noise through and wants it back, both ways at once.
async fn goes_round<S: AsyncRead + AsyncWrite>(stream: S) {
    let (read, write) = tokio::io::split(stream);
    goes(read, write).await;
}

async fn goes(mut read: impl AsyncRead + Unpin, mut write: impl AsyncWrite + Unpin) {
    let noise = noise();
    let sending = async {
        write.write_all(&noise).await.unwrap();
        write.shutdown().await.unwrap();
        drop(write);
    };
    let mut back = Vec::new();
    let all = async { tokio::join!(sending, read.read_to_end(&mut back)) };
    tokio::time::timeout(SOON, all).await.expect("it stalls").1.unwrap();
    assert!(back == noise, "{} bytes came back of {}", back.len(), noise.len());
}

/// A client that only forwards.
fn forwards(rig: &Rig, options: &[&str]) -> Child {
    rig.ssh(&[&["-N", "-o", "ExitOnForwardFailure=yes"], options].concat(), "").spawn().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a client of the forward, outside the product")]
async fn connect(port: u16) -> TcpStream {
    let end = tokio::time::Instant::now() + SOON;
    loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => return stream,
            Err(error) => assert!(tokio::time::Instant::now() < end, "nobody listens: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn free() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_are_forwarded_from_here_there_and_by_socks() {
    let rig = Rig::new().await;
    let (service, local, remote, socks) = (echo().await, free(), free(), free());
    let there = format!("{local}:127.0.0.1:{service}");
    let back = format!("{remote}:127.0.0.1:{service}");
    let ssh = forwards(&rig, &["-L", &there, "-R", &back, "-D", &socks.to_string()]);
    goes_round(connect(local).await).await;
    // On the target's side: sshd listens there.
    goes_round(connect(remote).await).await;
    let mut stream = connect(socks).await;
    let [high, low] = service.to_be_bytes();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer[..2]).await.unwrap();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[1], 0, "the proxy says no");
    goes_round(stream).await;
    drop(ssh);
    rig.bench.returned(SOON).await.unwrap();
    let opened = rig.bench.desk.entries_of("channel.opened");
    let opened: Vec<&str> = opened.iter().map(|entry| entry.text.as_str()).collect();
    let to = format!("channel:forward_local 127.0.0.1:{service}");
    let from = format!("channel:forward_remote localhost:{remote}");
    // The listener and what came to it.
    for (action, times) in [(&to, 2), (&from, 2)] {
        assert_eq!(opened.iter().filter(|text| *text == action).count(), times, "{action}: {opened:?}");
    }
    let flows = rig.bench.events().await.unwrap().into_iter().filter_map(|event| match event.what {
        What::Mark { kind, text } if kind == "flow" => Some(text),
        _ => None,
    });
    assert_eq!(flows.filter(|flow| *flow == format!("{SIZE} up, {SIZE} down")).count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_input_and_sockets_are_forwarded() {
    let rig = Rig::new().await;
    let service = echo().await;
    let mut child = rig.ssh(&["-W", &format!("127.0.0.1:{service}")], "").stdin(Stdio::piped()).spawn().unwrap();
    goes(child.stdout.take().unwrap(), child.stdin.take().unwrap()).await;
    // A socket there, heard here; and one here, heard there.
    let (here, there) = (rig.fixed.home().join("here.sock"), rig.scratch().join("there.sock"));
    let back = format!("{}:127.0.0.1:{service}", there.display());
    let on = format!("{}:{}", here.display(), there.display());
    let _ssh = forwards(&rig, &["-R", &back, "-L", &on]);
    until(SOON, || here.exists() && there.exists()).await.unwrap();
    goes_round(UnixStream::connect(&here).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_goes_along_where_it_is_permitted() {
    let rig = Rig::new().await;
    let socket = rig.fixed.home().join("agent.sock");
    let agent = tokio::process::Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let _agent = agent.unwrap();
    until(SOON, || socket.exists()).await.unwrap();
    let key = rig.fixed.home().join("mine");
    sallyport_testkit::sshd::keygen(&key).unwrap();
    let add = tokio::process::Command::new("ssh-add").env("SSH_AUTH_SOCK", &socket).arg(&key).output().await.unwrap();
    assert!(add.status.success(), "{}", text(&add.stderr));
    let run = |rig: &Rig| {
        let mut ssh = rig.ssh(&["-A"], "ssh-add -L");
        ssh.env("SSH_AUTH_SOCK", &socket);
        finish(ssh.spawn().unwrap())
    };
    let public = sallyport_testkit::sshd::public(&key.with_extension("pub")).unwrap();
    let output = run(&rig).await;
    assert!(text(&output.stdout).contains(&public), "{}{}", text(&output.stdout), text(&output.stderr));
    rig.bench.desk.forbid([Channel::Agent]);
    let output = run(&rig).await;
    assert!(text(&output.stderr).contains("channel:agent"), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains(&public));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x11_goes_along_where_it_is_permitted() {
    let rig =
        Rig::configured("X11Forwarding yes\nXAuthLocation /usr/bin/xauth\nX11DisplayOffset 310\n", |_, _| {}).await;
    // An X server that only reads who comes.
    let listener = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if listener.local_addr().unwrap().port() > 6000 {
            break listener;
        }
    };
    let display = format!("127.0.0.1:{}", listener.local_addr().unwrap().port() - 6000);
    let authority = rig.fixed.home().join("xauthority");
    let cookie = "00112233445566778899aabbccddeeff";
    let mut xauth = tokio::process::Command::new("xauth");
    xauth.arg("-f").arg(&authority).args(["add", &display, "MIT-MAGIC-COOKIE-1", cookie]);
    let added = xauth.output().await.unwrap();
    assert!(added.status.success(), "{}", text(&added.stderr));
    let knock = r"n=${DISPLAY##*:}; n=${n%.*}; set -- $(xauth list $DISPLAY); exec 3<>/dev/tcp/127.0.0.1/$((6000 + n));
        printf 'l\000\013\000\000\000\022\000\020\000\000\000MIT-MAGIC-COOKIE-1\000\000' >&3
        printf $(echo $3 | sed 's/../\\x&/g') >&3; head -c 5 <&3";
    let mut ssh = rig.ssh(&["-Y", "-o", "ForwardX11=yes"], knock);
    ssh.env("DISPLAY", &display).env("XAUTHORITY", &authority);
    let child = ssh.spawn().unwrap();
    let (mut stream, _) = tokio::time::timeout(SOON, listener.accept()).await.expect("nobody knocked").unwrap();
    let mut setup = [0; 48];
    stream.read_exact(&mut setup).await.unwrap();
    let real = u128::from_str_radix(cookie, 16).unwrap().to_be_bytes();
    assert_eq!(setup[32..], real, "the client puts the real cookie in the false one's place");
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(text(&finish(child).await.stdout), "hello");
    rig.bench.desk.forbid([Channel::X11]);
    let mut ssh = rig.ssh(&["-Y", "-o", "ForwardX11=yes"], "echo display=$DISPLAY");
    ssh.env("DISPLAY", &display).env("XAUTHORITY", &authority);
    let output = finish(ssh.spawn().unwrap()).await;
    assert_eq!(text(&output.stdout), "display=\n");
    assert!(text(&output.stderr).contains("channel:x11"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_opens_without_its_decision_and_the_target_never_hears_of_it() {
    let rig = Rig::new().await;
    rig.bench.desk.forbid(Channel::ALL);
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("127.0.0.1:{}", service.local_addr().unwrap().port());
    let (local, remote) = (free(), free());
    let lines = [
        (rig.ssh(&["-W", &to], ""), "channel:forward_local"),
        (
            rig.ssh(&["-N", "-o", "ExitOnForwardFailure=yes", "-R", &format!("{remote}:{to}")], ""),
            "channel:forward_remote",
        ),
        (rig.ssh(&[], "true"), "channel:exec"),
        (rig.ssh(&["-tt"], ""), "channel:shell"),
        (rig.ssh(&["-s"], "sftp"), "channel:sftp"),
        (rig.ssh(&["-s"], "netconf"), "channel:subsystem"),
    ];
    for (mut ssh, action) in lines {
        let output = finish(ssh.spawn().unwrap()).await;
        assert!(!output.status.success(), "{action}");
        let denied = rig.bench.desk.entries_of("channel.denied");
        assert!(denied.iter().any(|entry| entry.text.starts_with(action)), "{action}: {denied:?}");
    }
    let ssh = forwards(&rig, &["-L", &format!("{local}:{to}")]);
    let mut stream = connect(local).await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    drop(ssh);
    rig.bench.returned(SOON).await.unwrap();
    assert!(rig.bench.desk.entries_of("channel.opened").is_empty());
    let came = tokio::time::timeout(Duration::from_millis(100), service.accept()).await;
    assert!(came.is_err(), "the target's side was connected to");
    let log = rig.server.sshd.log();
    assert!(!log.contains("Starting session") && !log.contains("forward"), "{log}");
}

/// A client cannot fill the ledger by asking for what it is denied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_on_asking_is_made_to_wait() {
    let rig = Rig::new().await;
    rig.bench.desk.forbid([Channel::ForwardRemote]);
    let forwards: Vec<String> = (1..=40).flat_map(|port| ["-R".into(), format!("{port}:127.0.0.1:22")]).collect();
    let forwards: Vec<&str> = forwards.iter().map(String::as_str).collect();
    let output = rig.run(&forwards, "echo still here").await;
    assert_eq!(text(&output.stdout), "still here\n");
    rig.bench.returned(SOON).await.unwrap();
    let denied = rig.bench.desk.entries_of("channel.denied").len();
    assert!((20..40).contains(&denied), "{denied} entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_through_the_gateway_is_a_decision_of_its_own() {
    let rig = Rig::new().await;
    rig.bench.desk.forbid([Channel::ForwardLocal]);
    let output = rig.run(&["-W", "web-2:22"], "").await;
    assert!(
        text(&output.stderr).contains("channel:forward_local web-2:22 is not permitted"),
        "{}",
        text(&output.stderr)
    );
}
