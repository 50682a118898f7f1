//! A connection behind an exchange of keys that nobody made: for the fuzzer, whose inputs begin there. No build of the product has it.

use super::{IDENTIFICATION, Settings, Transport};
use crate::message::NEWKEYS;
use crate::wire::Put as _;
use crate::{Error, kex, negotiate};
use aws_lc_rs::digest::{SHA256, digest};
use std::sync::Arc;
use zeroize::Zeroizing;

impl Transport {
    /// A client and a server that have agreed as ever, under keys that everybody knows. What they would have sent is not there.
    ///
    /// # Errors
    /// When they have nothing in common.
    pub fn behind(client: Arc<Settings>, server: Arc<Settings>) -> Result<[Self; 2], Error> {
        let mut sides = [Self::new(client)?, Self::new(server)?];
        let offers = sides.each_ref().map(|side| side.exchange.as_ref().and_then(|exchange| exchange.ours.clone()));
        let mut secret: kex::Shared = Zeroizing::new(Vec::new());
        secret.string(&[7; 32]);
        let hash = digest(&SHA256, b"an exchange that was not made");
        for (side, offer) in sides.iter_mut().zip(offers.iter().rev()) {
            let theirs = offer.as_deref().unwrap_or_default();
            let agreed = negotiate::agree(side.settings.role, &side.settings.spoken, theirs, None)?;
            // What would be told of extensions under the new keys is not told: nothing is on its way.
            let agreed = negotiate::Agreed { ext_info: false, ..agreed };
            (side.identification, side.strict) = (Some(IDENTIFICATION.to_vec()), agreed.strict);
            side.change(&agreed, &secret, &hash)?;
            side.renewed(&[NEWKEYS])?;
            side.output.clear();
            side.authenticated();
        }
        Ok(sides)
    }
}
