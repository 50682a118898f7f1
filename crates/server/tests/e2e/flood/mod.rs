//! Floods from people who have not signed in: control's memory stays bounded, and a neighbour is served meanwhile.

mod crowd;
mod frames;

use crowd::{Crowd, Neighbour};
use frames::{Client, Frame};
use sallyport_testkit::product::Product;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// What control's memory may grow by in any of the floods, in MiB. At rest it is about 60, in a debug build.
const MOST: u64 = 192;

/// How long somebody may take to answer a neighbour, and to take what a flood writes.
const PATIENCE: Duration = Duration::from_secs(20);
const STALLED: Duration = Duration::from_millis(700);
/// The longest answer that anybody may ask for.
const DOCUMENT: &str = "/api/v1/openapi.json";

/// The product with TLS, begun with as few descriptors as shells give.
fn product() -> (Product, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("sallyport");
    let text = format!("#!/bin/sh\nulimit -S -n 1024\nexec {} \"$@\"\n", crate::binary().display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut product = Product::start(&script).unwrap();
    product.stop().unwrap();
    product.serve_tls().unwrap();
    (product, place)
}

/// A line of `/proc/PID/status` of control, in MiB.
fn memory(product: &Product, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", product.pid("control").unwrap())).unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Runs a flood beside a neighbour, who is answered before, in it and after.
fn endure(product: &Product, flood: impl FnOnce()) {
    let before = memory(product, "VmRSS");
    let neighbour = Neighbour::beside(product);
    flood();
    let answered = neighbour.leave();
    let peak = memory(product, "VmHWM");
    assert!(peak < before + MOST, "control grew from {before} to {peak} MiB");
    assert!(answered > 2, "the neighbour was answered {answered} times");
}

#[test]
fn ten_thousand_half_open_connections_are_bounded_and_keep_no_neighbour_out() {
    let (product, _place) = product();
    let limits = fs::read_to_string(format!("/proc/{}/limits", product.pid("control").unwrap())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = files.split_whitespace().collect();
    assert!(words[3] == words[4] || words[3].parse::<u64>().unwrap() >= 65_536, "{files}");
    let mut crowd = Crowd::of(&product);
    endure(&product, || {
        // Nothing at all; the begin of a handshake; a whole handshake and nothing behind it.
        crowd.connect(5000, b"");
        crowd.connect(5000, &frames::hello());
        assert!(crowd.slow(200, b"") > 20);
        let held = fs::read_dir(format!("/proc/{}/fd", product.pid("control").unwrap())).unwrap().count();
        assert!((1500..3000).contains(&held), "control holds {held} descriptors");
        Neighbour::ask_often(&product);
    });
    let log = product.log();
    assert!(log.matches("too many half-open connections").count() < 100, "the crowd does not fill the log");
}

/// Sends a body until nobody takes it any more; how many bytes went away, and what was answered.
fn pour(product: &Product, head: &str, piece: &[u8]) -> (usize, String) {
    let mut stream = Client::tls(product, &[b"http/1.1"]);
    stream.write_all(head.as_bytes()).unwrap();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(piece).is_ok() {
        sent += piece.len();
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (sent, String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn slow_heads_slow_bodies_and_bodies_without_end_are_cut_off_and_keep_no_neighbour_out() {
    let (product, _place) = product();
    let mut crowd = Crowd::of(&product);
    endure(&product, || {
        crowd.slow(250, b"GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
        let head = b"POST /api/v1/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        let origin = format!("origin: {}\r\ncontent-length: 60000\r\n\r\n{{\"handle\":\"", product.url());
        assert_eq!(crowd.slow(250, &[head.as_slice(), origin.as_bytes()].concat()), 500);
        Neighbour::ask_often(&product);

        let piece = vec![b' '; 64 << 10];
        let chunk = [b"10000\r\n".as_slice(), &piece, b"\r\n"].concat();
        for (path, more, most) in [
            ("/api/v1/sign-in", String::new(), 16 << 20),
            ("/api/v1/apply", String::new(), 16 << 20),
            ("/api/v1/apply", format!("authorization: Bearer {}\r\n", product.token()), 32 << 20),
        ] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\norigin: {}\r\ncontent-type: application/json\r\n{more}",
                product.url()
            );
            for (length, piece) in [("content-length: 10737418240", &piece), ("transfer-encoding: chunked", &chunk)] {
                let (sent, answer) = pour(&product, &format!("{head}{length}\r\n\r\n"), piece);
                assert!(sent < most, "{path}, {length}: {sent} bytes were taken");
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{path}, {length}: {answer}");
            }
        }
    });
}

/// Connections that do the same at once until they are cut off, or nobody takes what they write; how many of them could write
/// everything.
fn rush(product: &Product, count: usize, act: impl Fn(&mut Client) -> bool + Sync) -> usize {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..count).map(|_| scope.spawn(|| act(&mut Client::second(product)))).collect();
        running.into_iter().filter_map(|one| Some(one.join().unwrap()).filter(|whole| *whole)).count()
    })
}

#[test]
fn floods_of_http_2_are_cut_off_and_keep_no_neighbour_out() {
    let (product, _place) = product();
    endure(&product, || {
        let reset = |at| [Frame::get(at, DOCUMENT), Frame::reset(at)].concat();
        let head = |at| if at == 1 { Frame::open_head() } else { Frame::more_head() };
        assert_eq!(rush(&product, 8, |client| client.pour(10_000, reset) && client.open()), 0, "asked and taken back");
        assert_eq!(rush(&product, 8, |client| client.pour(4_000, head) && client.open()), 0, "a head without end");
        let nothing = |client: &mut Client| {
            client.send(&Frame::post(1, "/api/v1/sign-in"));
            client.pour(200_000, |_| Frame::data(1, b"")) && client.open()
        };
        assert_eq!(rush(&product, 8, nothing), 0, "bodies of nothing");
        // What must be answered at once, and nobody reads the answers.
        rush(&product, 4, |client| client.pour(600_000, |_| Frame::ping()));
        rush(&product, 4, |client| client.pour(600_000, |_| Frame::settings(&[(4, 65_535)])));
        Neighbour::ask_often(&product);
    });
}

#[test]
fn streams_by_the_thousand_and_readers_that_do_not_read_are_bounded() {
    let (product, _place) = product();
    let mut held = Vec::new();
    endure(&product, || {
        // Thousands of requests that are never ended, and bodies as far as they are taken.
        for _ in 0..32 {
            let mut client = Client::second(&product);
            client.pour(2_000, |at| Frame::post(at, "/api/v1/sign-in"));
            client.pour(64, |at| Frame::data(at, &[b' '; 1024]));
            held.push(client);
        }
        // Answers that nobody takes: windows of one byte.
        for _ in 0..100 {
            let mut client = Client::second(&product);
            client.send(&Frame::settings(&[(4, 1)]));
            assert!(client.pour(120, |at| Frame::get(at, DOCUMENT)));
            held.push(client);
        }
        Neighbour::ask_often(&product);
    });
}
