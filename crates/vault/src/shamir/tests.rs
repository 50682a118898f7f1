use super::field::{inverse, mul};
use super::*;
use proptest::prelude::*;
use sallyport_model::{ClusterId, SlotId};
use std::sync::Arc;
use vsss_rs::Gf256;

/// A seeded generator (SplitMix64), so that a statistic is the same in every run.
struct Seeded(std::sync::atomic::AtomicU64);

impl sallyport_model::clock::Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let step = 0x9e37_79b9_7f4a_7c15_u64;
            let mut z = self.0.fetch_add(step, std::sync::atomic::Ordering::Relaxed).wrapping_add(step);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes()[..chunk.len()]);
        }
    }
}

struct Still;

impl sallyport_model::clock::Clock for Still {
    fn now(&self) -> sallyport_model::Timestamp {
        sallyport_model::Timestamp(0)
    }
}

fn seeded(seed: u64) -> Env {
    Env::new(Arc::new(Still), Arc::new(Seeded(seed.into())))
}

/// Every way to take `k` of the shares.
fn subsets(n: u32, k: u32) -> Vec<Vec<usize>> {
    (0..1_u32 << n)
        .filter(|bits| bits.count_ones() == k)
        .map(|bits| (0..n).filter(|at| bits >> at & 1 == 1).map(|at| usize::try_from(at).unwrap()).collect())
        .collect()
}

#[test]
fn the_field_is_the_one_of_fips_197() {
    // FIPS 197, section 4.2 and its table of inverses (5.1.1).
    assert_eq!((mul(0x57, 0x83), mul(0x57, 0x13), mul(0x57, 0x02)), (0xc1, 0xfe, 0xae));
    assert_eq!((inverse(0x53), inverse(0), inverse(1)), (0xca, 0, 1));
    for a in 0..=255 {
        assert_eq!(mul(a, inverse(a)), u8::from(a != 0));
        for b in 0..=255 {
            // Schoolbook: multiply as polynomials, then reduce.
            let wide = (0..8).filter(|i| b >> i & 1 == 1).fold(0_u16, |sum, i| sum ^ u16::from(a) << i);
            let reduced = (8..15).rev().fold(wide, |w, i| if w >> i & 1 == 1 { w ^ 0x11b << (i - 8) } else { w });
            assert_eq!(u16::from(mul(a, b)), reduced);
        }
    }
}

/// The example of draft-mcgrew-tss-03, section 10: 2 of 2 over the same field, numbers 1 and 2.
#[test]
fn the_published_example_gives_its_secret() {
    let padded = |text: &str| {
        let mut key = [0; KEY];
        let bytes = data_encoding::HEXUPPER.decode(text.as_bytes()).unwrap();
        key[..bytes.len()].copy_from_slice(&bytes);
        Secret::new(key)
    };
    let (one, two) = (padded("B9FA07E185"), padded("F5409B4511"));
    let secret = combine(&[(2, &two), (1, &one)]).unwrap();
    assert_eq!(&secret.expose()[..5], b"test\0");
    // And the other way: this secret with the coefficients that the example implies.
    let coefficients: Vec<u8> = secret.expose().iter().zip(one.expose()).map(|(s, y)| s ^ y).collect();
    assert_eq!(evaluate(&secret, &coefficients, 2).expose(), two.expose());
}

#[test]
fn every_quorum_gives_the_key_and_nothing_less_does() {
    for (k, n) in [(2, 3), (3, 5), (5, 9)] {
        let env = Env::system();
        let (key, points) = fresh(&env, k, n).unwrap();
        for subset in subsets(n.into(), k.into()) {
            let mut chosen: Vec<_> = subset.iter().map(|at| (points[*at].0, &points[*at].1)).collect();
            assert_eq!(combine(&chosen).unwrap().expose(), key.expose());
            chosen.reverse();
            assert_eq!(combine(&chosen).unwrap().expose(), key.expose(), "the order does not matter");
            chosen.pop();
            assert_ne!(combine(&chosen).unwrap().expose(), key.expose(), "one fewer is another key");
        }
        let all: Vec<_> = points.iter().map(|(x, y)| (*x, y)).collect();
        assert_eq!(combine(&all).unwrap().expose(), key.expose(), "more than needed do no harm");
    }
}

