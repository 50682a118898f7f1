//! Faults by name: each is brought about, held for a while, and healed.

use super::house::{House, Store};
use nix::sys::signal::Signal;
use sallyport_testkit::faults::{Chance, Direction, Role, Weather, process};
use std::time::Duration;

/// A fault, and what it is called on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    KillParent,
    KillControl,
    KillGateway,
    KillPostgres,
    DieBeforeSync,
    DieAfterSync,
    StopControl,
    StopGateway,
    StopPostgres,
    DiskFull,
    DatabaseFull,
    SyncFails,
    SyncSlow,
    ClockAhead,
    ClockBehind,
    DatabaseUnplugged,
    DatabasePartition,
    DatabaseReset,
    DatabaseSlow,
    ClientPartition,
    ClientReset,
    ClientDrip,
    TargetPartition,
    TargetReset,
    TargetHalfClosed,
    TargetCut,
}

const EVERYWHERE: [(Fault, &str); 19] = [
    (Fault::KillParent, "kill-parent"),
    (Fault::KillControl, "kill-control"),
    (Fault::KillGateway, "kill-gateway"),
    (Fault::DieBeforeSync, "die-before-sync"),
    (Fault::DieAfterSync, "die-after-sync"),
    (Fault::StopControl, "stop-control"),
    (Fault::StopGateway, "stop-gateway"),
    (Fault::DiskFull, "disk-full"),
    (Fault::SyncFails, "sync-fails"),
    (Fault::SyncSlow, "sync-slow"),
    (Fault::ClockAhead, "clock-ahead"),
    (Fault::ClockBehind, "clock-behind"),
    (Fault::ClientPartition, "client-partition"),
    (Fault::ClientReset, "client-reset"),
    (Fault::ClientDrip, "client-drip"),
    (Fault::TargetPartition, "target-partition"),
    (Fault::TargetReset, "target-reset"),
    (Fault::TargetHalfClosed, "target-half-closed"),
    (Fault::TargetCut, "target-cut"),
];

const ON_POSTGRES: [(Fault, &str); 7] = [
    (Fault::KillPostgres, "kill-postgres"),
    (Fault::StopPostgres, "stop-postgres"),
    (Fault::DatabaseFull, "database-full"),
    (Fault::DatabaseUnplugged, "database-unplugged"),
    (Fault::DatabasePartition, "database-partition"),
    (Fault::DatabaseReset, "database-reset"),
    (Fault::DatabaseSlow, "database-slow"),
];

/// The most that a clock is ahead, in microseconds.
pub(super) const AHEAD: i64 = 3_600_000_000;
/// The largest step of the clock, in seconds.
const STEP: u64 = 3600;

/// A fault that is under way, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Under {
    pub(super) fault: Fault,
    node: usize,
    role: Role,
}

impl Fault {
    /// Faults that a store can have; where names are given, separated by commas, these and what begins with them alone.
    pub(super) fn of(store: Store, only: Option<&str>) -> Vec<Self> {
        let mut all: Vec<_> = EVERYWHERE.to_vec();
        if store == Store::Postgres {
            all.extend(ON_POSTGRES);
        }
        let wanted = |name: &str, only: &str| name == only || name.starts_with(&format!("{only}-"));
        all.retain(|(_, name)| only.is_none_or(|only| only.split(',').any(|only| wanted(name, only))));
        all.into_iter().map(|(fault, _)| fault).collect()
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        let mut all = EVERYWHERE.iter().chain(&ON_POSTGRES);
        all.find(|(fault, _)| *fault == self).map_or("unknown", |(_, name)| name)
    }

    /// Whether the memory of a host goes with it.
    pub(super) const fn loses_memory(self) -> bool {
        matches!(self, Self::KillParent)
    }

