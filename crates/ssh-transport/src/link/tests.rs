//! Two links over a pipe in memory.

use super::*;
use crate::key::HostKey;
use crate::{Settings, Transport};
use tokio::io::duplex;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

fn bounds() -> Bounds {
    Bounds { channels: 128, quiet: Duration::from_secs(60), patience: 3 }
}

struct Side {
    link: Link,
    arrivals: Arrivals,
}

async fn leg<S: AsyncRead + AsyncWrite + Unpin>(stream: S, settings: Settings) -> Leg<S> {
    let mut leg = Leg::new(stream, Transport::new(Arc::new(settings)).unwrap());
    // Each side shows that it has keys.
    leg.send(|out| out.push(5)).unwrap();
    leg.receive().await.unwrap();
    leg.authenticated();
    leg
}

async fn sides(pipe: usize, rekey: u64) -> (Side, Side) {
    sides_with(pipe, rekey, bounds()).await
}

async fn sides_with(pipe: usize, rekey: u64, bounds: Bounds) -> (Side, Side) {
    let (near, far) = duplex(pipe);
    let random = || -> crate::transport::Random { Arc::new(|bytes: &mut [u8]| bytes.fill(1)) };
    let key = HostKey::from_seed(&[7; 32]).unwrap();
    let client = Settings::client(vec![key.public().to_vec()], random()).rekey_after(rekey);
    let server = Settings::server(key, random()).rekey_after(rekey);
    let (near, far) = tokio::join!(leg(near, client), leg(far, server));
    let side = |leg| {
        let (link, arrivals, driver) = Link::start(leg, bounds);
        tokio::spawn(driver.run());
        Side { link, arrivals }
    };
    (side(near), side(far))
}

/// A channel, from both sides.
async fn channel(near: &mut Side, far: &mut Side) -> ((Reader, Writer), (Reader, Writer)) {
    let accept = async {
        match far.arrivals.next().await {
            Some(Arrival::Open(opening)) => opening.accept().unwrap(),
            _ => panic!("no channel came"),
        }
    };
    let (opened, accepted) = tokio::join!(near.link.open("session", Bytes::new()), accept);
    (opened.unwrap(), accepted)
}

async fn drain(reader: &mut Reader, bytes: usize) {
    let mut seen = 0;
    while seen < bytes {
        match timeout(SOON, reader.next()).await.expect("it stalls") {
            Said::Data(data) => seen += data.len(),
            other => panic!("{other:?} after {seen}"),
        }
    }
    assert_eq!(seen, bytes);
}

#[tokio::test]
async fn bytes_go_both_ways_while_keys_change() {
    let (mut near, mut far) = sides(8 << 10, 100_000).await;
    let ((mut a_read, a_write), (mut b_read, b_write)) = channel(&mut near, &mut far).await;
    const SIZE: usize = 8 << 20;
    let send = |writer: Writer| async move {
        for _ in 0..SIZE / 65536 {
            writer.data(Bytes::from(vec![7; 65536])).await.unwrap();
        }
    };
    let all = async { tokio::join!(send(a_write), send(b_write), drain(&mut a_read, SIZE), drain(&mut b_read, SIZE)) };
    timeout(Duration::from_secs(60), all).await.expect("it stalls");
}

#[tokio::test]
async fn a_channel_that_sleeps_stalls_no_other_and_holds_no_more_than_its_window() {
    let (mut near, mut far) = sides(64 << 10, 1 << 30).await;
    let (mut readers, mut sleeping) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let ((read, write), (far_read, far_write)) = channel(&mut near, &mut far).await;
        readers.push((read, write, far_write));
        sleeping.push(far_read);
    }
    // A hundred channels whose reader sleeps are filled as far as they go.
    let floods: Vec<_> = readers
        .iter()
        .map(|(_, write, _)| {
            let write = write.clone();
            tokio::spawn(async move { while write.data(Bytes::from(vec![1; 32768])).await.is_ok() {} })
        })
        .collect();
    let full = 100 * usize::try_from(channel::WINDOW).unwrap();
    while far.link.backlog() < full {
        tokio::task::yield_now().await;
    }
    let ((mut read, _write), (_far_read, far_write)) = channel(&mut near, &mut far).await;
    let (_, ()) =
        tokio::join!(async { far_write.data(Bytes::from(vec![2; 4 << 20])).await.unwrap() }, drain(&mut read, 4 << 20));
    assert_eq!(far.link.backlog(), full, "no byte more than the windows allow");
    floods.into_iter().for_each(|flood| flood.abort());
}

