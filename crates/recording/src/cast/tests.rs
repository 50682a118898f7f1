use super::*;
use crate::testing::{Sample, facts};
use proptest::prelude::*;
use sallyport_model::Env;

fn event(at: u64, channel: u32, what: What) -> Result<Event, Wrong> {
    Ok(Event { at, channel, what })
}

fn exported(events: Vec<Result<Event, Wrong>>) -> String {
    export(&facts(&Env::system()), events, None).unwrap()
}

fn shell() -> What {
    What::Open { kind: Channel::Shell, detail: String::new() }
}

#[test]
fn golden() {
    let text = exported(vec![
        event(0, 1, shell()),
        event(250_000, 1, What::Output(b"$ ".to_vec())),
        event(1_500_000, 1, What::Input(b"ls\r".to_vec())),
        event(1_500_000, 1, What::Hidden(0)),
        event(1_500_001, 1, What::Output(b"caf\xc3".to_vec())),
        event(1_600_000, 1, What::Output(b"\xa9 \xff\x1b[0m\r\n".to_vec())),
        event(2_000_000, 1, What::Resize { cols: 132, rows: 50 }),
        event(2_000_000, 2, What::Open { kind: Channel::ForwardLocal, detail: "db-1:5432".into() }),
        event(2_100_000, 2, What::Input(b"bytes of the forward".to_vec())),
        event(2_200_000, 2, What::Close { exit: None, signal: None }),
        event(2_300_000, 1, What::Mark { kind: "command".into(), text: "ls".into() }),
        event(2_300_000, 1, What::Stderr(b"\xe2\x82".to_vec())),
        event(3_000_000, 1, What::Close { exit: Some(0), signal: None }),
    ]);
    let expected = r#"{"version":3,"term":{"cols":80,"rows":24},"timestamp":1767225600,"title":"root@web-1 by anna over ssh"}
[0.000000, "m", "channel:shell"]
[0.250000, "o", "$ "]
[1.250000, "i", "ls\r"]
[0.000000, "i", "•••"]
[0.000001, "o", "caf"]
[0.099999, "o", "é �\u001b[0m\r\n"]
[0.400000, "r", "132x50"]
[0.000000, "m", "channel 2: channel:forward_local db-1:5432"]
[0.200000, "m", "channel 2 closed"]
[0.100000, "m", "command: ls"]
[0.700000, "x", "0"]
[0.000000, "o", "�"]
"#;
    assert_eq!(text, expected);
}

#[test]
fn the_shell_is_shown_unless_another_channel_is_named() {
    let events = || {
        vec![
            event(0, 1, What::Open { kind: Channel::Sftp, detail: String::new() }),
            event(1, 2, shell()),
            event(2, 1, What::Output(b"one".to_vec())),
            event(3, 2, What::Output(b"two".to_vec())),
            event(4, 2, What::Close { exit: None, signal: Some("TERM".into()) }),
        ]
    };
    let text = exported(events());
    assert!(text.contains("two") && !text.contains("one"));
    assert!(text.contains(r#""m", "closed by TERM""#));
    let named = export(&facts(&Env::system()), events(), Some(1)).unwrap();
    assert!(named.contains("one") && !named.contains("two"));
}

#[test]
fn the_title_names_the_way() {
    let mark = |kind: &str, text: &str| event(0, 0, What::Mark { kind: kind.into(), text: text.into() });
    let text = exported(vec![mark("via", "ops@outer"), mark("through", "deploy by su"), event(1, 1, shell())]);
    assert!(text.contains(r#""title":"root@web-1, through deploy by su, via ops@outer by anna over ssh""#), "{text}");
    assert!(text.contains(r#""m", "via: ops@outer""#) && text.contains(r#""m", "through: deploy by su""#), "{text}");
    let cut = vec![mark("via", "ops@outer"), Err(Wrong::Header)];
    assert!(export(&facts(&Env::system()), cut, None).is_err());
}

#[test]
fn time_never_runs_backwards() {
    let text = exported(vec![
        event(5, 1, What::Output(b"a".to_vec())),
        event(3, 1, What::Output(b"b".to_vec())),
        event(7, 1, What::Output(b"c".to_vec())),
    ]);
    let times: Vec<_> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(times, ["[0.000005", "[0.000000", "[0.000002"]);
}

#[test]
fn there_is_no_export_of_a_part() {
    let sample = Sample::new();
    let file = sample.file(&[0, 1]);
    let result = export(&sample.header.facts, crate::replay(&file, &sample.key).unwrap(), None);
    assert!(matches!(result, Err(Error::Recording(Wrong::Unfinished(2)))));
    let file = sample.file(&[0, 1, 2]);
    let text = export(&sample.header.facts, crate::replay(&file, &sample.key).unwrap(), None).unwrap();
    assert_eq!(text.lines().count(), 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn valid_text_is_kept_wherever_it_is_cut(text in ".{0,60}", size in 1_usize..7) {
        let events = (0..).zip(text.as_bytes().chunks(size)).map(|(at, bytes)| event(at, 1, What::Output(bytes.to_vec())));
        let exported = exported(events.collect());
        let mut joined = String::new();
        for line in exported.lines().skip(1) {
            let (_, _, data): (f64, String, String) = serde_json::from_str(line).unwrap();
            joined.push_str(&data);
        }
        prop_assert_eq!(joined, text);
    }

    #[test]
    fn broken_text_is_the_same_however_it_is_cut(bytes in proptest::collection::vec(any::<u8>(), 0..60), cut in any::<prop::sample::Index>()) {
        let cut = if bytes.is_empty() { 0 } else { cut.index(bytes.len()) };
        let mut joiner = text::Joiner::default();
        let joined = joiner.push(&bytes[..cut]) + &joiner.push(&bytes[cut..]) + joiner.finish();
        prop_assert_eq!(joined, String::from_utf8_lossy(&bytes));
    }
}
