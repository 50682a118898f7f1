//! Too much of one thing, or too little: floods of banners and extensions, windows of nothing, and bytes that drip.

use crate::rig::{Heard, Rig, text};
use crate::scripted::{self, asked_in, channels, exec, knock, let_in, signed_in, soon, until, words};
use bytes::Bytes;
use sallyport_gateway::conformance::bench::until as becomes;
use sallyport_model::Timestamp;
use sallyport_model::access::EndReason;
use sallyport_model::steering::{Pause, Steering};
use sallyport_ssh_transport::link::{Arrival, Said};
use sallyport_ssh_transport::wire::{Cursor, Put as _};
use sallyport_ssh_transport::{Error, Leg, auth};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

const SOON: Duration = Duration::from_secs(20);

/// A target that says something so many times before it lets its client in.
async fn flooding(times: u32, fill: fn(&mut Vec<u8>)) -> Rig {
    let (port, public) = scripted::target(move |leg| async move { drop(floods(leg, times, fill).await) }).await;
    Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![public])).await
}

async fn floods(mut leg: scripted::Wire, times: u32, fill: fn(&mut Vec<u8>)) -> Result<(), Error> {
    asked_in(&mut leg).await?;
    for _ in 0..times {
        leg.send(fill)?;
    }
    leg.send(|out| out.byte(auth::SUCCESS))?;
    leg.flush().await?;
    leg.authenticated();
    let (_link, mut arrivals) = channels(leg);
    while let Some(arrival) = arrivals.next().await {
        if let Arrival::Open(opening) = arrival
            && let Some((mut read, write)) = opening.accept()
            && scripted::begun(&mut read, &write).await
        {
            let _ = write.data(Bytes::from_static(b"in\n")).await;
            scripted::ended(&write);
        }
    }
    Ok(())
}

