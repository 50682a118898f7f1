//! Sessions as they are listed: live and past, one's own or all of them by right; and what changes among them.

use crate::directory::{all, kinds};
use crate::sessions::SessionBody;
use crate::{Control, Error, Op};
use sallyport_model::company::Guest;
use sallyport_model::inventory::Identity;
use sallyport_model::steering::Pause;
use sallyport_model::{SessionId, Timestamp};
use sallyport_policy::Right;
use sallyport_store::{EntryRow, Filter, WorkingSet};
use std::collections::{BTreeMap, BTreeSet};

/// A session in a listing.
#[derive(Clone, Debug)]
pub struct SessionLine {
    /// The session.
    pub id: SessionId,
    /// Facts of `session.opened`.
    pub facts: BTreeMap<String, String>,
    /// When it began.
    pub started: Timestamp,
    /// Who.
    pub actor: String,
    /// Ledger index of its first entry.
    pub entry: u64,
    /// While it runs: how often a rule was about what is done in it.
    pub alerts: u64,
    /// That it has ended.
    pub ended: Option<Ended>,
    /// Who holds it, where it is live and paused.
    pub paused: Option<Pause>,
    /// Who is with it beside its user.
    pub guests: Vec<Guest>,
    /// Whether it waits for an observer.
    pub waits: bool,
    /// The node that it runs through, while it is live.
    pub node: Option<String>,
}

/// Which sessions are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionsWanted {
    /// Only those that are live.
    pub live: bool,
    /// Only one's own, also where one may see all of them.
    pub own: bool,
    /// Only those whose first entry lies before this ledger index.
    pub before: Option<u64>,
    /// At most, and at least one.
    pub limit: usize,
}

/// A page of sessions.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    /// Newest first.
    pub lines: Vec<SessionLine>,
    /// What the next page begins before; absent on the last one.
    pub next: Option<u64>,
}

/// How a session ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why, as the ledger spells it.
    pub reason: String,
    /// Who or what ended it, in words; empty where there is nothing to add.
    pub note: String,
    /// Whether its recording is complete.
    pub complete: bool,
    /// What each leg agreed on, parted by `; `.
    pub exchanges: String,
    /// What was spoken by exception, likewise.
    pub exceptions: String,
}

/// Entries that say that a rule was about something.
const RULED: [&str; 6] =
    ["command.alerted", "command.blocked", "command.held", "file.alerted", "file.blocked", "file.held"];
/// Such entries that are looked at together; beyond them sessions are alerted, and not counted to the end.
const RULINGS: u32 = 10_000;

/// How far somebody has followed the sessions.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    entries: Option<u64>,
    /// Those that are live, as far as a listing tells of them.
    sessions: BTreeMap<SessionId, Shown>,
}

/// What a listing tells of a live session that may change: its steering, its guests, whether it waits.
type Shown = (u64, Vec<Guest>, bool);

fn shown(body: &SessionBody) -> Shown {
    (body.steering.count, body.guests.clone(), body.waits)
}

impl Control {
    /// How many live sessions one has oneself. Asks no database, which may be away.
    ///
    /// # Errors
    /// When the caller may do nothing.
    pub fn own_sessions(&self, op: &Op) -> Result<usize, Error> {
        let own = self.acting(op)?;
        let open = self.opened()?;
        Ok(all::<SessionBody>(&open.store, kinds::SESSION).iter().filter(|(_, s)| s.value.identity == own.id).count())
    }

