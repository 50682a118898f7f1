use super::*;
use crate::testing::{ORIGIN, signer};
use proptest::prelude::*;

/// The example of c2sp.org/tlog-checkpoint, without its signature, which is made up.
const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_example_of_the_specification() {
    let checkpoint = Checkpoint::parse(EXAMPLE).unwrap();
    assert_eq!(checkpoint.size, 20_852_163);
    assert_eq!(checkpoint.to_string(), EXAMPLE);
    let other = tlog_tiles::Checkpoint::from_bytes(EXAMPLE.as_bytes()).unwrap();
    assert_eq!((other.size(), other.hash().0), (checkpoint.size, checkpoint.root));
}

#[test]
fn a_second_implementation_writes_the_same() {
    let ours = Checkpoint::new(ORIGIN, 42, [7; 32]);
    let theirs = tlog_tiles::Checkpoint::new(ORIGIN, 42, tlog_tiles::Hash([7; 32]), "").unwrap();
    assert_eq!(ours.to_string().as_bytes(), theirs.to_bytes());
}

#[test]
fn signs_and_opens_for_its_origin_and_key_alone() {
    let key = signer(1);
    let checkpoint = Checkpoint { extensions: vec!["more".into()], ..Checkpoint::new(ORIGIN, 3, [9; 32]) };
    let note = checkpoint.sign(&[&key]).unwrap();
    assert_eq!(Checkpoint::open(&note, ORIGIN, &[key.verifier()]).unwrap(), checkpoint);
    assert_eq!(Checkpoint::open(&note, "other", &[key.verifier()]), Err(Error::Origin(ORIGIN.into())));
    let stranger = Checkpoint::open(&note, ORIGIN, &[signer(2).verifier()]);
    assert_eq!(stranger, Err(Error::Note(note::Error::Unsigned)));
}

#[test]
fn what_would_read_otherwise_is_not_signed() {
    let key = signer(1);
    for origin in ["", "a\nb"] {
        assert!(Checkpoint::new(origin, 3, [9; 32]).sign(&[&key]).is_err());
    }
    for extension in ["", "a\n", "a\n\nb"] {
        let checkpoint = Checkpoint { extensions: vec![extension.into()], ..Checkpoint::new(ORIGIN, 3, [9; 32]) };
        assert!(checkpoint.sign(&[&key]).is_err(), "{extension:?}");
    }
}

#[test]
fn a_checkpoint_has_one_form() {
    for (from, to) in [
        ("20852163", "020852163"),
        ("20852163", "+20852163"),
        ("20852163", ""),
        ("20852163", "99999999999999999999"),
        ("q2I=", "q2J="),
        ("q2I=", "q2I"),
        ("q2I=", "q2I=\n"),
        ("q2I=\n", "q2I="),
        ("example.com/behind-the-sofa", ""),
        ("CsUY", ""),
    ] {
        let text = EXAMPLE.replace(from, to);
        assert!(matches!(Checkpoint::parse(&text), Err(Error::Format(_))), "{text}");
    }
    assert!(Checkpoint::parse("").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_text_panics(text in "[a-z]{0,3}\n[0-9]{0,3}\n[A-Za-z0-9]{42}[A-Z]=\n([a-z]{0,3}\n){0,2}|.{0,40}") {
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert_eq!(checkpoint.to_string(), text.clone());
            prop_assert!(tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).is_ok());
        }
    }
}
