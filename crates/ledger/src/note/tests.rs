use super::*;
use crate::testing::signer;
use proptest::prelude::*;

#[test]
fn signs_and_verifies() {
    let (one, two) = (signer(1), signer(2));
    let note = Note::sign("a\n\nb\n".into(), &[&one, &two]).unwrap();
    let read = Note::parse(&note.to_string()).unwrap();
    assert_eq!(read, note);
    assert_eq!(read.verify(&[one.verifier()]).unwrap(), "a\n\nb\n");
    assert_eq!(read.verify(&[signer(3).verifier(), two.verifier()]).unwrap(), "a\n\nb\n");
    assert_eq!(read.verify(&[signer(3).verifier()]), Err(Error::Unsigned));
    assert_eq!(read.verify(&[]), Err(Error::Unsigned));
}

#[test]
fn lines_of_unknown_keys_are_ignored_and_many_are_accepted() {
    let key = signer(1);
    let mut note = Note::sign("text\n".into(), &[&key]).unwrap();
    for n in 0..40 {
        // Another type of signature, as long as ML-DSA-44's.
        let line = format!("\u{2014} witness{n}.example {}\n", STANDARD.encode(vec![n; 4 + 2428]));
        note.add(&line).unwrap();
    }
    let read = Note::parse(&note.to_string()).unwrap();
    assert!(read.verify(&[key.verifier()]).is_ok());
    while note.add("\u{2014} w AAAAAAA=\n").is_ok() {}
    assert_eq!(note.signatures.len(), MAX_SIGNATURES);
    let more = format!("{note}\u{2014} w AAAAAAA=\n");
    assert!(matches!(Note::parse(&more), Err(Error::Format(_))));
}

#[test]
fn a_wrong_signature_of_a_known_key_refuses_the_note_whatever_else_is_right() {
    let (one, two) = (signer(1), signer(2));
    let good = Note::sign("text\n".into(), &[&one, &two]).unwrap();
    let mut bad = good.clone();
    bad.signatures[1].bytes[0] ^= 1;
    assert!(bad.verify(&[one.verifier()]).is_ok());
    let wrong = Error::Signature(two.verifier().name().into());
    assert_eq!(bad.verify(&[one.verifier(), two.verifier()]), Err(wrong));
    let mut short = good;
    short.signatures[0].bytes.truncate(63);
    assert!(short.verify(&[one.verifier()]).is_err());
}

#[test]
fn malformed_notes_are_refused() {
    let note = Note::sign("text\n".into(), &[&signer(1)]).unwrap().to_string();
    let (text, line) = note.split_at(6);
    for bad in [
        String::new(),
        text.to_owned(),
        line.to_owned(),
        note.trim_end().to_owned(),
        format!("{note}\n"),
        format!("{note}x\n"),
        format!("{note} \n"),
        note.replace("text\n\n", "text\n"),
        note.replace('\u{2014}', "-"),
        note.replace("text", "te\txt"),
        note.replace('\n', "\r\n"),
        note.replace("=\n", "\n"),
        format!("{text}\u{2014} name AAAA\n"),
        format!("{text}\u{2014} name AAAAAA==\n"),
        format!("{text}\u{2014} na+me AAAAAAA=\n"),
        format!("{text}\u{2014}  AAAAAAA=\n"),
        format!("{text}\u{2014} name AAAAAAB=\n"),
        format!("{text}\u{2014} name AAAAAAA= \n"),
    ] {
        assert!(matches!(Note::parse(&bad), Err(Error::Format(_))), "{bad:?}");
    }
    assert!(Note::parse(&"x".repeat(MAX_NOTE + 1)).is_err());
    assert!(Note::sign("no newline".into(), &[&signer(1)]).is_err());
    assert!(Note::sign("text\n".into(), &[]).is_err());
}

#[test]
fn no_flipped_bit_is_accepted() {
    let key = signer(1);
    let note = Note::sign("text\n".into(), &[&key]).unwrap().to_string().into_bytes();
    for bit in 0..note.len() * 8 {
        let mut altered = note.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let Ok(altered) = String::from_utf8(altered) else { continue };
        let accepted = Note::parse(&altered).is_ok_and(|note| note.verify(&[key.verifier()]).is_ok());
        assert!(!accepted, "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_text_panics_and_what_is_read_has_one_form(text in "[a-z\n]{0,9}\n\n(\u{2014} [a-z]{1,3} [A-D]{8}\n){0,3}|.{0,40}") {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.to_string(), text.clone());
            prop_assert!(signed_note::Note::from_bytes(text.as_bytes()).is_ok());
        }
    }
}
