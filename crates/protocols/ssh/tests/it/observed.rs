//! Sessions that must be observed, of clients that begin no program: forwards alone, and jumps.

use crate::rig::{Heard, Rig, finish, text};
use sallyport_gateway::conformance::Oracle as _;
use sallyport_gateway::conformance::bench::until;
use sallyport_model::access::EndReason;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(15);
const WAITS: &str = "waiting for an observer";

/// Greets whoever connects, on the target's side, and stays.
async fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            stream.try_write(b"hello\n").unwrap();
            held.push(stream);
        }
    });
    port
}

/// Somebody who comes to this port: what they are told; nothing where they are turned away.
#[expect(clippy::disallowed_methods, reason = "a client of the forward, outside the product")]
async fn come(port: u16) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let mut told = [0; 6];
    timeout(SOON, stream.read_exact(&mut told)).await.expect("nobody answers").ok()?;
    assert_eq!(&told, b"hello\n");
    Some(stream)
}

async fn comes_through(port: u16) -> TcpStream {
    let coming = async {
        loop {
            match come(port).await {
                Some(stream) => return stream,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(SOON, coming).await.expect("nobody comes through")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwards_alone_and_jumps_wait_for_an_observer_and_go_on_with_what_they_have_begun() {
    let rig = Rig::with(|target, _| target.limits.four_eyes = true).await;
    let (service, local) = (greeter().await, sallyport_testkit::product::free_port().unwrap());
    let to = format!("127.0.0.1:{service}");
    // It asks every second whether the gateway is there, behind a question that waits for the observer.
    let alive = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3"];
    let (near, far) = (format!("{local}:{to}"), format!("0:{to}"));
    let forwards = [&["-N", "-L", &near, "-R", &far][..], &alive].concat();
    let mut alone = rig.ssh(&forwards, "").spawn().unwrap();
    let said = Heard::of(alone.stderr.take().unwrap());
    let mut jump = rig.ssh(&["-v", "-W", &to], "").stdin(Stdio::piped()).spawn().unwrap();
    let (heard, told) = (Heard::of(jump.stdout.take().unwrap()), Heard::of(jump.stderr.take().unwrap()));
    until(SOON, || told.has("sallyport: waiting for an observer: this session goes on")).await.unwrap();
    // Whoever comes to a forward meanwhile is turned away, and its terminal says why.
    let turned_away = async {
        while !said.has(WAITS) {
            assert!(come(local).await.is_none(), "somebody came through");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON, turned_away).await.expect("it is not told");
    assert!(said.has("open failed") && said.has("connect through here again then"), "{}", said.all());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(alone.try_wait().unwrap().is_none() && jump.try_wait().unwrap().is_none(), "{}", said.all());
    assert!(!said.has("Allocated port") && heard.all().is_empty());
    assert_eq!(rig.server.connections(), 0, "the target was reached");

    rig.bench.desk.watch_all(&"carol".parse().unwrap());
    until(SOON, || heard.has("hello") && said.has("Allocated port")).await.unwrap();
    drop(comes_through(local).await);

    // Nobody looks on: what comes waits, and nothing crosses, until somebody does again.
    rig.bench.desk.unwatch_all();
    until(SOON, || {
        rig.bench.desk.entries_of("session.company").iter().filter(|e| e.text.contains("Waits")).count() == 4
    })
    .await
    .unwrap();
    let waiting = tokio::spawn(come(local));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "somebody came through");
    rig.bench.desk.watch_all(&"carol".parse().unwrap());
    assert!(timeout(SOON, waiting).await.expect("it does not go on").unwrap().is_some());
    rig.bench.desk.kill_all();
    until(SOON, || said.has("killed by the suite")).await.unwrap();
    finish(alone).await;
    finish(jump).await;
    rig.bench.returned(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwards_alone_and_jumps_that_nobody_observes_in_time_are_told_so_and_the_row_says_it() {
    let rig = Rig::with(|target, _| (target.limits.four_eyes, target.limits.hold) = (true, 3)).await;
    let mut rows = Vec::new();
    for options in [&["-N"][..], &["-W", "127.0.0.1:22"]] {
        rows.push(rig.ssh(options, "").spawn().unwrap());
    }
    for child in rows {
        let output = finish(child).await;
        let shown = text(&output.stderr);
        assert!(shown.contains("no observer came in time"), "{shown}");
        assert_eq!(output.status.code(), Some(255), "{shown}");
    }
    rig.bench.returned(SOON).await.unwrap();
    let closes = rig.bench.desk.closes();
    assert_eq!(closes.len(), 2);
    for close in closes {
        assert_eq!((close.reason, close.note.as_str()), (EndReason::Unobserved, "no observer came in time"));
    }
    assert_eq!(rig.server.connections(), 0, "the target was reached");
}
