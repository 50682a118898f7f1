use super::*;
use crate::Header;
use crate::event::{What, WhatRef, encode};
use crate::testing::{Sample, events, facts, recording_key};
use crate::{Sealer, segment::Kind as Segment};
use proptest::prelude::*;
use sallyport_model::{Env, Timestamp};

fn expect(sample: &Sample) -> Expect<'static> {
    Expect { header_hash: sample.header.hash(), anchors: &[], end: None }
}

fn closed(sample: &Sample) -> Expect<'static> {
    let (segments, chain) = sample.anchor(3);
    Expect { end: Some(End { segments, chain, complete: true }), ..expect(sample) }
}

/// The first two segments, a record behind them, and what the ledger says.
fn truncated(sample: &Sample) -> (Vec<u8>, Truncated, Expect<'static>) {
    let (segments, chain) = sample.anchor(2);
    let record = Truncated { segments, chain, by: "node-1".into(), at: Timestamp(5) };
    let file = [sample.file(&[0, 1]), record.frame().unwrap()].concat();
    let end = End { segments, chain: record.chain_after().unwrap(), complete: false };
    (file, record, Expect { end: Some(end), ..expect(sample) })
}

#[test]
fn a_complete_recording_is_complete() {
    let sample = Sample::new();
    let anchors = [0, 1, 3].map(|count| sample.anchor(count));
    let expect = Expect { anchors: &anchors, ..closed(&sample) };
    let report = verify(&sample.file(&[0, 1, 2]), &sample.key, expect).unwrap();
    assert_eq!(report.verdict, Verdict::Complete);
    assert!(report.attested);
    assert_eq!((report.segments, report.chain), sample.anchor(3));
    assert_eq!((report.anchored, report.events, report.duration), (3, 8, 3_000));
    let open = verify(&sample.file(&[0, 1, 2]), &sample.key, self::expect(&sample)).unwrap();
    assert!(!open.attested);
}

