use super::*;
use crate::testing::{Sample, bundled, key, serve};
use proptest::prelude::*;
use sallyport_model::access::Channel;
use sallyport_recording::event::encode;
use sallyport_recording::{Event, What, WhatRef};

fn args(speed: f64, idle: f64, from: f64) -> Play {
    Play { session: "x".into(), speed, idle, from, index: false }
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn pauses_are_cut_and_the_beginning_is_skipped() {
    let mut pace = Pace::new(&args(1.0, 2.0, 10.0)).unwrap();
    let mut pause = |at: u64| pace.pause(at * 1_000_000, false);
    assert_eq!(pause(0), None);
    assert_eq!(pause(9), None);
    assert_eq!(pause(11), Some(seconds(1)));
    assert_eq!(pause(12), Some(seconds(1)));
    assert_eq!(pause(100), Some(seconds(2)));
    assert_eq!(pause(50), Some(seconds(0)));
    assert_eq!(pause(101), Some(seconds(1)));
}

#[test]
fn a_step_goes_to_the_next_mark() {
    let mut pace = Pace::new(&args(1.0, 2.0, 0.0)).unwrap();
    pace.skipping = true;
    assert_eq!(pace.pause(1_000_000, false), None);
    assert_eq!(pace.pause(2_000_000, true), None);
    assert_eq!(pace.pause(3_000_000, false), Some(seconds(1)));
}

#[test]
fn nonsense_is_refused() {
    for (speed, idle, from) in
        [(0.0, 1.0, 0.0), (-1.0, 1.0, 0.0), (f64::NAN, 1.0, 0.0), (1.0, -1.0, 0.0), (1.0, 1.0, f64::INFINITY)]
    {
        assert!(Pace::new(&args(speed, idle, from)).is_err());
    }
    assert_eq!(scaled(seconds(3), 2.0), seconds(6));
    assert_eq!(scaled(Duration::MAX, 1000.0), Duration::MAX);
    for bad in
        ["", "../../etc", "ses_", "rec_00000000000000000000000000000000", "ses_00000000000000000000000000000000/kill"]
    {
        assert!(session_id(bad).is_err(), "{bad}");
    }
}

fn event(at: u64, what: What) -> Event {
    Event { at: at * 1_000_000, channel: 1, what }
}

#[test]
fn the_index_has_what_happened_and_what_was_typed() {
    let events = [
        event(0, What::Open { kind: Channel::Shell, detail: String::new() }),
        event(1, What::Input(b"ls".to_vec())),
        event(2, What::Output(b"ls".to_vec())),
        event(2, What::Input(b" -l\recho \x1b[A\r".to_vec())),
        event(30, What::Resize { cols: 80, rows: 24 }),
        event(31, What::Mark { kind: "refused".into(), text: "rm\x1b]0;x\x07".into() }),
        event(31, What::Input(b"exit".to_vec())),
        event(32, What::Close { exit: Some(1), signal: Some("HUP".into()) }),
    ];
    let text = marks::text(&marks::index(&events));
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "AT CHANNEL WHAT",
            "0:00:00.000 1 open channel:shell",
            "0:00:01.000 1 input ls -l",
            "0:00:02.000 1 input echo \\u{1b}[A",
            "0:00:02.000 1 idle for 0:00:28.000",
            "0:00:30.000 1 resize 80x24",
            "0:00:31.000 1 refused rm\\u{1b}]0;x\\u{7}",
            "0:00:31.000 1 input exit",
            "0:00:32.000 1 exit with 1 by HUP",
        ]
    );
    assert_eq!(marks::clock(3_723_450_000), "1:02:03.450");
}

#[test]
fn a_servers_answer_is_a_tape_or_refused() {
    let sample = Sample::new();
    let head = sample.header.encode();
    let length = u32::try_from(head.len()).unwrap().to_be_bytes();
    let mut events = Vec::new();
    encode(5, 1, WhatRef::Output(b"hello"), &mut events);
    let body = [length.as_slice(), &head, &events].concat();
    let tape = Tape::decode(&body, true).unwrap();
    assert_eq!((tape.facts, tape.events.len()), (sample.header.facts.clone(), 1));
    assert!(Tape::decode(&body[..4 + head.len()], true).unwrap().events.is_empty());
    for cut in (0..4 + head.len()).chain(5 + head.len()..body.len()) {
        assert!(Tape::decode(&body[..cut], true).is_err(), "{cut}");
    }
}

#[test]
fn a_bundle_plays_offline_and_an_altered_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.spb");
    let mut bytes = bundled(&Sample::new(), &key(1));
    std::fs::write(&path, &bytes).unwrap();
    let tape = Tape::open(&path).unwrap();
    assert!(tape.complete);
    assert_eq!(tape.events.len(), 8);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(Tape::open(&path).is_err());
}

#[test]
fn a_saved_file_is_private_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.spb");
    save(&path, b"one").unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(save(&path, b"two").is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"one");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("link.spb")).unwrap();
    assert!(save(&dir.path().join("link.spb"), b"two").is_err());
}

#[tokio::test]
async fn an_export_looks_at_the_place_before_it_asks() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("there.spb");
    std::fs::write(&there, b"").unwrap();
    // Nobody listens there: had it asked, the failure were another.
    let client = Client::at("http://127.0.0.1:1".into(), None).unwrap();
    for file in [there, dir.path().join("x.json"), dir.path().join("x")] {
        let args = Export { session: "ses_00000000000000000000000000000000".into(), file };
        let fail = export(args, &client, Output::new(output::Format::Text)).await.unwrap_err();
        assert_eq!(fail.kind, sallyport_model::Kind::Usage, "{fail}");
    }
}

#[tokio::test]
async fn exports_are_saved_as_the_server_gives_them() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample::new();
    let head = sample.header.encode();
    let length = u32::try_from(head.len()).unwrap().to_be_bytes();
    let mut events = Vec::new();
    encode(5, 1, WhatRef::Output(b"hello"), &mut events);
    let server = serve(vec![
        ("GET /api/v1/sessions/ses_00000000000000000000000000000001/bundle", 200, "", b"the bundle".to_vec()),
        (
            "GET /api/v1/sessions/ses_00000000000000000000000000000001/recording",
            200,
            "x-recording-ending: complete\r\n",
            [length.as_slice(), &head, &events].concat(),
        ),
    ])
    .await;
    let client = Client::at(server.url.clone(), None).unwrap();
    let session = "ses_00000000000000000000000000000001";
    for (name, wanted) in
        [("a.spb", "the bundle"), ("a.cast", "[0.000005, \"o\", \"hello\"]\n"), ("a.txt", " | hello\n")]
    {
        let file = dir.path().join(name);
        let args = Export { session: session.into(), file: file.clone() };
        export(args, &client, Output::new(output::Format::Json)).await.unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().ends_with(wanted), "{name}");
    }
    let tape = Tape::fetch(&client, session).await.unwrap();
    assert!(tape.complete && tape.events.len() == 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn events_come_back_whatever_the_pieces(outputs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..9), cut in 1_usize..50) {
        let mut bytes = Vec::new();
        for (at, output) in (0..).zip(&outputs) {
            encode(at, 1, WhatRef::Output(output), &mut bytes);
        }
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(cut) {
            events.extend(decoder.push(piece).unwrap());
        }
        decoder.finish().unwrap();
        let got: Vec<_> = events.into_iter().map(|event| event.what).collect();
        prop_assert_eq!(got, outputs.into_iter().map(What::Output).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tape::decode(&bytes, true);
        let _ = Decoder::default().push(&bytes);
    }
}
