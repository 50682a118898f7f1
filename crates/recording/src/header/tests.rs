use super::*;
use crate::testing::{facts, recording_key};
use proptest::prelude::*;

#[test]
fn opens_with_its_key_and_round_trips() {
    let env = Env::system();
    let (private, public) = recording_key(&env);
    let (header, key) = Header::seal(&env, facts(&env), &public).unwrap();
    let read = Header::decode(&header.encode()).unwrap();
    assert_eq!(read, header);
    assert_eq!(read.hash(), header.hash());
    assert_eq!(read.open(&private).unwrap().bytes().expose(), key.bytes().expose());
    let (stranger, _) = recording_key(&env);
    assert_eq!(read.open(&stranger).err(), Some(Error::Open(3)));
}

#[test]
fn every_flipped_bit_changes_the_hash_or_is_refused_and_no_key_comes_out() {
    let env = Env::system();
    let (private, public) = recording_key(&env);
    let (header, _) = Header::seal(&env, facts(&env), &public).unwrap();
    let bytes = header.encode();
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(altered) = Header::decode(&altered) {
            assert_ne!(altered.hash(), header.hash(), "bit {bit}");
            let bound = altered.facts.session != header.facts.session
                || altered.facts.recording != header.facts.recording
                || altered.facts.cluster != header.facts.cluster
                || altered.key_epoch != header.key_epoch
                || altered.sealed_key != header.sealed_key
                || altered.commitment != header.commitment;
            assert!(!bound || altered.open(&private).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_key_that_was_not_committed_to_is_refused() {
    let env = Env::system();
    let (private, public) = recording_key(&env);
    let (mut header, _) = Header::seal(&env, facts(&env), &public).unwrap();
    let other = DataKey::generate(&env);
    let binding = binding(&header.facts, header.key_epoch, &header.commitment);
    header.sealed_key = public.key.seal(DOMAIN, &binding, other.bytes().expose()).unwrap();
    assert_eq!(header.open(&private).err(), Some(Error::Commitment));
    assert_eq!(header.check(&other), Err(Error::Commitment));
}

#[test]
fn other_encodings_are_refused() {
    let env = Env::system();
    let (_, public) = recording_key(&env);
    let (header, _) = Header::seal(&env, facts(&env), &public).unwrap();
    let bytes = header.encode();
    let trailing = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(Header::decode(&trailing), Err(Error::Encoding(_))));
    // The map with its length in two bytes instead of one.
    let long = [&[0xb8, bytes[0] & 0x1f], &bytes[1..]].concat();
    assert!(matches!(Header::decode(&long), Err(Error::Encoding(_))));
    assert!(matches!(Header::decode(&vec![0; MAX_HEADER + 1]), Err(Error::TooLong)));
}

#[test]
fn a_header_that_is_too_long_is_not_made() {
    let env = Env::system();
    let (_, public) = recording_key(&env);
    let facts = Facts { protocol: "x".repeat(MAX_HEADER), ..facts(&env) };
    assert_eq!(Header::seal(&env, facts, &public).err(), Some(Error::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Header::decode(&bytes);
    }
}
