use super::text::{Error as TextError, TextProof};
use super::*;
use crate::checkpoint::Checkpoint;
use crate::testing::{ORIGIN, entry_bytes, grown, leaves, naive_root, signer};
use crate::tree::leaf_hash;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Tiles = BTreeMap<TileId, Vec<u8>>;

/// RFC 6962 section 2.1.1, word for word.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = usize::try_from(split(u64::try_from(leaves.len()).unwrap())).unwrap();
    let (left, right) = leaves.split_at(middle);
    let (mut path, sibling) = if index < middle {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - middle, right), naive_root(left))
    };
    path.push(sibling);
    path
}

/// RFC 6962 section 2.1.2, word for word.
fn naive_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let middle = usize::try_from(split(u64::try_from(leaves.len()).unwrap())).unwrap();
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = if old <= middle {
        (naive_subproof(old, left, whole), naive_root(right))
    } else {
        (naive_subproof(old - middle, right, false), naive_root(left))
    };
    proof.push(sibling);
    proof
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

fn only(tiles: &Tiles, needed: Vec<TileId>) -> Tiles {
    needed.into_iter().map(|id| (id, tiles[&id].clone())).collect()
}

#[test]
fn every_inclusion_up_to_300_entries() {
    let leaves = leaves(300);
    let (_, tiles) = grown(&leaves, 1);
    for size in 1..=300 {
        let root = naive_root(&leaves[..size]);
        assert_eq!(super::root(wide(size), &tiles).unwrap(), root);
        for index in 0..size {
            let proof = prove_inclusion(wide(index), wide(size), &tiles).unwrap();
            verify_inclusion(&leaves[index], wide(index), wide(size), &proof, &root).unwrap();
            if index % 7 == 0 || size % 64 < 2 {
                assert_eq!(proof, naive_path(index, &leaves[..size]));
            }
        }
    }
}

#[test]
fn every_consistency_up_to_300_entries() {
    let leaves = leaves(300);
    let (_, tiles) = grown(&leaves, 1);
    let roots: Vec<_> = (0..=300).map(|size| naive_root(&leaves[..size])).collect();
    for new in 0..=300 {
        for old in 0..=new {
            let proof = prove_consistency(wide(old), wide(new), &tiles).unwrap();
            verify_consistency(wide(old), wide(new), &proof, &roots[old], &roots[new]).unwrap();
            if old > 0 && (old % 7 == 0 || new % 64 < 2) {
                assert_eq!(proof, naive_subproof(old, &leaves[..new], true));
            }
        }
    }
}

#[test]
fn the_tiles_that_are_listed_suffice() {
    let leaves = leaves(66_000);
    let (_, tiles) = grown(&leaves, 1000);
    for (index, size) in [(0, 66_000), (65_535, 66_000), (65_536, 66_000), (65_999, 66_000), (3, 5_000)] {
        let fetched = only(&tiles, needed_for_inclusion(index, size).unwrap());
        let proof = prove_inclusion(index, size, &fetched).unwrap();
        let leaf = &leaves[usize::try_from(index).unwrap()];
        verify_inclusion(leaf, index, size, &proof, &root(size, &tiles).unwrap()).unwrap();
        assert!(fetched.len() <= 5);
        let first = *fetched.keys().next().unwrap();
        let missing = prove_inclusion(index, size, &Tiles::new());
        assert!(matches!(missing, Err(Error::Tiles(tiles::Error::Tile(_)))), "{first}");
    }
    for (old, new) in [(1_000, 66_000), (65_000, 66_000), (64_000, 65_000)] {
        let fetched = only(&tiles, needed_for_consistency(old, new).unwrap());
        let proof = prove_consistency(old, new, &fetched).unwrap();
        let (old_root, new_root) = (root(old, &tiles).unwrap(), root(new, &tiles).unwrap());
        verify_consistency(old, new, &proof, &old_root, &new_root).unwrap();
    }
}

