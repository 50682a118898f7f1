//! Space for recordings: what is used, what there is room for, when that ends, and what happens before it does.

use crate::{Control, Error, Op};
use rustix::fs::statvfs;
use sallyport_model::Timestamp;
use sallyport_model::access::Denial;
use sallyport_model::{Kind, RecordingId, SessionId};
use sallyport_policy::Right;
use sallyport_store::Change;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// Share of the room, in percent, from which no session begins any more.
const REFUSE: u64 = 80;
/// Share of the room, in percent, from which running sessions freeze.
const FREEZE: u64 = 95;
/// How often it is measured.
const LOOK: Duration = Duration::from_secs(3);
/// How often it is looked for recordings that are over their time.
const EXPIRE: Duration = Duration::from_secs(3600);
/// How often at most, where one is over its time before that.
const EXPIRE_SOON: Duration = Duration::from_secs(9);
/// What the growth is told from.
const WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);
const DAY: u64 = 24 * 3600;
/// Recordings of which it is told when they go.
const TOLD: usize = 10;

/// What recordings may take, and for how long.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpaceRules {
    /// Bytes at most; what the disk has where absent.
    pub quota: Option<u64>,
    /// How long the recordings of targets of tier 0, 1 and 2 are kept after their session; for ever where absent.
    pub keep: [Option<Duration>; 3],
}

/// How near the end of the room is.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Far.
    #[default]
    Fine,
    /// No session begins, since its recording might not end.
    Refuse,
    /// What runs has to freeze.
    Freeze,
}

impl Level {
    /// One word: `fine`, `refuse`, `freeze`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Refuse => "refuse",
            Self::Freeze => "freeze",
        }
    }
}

/// How the space is.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// Bytes of recordings. The journal of open ones is bounded, and counts by the room that it leaves on the disk.
    pub used: u64,
    /// Bytes that they may take: the quota, or what they have and the disk is free of, whichever is less.
    pub room: u64,
    /// Recordings in files of their own.
    pub recordings: u64,
    /// Bytes that come in a day, by what has come in the last seven.
    pub per_day: u64,
    /// Days until sessions are refused, at that growth; absent where nothing grows.
    pub days_to_refuse: Option<u64>,
    /// Days until running sessions freeze.
    pub days_to_freeze: Option<u64>,
    /// How near the end is.
    pub level: Level,
}

/// A recording that goes by the rule.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// Which.
    pub recording: RecordingId,
    /// Of which session.
    pub session: SessionId,
    /// Its bytes.
    pub bytes: u64,
    /// When it is over its time.
    pub due: Timestamp,
}

/// What is known of the space of this node.
#[derive(Debug, Default)]
pub(crate) struct SpaceState {
    pub(crate) rules: SpaceRules,
    now: RwLock<Space>,
    /// What was read of recordings, so that their headers are read once.
    pub(crate) leaving: Mutex<HashMap<RecordingId, Option<Leaving>>>,
    /// When the oldest of those that were too young to be read is old enough.
    pub(crate) old_enough: Mutex<Option<Timestamp>>,
}

impl Control {
    /// With rules for the space of recordings.
    #[must_use]
    pub fn with_space(mut self, rules: SpaceRules) -> Self {
        self.space.rules = rules;
        self
    }

    /// How the space of this node is, as it was measured last.
    #[must_use]
    pub fn space_now(&self) -> Space {
        self.space.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The hook for freezing: whether running sessions have to freeze, because their recordings have no room to go on.
    #[must_use]
    pub fn space_must_freeze(&self) -> bool {
        self.space_now().level == Level::Freeze
    }

    /// How the space of this node is, and what goes next by the rules.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub fn space(&self, op: &Op) -> Result<(Space, Vec<Leaving>), Error> {
        self.require(op, Right::LedgerRead)?;
        let known = self.space.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leaving: Vec<Leaving> = known.values().flatten().cloned().collect();
        drop(known);
        leaving.sort_by_key(|leaving| leaving.due);
        leaving.truncate(TOLD);
        Ok((self.space_now(), leaving))
    }

    /// Refuses a session whose recording might not end.
    pub(crate) fn room(&self) -> Result<(), (Denial, String)> {
        let space = self.space_now();
        if space.level == Level::Fine {
            return Ok(());
        }
        let share = share(&space);
        let text = format!(
            "no new session begins: recordings take {share} % of their room; ask the operator to run `sallyport space`"
        );
        Err((Denial::new(Kind::Unavailable, text), format!("recordings take {share} % of their room")))
    }

