//! Nothing opens before its time: every kind of channel and request, before somebody is known, while a session waits, where
//! it is denied, and after; and nothing at all that a target begins unasked.

use crate::rig::Rig;
use crate::scripted::{self, begun, channels, ended, exec, knock, let_in, name, place, signed_in, soon, until, words};
use bytes::Bytes;
use sallyport_gateway::conformance::Oracle as _;
use sallyport_model::access::Channel;
use sallyport_recording::What;
use sallyport_ssh_transport::link::{Arrival, Link, NotOpened, Said, Writer, code};
use sallyport_ssh_transport::wire::Put as _;
use sallyport_ssh_transport::{Error, auth};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(15);

/// Channels that a client may want, by their kind: a shell or a command is wanted in the first.
fn openings(port: u16, path: &str) -> Vec<(&'static str, Bytes)> {
    let to = |host: &str| Bytes::from([place(host, port), place("127.0.0.1", 4711)].concat());
    vec![
        ("session", Bytes::new()),
        ("direct-tcpip", to("127.0.0.1")),
        ("direct-streamlocal@openssh.com", words(&[path, ""], &[0; 4])),
        ("x11", place("127.0.0.1", 4711).into()),
        ("auth-agent@openssh.com", Bytes::new()),
        ("forwarded-tcpip", to("127.0.0.1")),
        ("unheard-of@example.com", Bytes::new()),
    ]
}

/// What it may ask of the whole connection.
fn globals(path: &str) -> Vec<(&'static str, Bytes)> {
    vec![("tcpip-forward", place("127.0.0.1", 0).into()), ("streamlocal-forward@openssh.com", words(&[path], b""))]
}

/// What it may ask in a channel before its program.
fn prelude() -> Vec<(&'static str, Bytes)> {
    let size = [[0, 0, 0, 80], [0, 0, 0, 24], [0; 4], [0; 4]].concat();
    vec![
        ("env", words(&["LC_TEST", "kept"], b"")),
        ("pty-req", words(&["vt220"], &[size, vec![0; 4]].concat())),
        ("x11-req", Bytes::from([&[0][..], &words(&["MIT-MAGIC-COOKIE-1", "00112233"], &[0; 4])].concat())),
        ("auth-agent-req@openssh.com", Bytes::new()),
    ]
}

/// Programs.
fn programs() -> Vec<(&'static str, Bytes)> {
    let named = |name: &str| words(&[name], b"");
    vec![
        ("shell", Bytes::new()),
        ("exec", named("true")),
        ("subsystem", named("sftp")),
        ("subsystem", named("netconf")),
    ]
}

