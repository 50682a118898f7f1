//! Readers of what targets say, as the fuzzer calls them; and what it kept, called again. No build of the product has them.

pub use crate::becoming::walked::{seeds as gate_seeds, walk as gate};
pub use crate::files::sftp::speak::walked::{seeds as reply_seeds, walk as replies};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(name: &str) -> impl Iterator<Item = Vec<u8>> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(name);
        std::fs::read_dir(path).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap())
    }

    #[test]
    fn what_the_fuzzer_kept_of_targets_holds() {
        kept("gate").chain(gate_seeds()).for_each(|input| gate(&input));
        kept("replies").chain(reply_seeds()).for_each(|input| replies(&input));
    }

    proptest! {
        #[test]
        fn whatever_a_target_says_holds(bytes: Vec<u8>) {
            gate(&bytes);
            replies(&bytes);
        }
    }
}