    /// Measures again, and tells the ledger where the level has changed.
    ///
    /// # Errors
    /// When the directories cannot be read, or the entry cannot be written.
    pub async fn measure_space(&self) -> Result<Space, Error> {
        let (data, quota) = (self.data.clone(), self.space.rules.quota);
        let space = tokio::task::spawn_blocking(move || measured(&data, quota)).await.map_err(Error::failed)?;
        let space = space.map_err(|e| Error::failed(format!("the space of recordings cannot be measured: {e}")))?;
        let was = {
            let mut now = self.space.now.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *now, space.clone()).level
        };
        if was != space.level {
            let share = share(&space);
            tracing::warn!(
                used = space.used,
                room = space.room,
                level = space.level.word(),
                "Recordings take {share} % of their room"
            );
            let facts = [
                ("level", space.level.word().to_owned()),
                ("share", share.to_string()),
                ("used", space.used.to_string()),
                ("room", space.room.to_string()),
            ];
            let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
            let draft = self.draft(&crate::Actor::System("space"), "space.level", self.node(), &facts);
            if let Ok(open) = self.opened() {
                open.store.commit(Change::entry(draft)).await?;
            }
        }
        Ok(space)
    }

    /// Whether a recording may be over its time.
    fn is_due(&self) -> bool {
        let old_enough = *self.space.old_enough.lock().unwrap_or_else(PoisonError::into_inner);
        if old_enough.is_some_and(|at| at <= self.env.now()) {
            return true;
        }
        let known = self.space.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().flatten().any(|leaving| leaving.due <= self.env.now())
    }

    /// Measures the space, and lets go of recordings that are over their time. Runs as long as control.
    pub async fn tend_space(&self) {
        let mut waited = EXPIRE;
        loop {
            if let Err(error) = self.measure_space().await {
                tracing::warn!(%error, "Measuring the space of recordings");
            }
            let soon = waited >= EXPIRE_SOON && self.is_due();
            if (soon || waited >= EXPIRE) && self.opened().is_ok() {
                waited = Duration::ZERO;
                if let Err(error) = self.expire().await {
                    waited = EXPIRE.saturating_sub(EXPIRE_SOON);
                    tracing::warn!(%error, "Recordings that are over their time stay; it is tried again");
                }
            }
            tokio::time::sleep(LOOK).await;
            waited = waited.saturating_add(LOOK);
        }
    }
}

fn share(space: &Space) -> u64 {
    space.used.saturating_mul(100).checked_div(space.room).unwrap_or(100).min(100)
}

/// The level of so many bytes within so many.
fn level(used: u64, room: u64) -> Level {
    let reaches = |percent: u64| u128::from(used) * 100 >= u128::from(room) * u128::from(percent);
    match (reaches(FREEZE), reaches(REFUSE)) {
        (true, _) => Level::Freeze,
        (false, true) => Level::Refuse,
        (false, false) => Level::Fine,
    }
}

fn days(used: u64, room: u64, percent: u64, per_day: u64) -> Option<u64> {
    let end = u64::try_from(u128::from(room) * u128::from(percent) / 100).unwrap_or(u64::MAX);
    end.saturating_sub(used).checked_div(per_day)
}

/// The files of a directory with their lengths, and when each was written.
fn files(directory: &Path) -> std::io::Result<Vec<(PathBuf, u64, SystemTime)>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // One that has gone meanwhile takes nothing.
        if let Ok(about) = entry.metadata()
            && about.is_file()
        {
            found.push((entry.path(), about.len(), about.modified()?));
        }
    }
    Ok(found)
}

/// Measures the recordings of a data directory.
fn measured(data: &Path, quota: Option<u64>) -> std::io::Result<Space> {
    let directory = data.join("recordings");
    let recordings = files(&directory)?;
    let used: u64 = recordings.iter().map(|(_, bytes, _)| bytes).sum();
    let disk = statvfs(if directory.is_dir() { &directory } else { data })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let room = used.saturating_add(free).min(quota.unwrap_or(u64::MAX));
    let newest = recordings.iter().map(|(.., at)| *at).max().unwrap_or(SystemTime::UNIX_EPOCH);
    let age = |at: &SystemTime| newest.duration_since(*at).unwrap_or_default();
    let recent: Vec<_> = recordings.iter().filter(|(.., at)| age(at) <= WINDOW).collect();
    let span = recent.iter().map(|(.., at)| age(at).as_secs()).max().unwrap_or_default().max(DAY);
    let come: u64 = recent.iter().map(|(_, bytes, _)| bytes).sum();
    let per_day = u64::try_from(u128::from(come) * u128::from(DAY) / u128::from(span)).unwrap_or(u64::MAX);
    Ok(Space {
        used,
        room,
        recordings: u64::try_from(recordings.len()).unwrap_or(u64::MAX),
        per_day,
        days_to_refuse: days(used, room, REFUSE, per_day),
        days_to_freeze: days(used, room, FREEZE, per_day),
        level: level(used, room),
    })
}

#[cfg(test)]
mod tests;
