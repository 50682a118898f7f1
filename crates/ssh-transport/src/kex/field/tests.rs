use super::*;
use proptest::prelude::*;
use std::sync::Arc;

fn random(first: u8) -> Random {
    let next = std::sync::atomic::AtomicU8::new(first);
    Arc::new(move |bytes: &mut [u8]| bytes.fill(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
}

fn both() -> [Group; 2] {
    [Group::fourteen().unwrap(), Group::sixteen().unwrap()]
}

#[test]
fn both_sides_have_the_same_secret_and_no_two_exchanges_do() {
    for (one, other) in both().into_iter().zip(both()) {
        let random = random(1);
        let (one, other) = (one.ask(&random).unwrap(), other.ask(&random).unwrap());
        let secret = one.finish(&other.share).unwrap();
        assert_eq!(*secret, *other.finish(&one.share).unwrap());
        assert_ne!(*secret, *one.finish(&one.share).unwrap());
    }
}

#[test]
fn numbers_that_lead_nowhere_are_refused() {
    let half = Group::fourteen().unwrap().ask(&random(9)).unwrap();
    let modulus = bytes_of(GROUP_14).unwrap();
    let mut less = modulus.clone();
    *less.last_mut().unwrap() -= 1;
    let positive = |number: &[u8]| [&[0], number].concat();
    for wrong in [vec![], vec![0], vec![1], positive(&modulus), positive(&less), vec![0, 2], modulus.clone()] {
        assert!(half.finish(&wrong).is_err(), "{wrong:?}");
    }
    let mut largest = less;
    *largest.last_mut().unwrap() -= 1;
    assert!(half.finish(&positive(&largest)).is_ok() && half.finish(&[2]).is_ok());
}

#[test]
fn groups_that_are_too_small_too_large_or_none_are_refused() {
    let of = |bytes: usize, last: u8| {
        let mut modulus = vec![0xff; bytes];
        *modulus.last_mut().unwrap() = last;
        Group::proposed(&[&[0], modulus.as_slice()].concat(), &[2]).is_ok()
    };
    assert!(of(256, 0xff) && of(1024, 0xff), "what RFC 8270 allows");
    assert!(!of(255, 0xff) && !of(1025, 0xff), "other sizes");
    assert!(!of(256, 0xfe) && !of(256, 0xfd), "even ones, and what no safe prime is");
    let fine = [&[0], bytes_of(GROUP_14).unwrap().as_slice()].concat();
    for generator in [&[0][..], &[1], &fine] {
        assert!(Group::proposed(&fine, generator).is_err(), "{generator:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(modulus: Vec<u8>, generator: Vec<u8>) {
        let _ = Group::proposed(&modulus, &generator);
    }
}
