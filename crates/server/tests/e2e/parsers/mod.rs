//! Parsers of the trusted core and of the gateway's wire: what the fuzzer kept, and a fixed walk around every genuine input.

#[expect(unreachable_pub, reason = "the fuzzer's package includes this file and uses it from outside")]
mod targets;

use sallyport_testkit::corpus::kept;
use targets::TARGETS;

/// Altered inputs per seed. The fuzzer makes the many; these find what would break at once.
const WALK: usize = 300;

/// A fixed sequence of numbers (splitmix64): a failure comes again.
struct Walk(u64);

impl Walk {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    /// Flips, cuts, repeats or overwrites somewhere.
    fn altered(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.next(3) {
            if bytes.is_empty() {
                return bytes;
            }
            let at = self.next(bytes.len());
            match self.next(5) {
                0 => bytes[at] ^= 1 << self.next(8),
                1 => bytes.truncate(at),
                2 => bytes[at] = [0, 0xff, 0x7f, 0x80, b'\n'][self.next(5)],
                3 => bytes.insert(at, u8::try_from(self.next(256)).unwrap()),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    }
}

#[test]
fn every_kept_input_and_what_lies_around_genuine_ones_holds() {
    for target in TARGETS {
        for input in kept(target.name).unwrap() {
            (target.run)(&input);
        }
        let mut walk = Walk(7);
        for seed in (target.seeds)() {
            (target.run)(&seed);
            for _ in 0..WALK {
                (target.run)(&walk.altered(&seed));
            }
        }
    }
}