#[test]
fn second_implementations_agree() {
    let leaves = leaves(40);
    let (_, tiles) = grown(&leaves, 1);
    let other = |hash: &Hash| tlog_tiles::Hash(*hash);
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    for size in 1..=40 {
        tree.push(entry_bytes(size - 1));
        let root = naive_root(&leaves[..size]);
        for (index, leaf) in leaves.iter().enumerate().take(size) {
            let proof = prove_inclusion(wide(index), wide(size), &tiles).unwrap();
            assert_eq!(proof.concat(), tree.prove_inclusion(index).as_bytes());
            let theirs = proof.iter().map(other).collect();
            tlog_tiles::check_record(&theirs, wide(size), other(&root), wide(index), other(leaf)).unwrap();
        }
        for old in 1..=size {
            let proof = prove_consistency(wide(old), wide(size), &tiles).unwrap();
            assert_eq!(proof.concat(), tree.prove_consistency(size - old).as_bytes());
            let theirs = proof.iter().map(other).collect();
            let old_root = other(&naive_root(&leaves[..old]));
            tlog_tiles::check_tree(&theirs, wide(size), other(&root), wide(old), old_root).unwrap();
        }
    }
}

/// Every way in which a list of hashes can be wrong in one place.
fn mutations(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut out = Vec::new();
    for at in 0..proof.len() {
        for bit in 0..256 {
            let mut flipped = proof.to_vec();
            flipped[at][bit / 8] ^= 1 << (bit % 8);
            out.push(flipped);
        }
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        out.push(shorter);
        let mut doubled = proof.to_vec();
        doubled.insert(at, proof[at]);
        out.push(doubled);
        if at > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(at, at - 1);
            out.push(swapped);
        }
    }
    out.push([proof, &[[0; 32]]].concat());
    out
}

#[test]
fn no_mutated_inclusion_is_accepted() {
    let leaves = leaves(40);
    let (_, tiles) = grown(&leaves, 1);
    for size in [1, 2, 3, 7, 8, 9, 21, 40] {
        let root = naive_root(&leaves[..size]);
        for index in (0..size).step_by(1 + size / 6) {
            let proof = prove_inclusion(wide(index), wide(size), &tiles).unwrap();
            let holds = |leaf: usize, index: usize, size: usize, proof: &[Hash]| {
                verify_inclusion(&leaves[leaf], wide(index), wide(size), proof, &root).is_ok()
            };
            assert!(mutations(&proof).iter().all(|wrong| !holds(index, index, size, wrong)));
            for other in (0..45).filter(|other| *other != index) {
                assert!(!holds(index, other, size, &proof), "index {other} for {index} of {size}");
                assert!(other >= size || !holds(other, index, size, &proof));
            }
            assert!(!holds(index, index, 0, &proof));
            let other_root = verify_inclusion(&leaves[index], wide(index), wide(size), &proof, &[7; 32]);
            assert_eq!(other_root, Err(Error::Wrong));
        }
    }
}

#[test]
fn no_mutated_consistency_is_accepted() {
    let leaves = leaves(40);
    let (_, tiles) = grown(&leaves, 1);
    let roots: Vec<_> = (0..=40).map(|size| naive_root(&leaves[..size])).collect();
    for (old, new) in [(1, 2), (1, 8), (3, 7), (4, 7), (6, 8), (8, 9), (7, 40), (32, 40), (39, 40), (5, 5), (0, 9)] {
        let proof = prove_consistency(wide(old), wide(new), &tiles).unwrap();
        let holds = |proof: &[Hash], a: &Hash, b: &Hash| verify_consistency(wide(old), wide(new), proof, a, b).is_ok();
        assert!(holds(&proof, &roots[old], &roots[new]));
        assert!(mutations(&proof).iter().all(|wrong| !holds(wrong, &roots[old], &roots[new])), "{old} {new}");
        for bit in 0..256 {
            let (mut before, mut after) = (roots[old], roots[new]);
            before[bit / 8] ^= 1 << (bit % 8);
            after[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&proof, &before, &roots[new]));
            // Nothing is claimed of what follows an empty ledger.
            assert!(old == 0 || !holds(&proof, &roots[old], &after));
        }
    }
    assert!(matches!(verify_consistency(9, 8, &[], &roots[9], &roots[8]), Err(Error::Range { .. })));
}