    /// Sessions, newest first: one's own, or all of them by right.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions(&self, op: &Op, wanted: &SessionsWanted) -> Result<Sessions, Error> {
        let own = self.acting(op)?;
        let everything = !wanted.own && self.require(op, Right::SessionList).is_ok();
        let limit = wanted.limit.max(1);
        // One more than fits says whether there is another page.
        let mut lines = if wanted.live {
            self.live_sessions(&own, everything, wanted.before, limit.saturating_add(1)).await?
        } else {
            self.past_sessions(&own, everything, wanted.before, limit.saturating_add(1)).await?
        };
        let more = lines.len() > limit;
        lines.truncate(limit);
        self.count_alerts(&mut lines).await?;
        let next = lines.last().map(|line| line.entry).filter(|_| more);
        Ok(Sessions { lines, next })
    }

    /// Sessions by the entries with which they began. Whose they are is asked of the database, so that no page is spent on those
    /// of others; the signed entry has the last word.
    async fn past_sessions(
        &self,
        own: &Identity,
        everything: bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<SessionLine>, Error> {
        let filter = Filter {
            before,
            actions: vec!["session.opened".into()],
            actor: (!everything).then(|| own.handle.to_string()),
            newest_first: true,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            ..Filter::default()
        };
        let rows = self.opened()?.store.entries(&filter).await?;
        let live = self.live_bodies(own, everything)?;
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(id) = row.entry.session else { continue };
            if everything || row.entry.actor == own.handle.as_str() {
                lines.push(self.session_line(row, id, live.get(&id)).await?);
            }
        }
        Ok(lines)
    }

    /// Live sessions, newest first: what runs is listed however long ago it began.
    async fn live_sessions(
        &self,
        own: &Identity,
        everything: bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<SessionLine>, Error> {
        // A page goes on by ids, in whose order they are listed: of two that began at once the entries may stand the other way.
        let last = match before {
            Some(index) => self.session_at(index).await?,
            None => None,
        };
        let mut lines = Vec::new();
        for (id, body) in self.live_bodies(own, everything)?.into_iter().rev() {
            if lines.len() >= limit {
                break;
            }
            if last.is_some_and(|last| id >= last) {
                continue;
            }
            let early = |row: &EntryRow| last.is_some() || before.is_none_or(|before| row.index < before);
            if let Some(row) = self.session_row(id).await?.filter(early) {
                lines.push(self.session_line(row, id, Some(&body)).await?);
            }
        }
        Ok(lines)
    }

    /// The session that began with the entry at this index.
    async fn session_at(&self, index: u64) -> Result<Option<SessionId>, Error> {
        let filter = Filter { from: index, actions: vec!["session.opened".into()], limit: 1, ..Filter::default() };
        let rows = self.opened()?.store.entries(&filter).await?;
        Ok(rows.into_iter().next().filter(|row| row.index == index).and_then(|row| row.entry.session))
    }

    fn live_bodies(&self, own: &Identity, everything: bool) -> Result<BTreeMap<SessionId, SessionBody>, Error> {
        let open = self.opened()?;
        let sessions = all::<SessionBody>(&open.store, kinds::SESSION).into_iter().map(|(_, session)| session.value);
        Ok(sessions.filter(|s| everything || s.identity == own.id).map(|s| (s.id, s)).collect())
    }

    /// The entry with which a session began.
    pub(crate) async fn session_row(&self, session: SessionId) -> Result<Option<EntryRow>, Error> {
        let filter =
            Filter { session: Some(session), actions: vec!["session.opened".into()], limit: 1, ..Filter::default() };
        Ok(self.opened()?.store.entries(&filter).await?.into_iter().next())
    }

    /// Sessions that began, ended, changed or were alerted since this was asked last: one's own, or all of them by right. At first all
    /// that are live.
    ///
    /// # Errors
    /// When the caller may do nothing any more, or the database fails.
    pub async fn session_changes(&self, op: &Op, followed: &mut Followed) -> Result<Vec<SessionLine>, Error> {
        let own = self.acting(op)?;
        let everything = self.require(op, Right::SessionList).is_ok();
        let entries = self.opened()?.store.working(WorkingSet::size);
        // Whatever changes writes an entry.
        if followed.entries == Some(entries) {
            return Ok(Vec::new());
        }
        let bodies = self.live_bodies(&own, everything)?;
        let now: BTreeMap<_, _> = bodies.iter().map(|(id, body)| (*id, shown(body))).collect();
        let known: BTreeSet<_> = now.keys().chain(followed.sessions.keys()).copied().collect();
        let mut lines = Vec::new();
        let mut changed: BTreeSet<_> =
            known.into_iter().filter(|id| now.get(id) != followed.sessions.get(id)).collect();
        if let Some(from) = followed.entries {
            let alerted = self.rulings(from).await?;
            changed.extend(alerted.into_keys().filter(|session| now.contains_key(session)));
        }
        for id in changed {
            if let Some(row) = self.session_row(id).await? {
                lines.push(self.session_line(row, id, bodies.get(&id)).await?);
            }
        }
        self.count_alerts(&mut lines).await?;
        *followed = Followed { entries: Some(entries), sessions: now };
        Ok(lines)
    }

    /// How often rules were about something in each session, from this ledger index on.
    async fn rulings(&self, from: u64) -> Result<BTreeMap<SessionId, u64>, Error> {
        let actions = RULED.map(str::to_owned).to_vec();
        let filter = Filter { from, actions, newest_first: true, limit: RULINGS, ..Filter::default() };
        let mut rulings = BTreeMap::<_, u64>::new();
        for row in self.opened()?.store.entries(&filter).await? {
            if let Some(session) = row.entry.session {
                let count = rulings.entry(session).or_default();
                *count = count.saturating_add(1);
            }
        }
        Ok(rulings)
    }

    /// Counts for those of these sessions that run how often rules were about something in them.
    async fn count_alerts(&self, lines: &mut [SessionLine]) -> Result<(), Error> {
        let running = lines.iter_mut().filter(|line| line.ended.is_none()).collect::<Vec<_>>();
        let Some(from) = running.iter().map(|line| line.entry).min() else { return Ok(()) };
        let rulings = self.rulings(from).await?;
        for line in running {
            line.alerts = rulings.get(&line.id).copied().unwrap_or(0);
        }
        Ok(())
    }

    async fn session_line(
        &self,
        row: EntryRow,
        id: SessionId,
        live: Option<&SessionBody>,
    ) -> Result<SessionLine, Error> {
        let ended = if live.is_some() { None } else { self.ending(id).await? };
        Ok(SessionLine {
            id,
            facts: row.entry.facts,
            started: row.entry.at,
            actor: row.entry.actor,
            entry: row.index,
            ended,
            paused: live.and_then(|body| body.steering.paused.clone()),
            guests: live.map(|body| body.guests.clone()).unwrap_or_default(),
            waits: live.is_some_and(|body| body.waits),
            node: live.map(|body| body.node.clone()),
            alerts: 0,
        })
    }

    async fn ending(&self, id: SessionId) -> Result<Option<Ended>, Error> {
        let filter =
            Filter { session: Some(id), actions: vec!["session.closed".into()], limit: 1, ..Filter::default() };
        let rows = self.opened()?.store.entries(&filter).await?;
        Ok(rows.into_iter().next().map(|row| {
            let fact = |name: &str| row.entry.facts.get(name).cloned().unwrap_or_default();
            Ended {
                at: row.entry.at,
                reason: fact("reason"),
                note: fact("note"),
                complete: fact("complete") == "true",
                exchanges: fact("exchanges"),
                exceptions: fact("exceptions"),
            }
        }))
    }
}
