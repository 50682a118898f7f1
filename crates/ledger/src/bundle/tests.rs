use super::*;
use crate::testing::{ORIGIN, entry, signer};
use crate::{Appender, TileId};
use proptest::prelude::*;
use sallyport_model::{Env, Secret};
use std::collections::BTreeMap;

/// Three of seven entries, one attachment, signed by key 1.
fn bundle() -> Bundle {
    let env = Env::system();
    let entries: Vec<_> = (0..7).map(|at| entry(&env, at, "session.opened", None).encode().unwrap()).collect();
    let leaves: Vec<_> = entries.iter().map(|bytes| leaf_hash(bytes)).collect();
    let mut appender = Appender::new();
    let growth = appender.append(&leaves);
    let tiles: BTreeMap<TileId, Vec<u8>> = growth.tiles.into_iter().map(|tile| (tile.id, tile.bytes)).collect();
    let proven = [1_usize, 2, 6].map(|n| {
        let index = u64::try_from(n).unwrap();
        Proven::new(index, entries[n].clone(), &proof::prove_inclusion(index, 7, &tiles).unwrap())
    });
    let cluster = ClusterId::from_bytes([5; 16]);
    let manifest = Manifest { cluster, created: Timestamp(9), what: "session".into(), origin: ORIGIN.into() };
    Bundle {
        manifest,
        checkpoint: Checkpoint::new(ORIGIN, 7, growth.root).sign(&[&signer(1)]).unwrap(),
        keys: Vec::new(),
        entries: proven.into(),
        attachments: vec![Attachment { name: "recording".into(), bytes: b"SPREC".to_vec() }],
    }
}

/// The file of a body that [`write`] would refuse.
fn forced(bundle: Bundle, signer: &Signer) -> Vec<u8> {
    let body = Body { format: FORMAT.into(), signer: signer.verifier().to_string(), bundle };
    let mut bytes = encode(&File { body, signature: [0; SIGNATURE] }).unwrap();
    bytes.truncate(bytes.len() - SIGNATURE);
    let signature = signer.sign(&bytes);
    [bytes, signature.to_vec()].concat()
}

#[test]
fn a_bundle_holds_under_its_key() {
    let key = signer(1);
    let bundle = bundle();
    let bytes = write(bundle.clone(), &key).unwrap();
    let verified = verify(&bytes, Some(key.verifier())).unwrap();
    assert!(verified.pinned);
    assert_eq!(verified.manifest, bundle.manifest);
    assert_eq!(verified.checkpoint.size, 7);
    assert_eq!(verified.entries.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 6]);
    assert_eq!(verified.attachments, bundle.attachments);
    assert_eq!(verified.attachment("recording"), Some(b"SPREC".as_slice()));
    assert_eq!(verified.attachment("key"), None);
}

#[test]
fn unpinned_it_only_agrees_with_itself_and_says_so() {
    let bytes = write(bundle(), &signer(1)).unwrap();
    let verified = verify(&bytes, None).unwrap();
    assert!(!verified.pinned);
    assert_eq!(verified.signer.fingerprint(), signer(1).verifier().fingerprint());
}

