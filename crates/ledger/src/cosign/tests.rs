use super::*;
use crate::Checkpoint;
use crate::testing::{ORIGIN, signer};

fn witness(seed: u8) -> Cosigner {
    Cosigner::new("witness.example/w1", &Secret::new(vec![seed; 32])).unwrap()
}

fn signed() -> Note {
    Note::parse(&Checkpoint::new(ORIGIN, 3, [9; 32]).sign(&[&signer(1)]).unwrap()).unwrap()
}

#[test]
fn a_cosignature_holds_for_its_key_text_and_time_alone() {
    let mut note = signed();
    assert_eq!(witness(1).key().cosigned(&note), Err(note::Error::Unsigned));
    note.add(&witness(1).cosign(&note, 1_679_315_147)).unwrap();
    assert_eq!(witness(1).key().cosigned(&note), Ok(1_679_315_147));
    assert_eq!(witness(2).key().cosigned(&note), Err(note::Error::Unsigned));
    // The ledger's own signature is not touched by it, and the note is read again as it was written.
    let again = Note::parse(&note.to_string()).unwrap();
    assert_eq!(again, note);
    assert!(again.verify(&[signer(1).verifier()]).is_ok());
    assert_eq!(again.names().collect::<Vec<_>>(), [ORIGIN, "witness.example/w1"]);
    note.add(&witness(1).cosign(&note, 1_679_315_200)).unwrap();
    assert_eq!(witness(1).key().cosigned(&note), Ok(1_679_315_200));
}

/// The message, put together here from the specification and signed by a second implementation of Ed25519.
#[test]
fn the_signed_bytes_are_those_of_the_specification() {
    let text = Checkpoint::new(ORIGIN, 3, [9; 32]).to_string();
    let message = format!("cosignature/v1\ntime 1679315147\n{text}");
    // A standard signer of a second implementation signs any text that is a note's.
    let private = format!(
        "PRIVATE+KEY+w+{}+{}",
        hex::encode(signed_note::key_id("w", &[&[1], public(&witness(1)).as_slice()].concat()).to_be_bytes()),
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [&[1], [1_u8; 32].as_slice()].concat())
    );
    let theirs = signed_note::StandardSigner::new(&private).unwrap();
    let signature = signed_note::Signer::sign(&theirs, message.as_bytes()).unwrap();
    let line = witness(1).cosign(&signed(), 1_679_315_147);
    let mut note = signed();
    note.add(&line).unwrap();
    let key = witness(1);
    let ours = note.signatures_of(&key.key().0).next().unwrap().to_vec();
    assert_eq!(ours, [1_679_315_147_u64.to_be_bytes().as_slice(), &signature].concat());
}

fn public(cosigner: &Cosigner) -> [u8; 32] {
    let text = cosigner.key().to_string();
    let encoded = text.rsplit_once('+').unwrap().1;
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    bytes[1..].try_into().unwrap()
}

#[test]
fn a_second_implementation_computes_the_same_key_id() {
    let key = witness(1).key().clone();
    let id = signed_note::key_id(key.name(), &[&[4], public(&witness(1)).as_slice()].concat());
    assert_eq!(key.0.id(), id.to_be_bytes());
}

#[test]
fn the_two_kinds_of_keys_are_not_mistaken_for_each_other() {
    let text = witness(1).key().to_string();
    assert_eq!(WitnessKey::parse(&text).unwrap(), *witness(1).key());
    assert!(Verifier::parse(&text).is_err());
    assert!(WitnessKey::parse(&signer(1).verifier().to_string()).is_err());
    // A log's signature in the witness's name is no cosignature, and the other way round.
    let mut note = signed();
    note.add(&witness(1).cosign(&note, 5)).unwrap();
    assert_eq!(note.verify(&[signer(2).verifier()]), Err(note::Error::Unsigned));
}

#[test]
fn no_flipped_bit_is_accepted() {
    let key = witness(1).key().clone();
    let line = witness(1).cosign(&signed(), 1_679_315_147);
    let good = {
        let mut note = signed();
        note.add(&line).unwrap();
        note.signatures_of(&key.0).next().unwrap().to_vec()
    };
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut note = signed();
        note.add(&note::line(key.name(), key.0.id(), &bytes)).unwrap();
        assert!(key.cosigned(&note).is_err(), "bit {bit}");
    }
    for length in [0, 7, 8, 71, 73] {
        let bytes = [good.as_slice(), &[0]].concat();
        let Some(bytes) = bytes.get(..length).filter(|b| !b.is_empty()) else { continue };
        let mut note = signed();
        note.add(&note::line(key.name(), key.0.id(), bytes)).unwrap();
        assert!(key.cosigned(&note).is_err(), "{length} bytes");
    }
}