#[tokio::test]
async fn small_pieces_are_gathered() {
    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    let ((_read, write), (mut far_read, _far_write)) = channel(&mut near, &mut far).await;
    for byte in 0..200_u8 {
        write.data(Bytes::from(vec![byte])).await.unwrap();
    }
    write.eof().unwrap();
    let mut seen = Vec::new();
    loop {
        match timeout(SOON, far_read.next()).await.unwrap() {
            Said::Data(data) => seen.extend_from_slice(&data),
            Said::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, (0..200).collect::<Vec<u8>>());
}

#[tokio::test]
async fn questions_are_answered_in_their_order() {
    let (near, mut far) = sides(1 << 20, 1 << 30).await;
    let ask = |name: &'static str| near.link.global(name, Bytes::new());
    let answer = async {
        let mut globals = Vec::new();
        for _ in 0..3 {
            match far.arrivals.next().await {
                Some(Arrival::Global(global)) => globals.push(global),
                _ => panic!("no question came"),
            }
        }
        // The last is answered first, and the first not at all.
        globals.pop().unwrap().yes(Bytes::from_static(b"third"));
        globals.pop().unwrap().yes(Bytes::from_static(b"second"));
    };
    let (first, second, third, ()) = tokio::join!(ask("a"), ask("b"), ask("c"), answer);
    assert_eq!(first.unwrap(), None);
    assert_eq!(second.unwrap().unwrap(), &b"second"[..]);
    assert_eq!(third.unwrap().unwrap(), &b"third"[..]);
}

#[tokio::test]
async fn requests_and_their_answers_keep_their_places() {
    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    let ((mut read, write), (mut far_read, far_write)) = channel(&mut near, &mut far).await;
    for name in ["pty-req", "shell", "x"] {
        write.request(name, true, Bytes::from_static(b"details")).unwrap();
    }
    for (name, yes) in [("pty-req", true), ("shell", false), ("x", true)] {
        assert_eq!(far_read.next().await, Said::Request(name.into(), true, Bytes::from_static(b"details")));
        far_write.answer(yes).unwrap();
    }
    for yes in [true, false, true] {
        assert_eq!(read.next().await, Said::Answer(yes));
    }
    write.close();
    assert_eq!(far_read.next().await, Said::Close);
}

#[tokio::test]
async fn a_refusal_says_why_and_frees_the_number() {
    let (near, mut far) = sides(1 << 20, 1 << 30).await;
    for _ in 0..300 {
        let refuse = async {
            match far.arrivals.next().await {
                Some(Arrival::Open(opening)) => opening.refuse(code::PROHIBITED, "not to there"),
                _ => panic!("no channel came"),
            }
        };
        let (opened, ()) = tokio::join!(near.link.open("direct-tcpip", Bytes::new()), refuse);
        let no = NotOpened::Refused { code: 1, text: "not to there".into() };
        assert_eq!(opened.err(), Some(no));
    }
}

#[tokio::test]
async fn the_next_channel_does_not_end_with_the_one_that_was_refused_before_it() {
    let (near, mut far) = sides(1 << 20, 1 << 30).await;
    let refused = tokio::spawn({
        let link = near.link.clone();
        async move { link.open("direct-tcpip", Bytes::new()).await.err() }
    });
    let Some(Arrival::Open(mut opening)) = far.arrivals.next().await else { panic!("no channel came") };
    // Refused, and not yet let go of: what a refusal does in one go, held up in its middle.
    let handle = opening.handle.take().unwrap();
    handle.refuse(code::PROHIBITED, "not to there");
    assert!(matches!(refused.await.unwrap(), Some(NotOpened::Refused { .. })));
    let next = tokio::spawn(async move { near.link.open("session", Bytes::new()).await.is_ok() });
    let Some(Arrival::Open(opening)) = far.arrivals.next().await else { panic!("no channel came") };
    drop(handle);
    let accepted = opening.accept().unwrap();
    assert!(timeout(SOON, next).await.expect("it stays without an answer").unwrap());
    drop(accepted);
}

#[tokio::test]
async fn what_belongs_to_no_channel_is_passed_over_by_whoever_does_not_show_it() {
    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    far.link.remark("a line");
    far.link.pulse();
    let ((mut read, _write), (_far_read, far_write)) = channel(&mut near, &mut far).await;
    far.link.pulse();
    far_write.data(Bytes::from_static(b"x")).await.unwrap();
    drain(&mut read, 1).await;
    assert!(!near.link.gone());
}

/// Sends raw messages of the connection layer, and tells how the other side took them.
async fn raw(messages: Vec<Message>) -> String {
    let (near, far) = sides(1 << 20, 1 << 30).await;
    {
        let mut state = near.link.shared.lock();
        for message in messages {
            state.say(&message);
        }
    }
    timeout(SOON, async {
        while !far.link.gone() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the link goes on");
    far.link.ended().unwrap()
}

#[tokio::test]
async fn messages_for_no_channel_end_the_link() {
    let data = Bytes::from_static(b"x");
    for message in [
        Message::Data { channel: 7, data: data.clone() },
        Message::Adjust { channel: 0, bytes: 1 },
        Message::Close { channel: 1 },
        Message::Opened { channel: 0, sender: 0, window: 1, packet: 1 },
        Message::OpenFailed { channel: 3, code: 1, text: String::new() },
        Message::Success { channel: 0 },
        Message::Request { channel: 0, name: "exec".into(), reply: true, data: data.clone() },
        Message::GlobalSuccess(data.clone()),
    ] {
        let why = raw(vec![message.clone()]).await;
        assert!(why.contains("no channel") || why.contains("out of turn"), "{message:?}: {why}");
    }
    // A channel that is only wanted yet may not be spoken in.
    let open = Message::Open { kind: "session".into(), sender: 0, window: 1, packet: 1, data: Bytes::new() };
    let why = raw(vec![open, Message::Data { channel: 0, data }]).await;
    assert!(why.contains("not open"), "{why}");
}

#[tokio::test]
async fn whoever_overruns_its_window_or_makes_it_overflow_is_cut_off() {
    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    let (_near_channel, _far_channel) = channel(&mut near, &mut far).await;
    let data = Bytes::from(vec![0; 32768]);
    for _ in 0..9 {
        near.link.shared.lock().say(&Message::Data { channel: 0, data: data.clone() });
    }
    while !far.link.gone() {
        tokio::task::yield_now().await;
    }
    assert!(far.link.ended().unwrap().contains("more data than its window"));

    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    let (_near_channel, _far_channel) = channel(&mut near, &mut far).await;
    near.link.shared.lock().say(&Message::Adjust { channel: 0, bytes: u32::MAX });
    while !far.link.gone() {
        tokio::task::yield_now().await;
    }
    assert!(far.link.ended().unwrap().contains("overflows"));
}

#[tokio::test]
async fn what_no_window_bounds_is_bounded_by_count_and_bytes() {
    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    let (_near_channel, (mut far_read, _far_write)) = channel(&mut near, &mut far).await;
    for _ in 0..10_000 {
        near.link.shared.lock().say(&Message::Eof { channel: 0 });
        tokio::task::yield_now().await;
    }
    near.link.shared.lock().say(&Message::Close { channel: 0 });
    assert_eq!(timeout(SOON, far_read.next()).await.unwrap(), Said::Eof);
    assert_eq!(timeout(SOON, far_read.next()).await.unwrap(), Said::Close, "data ends once");

    for (requests, bytes) in [(200, 1), (10, 30_000)] {
        let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
        let (_near_channel, _far_channel) = channel(&mut near, &mut far).await;
        let data = Bytes::from(vec![7; bytes]);
        for _ in 0..requests {
            let request = Message::Request { channel: 0, name: "env".into(), reply: false, data: data.clone() };
            near.link.shared.lock().say(&request);
            tokio::task::yield_now().await;
        }
        let over = async {
            while !far.link.gone() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, over).await.expect("requests pile up");
        assert!(far.link.ended().unwrap().contains("too many requests in a channel"));
    }
}

/// Sides that are connected by a socket of the kernel's, with the tasks that drive them.
#[expect(clippy::disallowed_methods, reason = "both ends are here")]
async fn socketed() -> [(Side, tokio::task::JoinHandle<Error>); 2] {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connect, listener.accept());
    let key = HostKey::from_seed(&[7; 32]).unwrap();
    let random = || -> crate::transport::Random { Arc::new(|bytes: &mut [u8]| bytes.fill(1)) };
    let client = Settings::client(vec![key.public().to_vec()], random());
    let legs = tokio::join!(leg(near.unwrap(), client), leg(far.unwrap().0, Settings::server(key, random())));
    [legs.0, legs.1].map(|leg| {
        let (link, arrivals, driver) = Link::start(leg, bounds());
        (Side { link, arrivals }, tokio::spawn(driver.run()))
    })
}

#[tokio::test]
async fn a_goodbye_is_read_by_a_peer_that_still_sends() {
    for _ in 0..10 {
        let [(mut near, near_driver), (mut far, far_driver)] = socketed().await;
        let ((_read, write), _far_channel) = channel(&mut near, &mut far).await;
        // Nobody takes these: they fill the window, and what is behind them is never read.
        let flood = tokio::spawn(async move { while write.data(Bytes::from(vec![1; 32768])).await.is_ok() {} });
        while far.link.backlog() < usize::try_from(channel::WINDOW).unwrap() {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            let global = Message::Global { name: "x".into(), reply: false, data: Bytes::from(vec![0; 8192]) };
            near.link.shared.lock().say(&global);
        }
        far.link.disconnect(11, "ended by carol");
        timeout(SOON, far_driver).await.expect("it never ends").unwrap();
        let why = timeout(SOON, near_driver).await.expect("it never ends").unwrap();
        assert!(matches!(&why, Error::Disconnected(text) if text.contains("ended by carol")), "{why}");
        flood.await.unwrap();
    }
}

/// The first channel, from both sides, whose opener takes so much: its window, and one piece of data.
async fn narrow(near: &Side, far: &mut Side, (window, packet): (u32, u32)) -> ((Reader, Writer), (Reader, Writer)) {
    near.link.shared.lock().insert(Channel::opening()).unwrap();
    near.link.shared.lock().say(&Message::Open {
        kind: "session".into(),
        sender: 0,
        window,
        packet,
        data: Bytes::new(),
    });
    let Some(Arrival::Open(opening)) = far.arrivals.next().await else { panic!("no channel came") };
    let accepted = opening.accept().unwrap();
    let handle = Handle { shared: near.link.shared.clone(), id: 0 };
    poll_fn(|cx| handle.poll_opened(cx)).await.unwrap();
    (handle.split(), accepted)
}

#[tokio::test]
async fn a_window_of_one_byte_is_served_byte_by_byte() {
    let (near, mut far) = sides(1 << 20, 1 << 30).await;
    let ((mut read, _write), (_far_read, far_write)) = narrow(&near, &mut far, (1, 1)).await;
    let sending = tokio::spawn(async move { far_write.data(Bytes::from_static(b"abc")).await });
    for expected in [b"a", b"b", b"c"] {
        assert_eq!(timeout(SOON, read.next()).await.unwrap(), Said::Data(Bytes::from_static(expected)));
        near.link.shared.lock().say(&Message::Adjust { channel: 0, bytes: 1 });
    }
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_window_of_nothing_is_waited_at_and_stalls_no_neighbour() {
    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    let ((mut read, _write), (_far_read, far_write)) = narrow(&near, &mut far, (0, 1 << 15)).await;
    let sending = tokio::spawn(async move { far_write.data(Bytes::from_static(b"abc")).await });
    let ((mut beside, _write), (_far_read, beside_write)) = channel(&mut near, &mut far).await;
    let all = async { beside_write.data(Bytes::from(vec![2; 4 << 20])).await.unwrap() };
    tokio::join!(all, drain(&mut beside, 4 << 20));
    // Credit of nothing is no credit, however often it comes.
    for _ in 0..1000 {
        near.link.shared.lock().say(&Message::Adjust { channel: 0, bytes: 0 });
    }
    assert!(timeout(Duration::from_millis(50), read.next()).await.is_err(), "a byte that no window let through");
    assert!(!sending.is_finished() && !near.link.gone());
    near.link.shared.lock().say(&Message::Adjust { channel: 0, bytes: 2 });
    assert_eq!(timeout(SOON, read.next()).await.unwrap(), Said::Data(Bytes::from_static(b"ab")));
    assert!(!sending.is_finished(), "a window that is used up");
    near.link.shared.lock().say(&Message::Adjust { channel: 0, bytes: 1 });
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_link_runs_inside_a_channel_of_another_and_their_windows_bound_both() {
    let (mut near, mut far) = sides(64 << 10, 1 << 20).await;
    let (ours, theirs) = channel(&mut near, &mut far).await;
    let random = || -> crate::transport::Random { Arc::new(|bytes: &mut [u8]| bytes.fill(1)) };
    let key = HostKey::from_seed(&[8; 32]).unwrap();
    let client = Settings::client(vec![key.public().to_vec()], random()).rekey_after(1 << 20);
    let server = Settings::server(key, random()).rekey_after(1 << 20);
    let (inner, outer) = tokio::join!(leg(Stream::new(ours), client), leg(Stream::new(theirs), server));
    let side = |leg| {
        let (link, arrivals, driver) = Link::start(leg, bounds());
        tokio::spawn(driver.run());
        Side { link, arrivals }
    };
    let (mut inner, mut outer) = (side(inner), side(outer));
    let ((mut read, write), (mut far_read, far_write)) = channel(&mut inner, &mut outer).await;
    const SIZE: usize = 4 << 20;
    let send = |writer: Writer| async move { writer.data(Bytes::from(vec![7; SIZE])).await.unwrap() };
    let all = async { tokio::join!(send(write), send(far_write), drain(&mut read, SIZE), drain(&mut far_read, SIZE)) };
    timeout(Duration::from_secs(60), all).await.expect("it stalls");

    // Whoever does not read is not read for: what waits is bounded by the windows of both.
    let ((_held, _), (_far_read, far_write)) = channel(&mut inner, &mut outer).await;
    let flood = tokio::spawn(async move { far_write.data(Bytes::from(vec![1; 64 << 20])).await });
    let full = usize::try_from(channel::WINDOW).unwrap();
    while inner.link.backlog() < full {
        tokio::task::yield_now().await;
    }
    assert!(near.link.backlog() <= 4 << 20, "{}", near.link.backlog());
    flood.abort();

    // The outer link goes, and the inner one with it.
    far.link.disconnect(11, "enough");
    timeout(SOON, async {
        while !inner.link.gone() || !outer.link.gone() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the inner link goes on");
}

#[tokio::test]
async fn a_dropped_channel_is_closed_and_its_number_used_again() {
    let (mut near, mut far) = sides(1 << 20, 1 << 30).await;
    for _ in 0..300 {
        let (ours, (mut far_read, far_write)) = channel(&mut near, &mut far).await;
        drop(ours);
        assert_eq!(timeout(SOON, far_read.next()).await.unwrap(), Said::Close);
        drop((far_read, far_write));
    }
    assert!(!near.link.gone() && !far.link.gone());
}

#[tokio::test]
async fn a_quiet_peer_is_asked_and_a_dead_one_left() {
    let quick = Bounds { quiet: Duration::from_millis(5), patience: 3, ..bounds() };
    let (near, far) = sides_with(1 << 20, 1 << 30, quick).await;
    let Side { link, mut arrivals } = near;
    // Many times as long as the patience with a peer that does not answer.
    assert!(timeout(Duration::from_millis(400), arrivals.next()).await.is_err(), "quiet is not dead");
    assert!(!link.gone() && !far.link.gone());
    // A peer whose loop stands still, its socket open.
    let (stream, _open) = duplex(1 << 20);
    let key = HostKey::from_seed(&[7; 32]).unwrap();
    let settings = Settings::client(vec![key.public().to_vec()], Arc::new(|bytes: &mut [u8]| bytes.fill(1)));
    let leg = Leg::new(stream, Transport::new(Arc::new(settings)).unwrap());
    let (_link, _arrivals, driver) = Link::start(leg, quick);
    assert!(matches!(driver.run().await, Error::Silent));
}