#[test]
fn no_flipped_bit_is_accepted() {
    let key = signer(1);
    let bytes = write(bundle(), &key).unwrap();
    for trust in [Some(key.verifier()), None] {
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&altered, trust).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn neither_cut_nor_lengthened() {
    let key = signer(1);
    let bytes = write(bundle(), &key).unwrap();
    for cut in 0..bytes.len() {
        assert!(verify(&bytes[..cut], None).is_err(), "cut {cut}");
    }
    assert!(matches!(verify(&[bytes, vec![0]].concat(), None), Err(Wrong::Format(_))));
}

#[test]
fn signed_again_by_a_stranger_it_is_refused_under_the_trusted_key() {
    let (key, stranger) = (signer(1), signer(2));
    // The stranger signs the file, and then the checkpoint too.
    let outer = forced(bundle(), &stranger);
    assert!(matches!(verify(&outer, Some(key.verifier())), Err(Wrong::Trust(_))));
    assert!(matches!(verify(&outer, None), Err(Wrong::Checkpoint(_))));
    let mut both = bundle();
    let head = Checkpoint::open(&both.checkpoint, ORIGIN, &[key.verifier()]).unwrap();
    both.checkpoint = head.sign(&[&stranger]).unwrap();
    let both = write(both, &stranger).unwrap();
    assert!(matches!(verify(&both, Some(key.verifier())), Err(Wrong::Trust(_))));
    assert!(!verify(&both, None).unwrap().pinned);
}

#[test]
fn keys_are_vouched_for_step_by_step() {
    let (one, two, three) = (signer(1), signer(2), signer(3));
    let vouch = |by: &Signer, whom: &Signer| {
        KeySet { origin: ORIGIN.into(), keys: vec![whom.verifier().clone()] }.sign(by).unwrap()
    };
    let with = |keys: Vec<String>| forced(Bundle { keys, ..bundle() }, &three);
    let chain = vec![vouch(&one, &two), vouch(&two, &three)];
    assert!(verify(&with(chain.clone()), Some(one.verifier())).unwrap().pinned);
    assert!(
        verify(&with(chain.into_iter().rev().collect()), Some(one.verifier())).unwrap().pinned,
        "order says nothing"
    );
    assert!(verify(&with(vec![vouch(&three, &three)]), Some(one.verifier())).is_err());
    assert!(verify(&with(vec![vouch(&one, &two)]), Some(one.verifier())).is_err());
}

#[test]
fn a_key_of_another_ledger_vouches_for_nothing() {
    let elsewhere = Signer::new("elsewhere", &Secret::new(vec![1; 32])).unwrap();
    let bytes = write(bundle(), &signer(1)).unwrap();
    assert!(matches!(verify(&bytes, Some(elsewhere.verifier())), Err(Wrong::Trust(_))));
    assert!(matches!(write(bundle(), &elsewhere), Err(Wrong::Trust(_))));
}

#[test]
fn what_does_not_hold_is_not_written_either() {
    let key = signer(1);
    type Change = &'static dyn Fn(&mut Bundle);
    let cases: [(&str, Change); 8] = [
        ("order", &|b| b.entries.swap(0, 1)),
        ("twice", &|b| b.entries[1] = b.entries[0].clone()),
        ("index", &|b| b.entries[0].index = 0),
        ("beyond", &|b| b.entries[2].index = 7),
        ("entry", &|b| b.entries[0].entry[5] ^= 1),
        ("proof", &|b| b.entries[0].proof.truncate(31)),
        ("origin", &|b| b.manifest.origin = "elsewhere".into()),
        ("attachments", &|b| b.attachments.push(b.attachments[0].clone())),
    ];
    for (name, change) in cases {
        let mut wrong = bundle();
        change(&mut wrong);
        assert!(write(wrong.clone(), &key).is_err(), "{name}");
        assert!(verify(&forced(wrong, &key), Some(key.verifier())).is_err(), "{name}");
    }
}

#[test]
fn an_entry_that_is_in_the_ledger_but_cannot_be_read_is_wrong() {
    let key = signer(1);
    let junk = b"no entry".to_vec();
    let mut bundle = bundle();
    bundle.checkpoint = Checkpoint::new(ORIGIN, 1, leaf_hash(&junk)).sign(&[&key]).unwrap();
    bundle.entries = vec![Proven::new(0, junk, &[])];
    assert!(matches!(verify(&forced(bundle, &key), None), Err(Wrong::Entry(0, _))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify(&bytes, None).is_err());
    }

    #[test]
    fn no_spliced_bytes_panic_or_pass(at: prop::sample::Index, bytes in proptest::collection::vec(any::<u8>(), 1..20)) {
        let whole = write(bundle(), &signer(1)).unwrap();
        let at = at.index(whole.len());
        let spliced = [&whole[..at], &bytes, &whole[at..]].concat();
        prop_assert!(verify(&spliced, None).is_err());
    }
}