    /// Brings it about, somewhere.
    pub(super) fn strike(self, house: &mut House, chance: &mut Chance) -> anyhow::Result<Under> {
        let node = usize::try_from(chance.next() % 1024)? % house.nodes.len();
        let role = if chance.between(0, 1) == 0 { Role::Control } else { Role::Gateway };
        let under = Under { fault: self, node, role };
        let its = &mut house.nodes[node];
        let kill = |name: &str| its.product.pid(name).and_then(|pid| process::signal(pid, Signal::SIGKILL));
        let slow =
            Weather { delay: Duration::from_millis(20), jitter: Duration::from_millis(200), ..Weather::default() };
        match self {
            Self::KillParent => its.product.crash()?,
            Self::KillControl => kill("control")?,
            Self::KillGateway => kill("gateway")?,
            Self::DieBeforeSync | Self::DieAfterSync => {
                let nth = u32::try_from(chance.between(1, 12))?;
                its.shim.die_at_sync(role, nth, self == Self::DieAfterSync)?;
            }
            Self::StopControl => process::stop(its.product.pid("control")?)?,
            Self::StopGateway => process::stop(its.product.pid("gateway")?)?,
            Self::DiskFull => its.space.fill()?,
            Self::SyncFails => its.shim.fail_syncs(role, true)?,
            Self::SyncSlow => its.shim.slow_syncs(role, Duration::from_millis(chance.between(50, 1500)))?,
            Self::ClockAhead => its.shim.step_clock(i64::try_from(1_000_000 * chance.between(1, STEP))?)?,
            Self::ClockBehind => its.shim.step_clock(-i64::try_from(1_000_000 * chance.between(1, STEP))?)?,
            Self::ClientPartition => its.clients.set(Weather::partition()),
            Self::ClientReset => drop(its.clients.reset()),
            Self::ClientDrip => {
                its.clients.set(Weather { drip: Some(64), delay: Duration::from_millis(2), ..Weather::default() })
            }
            Self::TargetPartition => house.target.set(Weather::partition()),
            Self::TargetReset => drop(house.target.reset()),
            Self::TargetHalfClosed => house.target.close(Direction::Down),
            Self::TargetCut => {
                house.target.set(Weather { cut_after: Some(chance.between(0, 20_000)), ..Weather::default() })
            }
            Self::DatabaseUnplugged | Self::DatabasePartition | Self::DatabaseReset | Self::DatabaseSlow => {
                let Some(line) = &its.database else { return Ok(under) };
                match self {
                    Self::DatabaseUnplugged => line.cable.pull()?,
                    Self::DatabasePartition => line.relay.set(Weather::partition()),
                    Self::DatabaseSlow => line.relay.set(slow),
                    _ => drop(line.relay.reset()),
                }
            }
            Self::KillPostgres | Self::StopPostgres | Self::DatabaseFull => {
                let Some(server) = &mut house.server else { return Ok(under) };
                match self {
                    Self::KillPostgres => server.postgres.crash()?,
                    Self::StopPostgres => process::stop(server.postgres.process()?)?,
                    _ => server.space.fill()?,
                }
            }
        }
        Ok(under)
    }
}

impl Under {
    /// Where it struck, for the log.
    pub(super) fn place(&self, house: &House) -> String {
        let node = house.nodes[self.node].name;
        match self.fault {
            Fault::SyncFails | Fault::SyncSlow | Fault::DieBeforeSync | Fault::DieAfterSync => {
                format!("{node} {:?}", self.role).to_lowercase()
            }
            _ => node.to_owned(),
        }
    }

    /// Ends it.
    pub(super) fn heal(self, house: &mut House) -> anyhow::Result<()> {
        let its = &mut house.nodes[self.node];
        match self.fault {
            Fault::StopControl => process::go_on(its.product.pid("control")?)?,
            Fault::StopGateway => process::go_on(its.product.pid("gateway")?)?,
            Fault::DiskFull => its.space.free()?,
            Fault::SyncFails | Fault::SyncSlow | Fault::ClockAhead | Fault::ClockBehind => its.shim.heal()?,
            Fault::DieBeforeSync | Fault::DieAfterSync => its.shim.heal()?,
            Fault::ClientPartition | Fault::ClientDrip => its.clients.set(Weather::default()),
            Fault::TargetPartition | Fault::TargetCut => house.target.set(Weather::default()),
            Fault::DatabaseUnplugged | Fault::DatabasePartition | Fault::DatabaseSlow => {
                if let Some(line) = &its.database {
                    line.relay.set(Weather::default());
                    line.cable.plug_in()?;
                }
            }
            Fault::KillPostgres | Fault::StopPostgres | Fault::DatabaseFull => {
                let Some(server) = &mut house.server else { return Ok(()) };
                match self.fault {
                    Fault::StopPostgres => process::go_on(server.postgres.process()?)?,
                    Fault::DatabaseFull => server.space.free()?,
                    _ => {}
                }
                let runs = server.postgres.process().is_ok_and(process::runs);
                if !runs {
                    server.postgres.run()?;
                }
            }
            Fault::KillParent
            | Fault::KillControl
            | Fault::KillGateway
            | Fault::ClientReset
            | Fault::TargetReset
            | Fault::TargetHalfClosed
            | Fault::DatabaseReset => {}
        }
        Ok(())
    }
}
