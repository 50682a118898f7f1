//! How things are, for whoever asks.

use crate::sessions::waiting;
use crate::{Control, Space};
use sallyport_model::authority::{Desk as _, Pulse};
use sallyport_model::{ClusterId, Timestamp};
use std::time::Duration;

/// How things are.
#[derive(Clone, Debug)]
pub struct Status {
    /// The installation; absent while sealed.
    pub cluster: Option<ClusterId>,
    /// Whether the vault is sealed.
    pub sealed: bool,
    /// Entries in the ledger.
    pub entries: u64,
    /// Connected gateways.
    pub gateways: usize,
    /// Live sessions.
    pub sessions: usize,
    /// Live sessions, of every node, that wait for an observer.
    pub sessions_waiting: usize,
    /// Places outside the database that hold the newest checkpoint.
    pub anchors: usize,
    /// Those of them that are later than they may be.
    pub anchors_late: usize,
    /// Whether new sessions are refused, because an anchor that must not be late is.
    pub frozen: bool,
    /// Objects of the database that are not what this installation wrote; nothing is decided while there is one.
    pub quarantined: usize,
    /// What is possible here: what gateways are told.
    pub pulse: Pulse,
    /// When the last backup was made; absent while sealed, and where there is none.
    pub backup: Option<Timestamp>,
    /// How long ago that was.
    pub backup_age: Option<Duration>,
    /// Until when the rights of an administrator are lent by a recovery on the host.
    pub recovery: Option<Timestamp>,
    /// Whether one person administers this installation, by a choice at its founding.
    pub solo: bool,
    /// How the space for recordings is.
    pub space: Space,
    /// SSH authorities whose next key waits to be activated.
    pub ssh_cas_waiting: usize,
    /// When the SSH certificate of this node's gateway ends, where it should have been renewed by now.
    pub host_certificate_late: Option<Timestamp>,
}

impl Control {
    /// How things are. Open to everybody: it names nothing.
    #[must_use]
    pub fn status(&self) -> Status {
        let open = self.opened().ok();
        let anchors = self.anchors.lines();
        let backup = self.last_backup();
        let ssh_cas_waiting = open.as_ref().map_or(0, |open| self.waiting_ssh_cas(open));
        let sessions_waiting = open.as_ref().map_or(0, |open| waiting(open));
        Status {
            cluster: open.as_ref().map(|o| o.cluster),
            sealed: open.is_none(),
            entries: open.map_or(0, |o| o.store.working(sallyport_store::WorkingSet::size)),
            gateways: self.live.gateways(),
            sessions: self.live.sessions(),
            sessions_waiting,
            anchors: anchors.len(),
            anchors_late: anchors.iter().filter(|anchor| anchor.late).count(),
            frozen: self.anchors.frozen(),
            quarantined: self.quarantine().map_or(0, |found| found.len()),
            pulse: self.pulse(),
            backup,
            backup_age: backup.map(|at| self.env.now().since(at)),
            recovery: self.recovery(),
            solo: self.is_solo(),
            space: self.space_now(),
            ssh_cas_waiting,
            host_certificate_late: self.late_host_certificate(),
        }
    }
}
