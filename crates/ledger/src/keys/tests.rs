use super::*;
use crate::testing::{ORIGIN, signer};
use proptest::prelude::*;
use signed_note::{Verifier as _, VerifierList};

/// The example key of Go's `sumdb/note` (golang.org/x/mod/sumdb/note, package documentation).
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_PRIVATE: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

#[test]
fn the_example_key_of_the_go_package() {
    let key = Verifier::parse(PETER).unwrap();
    assert_eq!((key.name(), key.id()), ("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa3]));
    let seed = STANDARD.decode(PETER_PRIVATE).unwrap()[1..].to_vec();
    let signer = Signer::new("PeterNeumann", &Secret::new(seed)).unwrap();
    assert_eq!(signer.verifier().to_string(), PETER);
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let note = Note::sign(text.into(), &[&signer]).unwrap().to_string();
    let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    assert_eq!(note, format!("{text}\n\u{2014} PeterNeumann {signature}\n"));
}

#[test]
fn a_second_implementation_verifies_our_notes() {
    let signer = signer(1);
    let note = Note::sign("some text\n".into(), &[&signer]).unwrap().to_string();
    let theirs = signed_note::StandardVerifier::new(&signer.verifier().to_string()).unwrap();
    assert_eq!(theirs.key_id(), u32::from_be_bytes(signer.verifier().id()));
    let read = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, unverified) = read.verify(&VerifierList::new(vec![Box::new(theirs)])).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
}

#[test]
fn a_key_has_one_text() {
    let text = signer(1).verifier().to_string();
    assert_eq!(Verifier::parse(&text).unwrap().to_string(), text);
    for bit in 0..text.len() * 8 {
        let mut altered = text.clone().into_bytes();
        altered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(altered) = String::from_utf8(altered) {
            assert!(Verifier::parse(&altered).is_err(), "bit {bit}");
        }
    }
    for bad in ["", "name", "name+", "name+00000000+", &format!("{text} "), &text.replace('+', " ")] {
        assert!(Verifier::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_and_seeds_are_checked() {
    let seed = || Secret::new(vec![1; 32]);
    for bad in ["", "a b", "a+b", "a\n", "a\u{3000}b"] {
        assert_eq!(Signer::new(bad, &seed()).err(), Some(Error::Name));
    }
    assert_eq!(Signer::new("a", &Secret::new(vec![1; 31])).err(), Some(Error::Seed));
    assert_eq!(Signer::new("a", &Secret::new(vec![1; 33])).err(), Some(Error::Seed));
}

#[test]
fn fingerprints_tell_names_and_keys_apart() {
    let other = Signer::new("other", &Secret::new(vec![1; 32])).unwrap();
    let prints =
        [signer(1).verifier().fingerprint(), signer(2).verifier().fingerprint(), other.verifier().fingerprint()];
    assert!(prints.iter().all(|print| print.starts_with("SHA256:") && print.len() == 50));
    assert!(prints[0] != prints[1] && prints[0] != prints[2]);
}

#[test]
fn a_key_set_is_vouched_for_and_of_one_ledger() {
    let (one, two) = (signer(1), signer(2));
    let set = KeySet { origin: ORIGIN.into(), keys: vec![one.verifier().clone(), two.verifier().clone()] };
    let note = set.sign(&one).unwrap();
    assert_eq!(KeySet::open(&note, ORIGIN, &[one.verifier()]).unwrap(), set);
    assert!(matches!(KeySet::open(&note, ORIGIN, &[two.verifier()]), Err(Error::Note(note::Error::Unsigned))));
    assert!(matches!(KeySet::open(&note, "elsewhere", &[one.verifier()]), Err(Error::Set(_))));
    assert!(matches!(KeySet { keys: Vec::new(), ..set.clone() }.sign(&one), Err(Error::Set(_))));
    let stranger = Signer::new("elsewhere", &Secret::new(vec![3; 32])).unwrap();
    assert!(KeySet { keys: vec![stranger.verifier().clone()], ..set }.sign(&one).is_err());
    let checkpoint = crate::Checkpoint::new(ORIGIN, 0, [0; 32]).sign(&[&one]).unwrap();
    assert!(matches!(KeySet::open(&checkpoint, ORIGIN, &[one.verifier()]), Err(Error::Set(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_panics(text in "[a-z+]{0,9}\\+[0-9a-f]{0,9}\\+[A-Za-z0-9=]{0,50}|.{0,30}") {
        prop_assert!(Verifier::parse(&text).is_err());
    }
}