/// Every one of them as a message (RFC 4254 sections 4, 5.1 and 5.4), with its name.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    for (kind, data) in openings(22, "/run/x") {
        let mut message = vec![90];
        message.string(kind.as_bytes());
        [0, 1 << 20, 1 << 15].into_iter().for_each(|number| message.uint32(number));
        all.push((kind, [message, data.to_vec()].concat()));
    }
    for (kind, data) in globals("/run/y") {
        all.push((kind, [&[80][..], &words(&[kind], &[1]), &data].concat()));
    }
    let signal = [("signal", words(&["INT"], b"")), ("break", Bytes::from_static(&[0; 4]))];
    for (kind, data) in prelude().into_iter().chain(programs()).chain(signal) {
        all.push((kind, [&[98, 0, 0, 0, 0][..], &words(&[kind], &[1]), &data].concat()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_anything_before_signing_in_is_cut_off() {
    let rig = Rig::new().await;
    for (kind, message) in messages() {
        // Right at the door, and half-way in.
        for asked in [false, true] {
            let mut leg = knock(&rig).await;
            if asked {
                leg.send(|out| auth::to_be_asked(out, &name(&rig, "ada+ops"))).unwrap();
                assert_eq!(leg.receive().await.unwrap()[0], auth::MORE);
            }
            leg.send(|out| out.bytes(&message)).unwrap();
            match soon(leg.receive()).await {
                Err(Error::Disconnected(why)) => assert!(why.contains("out of turn"), "{kind}: {why}"),
                other => panic!("{kind}: {other:?}"),
            }
        }
    }
    assert_eq!(rig.server.connections(), 0);
    assert!(rig.bench.desk.entries().is_empty(), "{:?}", rig.bench.desk.entries());
}

/// Asks for every channel and listener there is, all at once; each tells its name and whether it was granted.
fn ask_for_all(link: &Link, port: u16, paths: [&str; 2]) -> mpsc::UnboundedReceiver<(&'static str, bool)> {
    let (tell, told) = mpsc::unbounded_channel();
    for (kind, data) in openings(port, paths[0]) {
        let (link, tell) = (link.clone(), tell.clone());
        tokio::spawn(async move {
            let opened = link.open(kind, data).await;
            tell.send((kind, opened.is_ok())).unwrap();
            let _held = opened;
            std::future::pending::<()>().await;
        });
    }
    for (kind, data) in globals(paths[1]) {
        let (link, tell) = (link.clone(), tell.clone());
        tokio::spawn(async move {
            let granted = matches!(link.global(kind, data).await, Ok(Some(_)));
            let _ = tell.send((kind, granted));
        });
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_opens_while_a_session_waits_and_all_of_it_by_decision_after() {
    let rig = Rig::new().await;
    let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = |name: &str| rig.scratch().join(name).display().to_string();
    let (here, there) = (path("here"), path("there"));
    let _socket = tokio::net::UnixListener::bind(&here).unwrap();
    std::fs::set_permissions(&here, std::fs::Permissions::from_mode(0o777)).unwrap();
    let (link, _arrivals) = channels(signed_in(&rig, "held").await);
    let (mut read, write) = link.open("session", Bytes::new()).await.unwrap();
    for (kind, data) in prelude() {
        write.request(kind, true, data).unwrap();
        assert_eq!(soon(read.next()).await, Said::Answer(true), "{kind}");
    }
    write.request("shell", false, Bytes::new()).unwrap();
    until(&mut read, "req_1").await;
    // No signal that ends a shell which has not set its traps up yet.
    write.request("signal", false, words(&["URG"], b"")).unwrap();
    write.data(Bytes::from_static(b"echo typed meanwhile\r")).await.unwrap();
    let mut told = ask_for_all(&link, service.local_addr().unwrap().port(), [&here, &there]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early = told.try_recv();
    assert!(early.is_err(), "{early:?} while it waits");
    assert_eq!(rig.server.connections(), 0, "the target heard of a session that waits");
    assert!(rig.bench.desk.entries().is_empty(), "{:?}", rig.bench.desk.entries());
    assert!(!std::path::Path::new(&there).exists());

    rig.bench.desk.approve();
    let mut granted = BTreeSet::new();
    for _ in 0..9 {
        let (kind, yes) = soon(told.recv()).await.unwrap();
        if yes {
            granted.insert(kind);
        }
    }
    let wanted = ["direct-streamlocal@openssh.com", "direct-tcpip", "session", "streamlocal-forward@openssh.com"];
    assert_eq!(granted, wanted.into_iter().chain(["tcpip-forward"]).collect());
    until(&mut read, "typed meanwhile").await;
    let opened: BTreeSet<String> = rig.bench.desk.entries_of("channel.opened").into_iter().map(|e| e.text).collect();
    for kind in ["shell", "x11", "agent", "forward_local", "forward_remote", "forward_socket"] {
        assert!(opened.iter().any(|text| text.starts_with(&format!("channel:{kind}"))), "{kind}: {opened:?}");
    }
    // The target is the oracle: it tells of what was kept from it before.
    assert_eq!(rig.server.connections(), 1);
    assert!(std::path::Path::new(&there).exists() && rig.server.sshd.log().contains("Starting session: shell"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_opens_for_whoever_is_denied() {
    let rig = Rig::new().await;
    for (program, data) in programs() {
        let (link, _arrivals) = channels(signed_in(&rig, "denied").await);
        for (kind, data) in openings(22, "/run/x").into_iter().filter(|(kind, _)| *kind != "session") {
            let refused = soon(link.open(kind, data)).await.err();
            assert!(matches!(refused, Some(NotOpened::Refused { code: code::PROHIBITED, .. })), "{kind}: {refused:?}");
        }
        for (kind, data) in globals("/run/y") {
            assert_eq!(soon(link.global(kind, data)).await.unwrap(), None, "{kind}");
        }
        // One channel opens, to be told in.
        let (mut read, write) = link.open("session", Bytes::new()).await.unwrap();
        for (kind, data) in prelude().into_iter().chain([(program, data)]) {
            write.request(kind, false, data).unwrap();
        }
        write.request("signal", false, words(&["INT"], b"")).unwrap();
        until(&mut read, "sallyport: ").await;
        while !matches!(soon(read.next()).await, Said::Close) {}
        link.disconnect(11, "bye");
    }
    assert_eq!(rig.server.connections(), 0);
    assert!(rig.bench.desk.entries().is_empty(), "{:?}", rig.bench.desk.entries());
}

/// A target that begins one channel of each kind as soon as a program is wanted of it, and then lets that end.
async fn begins(leg: scripted::Wire, tell: mpsc::UnboundedSender<(&'static str, Option<NotOpened>)>) {
    let Ok(leg) = let_in(leg).await else { return };
    let (link, mut arrivals) = channels(leg);
    while let Some(arrival) = arrivals.next().await {
        let Arrival::Open(opening) = arrival else { continue };
        let Some((mut read, write)) = opening.accept() else { return };
        if !begun(&mut read, &write).await {
            return;
        }
        let mut kinds = openings(22, "/run/x");
        kinds.push(("forwarded-streamlocal@openssh.com", words(&["/run/y", ""], b"")));
        for (kind, data) in kinds {
            let _ = tell.send((kind, link.open(kind, data).await.err()));
        }
        let _ = write.data(Bytes::from_static(b"done\n")).await;
        ended(&write);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_begins_unasked_or_denied_is_refused_each_time_and_told_of_once() {
    for asked in [false, true] {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (port, public) = scripted::target(move |leg| begins(leg, tell.clone())).await;
        let rig = Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![public])).await;
        rig.bench.desk.forbid([Channel::X11, Channel::Agent, Channel::ForwardRemote, Channel::ForwardSocket]);
        let (link, mut arrivals) = channels(signed_in(&rig, "ops").await);
        let (mut read, write) = link.open("session", Bytes::new()).await.unwrap();
        if asked {
            for (kind, data) in globals("/run/y") {
                assert_eq!(soon(link.global(kind, data)).await.unwrap(), None, "{kind}");
            }
            prelude().into_iter().for_each(|(kind, data)| write.request(kind, false, data).unwrap());
        }
        write.request("exec", false, words(&["x"], b"")).unwrap();
        until(&mut read, "done").await;
        drop((read, write));
        link.disconnect(11, "bye");
        while let Some(arrival) = soon(arrivals.next()).await {
            assert!(!matches!(arrival, Arrival::Open(_)), "a channel of the target's came through");
        }
        let mut refused = 0;
        while let Ok((kind, how)) = told.try_recv() {
            assert!(matches!(how, Some(NotOpened::Refused { code: code::PROHIBITED, .. })), "{kind}: {how:?}");
            refused += 1;
        }
        assert_eq!(refused, 8);
        rig.bench.returned(SOON).await.unwrap();
        let denied: Vec<String> = rig.bench.desk.entries_of("channel.denied").into_iter().map(|e| e.text).collect();
        assert_eq!(denied.iter().filter(|text| text.starts_with("channel:stream")).count(), 1, "{denied:?}");
        assert_eq!(denied.len(), if asked { 5 } else { 1 }, "{denied:?}");
        let events = rig.bench.events().await.unwrap();
        let noted = |what: &What| matches!(what, What::Mark { kind, text } if kind == "refused" && text.starts_with("channel:stream"));
        assert_eq!(events.iter().filter(|event| noted(&event.what)).count(), refused, "the recording has each");
    }
}

/// Something that is told to a running program.
async fn tell(write: &Writer, kind: &str, data: Bytes) {
    write.request(kind, false, data).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_and_a_break_reach_the_program_and_the_recording() {
    let rig = Rig::new().await;
    let (link, _arrivals) = channels(signed_in(&rig, "ops").await);
    let waits = "trap 'echo got-usr1' USR1; trap 'echo got-int; exit 7' INT; echo ready; while :; do sleep 0.1; done";
    let (mut read, write) = exec(&link, waits).await;
    until(&mut read, "ready").await;
    tell(&write, "signal", words(&["USR1"], b"")).await;
    until(&mut read, "got-usr1").await;
    tell(&write, "signal", words(&["INT"], b"")).await;
    // A server may tell how the program ended before the last of what it wrote.
    let (mut shown, mut status) = (String::new(), Bytes::new());
    loop {
        match soon(read.next()).await {
            Said::Data(data) => shown.push_str(&String::from_utf8_lossy(&data)),
            Said::Request(kind, _, data) if kind == "exit-status" => status = data,
            Said::Close => break,
            _ => {}
        }
    }
    assert!(shown.contains("got-int") && status[..] == [0, 0, 0, 7], "{shown:?} {status:?}");
    link.disconnect(11, "bye");
    rig.bench.returned(SOON).await.unwrap();
    let events = rig.bench.events().await.unwrap();
    let signals: Vec<&str> = events
        .iter()
        .filter_map(|e| if let What::Signal(name) = &e.what { Some(name.as_str()) } else { None })
        .collect();
    assert_eq!(signals, ["USR1", "INT"]);

    // What a terminal line does with a break is its own: a target that shows what it was told.
    let (tell_us, mut heard) = mpsc::unbounded_channel();
    let (port, public) = scripted::target(move |leg| hears(leg, tell_us.clone())).await;
    let rig = Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![public])).await;
    let (link, _arrivals) = channels(signed_in(&rig, "ops").await);
    let (mut read, write) = exec(&link, "x").await;
    write.request("break", true, Bytes::from_static(&[0, 0, 1, 0xf4])).unwrap();
    assert_eq!(soon(read.next()).await, Said::Answer(true));
    assert_eq!(soon(heard.recv()).await.unwrap(), ("break".to_owned(), Bytes::from_static(&[0, 0, 1, 0xf4])));
    write.request("unheard-of@example.com", true, Bytes::new()).unwrap();
    assert_eq!(soon(read.next()).await, Said::Answer(false), "nothing else goes on");
    link.disconnect(11, "bye");
    rig.bench.returned(SOON).await.unwrap();
    assert!(heard.try_recv().is_err());
    let events = rig.bench.events().await.unwrap();
    let breaks =
        events.iter().filter(|e| matches!(&e.what, What::Mark { kind, text } if kind == "break" && text == "500 ms"));
    assert_eq!(breaks.count(), 1, "{events:?}");
}

/// A target that tells what is asked in a running channel.
async fn hears(leg: scripted::Wire, tell: mpsc::UnboundedSender<(String, Bytes)>) {
    let Ok(leg) = let_in(leg).await else { return };
    let (_link, mut arrivals) = channels(leg);
    while let Some(arrival) = arrivals.next().await {
        let Arrival::Open(opening) = arrival else { continue };
        let Some((mut read, write)) = opening.accept() else { return };
        if !begun(&mut read, &write).await {
            return;
        }
        loop {
            match read.next().await {
                Said::Request(name, _, data) => drop(tell.send((name, data))),
                Said::Close => break,
                _ => {}
            }
        }
    }
}
