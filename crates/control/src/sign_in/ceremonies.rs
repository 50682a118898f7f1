//! What a browser has begun and is to finish: kept here, never given away, good once and for minutes.
//!
//! A ceremony ends on the node that began it: several nodes behind one name need a balancer that keeps a browser on one.

use crate::Error;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{DeviceId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use webauthn_rs::prelude::{DiscoverableAuthentication, PasskeyAuthentication, PasskeyRegistration};

/// How long it may take.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// How many may be open.
const MOST: usize = 10_000;

/// What was begun.
pub(super) enum Ceremony {
    /// A device, which the key of this one names, is to show that it can compute codes of this secret.
    Totp(SecretBytes),
    /// A device is to make a passkey.
    NewPasskey(DeviceId, PasskeyRegistration),
    /// A device is to present a passkey.
    Passkey(DeviceId, PasskeyAuthentication),
    /// Somebody is to present a passkey of whomever.
    AnyPasskey(DiscoverableAuthentication),
}

/// Everything that was begun.
#[derive(Default)]
pub(super) struct Ceremonies(Mutex<HashMap<Vec<u8>, (Timestamp, Ceremony)>>);

impl Ceremonies {
    /// Remembers what was begun, under what the browser will send back.
    pub(super) fn begin(&self, key: Vec<u8>, ceremony: Ceremony, now: Timestamp) -> Result<(), Error> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            open.retain(|_, (until, _)| *until > now);
        }
        if open.len() >= MOST {
            return Err(Error::Busy("too many people sign in at this moment: try again in a few minutes"));
        }
        open.insert(key, (now.plus(LIFE), ceremony));
        Ok(())
    }

    /// Takes what was begun: nobody finishes it a second time.
    pub(super) fn take(&self, key: &[u8], now: Timestamp) -> Option<Ceremony> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        found.filter(|(until, _)| *until > now).map(|(_, ceremony)| ceremony)
    }
}
