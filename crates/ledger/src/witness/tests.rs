use super::*;
use crate::proof::prove_consistency;
use crate::testing::{ORIGIN, grown, leaves, signer};
use proptest::prelude::*;

/// A submission of the first `new` of `count` entries to a witness that has `old`.
fn submission(old: u64, new: u64) -> Submission {
    let (appender, tiles) = grown(&leaves(usize::try_from(new).unwrap()), 1);
    let note = Checkpoint::new(ORIGIN, new, appender.root()).sign(&[&signer(1)]).unwrap();
    let proof = if old <= new { prove_consistency(old, new, &tiles).unwrap() } else { Vec::new() };
    Submission { old, proof, note }
}

fn at(size: u64) -> Option<Checkpoint> {
    let (appender, _) = grown(&leaves(usize::try_from(size).unwrap()), 1);
    Some(Checkpoint::new(ORIGIN, size, appender.root()))
}

fn judged(submission: &Submission, seen: Option<Checkpoint>) -> Result<u64, Refusal> {
    judge(submission, &[signer(1).verifier().clone()], |_| seen).map(|(_, checkpoint)| checkpoint.size)
}

#[test]
fn what_continues_the_seen_tree_is_cosigned() {
    assert_eq!(judged(&submission(0, 5), None), Ok(5));
    for (old, new) in [(1, 2), (3, 3), (5, 9), (8, 16), (7, 300), (256, 257)] {
        let text = submission(old, new).to_string();
        let read = Submission::parse(text.as_bytes()).unwrap();
        assert_eq!(read, submission(old, new));
        assert_eq!(judged(&read, at(old)), Ok(new), "{old} {new}");
    }
}

#[test]
fn each_refusal_has_its_status() {
    let good = submission(3, 5);
    assert_eq!(judged(&good, at(4)), Err(Refusal::Stale(4)));
    assert_eq!(judged(&good, None), Err(Refusal::Stale(0)));
    let stranger = judge(&good, &[signer(2).verifier().clone()], |_| at(3)).unwrap_err();
    assert_eq!((stranger.clone(), stranger.status()), (Refusal::Unsigned, 403));
    assert_eq!(judge(&good, &[], |_| at(3)).unwrap_err().status(), 404);
    let other = Checkpoint::new(ORIGIN, 5, [1; 32]).sign(&[&signer(1)]).unwrap();
    assert_eq!(judged(&Submission { old: 5, proof: Vec::new(), note: other.clone() }, at(5)), Err(Refusal::Fork(5)));
    assert_eq!(judged(&Submission { note: other, ..good.clone() }, at(3)), Err(Refusal::Proof));
    assert_eq!(judged(&Submission { proof: Vec::new(), ..good.clone() }, at(3)), Err(Refusal::Proof));
    assert_eq!(judged(&submission(6, 5), at(6)).unwrap_err().status(), 400);
    // A proof where there is nothing to prove.
    assert_eq!(judged(&Submission { proof: vec![[0; 32]], ..submission(0, 5) }, None), Err(Refusal::Proof));
    assert_eq!(judged(&Submission { proof: vec![[0; 32]], ..submission(5, 5) }, at(5)), Err(Refusal::Proof));
    let statuses = [Refusal::Stale(1).status(), Refusal::Fork(1).status(), Refusal::Proof.status()];
    assert_eq!(statuses, [409, 409, 422]);
}

#[test]
fn a_submission_has_one_form() {
    let text = submission(3, 5).to_string();
    for (from, to) in
        [("old 3", "old 03"), ("old 3", "old  3"), ("old 3", "older 3"), ("old 3\n", "old 3\n!\n"), ("\n\n", "\n")]
    {
        let altered = text.replacen(from, to, usize::MAX);
        let read = Submission::parse(altered.as_bytes());
        assert!(matches!(read, Err(Refusal::Format(_))), "{altered}");
    }
    let long = format!("old 1\n{}\n{}", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n".repeat(64), "x");
    assert!(matches!(Submission::parse(long.as_bytes()), Err(Refusal::Format(_))));
    assert!(matches!(Submission::parse(&[0xff]), Err(Refusal::Format(_))));
    assert!(matches!(Submission::parse(&vec![b'a'; MAX_SUBMISSION + 1]), Err(Refusal::Format(_))));
    let no_note = Submission { note: "nothing".into(), ..submission(0, 1) };
    assert!(matches!(judged(&no_note, None), Err(Refusal::Format(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Submission::parse(&bytes).map(|s| judged(&s, None));
    }

    #[test]
    fn no_altered_submission_is_cosigned(old in 1_u64..20, more in 1_u64..20, at_byte: prop::sample::Index, bit in 0_u8..8) {
        let text = submission(old, old + more).to_string();
        let mut bytes = text.clone().into_bytes();
        bytes[at_byte.index(text.len())] ^= 1_u8 << bit;
        let verdict = Submission::parse(&bytes).and_then(|s| judged(&s, at(old)));
        prop_assert!(verdict.is_err(), "{:?}", String::from_utf8_lossy(&bytes));
    }
}