/// What k - 1 holders see is uniform, whatever the key: each byte of each share, 0 as often as any other.
#[test]
fn fewer_than_k_shares_say_nothing_of_the_key() {
    const ROUNDS: u32 = 4096;
    for (byte, seed) in [(0x00, 1), (0xff, 2), (0x5a, 3)] {
        let (env, key) = (seeded(seed), Secret::new([byte; KEY]));
        let mut seen = vec![[0_u32; 256]; 3];
        let mut joint = [0_u32; 256];
        for _ in 0..ROUNDS {
            let points = split(&env, &key, 3, 3).unwrap();
            for (counts, (_, value)) in seen.iter_mut().zip(&points) {
                value.expose().iter().for_each(|b| counts[usize::from(*b)] += 1);
            }
            for (a, b) in points[0].1.expose().iter().zip(points[1].1.expose()) {
                joint[usize::from(a >> 4 << 4 | b >> 4)] += 1;
            }
        }
        // 255 degrees of freedom: the mean is 255, the deviation 22.6; 360 is 4.6 deviations away.
        let expected = f64::from(ROUNDS * 32 / 256);
        for counts in seen.iter().chain([&joint]) {
            let square: f64 = counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum();
            assert!((160.0..360.0).contains(&square), "chi-square {square} for the key byte {byte:#x}");
            assert!(counts[0] > 0, "0 is a coefficient and a value like any other");
        }
    }
}

#[test]
fn another_implementation_opens_our_shares_and_we_open_its() {
    let env = Env::system();
    for (k, n) in [(2, 3), (3, 5), (5, 9)] {
        let (key, points) = fresh(&env, k, n).unwrap();
        let theirs: Vec<Vec<u8>> = points.iter().map(|(x, y)| [&[*x], y.expose().as_slice()].concat()).collect();
        let found = Gf256::combine_bytes(&theirs[usize::from(n - k)..]).unwrap();
        assert_eq!(found.as_slice(), key.expose());

        let key: [u8; KEY] = env.random();
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::from_seed(env.random());
        let theirs = Gf256::split_bytes(k.into(), n.into(), key, &mut random).unwrap();
        let read: Vec<(u8, Key)> =
            theirs.iter().map(|s| (s[0], Secret::new(<[u8; KEY]>::try_from(&s[1..]).unwrap()))).collect();
        let chosen: Vec<_> = read.iter().skip(1).take(k.into()).map(|(x, y)| (*x, y)).collect();
        assert_eq!(combine(&chosen).unwrap().expose(), &key);
    }
}

#[test]
fn rules_that_share_nothing_are_refused_and_numbers_are_distinct() {
    let env = Env::system();
    for (k, n) in [(0, 0), (0, 3), (1, 1), (1, 3), (4, 3), (2, 17), (255, 255)] {
        assert!(matches!(fresh(&env, k, n), Err(VaultError::Refused(_))), "{k} of {n}");
    }
    let (_, points) = fresh(&env, 2, 3).unwrap();
    assert!(combine(&[(1, &points[0].1), (1, &points[1].1)]).is_none());
    assert!(combine(&[(0, &points[0].1), (1, &points[1].1)]).is_none());
    assert!(combine(&[]).is_none());
}

fn share() -> Share {
    let env = Env::system();
    Share::new(ClusterId::new(&env), SlotId::new(&env), (3, 5), 2, crypto::fresh_key(&env))
}

fn parse(text: &str) -> Result<Share, ShareError> {
    Share::parse(&Secret::new(text.to_owned()))
}

#[test]
fn a_share_comes_back_however_people_type_it() {
    let share = share();
    let text = share.encode().expose().clone();
    assert_eq!((text.len(), text.split('-').count()), (95, 16));
    let typed = text.replace('-', " ").to_uppercase().replace('0', "o").replace('1', "L");
    for written in [&text, &typed, &text.replace('-', ""), &format!("  {}\n", text.replace('-', "-\n"))] {
        let read = parse(written).ok().unwrap();
        assert_eq!((read.number(), read.rule()), (2, (3, 5)));
        assert_eq!(read.value().expose(), share.value().expose());
        assert_eq!(read.encode().expose(), &text);
    }
}

#[test]
fn a_mistyped_share_is_told_from_a_short_one_and_a_strange_character_is_located() {
    let text = share().encode().expose().clone();
    for (at, c) in text.char_indices().filter(|(_, c)| *c != '-') {
        let other = if c == 'x' { 'y' } else { 'x' };
        let mut typed = text.clone();
        typed.replace_range(at..=at, &other.to_string());
        assert_eq!(parse(&typed).err(), Some(ShareError::Check), "at {at}");
    }
    assert_eq!(parse(text.strip_suffix(|_: char| true).unwrap()).err(), Some(ShareError::Length { found: 79 }));
    assert_eq!(parse(&format!("{text}0")).err(), Some(ShareError::Length { found: 81 }));
    assert_eq!(parse("").err(), Some(ShareError::Length { found: 0 }));
    let mut typed = text;
    typed.replace_range(13..=13, "u");
    assert_eq!(parse(&typed).err(), Some(ShareError::Character { group: 3, at: 2 }));
    for error in [ShareError::Check, ShareError::Version, ShareError::Length { found: 3 }] {
        assert!(!error.to_string().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_text_panics_and_none_is_a_share(text in "\\PC{0,200}") {
        prop_assert!(parse(&text).is_err());
    }

    #[test]
    fn eighty_right_characters_are_no_share(text in "[0-9a-hjkmnp-tv-z]{80}") {
        prop_assert_eq!(parse(&text).err(), Some(ShareError::Check));
    }
}