/// The lesson of immudb's linear proof (codenotary/immudb, advisory GHSA-672p-m5jq-mrh8): it checked the first and the last
/// element of the linear part only, so that a server could show one client two histories between them. Here the history
/// between two heads differs in each single entry, and no proof made over the fake leads from the old head to the new one.
#[test]
fn no_fake_between_two_genuine_heads_is_accepted() {
    let leaves = leaves(64);
    let (_, genuine) = grown(&leaves, 1);
    let (old, new) = (21, 64);
    let (old_root, new_root) = (naive_root(&leaves[..21]), naive_root(&leaves));
    for fake in 21..64 {
        let mut other = leaves.clone();
        other[fake] = leaf_hash(b"another transaction");
        let (_, tiles) = grown(&other, 1);
        let consistency = prove_consistency(old, new, &tiles).unwrap();
        assert!(verify_consistency(old, new, &consistency, &old_root, &new_root).is_err());
        let index = wide(fake);
        for source in [&tiles, &genuine] {
            let inclusion = prove_inclusion(index, new, source).unwrap();
            assert!(verify_inclusion(&other[fake], index, new, &inclusion, &new_root).is_err());
        }
        // Neither does a proof to any head between, which the fake would need for its own chain.
        let between = wide(fake + 1).min(new);
        let fake_root = naive_root(&other[..usize::try_from(between).unwrap()]);
        if between < new {
            let onward = prove_consistency(between, new, &tiles).unwrap();
            assert!(verify_consistency(between, new, &onward, &fake_root, &new_root).is_err());
        }
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let none = Tiles::new();
    assert!(matches!(prove_inclusion(5, 5, &none), Err(Error::Range { .. })));
    assert!(matches!(needed_for_inclusion(0, 0), Err(Error::Range { .. })));
    assert!(matches!(prove_consistency(6, 5, &none), Err(Error::Range { .. })));
    assert_eq!(prove_consistency(5, 5, &none), Ok(Vec::new()));
    assert_eq!(prove_inclusion(0, 1, &none), Ok(Vec::new()));
    needed_for_inclusion(u64::MAX - 1, u64::MAX).unwrap();
    needed_for_consistency(u64::MAX / 3, u64::MAX).unwrap();
    assert!(verify_inclusion(&[0; 32], 0, u64::MAX, &[[0; 32]; 70], &[0; 32]).is_err());
    assert!(verify_consistency(u64::MAX - 1, u64::MAX, &[[0; 32]; 70], &[0; 32], &[0; 32]).is_err());
}

fn sample() -> (TextProof, Vec<u8>) {
    let leaves = leaves(11);
    let (appender, tiles) = grown(&leaves, 11);
    let checkpoint = Checkpoint::new(ORIGIN, 11, appender.root()).sign(&[&signer(1)]).unwrap();
    let hashes = prove_inclusion(5, 11, &tiles).unwrap();
    (TextProof { extra: None, index: 5, hashes, checkpoint }, entry_bytes(5))
}

#[test]
fn a_textual_proof_round_trips_and_verifies() {
    let (proof, entry) = sample();
    let key = signer(1);
    for proof in [proof.clone(), TextProof { extra: Some(b"anything".to_vec()), ..proof.clone() }] {
        let text = proof.to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\n"));
        let read = TextProof::parse(&text).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.verify(&entry, ORIGIN, &[key.verifier()]).unwrap().size, 11);
        assert!(matches!(read.verify(b"other", ORIGIN, &[key.verifier()]), Err(TextError::Proof(Error::Wrong))));
        assert!(read.verify(&entry, "elsewhere", &[key.verifier()]).is_err());
        assert!(read.verify(&entry, ORIGIN, &[signer(2).verifier()]).is_err());
    }
}

