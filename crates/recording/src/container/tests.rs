use super::*;
use crate::testing::Sample;
use proptest::prelude::*;

fn record(sample: &Sample, segments: u32) -> Truncated {
    let (segments, chain) = sample.anchor(segments);
    Truncated { segments, chain, by: "node-1".into(), at: Timestamp(1_767_225_700_000_000) }
}

fn error(bytes: &[u8]) -> Error {
    parse(bytes).unwrap_err()
}

#[test]
fn reads_what_was_written() {
    let sample = Sample::new();
    let file = sample.file(&[0, 1, 2]);
    let container = parse(&file).unwrap();
    assert_eq!(container.header, sample.header);
    assert_eq!(container.ending, Ending::Final);
    assert_eq!(container.segments(), 3);
    assert!(container.frames().eq(sample.segments.iter().map(|segment| segment.bytes.as_slice())));
    assert_eq!(parse(&sample.file(&[0, 1])).unwrap().ending, Ending::Unfinished);
    assert_eq!(parse(&sample.start()).unwrap().segments(), 0);
}

#[test]
fn each_disorder_has_its_name_and_segment() {
    let sample = Sample::new();
    assert_eq!(error(b"SPREC\x02"), Error::Magic);
    assert_eq!(error(&sample.file(&[1, 0, 2])), Error::Reordered(0));
    assert_eq!(error(&sample.file(&[0, 0, 1, 2])), Error::Duplicate(0));
    assert_eq!(error(&sample.file(&[0, 2])), Error::Missing(1));
    assert_eq!(error(&sample.file(&[1, 2])), Error::Missing(0));
    assert_eq!(error(&sample.file(&[0, 1, 2, 2])), Error::Duplicate(2));
    assert_eq!(error(&[sample.file(&[0, 1, 2]), vec![0]].concat()), Error::AfterEnd(2));
    let after = [sample.file(&[0, 1, 2]), record(&sample, 3).frame().unwrap()].concat();
    assert_eq!(error(&after), Error::AfterEnd(2));
    let unknown = [sample.file(&[0]), frame::put(9, 1, b"").unwrap()].concat();
    assert_eq!(error(&unknown), Error::Unknown(1));
    let second_header = [sample.file(&[0]), frame::put(frame::HEADER, 1, b"").unwrap()].concat();
    assert_eq!(error(&second_header), Error::Unknown(1));
    let long = [sample.file(&[0]).as_slice(), &[0xff; 9]].concat();
    assert_eq!(error(&long), Error::TooLong(1));
}

#[test]
fn every_cut_is_torn_or_unfinished() {
    let sample = Sample::new();
    let file = sample.file(&[0, 1, 2]);
    let ends: Vec<usize> = [&[][..], &[0], &[0, 1], &[0, 1, 2]].map(|order| sample.file(order).len()).into();
    for cut in MAGIC.len()..file.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        match parse(&file[..cut]) {
            Ok(container) => {
                assert!(ends.contains(&cut));
                assert_eq!(container.ending, Ending::Unfinished);
            }
            Err(Error::Torn(segment)) => {
                assert_eq!(usize::try_from(segment).unwrap(), whole.saturating_sub(1), "cut {cut}");
            }
            Err(other) => panic!("cut {cut}: {other}"),
        }
    }
}

#[test]
fn recovery_keeps_whole_segments_and_a_record_ends_them() {
    let sample = Sample::new();
    let file = sample.file(&[0, 1, 2]);
    let keep = sample.file(&[0, 1]).len();
    for torn in [keep, keep + 3, file.len() - 1] {
        let remains = recover(&file[..torn]).unwrap();
        assert_eq!((remains.segments, remains.chain), sample.anchor(2));
        assert_eq!((remains.keep, remains.ended), (keep, false));
    }
    let record = record(&sample, 2);
    let ended = [&file[..keep], &record.frame().unwrap()].concat();
    assert_eq!(parse(&ended).unwrap().ending, Ending::Truncated(record));
    assert!(recover(&ended).unwrap().ended);
    assert!(recover(&file).unwrap().ended);
    assert_eq!(recover(&sample.file(&[0, 2])).unwrap_err(), Error::Missing(1));
}

#[test]
fn a_record_has_one_encoding_and_a_bound() {
    let sample = Sample::new();
    let long = Truncated { by: "x".repeat(MAX_BY + 1), ..record(&sample, 2) };
    assert_eq!(long.frame(), Err(Error::Record(2)));
    let body = minicbor::to_vec(record(&sample, 2)).unwrap();
    let trailing = frame::put(frame::TRUNCATED, 2, &[body.as_slice(), &[0]].concat()).unwrap();
    assert_eq!(error(&[sample.file(&[0, 1]), trailing].concat()), Error::Record(2));
    let elsewhere = record(&sample, 1).frame().unwrap();
    assert_eq!(error(&[sample.file(&[0, 1]), elsewhere].concat()), Error::Duplicate(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let with_magic = [MAGIC.as_slice(), &bytes].concat();
        let _ = parse(&with_magic);
        let sample = Sample::new();
        let _ = recover(&[sample.file(&[0]), bytes].concat());
    }
}
