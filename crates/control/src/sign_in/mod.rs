//! Signing in with a browser: passwords, second factors, the devices that come of it, and what counts as fresh.
//!
//! ```text
//! link -> password -> enrolling --factor added--> in
//!         password -> factor -----code, passkey--> in --factor again--> in, fresh for minutes
//!                                 passkey alone--> in --a login's code--> that login
//! ```
//!
//! Factors, devices and links are sealed documents, so every node knows of each in the moment it is written, and of its
//! end. What must not be read lies in the vault (verifiers, shared secrets) or is a keyed hash (cookies, links).

mod ceremonies;
mod devices;
mod enrol;
mod factors;
mod limits;
mod passkeys;
mod pending;
mod site;
mod steps;
mod work;

pub use devices::DeviceLine;
pub(crate) use enrol::{HOST_LINK, USER_LINK, without_links};
pub use enrol::{NewLink, NewTotp};
pub use factors::FactorLine;
pub(crate) use factors::factors_of;
pub(crate) use pending::Answers;
pub use pending::PendingLine;
pub use site::Site;
pub use steps::{Begun, Client, Proof};

use crate::control::Open;
use crate::directory::{Versioned, kinds, load};
use crate::{Control, Error, Op};
use ceremonies::Ceremonies;
use sallyport_model::access::Denial;
use sallyport_model::inventory::Identity;
use sallyport_model::sign_in::{Device, DeviceState};
use sallyport_model::{DeviceId, IdentityId, Kind, Timestamp};
use sallyport_policy::{Facts, Right};
use sallyport_store::DocId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use work::PasswordWork;

/// How long a second factor counts as fresh.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// What signing in with a browser is like here.
#[derive(Clone, Debug)]
pub struct SignInRules {
    /// Where people reach this installation.
    pub site: Site,
    /// After so long without a call a device is signed out.
    pub idle: Duration,
    /// After so long a device is signed out, whatever it does.
    pub absolute: Duration,
    /// How long the certificates are good at most by which people sign in at gateways; none are made where it is zero.
    pub certificate: Duration,
}

impl Default for SignInRules {
    fn default() -> Self {
        Self {
            site: Site::default(),
            idle: Duration::from_secs(30 * 60),
            absolute: Duration::from_secs(12 * 3600),
            certificate: Duration::from_secs(8 * 3600),
        }
    }
}

/// What is in memory of signing in. None of it decides anything but refusal.
#[derive(Default)]
pub(crate) struct SignIn {
    rules: SignInRules,
    passwords: PasswordWork,
    ceremonies: Ceremonies,
    /// When this node last saw a device, so that not every call asks the database.
    seen: Mutex<HashMap<DeviceId, Timestamp>>,
}

impl SignIn {
    pub(crate) fn new(rules: SignInRules) -> Self {
        Self { rules, ..Self::default() }
    }

    fn seen(&self, device: DeviceId) -> Option<Timestamp> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&device).copied()
    }

    fn saw(&self, device: DeviceId, now: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() > 100_000 {
            seen.retain(|_, at| now.since(*at) < self.rules.idle);
        }
        seen.insert(device, now);
    }

    fn forget(&self, device: DeviceId) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
    }
}

/// Rights whose use from a browser needs a fresh second factor: a stolen cookie, or a browser that was left open, must
/// not be enough to stay.
pub(crate) const fn dangerous(right: Right) -> bool {
    matches!(
        right,
        Right::IdentityWrite
            | Right::NodeRemove
            | Right::PolicyApply
            | Right::TokenCreate
            | Right::VaultReveal
            | Right::VaultRotate
            | Right::VaultSeal
            | Right::VaultSlot
    )
}

/// The demand of policies for a second factor that was shown in these minutes.
pub(crate) const STEP_UP: &str = "step-up";

/// The device by which somebody acts; `None` for a token. Refused where it is gone or over its time.
pub(crate) fn device_of(open: &Open, op: &Op) -> Result<Option<Versioned<Device>>, Error> {
    let Some(id) = op.device else { return Ok(None) };
    let found = load::<Device>(&open.store, &DocId::new(id), kinds::DEVICE)
        .filter(|device| device.value.expires > open.env.now() && Some(device.value.identity) == op.identity());
    found.map(Some).ok_or_else(|| Denial::new(Kind::Denied, "this browser is signed out: sign in again").into())
}

impl Control {
    /// Where people reach this installation.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.sign_in.rules.site
    }

    /// The present instant, as everything here sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// How often a password was checked or made by this process, whoever's it was.
    #[must_use]
    pub fn password_checks(&self) -> u64 {
        self.sign_in.passwords.done()
    }

    /// What is known of an act of an identity, with what its sign-in has shown.
    pub(crate) fn facts<'a>(&self, op: &Op, who: &'a Identity) -> Facts<'a> {
        let now = self.env.now();
        let mut facts = Facts::new(who, now, op.from);
        let device = self.opened().ok().and_then(|open| device_of(&open, op).ok().flatten());
        if let Some(Versioned { value: device, .. }) = device {
            facts.factors = device.factors.iter().map(|factor| factor.word().to_owned()).collect();
            if device.fresh_until.is_some_and(|until| until > now) {
                facts.met.insert(STEP_UP.into());
            }
        }
        facts
    }

    /// The demands of policies that an identity has met in these minutes, wherever it now asks from: whoever confirms in
    /// a browser that it is they may then connect with any client.
    pub(crate) fn met_by(&self, open: &Open, identity: IdentityId) -> BTreeSet<String> {
        let now = self.env.now();
        let fresh = self.living_devices(open, identity).iter().any(|device| {
            device.value.state == DeviceState::In && device.value.fresh_until.is_some_and(|until| until > now)
        });
        fresh.then(|| STEP_UP.to_owned()).into_iter().collect()
    }

    /// How long the certificates of people are good at most.
    pub(crate) const fn longest_certificate(&self) -> Duration {
        self.sign_in.rules.certificate
    }

    /// What the sign-in behind an act has shown: factors, or a token.
    pub(crate) fn shown_factors(&self, op: &Op) -> Result<Vec<String>, Error> {
        let device = device_of(&*self.opened()?, op)?;
        let words =
            |device: Versioned<Device>| device.value.factors.iter().map(|kind| kind.word().to_owned()).collect();
        Ok(device.map_or_else(|| vec!["token".to_owned()], words))
    }

    /// Refuses what a browser may do with a fresh second factor only.
    pub(crate) fn demand_fresh_factor(&self, op: &Op) -> Result<(), Error> {
        let now = self.env.now();
        match device_of(&*self.opened()?, op)? {
            Some(device) if device.value.fresh_until.is_none_or(|until| until <= now) => Err(Error::StepUp),
            _ => Ok(()),
        }
    }

    /// Whether somebody who was let in may stay: not once their browser is signed out, or they are disabled. While the vault
    /// is sealed nobody knows, and sessions are bounded by their grace.
    #[must_use]
    pub fn may_stay(&self, op: &Op) -> bool {
        self.acting(op).map_or_else(|error| error.kind() != Kind::Denied, |_| true)
    }

    /// Refuses a device that is not wholly signed in.
    pub(crate) fn demand_signed_in(&self, open: &Open, op: &Op) -> Result<(), Error> {
        match device_of(open, op)? {
            Some(device) if device.value.state != DeviceState::In => {
                Err(Denial::new(Kind::Denied, "this browser is not wholly signed in yet").into())
            }
            _ => Ok(()),
        }
    }
}
