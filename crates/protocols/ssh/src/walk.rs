//! Readers of what targets say, as the fuzzer calls them; and what it kept, called again. No build of the product has them.

pub use crate::agent::walked::{seeds as agent_seeds, walk as agent};
pub use crate::becoming::walked::{seeds as gate_seeds, walk as gate};
pub use crate::files::sftp::speak::walked::{seeds as reply_seeds, walk as replies};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sallyport_testkit::corpus::replay;

    #[test]
    fn what_the_fuzzer_kept_of_targets_holds() {
        replay("agent", agent_seeds(), agent).unwrap();
        replay("gate", gate_seeds(), gate).unwrap();
        replay("replies", reply_seeds(), replies).unwrap();
    }

    proptest! {
        #[test]
        fn whatever_a_target_says_holds(bytes: Vec<u8>) {
            agent(&bytes);
            gate(&bytes);
            replies(&bytes);
        }
    }
}
