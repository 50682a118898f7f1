use super::*;
use crate::testing::{Sample, events};

fn opened(sample: &Sample, segments: &[&[u8]]) -> Result<Vec<Opened>, Error> {
    let mut opener = Opener::new(&sample.key, &sample.header)?;
    segments.iter().map(|segment| opener.open(segment)).collect()
}

#[test]
fn round_trip_and_chain() {
    let sample = Sample::new();
    let mut opener = Opener::new(&sample.key, &sample.header).unwrap();
    assert_eq!(opener.anchor(), (0, sample.header.hash()));
    for (n, segment) in (0..).zip(&sample.segments) {
        let opened = opener.open(&segment.bytes).unwrap();
        assert_eq!(opened.events, events(n));
        assert_eq!(u64::from(opened.seq), n);
        assert_eq!(opened.kind, if n == 2 { Kind::Final } else { Kind::Data });
        assert_eq!(opener.anchor(), (segment.seq + 1, segment.chain));
    }
    assert_eq!(opener.open(&sample.segments[2].bytes), Err(Error::Ended(3)));
}

#[test]
fn a_segment_opens_only_in_its_place() {
    let sample = Sample::new();
    let [a, b, c] = [0, 1, 2].map(|n| sample.segments[n].bytes.as_slice());
    assert_eq!(opened(&sample, &[b]), Err(Error::Altered(0)));
    assert_eq!(opened(&sample, &[a, c]), Err(Error::Altered(1)));
    assert_eq!(opened(&sample, &[a, a]), Err(Error::Altered(1)));
    assert_eq!(opened(&sample, &[&[a, b].concat()]), Err(Error::Altered(0)));
    // Another run's segment with the same number does not fit the chain.
    let mut other = Sealer::new(&sample.key, &sample.header).unwrap();
    let first = other.seal(&sample.env, &events(7), Kind::Data).unwrap();
    let second = other.seal(&sample.env, &events(1), Kind::Data).unwrap();
    assert_eq!(opened(&sample, &[a, &second.bytes]), Err(Error::Altered(1)));
    assert!(opened(&sample, &[&first.bytes, &second.bytes]).is_ok());
}

#[test]
fn final_is_part_of_the_seal() {
    let sample = Sample::new();
    let mut forged = sample.segments[1].bytes.clone();
    forged[4] = frame::FINAL;
    assert_eq!(opened(&sample, &[&sample.segments[0].bytes, &forged]), Err(Error::Altered(1)));
}

#[test]
fn nothing_follows_the_final_segment_and_segments_have_a_bound() {
    let sample = Sample::new();
    let mut sealer = Sealer::new(&sample.key, &sample.header).unwrap();
    assert_eq!(sealer.seal(&sample.env, &vec![0; MAX_EVENTS + 1], Kind::Data), Err(Error::TooLong(0)));
    sealer.seal(&sample.env, &[], Kind::Final).unwrap();
    assert_eq!(sealer.seal(&sample.env, &[], Kind::Data), Err(Error::Ended(1)));
    let mut last = Sealer::resume(&sample.key, &sample.header, u32::MAX - 1, [0; 32]).unwrap();
    last.seal(&sample.env, &[], Kind::Data).unwrap();
    assert_eq!(last.seal(&sample.env, &[], Kind::Data), Err(Error::Ended(u32::MAX)));
}

#[test]
fn a_resumed_sealer_goes_on_and_never_repeats_a_nonce() {
    let sample = Sample::new();
    let mut before = Sealer::new(&sample.key, &sample.header).unwrap();
    let first = before.seal(&sample.env, &events(0), Kind::Data).unwrap();
    let lost = before.seal(&sample.env, &events(1), Kind::Data).unwrap();
    let mut after = Sealer::resume(&sample.key, &sample.header, 1, first.chain).unwrap();
    let second = after.seal(&sample.env, &events(1), Kind::Data).unwrap();
    let prefix = |segment: &Segment| segment.bytes[HEAD..HEAD + PREFIX].to_vec();
    assert_eq!(lost.seq, second.seq);
    assert_ne!(prefix(&lost), prefix(&second));
    let all = opened(&sample, &[&first.bytes, &second.bytes]).unwrap();
    assert_eq!(all[1].events, events(1));
}

#[test]
fn what_does_not_compress_is_stored_and_pauses_the_attempts() {
    let sample = Sample::new();
    let mut sealer = Sealer::new(&sample.key, &sample.header).unwrap();
    let mut noise = vec![0; 4096];
    sample.env.fill(&mut noise);
    let plain = vec![b'a'; 4096];
    let overhead = HEAD + PREFIX + 1 + MAX_TAG_LEN;
    let mut opener = Opener::new(&sample.key, &sample.header).unwrap();
    let mut lengths = Vec::new();
    for events in std::iter::once(&noise).chain(std::iter::repeat_n(&plain, 32)) {
        let segment = sealer.seal(&sample.env, events, Kind::Data).unwrap();
        assert_eq!(&opener.open(&segment.bytes).unwrap().events, events);
        lengths.push(segment.bytes.len());
    }
    assert!(lengths[..32].iter().all(|length| *length == 4096 + overhead));
    assert!(lengths[32] < 200);
}

#[test]
fn a_bomb_is_refused_before_memory_is_taken() {
    let mut decompressor = Decompressor::new().unwrap();
    let packed = zstd::bulk::compress(&vec![0; MAX_EVENTS + 1], 1).unwrap();
    let with = |length: u32| [&[ZSTD], length.to_be_bytes().as_slice(), &packed].concat();
    let length = u32::try_from(MAX_EVENTS).unwrap();
    assert!(unpack(&mut decompressor, &with(length + 1)).is_none());
    assert!(unpack(&mut decompressor, &with(length)).is_none());
    assert!(unpack(&mut decompressor, &[9, 0]).is_none());
    assert!(unpack(&mut decompressor, &[]).is_none());
}

#[test]
fn another_recordings_key_is_refused() {
    let (one, two) = (Sample::new(), Sample::new());
    assert_eq!(Sealer::new(&one.key, &two.header).err(), Some(Error::Key));
    assert_eq!(Opener::new(&one.key, &two.header).err(), Some(Error::Key));
}