#[test]
fn no_flipped_bit_is_accepted() {
    let sample = Sample::new();
    for (file, expect) in [(sample.file(&[0, 1, 2]), closed(&sample)), (truncated(&sample).0, truncated(&sample).2)] {
        assert!(verify(&file, &sample.key, expect).is_ok());
        for bit in 0..file.len() * 8 {
            let mut altered = file.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&altered, &sample.key, expect).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn no_cut_is_accepted() {
    let sample = Sample::new();
    for (file, expect) in [(sample.file(&[0, 1, 2]), expect(&sample)), (truncated(&sample).0, expect(&sample))] {
        for cut in 0..file.len() {
            assert!(verify(&file[..cut], &sample.key, expect).is_err(), "cut {cut}");
        }
    }
    assert_eq!(verify(&sample.file(&[0, 1]), &sample.key, expect(&sample)), Err(Wrong::Unfinished(2)));
}

#[test]
fn a_cut_before_the_last_anchor_is_found_whatever_is_appended() {
    let sample = Sample::new();
    let (file, _, _) = truncated(&sample);
    let anchors = [sample.anchor(1), sample.anchor(3)];
    let anchored = Expect { anchors: &anchors, ..expect(&sample) };
    let cut = Wrong::Cut { segments: 2, anchored: 3 };
    assert_eq!(verify(&file, &sample.key, anchored), Err(cut.clone()));
    assert_eq!(verify(&file, &sample.key, closed(&sample)), Err(cut));
    // Even whoever has the data key cannot write another history under an anchor.
    let (count, chain) = sample.anchor(1);
    let mut forger = Sealer::resume(&sample.key, &sample.header, count, chain).unwrap();
    let forged = forger.seal(&sample.env, &events(1), Segment::Final).unwrap();
    let file = [sample.file(&[0]), forged.bytes].concat();
    let anchors = [sample.anchor(2)];
    let anchored = Expect { anchors: &anchors, ..expect(&sample) };
    assert_eq!(verify(&file, &sample.key, anchored), Err(Wrong::Anchor(2)));
}

#[test]
fn a_truncation_is_attested_by_the_ledger_alone() {
    let sample = Sample::new();
    let (file, record, expect) = truncated(&sample);
    let report = verify(&file, &sample.key, expect).unwrap();
    assert_eq!(report.verdict, Verdict::Truncated(record.clone()));
    assert!(report.attested);
    assert!(!verify(&file, &sample.key, self::expect(&sample)).unwrap().attested);
    let other = Truncated { by: "somebody".into(), ..record.clone() };
    let file = [sample.file(&[0, 1]), other.frame().unwrap()].concat();
    assert_eq!(verify(&file, &sample.key, expect), Err(Wrong::End(2)));
    let lie = Truncated { chain: [7; 32], ..record };
    let file = [sample.file(&[0, 1]), lie.frame().unwrap()].concat();
    let wrong = Err(Wrong::Container(container::Error::Record(2)));
    assert_eq!(verify(&file, &sample.key, self::expect(&sample)), wrong);
    let complete = Expect { end: expect.end.map(|end| End { complete: true, ..end }), ..expect };
    assert_eq!(verify(&truncated(&sample).0, &sample.key, complete), Err(Wrong::End(2)));
}

#[test]
fn another_header_or_key_is_refused() {
    let (one, two) = (Sample::new(), Sample::new());
    let file = one.file(&[0, 1, 2]);
    assert_eq!(verify(&file, &one.key, expect(&two)), Err(Wrong::Header));
    assert_eq!(verify(&file, &two.key, expect(&one)), Err(Wrong::Key(header::Error::Commitment)));
    assert!(replay(&file, &two.key).is_err());
}

#[test]
fn resuming_after_a_crash_leaves_one_recording() {
    let sample = Sample::new();
    let mut torn = sample.file(&[0, 1]);
    torn.extend_from_slice(&sample.segments[2].bytes[..20]);
    let remains = container::recover(&torn).unwrap();
    torn.truncate(remains.keep);
    let mut sealer = Sealer::resume(&sample.key, &remains.header, remains.segments, remains.chain).unwrap();
    torn.extend_from_slice(&sealer.seal(&sample.env, &events(2), Segment::Data).unwrap().bytes);
    torn.extend_from_slice(&sealer.seal(&sample.env, &[], Segment::Final).unwrap().bytes);
    let report = verify(&torn, &sample.key, expect(&sample)).unwrap();
    assert_eq!((report.verdict, report.segments, report.events), (Verdict::Complete, 4, 8));
}

#[test]
fn replay_gives_every_event_and_never_ends_short_in_silence() {
    let sample = Sample::new();
    let file = sample.file(&[0, 1, 2]);
    let played: Vec<_> = replay(&file, &sample.key).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(played.len(), 8);
    assert_eq!(played[7].what, What::Close { exit: Some(0), signal: None });
    let open = sample.file(&[0, 1]);
    let mut items = replay(&open, &sample.key).unwrap();
    assert_eq!(items.by_ref().take_while(Result::is_ok).count(), 5);
    assert!(items.next().is_none());
    assert_eq!(replay(&open, &sample.key).unwrap().last(), Some(Err(Wrong::Unfinished(2))));
    let mut altered = file;
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let end = replay(&altered, &sample.key).unwrap().last();
    assert_eq!(end, Some(Err(Wrong::Segment(segment::Error::Altered(2)))));
}

#[test]
fn a_segment_without_events_inside_is_the_writers_fault() {
    let sample = Sample::new();
    let mut sealer = Sealer::new(&sample.key, &sample.header).unwrap();
    let file = [sample.start(), sealer.seal(&sample.env, &[99, 0, 0], Segment::Final).unwrap().bytes].concat();
    let wrong = verify(&file, &sample.key, expect(&sample));
    assert_eq!(wrong, Err(Wrong::Event(0, event::Error::Unknown(0))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_output_in_any_cuts_comes_back(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..12)) {
        let env = Env::system();
        let (private, public) = recording_key(&env);
        let (header, key) = Header::seal(&env, facts(&env), &public).unwrap();
        let mut sealer = Sealer::new(&key, &header).unwrap();
        let mut file = container::begin(&header).unwrap();
        for (n, chunk) in (0..).zip(&chunks) {
            let mut events = Vec::new();
            encode(n, 1, WhatRef::Output(chunk), &mut events);
            file.extend(sealer.seal(&env, &events, Segment::Data).unwrap().bytes);
        }
        file.extend(sealer.seal(&env, &[], Segment::Final).unwrap().bytes);
        let key = header.open(&private).unwrap();
        let played: Result<Vec<_>, _> = replay(&file, &key).unwrap().collect();
        let outputs: Vec<_> = played.unwrap().into_iter().map(|event| event.what).collect();
        prop_assert_eq!(outputs, chunks.into_iter().map(What::Output).collect::<Vec<_>>());
    }
}
