//! A quorum in the making: shares of one set, checked one by one as they come.

use crate::VaultError;
use crate::crypto::Key;
use crate::shamir::{self, Share};
use crate::slot::SlotBody;
use sallyport_model::SlotId;

/// Shares that were presented so far, in memory only; zeroed on drop.
///
/// ```compile_fail
/// fn show<T: std::fmt::Debug>() {}
/// show::<sallyport_vault::Quorum>();
/// ```
/// ```compile_fail
/// fn copy<T: Clone>() {}
/// copy::<sallyport_vault::Quorum>();
/// ```
#[derive(Default)]
pub struct Quorum(Vec<Share>);

impl Quorum {
    /// Takes a share of this slot in.
    ///
    /// # Errors
    /// Names a share that is no share of this slot, was altered, or is there already. The others stay.
    pub fn add(&mut self, slot: &SlotBody, share: Share) -> Result<(), VaultError> {
        slot.check_share(&share)?;
        if self.0.iter().any(|known| known.number() == share.number()) {
            return Err(VaultError::DuplicateShare(share.number()));
        }
        self.0.push(share);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn have(&self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    /// The key behind them, where there are `k` of this slot's set.
    pub(super) fn combine(&self, slot: SlotId, k: u8) -> Option<Key> {
        let of_set = self.0.iter().filter(|share| share.is_of_set(slot));
        let points: Vec<_> = of_set.take(k.into()).map(|share| (share.number(), share.value())).collect();
        (points.len() == usize::from(k)).then(|| shamir::combine(&points)).flatten()
    }
}