#[test]
fn no_flipped_bit_of_a_textual_proof_is_accepted() {
    let (proof, entry) = sample();
    let key = signer(1);
    let text = proof.to_string().into_bytes();
    for bit in 0..text.len() * 8 {
        let mut altered = text.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let Ok(altered) = String::from_utf8(altered) else { continue };
        let accepted = TextProof::parse(&altered).is_ok_and(|p| p.verify(&entry, ORIGIN, &[key.verifier()]).is_ok());
        assert!(!accepted, "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z=]{0,9}\n)?(index [0-9]{0,3}\n)?[A-Za-z=\n]{0,60}") {
        if let Ok(proof) = TextProof::parse(&text) {
            prop_assert_eq!(proof.to_string(), text);
        }
    }

    #[test]
    fn large_trees_have_proofs_in_form(size in 1_u64.., at: prop::sample::Index) {
        let index = wide(at.index(usize::MAX)) % size;
        let needed = needed_for_inclusion(index, size).unwrap();
        prop_assert!(needed.len() <= 16);
        prop_assert!(needed_for_consistency(index, size).unwrap().len() <= 16);
    }
}

/// The portal checks proofs in the browser, with code of its own: these are what it is tested with.
#[test]
fn the_vectors_of_the_portal_are_the_reviewed_ones() {
    const SIZES: [u64; 7] = [1, 2, 3, 5, 8, 13, 300];
    let bytes: Vec<Vec<u8>> = (0..300).map(|n| vector_entry(n).encode().unwrap()).collect();
    let text = |hashes: Vec<Hash>| hashes.iter().map(crate::tree::hash_text).collect::<Vec<_>>();
    let shown = |index: &u64| *index < 13 || index.is_multiple_of(97) || *index == 299;
    let signer = signer(7);
    let (mut heads, mut inclusion, mut consistency) = (Vec::new(), Vec::new(), Vec::new());
    for size in SIZES {
        let leaves: Vec<Hash> =
            bytes.iter().take(usize::try_from(size).unwrap()).map(|bytes| leaf_hash(bytes)).collect();
        let (_, tiles) = grown(&leaves, 5);
        let note = Checkpoint::new(ORIGIN, size, naive_root(&leaves)).sign(&[&signer]).unwrap();
        heads.push(serde_json::json!({ "size": size, "note": note }));
        for index in (0..size).filter(shown) {
            let proof = text(prove_inclusion(index, size, &tiles).unwrap());
            inclusion.push(serde_json::json!({ "index": index, "size": size, "proof": proof }));
        }
        for old in SIZES.into_iter().filter(|old| *old <= size) {
            let proof = text(prove_consistency(old, size, &tiles).unwrap());
            consistency.push(serde_json::json!({ "old": old, "new": size, "proof": proof }));
        }
    }
    let numbered = (0..).zip(&bytes).filter(|(index, _)| shown(index));
    let entries: Vec<_> =
        numbered.map(|(index, bytes)| serde_json::json!({ "index": index, "bytes": base64(bytes) })).collect();
    let vectors = serde_json::json!({
        "key": signer.verifier().to_string(),
        "fingerprint": signer.verifier().fingerprint(),
        "stranger": crate::testing::signer(8).verifier().to_string(),
        "heads": heads, "entries": entries, "inclusion": inclusion, "consistency": consistency,
    });
    let pretty = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    expect_test::expect_file!["../../../../portal/src/proof/vectors.json"].assert_eq(&pretty);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn vector_entry(n: u16) -> crate::Entry {
    let [high, low] = n.to_be_bytes();
    let mut id = [0; 16];
    (id[14], id[15]) = (high, low);
    crate::Entry {
        id: sallyport_model::EntryId::from_bytes(id),
        at: sallyport_model::Timestamp(1_700_000_000_000_000 + i64::from(n)),
        node: "node-1".into(),
        actor: if n.is_multiple_of(2) { "ada".into() } else { "jürgen".into() },
        action: "session.opened".into(),
        object: "root@web-1".into(),
        session: n.is_multiple_of(3).then(|| sallyport_model::SessionId::from_bytes(id)),
        facts: BTreeMap::from([("from".into(), "192.0.2.7".into()), ("n".into(), n.to_string())]),
    }
}
