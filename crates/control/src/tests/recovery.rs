//! Lent rights: who may lend them, what they are worth, and that they end by the clock.

use super::house::*;
use crate::{Control, Error, NewToken, Recover};
use sallyport_model::clock::{Clock, Entropy};
use sallyport_model::{Env, Kind, Timestamp};
use sallyport_policy::Right;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The machine's clock, so many seconds later.
#[derive(Default)]
struct Later(AtomicU64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        Env::system().now().plus(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

struct Chance;

impl Entropy for Chance {
    fn fill(&self, out: &mut [u8]) {
        Env::system().fill(out);
    }
}

async fn recover(control: &Control, handle: &str, life: Duration, force: bool) -> Result<NewToken, Error> {
    control.recover_admin(&Recover { handle: handle.parse().unwrap(), life, force }).await
}

#[tokio::test]
async fn lent_rights_are_bounded_end_by_the_clock_and_are_no_standing_ones() {
    let mut house = House::applied().await;
    house.control.close().await;
    let clock = Arc::new(Later::default());
    let env = Env::new(clock.clone(), Arc::new(Chance));
    house.control = Arc::new(Control::new(env, house.dir.path(), "node-1"));
    house.unseal().await;

    let error = recover(&house.control, "ada", HOUR, false).await.err().unwrap();
    assert!(error.kind() == Kind::Denied && error.to_string().contains("`admin` is an administrator"), "{error}");
    // The founder's only token ends after an hour: then nobody can sign in.
    clock.0.store(2 * 3600, Ordering::Relaxed);
    for life in [Duration::ZERO, 9 * HOUR] {
        assert_eq!(recover(&house.control, "ada", life, false).await.err().unwrap().kind(), Kind::Usage);
    }
    assert_eq!(house.entries("admin.recovered").await, 0);
    let token = recover(&house.control, "ada", 2 * HOUR, false).await.unwrap();
    let ada = house.op_of(&token.text);
    for right in [Right::VaultSlot, Right::TokenCreate, Right::LedgerRead] {
        house.control.require(&ada, right).unwrap();
    }
    assert_eq!(house.control.require(&ada, Right::RecordingPlay).err().unwrap().kind(), Kind::Denied, "no auditor");
    assert_eq!(house.control.recovery(), house.control.status().recovery);
    assert!(house.control.recovery().is_some());
    let lasting = house.control.create_token(&ada, None, 24 * HOUR, "").await.unwrap();
    // Whoever only has borrowed the rights does not count as an administrator who could be asked.
    let other = recover(&house.control, "newcomer", HOUR, false).await.unwrap();
    assert_eq!(
        house.control.require(&ada, Right::VaultSlot).err().unwrap().kind(),
        Kind::Denied,
        "lent to one at a time"
    );
    let newcomer = house.op_of(&other.text);
    house.control.require(&newcomer, Right::VaultSlot).unwrap();

    clock.0.store(2 * 3600 + 3601, Ordering::Relaxed);
    assert!(house.control.sign_in(&other.text).is_err());
    assert_eq!(house.control.require(&newcomer, Right::LedgerRead).err().unwrap().kind(), Kind::Denied);
    let ada = house.op_of(&lasting.text);
    assert_eq!(house.control.require(&ada, Right::LedgerRead).err().unwrap().kind(), Kind::Denied);
    assert!(house.control.recovery().is_none());
    assert_eq!(house.entries("admin.recovered").await, 2);
}