/// `SSH_MSG_EXT_INFO` (RFC 8308 section 2.3).
fn extensions(out: &mut Vec<u8>) {
    out.byte(7);
    out.uint32(1);
    out.string(b"server-sig-algs");
    out.string(b"ssh-ed25519");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_may_show_a_few_banners_and_extensions_and_no_flood_of_either() {
    let banner: fn(&mut Vec<u8>) = |out| auth::banner(out, "welcome\r\n");
    for (times, fill, refused) in [
        (16, banner, None),
        (17, banner, Some("too many banners")),
        (16, extensions, None),
        (600, extensions, Some("too many packets before it is authenticated")),
    ] {
        let rig = flooding(times, fill).await;
        let output = rig.run(&[], "x").await;
        let said = text(&output.stderr);
        match refused {
            None => assert_eq!(text(&output.stdout), "in\n", "{said}"),
            Some(why) => {
                assert!(said.contains(why), "{said}");
                rig.bench.returned(SOON).await.unwrap();
                assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::DialFail);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_floods_with_extensions_before_it_is_known_is_cut_off() {
    let rig = Rig::new().await;
    let mut leg = knock(&rig).await;
    for _ in 0..600 {
        leg.send(extensions).unwrap();
    }
    match soon(leg.receive()).await {
        Err(Error::Disconnected(why)) => assert!(why.contains("too many packets"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(text(&rig.run(&[], "echo alive").await.stdout), "alive\n");
}

/// Sends a message of the connection layer: its number, its channel, and the rest.
fn say(leg: &mut scripted::Wire, number: u8, channel: u32, rest: &[u8]) {
    leg.send(|out| {
        out.byte(number);
        out.uint32(channel);
        out.bytes(rest);
    })
    .unwrap();
}

/// Opens a session with this window and runs a command in it.
async fn begin(leg: &mut scripted::Wire, (ours, window): (u32, u32), command: &str) -> u32 {
    leg.send(|out| {
        out.byte(90);
        out.string(b"session");
        [ours, window, 1 << 15].into_iter().for_each(|number| out.uint32(number));
    })
    .unwrap();
    let opened = next(leg, &[91]).await;
    let theirs = Cursor::new(&opened[5..]).uint32().unwrap();
    say(leg, 98, theirs, &words(&["exec"], &[&[1][..], &words(&[command], b"")].concat()));
    next(leg, &[99]).await;
    theirs
}

/// The next message with one of these numbers; of those without, windows alone may come.
async fn next(leg: &mut scripted::Wire, numbers: &[u8]) -> Bytes {
    loop {
        let message = soon(leg.receive()).await.unwrap();
        if numbers.contains(&message[0]) {
            return message;
        }
        assert!(matches!(message[0], 93 | 95), "message {} came", message[0]);
    }
}

/// The channel and the bytes of a message of data.
fn data(message: &[u8]) -> (u32, &[u8]) {
    let mut cursor = Cursor::new(&message[1..]);
    (cursor.uint32().unwrap(), cursor.string().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_nothing_is_waited_at_kept_to_the_byte_and_stalls_no_neighbour() {
    let rig = Rig::new().await;
    let mut leg = signed_in(&rig, "ops").await;
    let shut = begin(&mut leg, (7, 0), "head -c 3000000 /dev/zero").await;
    // Beside it, on the same connection, one that is open wide.
    begin(&mut leg, (8, 1 << 22), "head -c 2000000 /dev/zero; sleep 60").await;
    let mut beside = 0;
    while beside < 2_000_000 {
        let message = next(&mut leg, &[94]).await;
        let (channel, bytes) = data(&message);
        assert_eq!(channel, 8, "a byte that no window let through");
        beside += bytes.len();
    }
    // Ten bytes are let through, and never one more.
    say(&mut leg, 93, shut, &10_u32.to_be_bytes());
    let mut seen = 0;
    while seen < 10 {
        let message = next(&mut leg, &[94]).await;
        let (channel, bytes) = data(&message);
        assert_eq!(channel, 7);
        seen += bytes.len();
    }
    assert_eq!(seen, 10);
    let more = tokio::time::timeout(Duration::from_millis(300), leg.receive()).await;
    assert!(more.is_err(), "{more:?}");
    rig.bench.desk.kill_all();
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::Kill);
}

/// A target whose client may send it nothing.
async fn takes_nothing(leg: scripted::Wire) -> Result<(), Error> {
    let mut leg: Leg<TcpStream> = let_in(leg).await?;
    let mut sent = false;
    loop {
        let message = leg.receive().await?;
        match message[0] {
            90 => {
                let mut cursor = Cursor::new(&message[1..]);
                cursor.string()?;
                let theirs = cursor.uint32()?;
                say(&mut leg, 91, theirs, &[[0; 4], [0; 4], [0, 0, 0x80, 0]].concat());
            }
            98 if !sent => {
                sent = true;
                say(&mut leg, 99, 0, b"");
                say(&mut leg, 94, 0, &words(&["ready"], b""));
            }
            94 => panic!("bytes that no window let through"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_takes_nothing_holds_its_client_and_not_the_end_of_the_session() {
    let (port, public) = scripted::target(|leg| async move { drop(takes_nothing(leg).await) }).await;
    let rig = Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![public])).await;
    let (link, _arrivals) = channels(signed_in(&rig, "ops").await);
    let (mut read, write) = exec(&link, "x").await;
    until(&mut read, "ready").await;
    let sending = tokio::spawn(async move { write.data(Bytes::from(vec![b'x'; 16 << 20])).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!sending.is_finished(), "more was taken than the target takes");
    rig.bench.desk.kill_all();
    while !matches!(soon(read.next()).await, Said::Close) {}
    assert!(sending.await.unwrap().is_err());
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes()[0].reason, EndReason::Kill);
}

/// How long a client may take to sign in, in the gateway that tests are given.
const LOGIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_drip_a_byte_a_second_are_cut_off_in_time_and_their_places_come_back() {
    let rig = Rig::new().await;
    let begun = tokio::time::Instant::now();
    let mut dripping = tokio::task::JoinSet::new();
    for number in 0..32 {
        #[expect(clippy::disallowed_methods, reason = "a hostile client")]
        let stream = TcpStream::connect(rig.bench.address).await.unwrap();
        // Half of them have said who they are, and drip a packet that claims as much as one may.
        let begins: &[u8] = if number % 2 == 0 { b"SSH-2.0-" } else { b"SSH-2.0-slow\r\n\0\0\x88\x04\x04\x14" };
        dripping.spawn(drip(stream, begins));
    }
    // Every place of this address is taken.
    #[expect(clippy::disallowed_methods, reason = "one more client")]
    let mut late = TcpStream::connect(rig.bench.address).await.unwrap();
    assert_eq!(tokio::time::timeout(SOON, late.read(&mut [0; 64])).await.unwrap().unwrap_or(0), 0);
    while let Some(cut) = dripping.join_next().await {
        let lasted = cut.unwrap() - begun;
        assert!(lasted > LOGIN - Duration::from_secs(2) && lasted < LOGIN + Duration::from_secs(10), "{lasted:?}");
    }
    assert_eq!(text(&rig.run(&[], "echo after").await.stdout), "after\n");
    assert!(rig.bench.desk.entries_of("session.opened").len() == 1);
}

/// Writes a byte a second until it is cut off, and tells when.
async fn drip(stream: TcpStream, begins: &[u8]) -> tokio::time::Instant {
    let (mut read, mut write) = stream.into_split();
    write.write_all(begins).await.unwrap();
    let dripping = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut said = [0; 4096];
    while let Ok(1..) = read.read(&mut said).await {}
    dripping.abort();
    tokio::time::Instant::now()
}

/// A client that only forwards, from a port of this machine.
async fn forwards(rig: &Rig) -> (Child, TcpStream, TcpStream) {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forward = format!("{local}:127.0.0.1:{}", service.local_addr().unwrap().port());
    let child = rig.ssh(&["-N", "-o", "ExitOnForwardFailure=yes", "-L", &forward], "").spawn().unwrap();
    let near = soon(async {
        loop {
            #[expect(clippy::disallowed_methods, reason = "a client of the forward, outside the product")]
            let stream = TcpStream::connect(("127.0.0.1", local)).await;
            match stream {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    let (far, _) = soon(service.accept()).await.unwrap();
    (child, near, far)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_what_flows_through_a_forward_both_ways_and_loses_nothing_of_it() {
    let rig = Rig::new().await;
    let (mut child, mut near, mut far) = forwards(&rig).await;
    let mut five = [0; 5];
    for (from, to) in [(&mut near, &mut far)] {
        from.write_all(b"first").await.unwrap();
        soon(to.read_exact(&mut five)).await.unwrap();
        to.write_all(b"reply").await.unwrap();
        soon(from.read_exact(&mut five)).await.unwrap();
    }
    let mut steering = Steering::default();
    steering.pause(Some(Pause { by: "carol".parse().unwrap(), reason: "drill".into(), since: Timestamp(0) }));
    rig.bench.desk.steer_all(&steering);
    tokio::time::sleep(Duration::from_millis(500)).await;
    near.write_all(b"there").await.unwrap();
    far.write_all(b"backs").await.unwrap();
    let held = Duration::from_millis(700);
    let there = tokio::time::timeout(held, far.read_exact(&mut five)).await;
    assert!(there.is_err(), "it went through a session that is paused");
    let back = tokio::time::timeout(held, near.read_exact(&mut five)).await;
    assert!(back.is_err(), "it came through a session that is paused");
    assert!(child.try_wait().unwrap().is_none(), "the client hung up");
    steering.pause(None);
    rig.bench.desk.steer_all(&steering);
    soon(far.read_exact(&mut five)).await.unwrap();
    assert_eq!(&five, b"there");
    soon(near.read_exact(&mut five)).await.unwrap();
    assert_eq!(&five, b"backs");
    let told = Heard::of(child.stderr.take().unwrap());
    drop((near, far));
    rig.bench.desk.kill_all();
    becomes(SOON, || child.try_wait().unwrap().is_some()).await.unwrap();
    drop(told);
    rig.bench.returned(SOON).await.unwrap();
}
