//! The batcher: many changes, one transaction, one signed head. The only writer.

use crate::batch::{Accepted, Batch, Outcome};
use crate::change::{Change, Committed, DocId, Error};
use crate::mirror::{Landed, Mirror, Open};
use crate::place::{Conn, Place, Session};
use crate::sql::{self, NewEntry};
use crate::working::Document;
use sallyport_ledger::leaf_hash;
use sallyport_ledger::tiles::Growth;
use sallyport_model::Env;
use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Changes in one transaction at most.
const BATCH: usize = 256;
/// A `state.root` entry is due this long after the first change that follows the last one ...
const ROOT_AFTER: Duration = Duration::from_secs(10);
/// ... or after this many changes.
const ROOT_EVERY: u32 = 1024;
/// How often it is looked whether another node has written, besides what the server tells.
const POLL: Duration = Duration::from_millis(300);
/// What the database may take for one step before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(45);
/// Between two attempts to write what was written already, while nothing else can be.
const PROBE: Duration = Duration::from_millis(200);
/// Between two attempts to reach a database that is away.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a writer waits to learn whether its change was written, while the database is away.
const DOUBT: Duration = Duration::from_secs(15);

pub(crate) type Answer = oneshot::Sender<Result<Committed, Error>>;

/// What the batcher is asked.
pub(crate) enum Job {
    /// Changes that stand or fall together.
    Changes(Vec<Change>, Answer),
    Stop,
}

pub(crate) struct Batcher {
    pub(crate) env: Env,
    pub(crate) place: Place,
    /// None while the database is away.
    pub(crate) session: Option<Session>,
    pub(crate) mirror: Mirror,
    /// How far the ledger goes, as other nodes say.
    pub(crate) news: watch::Receiver<u64>,
    /// Set when nothing more may be written by this process.
    pub(crate) failed: watch::Sender<bool>,
    /// When the ledger was last seen as it is stored; none while the database is away.
    pub(crate) seen: watch::Sender<Option<Instant>>,
    /// Since when there is something to write that is not written.
    pub(crate) stuck: watch::Sender<Option<Instant>>,
    pub(crate) root: RootDue,
    /// The batch whose commit was lost, until it is known whether it was written.
    pub(crate) doubtful: Vec<Accepted>,
}

/// When the next `state.root` is due.
#[derive(Default)]
pub(crate) struct RootDue {
    changes: u32,
    at: Option<Instant>,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// What somebody wants written.
    Plain,
    /// That, and a `state.root`.
    Root,
    /// The head that is there already, to learn whether anything can be written again.
    Probe,
}

/// How an attempt to write went wrong.
enum Failure {
    /// Nothing was written; the connection may be used on.
    Refused(Error),
    /// Nothing was written; the connection is gone.
    Gone(Error),
    /// The commit was sent, and no answer came.
    Doubtful(Error),
}

impl Batcher {
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let outcome = self.work(&mut inbox).await;
        if let Err(error) = outcome {
            tracing::error!(%error, "The store stops writing: what is stored is not known to be good");
            self.failed.send_replace(true);
        }
        for answer in self.doubtful.drain(..) {
            let error = Error::Unknown(answer.id);
            let _ = answer.answer.map(|to| to.send(Err(error)));
        }
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    async fn work(&mut self, inbox: &mut mpsc::Receiver<Job>) -> Result<(), Error> {
        let mut jobs = Vec::with_capacity(BATCH);
        let mut stop = false;
        while !stop {
            if self.session.is_none() {
                match self.reconnect(inbox).await {
                    Some(session) => self.session = Some(session),
                    None => return Ok(()),
                }
            }
            if !self.doubtful.is_empty() {
                self.resolve().await?;
                continue;
            }
            let root_due = self.root.at.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                count = inbox.recv_many(&mut jobs, BATCH) => stop = count == 0,
                () = sleep_until(root_due) => {}
                () = sleep(PROBE), if self.stuck.borrow().is_some() => {
                    self.batch(Vec::new(), Round::Probe).await?;
                    continue;
                }
                () = self.elsewhere() => self.follow().await?,
            }
            let mut wanted = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                match job {
                    Job::Changes(changes, answer) => wanted.push((changes, answer)),
                    Job::Stop => stop = true,
                }
            }
            let root = self.root.at.is_some_and(|due| stop || due <= Instant::now() || self.root.changes >= ROOT_EVERY);
            if root || !wanted.is_empty() {
                self.batch(wanted, if root { Round::Root } else { Round::Plain }).await?;
            }
        }
        Ok(())
    }

    /// Resolves when another node may have written.
    async fn elsewhere(&self) {
        if !self.mirror.shared {
            return std::future::pending().await;
        }
        let mut news = self.news.clone();
        let known = self.mirror.log.size();
        let _ = timeout(POLL, news.wait_for(|size| *size > known)).await;
    }

    /// Takes in what other nodes have written, without waiting for anybody.
    async fn follow(&mut self) -> Result<(), Error> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let mut conn = session.conn();
        let mirror = &mut self.mirror;
        let followed = within(async {
            let found = sql::head(&mut conn).await?;
            let (size, note) = found.unwrap_or_default();
            if size == mirror.log.size() && *note == *mirror.note {
                return Ok(());
            }
            sql::begin_read(&mut conn).await?;
            let found = sql::head(&mut conn).await?;
            mirror.catch_up(&mut conn, found, &Open::new()).await?;
            sql::rollback(&mut conn).await
        });
        match followed.await {
            Err(error) if passing(&error) => {
                self.lose(&error);
                Ok(())
            }
            other => {
                self.seen.send_replace(Some(Instant::now()));
                other
            }
        }
    }

    /// One transaction. An error means that nothing more may be written by this process.
    async fn batch(&mut self, wanted: Vec<(Vec<Change>, Answer)>, round: Round) -> Result<(), Error> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        let mut accepted = Vec::with_capacity(wanted.len() + 1);
        let mut waiting = Waiting(wanted);
        if !self.mirror.shared {
            // A file of ours answers at once or is in trouble; a server that is slow shows as silence.
            self.struggle();
        }
        match self.attempt(&mut session.conn(), &mut waiting, &mut accepted, round).await {
            Ok(()) => {
                self.stuck.send_replace(None);
                self.session = Some(session);
                Ok(())
            }
            Err(Failure::Doubtful(error)) => {
                tracing::warn!(%error, "A commit was not answered: its entries are looked for");
                self.doubtful = accepted;
                // The file is at hand; a server is asked over a new connection.
                self.session = if self.mirror.shared { None } else { Some(session) };
                Ok(())
            }
            Err(Failure::Refused(error)) => {
                self.struggle();
                let ended = within(sql::rollback(&mut session.conn())).await;
                self.session = ended.is_ok().then_some(session).filter(|_| passing(&error) || !self.mirror.shared);
                refuse(waiting, accepted, &error);
                if passing(&error) {
                    tracing::error!(%error, "A batch was not written");
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(Failure::Gone(error)) => {
                self.lose(&error);
                refuse(waiting, accepted, &error);
                Ok(())
            }
        }
    }

    async fn attempt(
        &mut self,
        conn: &mut Conn<'_>,
        waiting: &mut Waiting,
        accepted: &mut Vec<Accepted>,
        round: Round,
    ) -> Result<(), Failure> {
        let found = within(sql::begin_write(conn)).await.map_err(before_commit)?;
        within(self.mirror.catch_up(conn, found, &Open::new())).await.map_err(before_commit)?;
        self.seen.send_replace(Some(Instant::now()));
        if round == Round::Probe && self.mirror.log.size() > 0 {
            let note = &self.mirror.note;
            within(sql::set_head(conn, self.mirror.log.size(), note, note)).await.map_err(before_commit)?;
            return within(sql::commit(conn, self.mirror.log.size())).await.map_err(before_commit);
        }
        let root = round == Round::Root;
        let mut batch = Batch::new(&self.env, &self.mirror);
        for (changes, answer) in waiting.0.drain(..) {
            match within(batch.accept_all(conn, changes)).await {
                Ok(Outcome::Earlier(index)) => drop(answer.send(Ok(Committed { index }))),
                Ok(Outcome::New(mut new)) => {
                    if let Some(last) = new.last_mut() {
                        last.answer = Some(answer);
                    }
                    accepted.append(&mut new);
                }
                Err(error @ (Error::Conflict(_) | Error::Taken(_) | Error::Entry(_))) => drop(answer.send(Err(error))),
                Err(error) => {
                    let _ = answer.send(Err(error.clone()));
                    return Err(before_commit(error));
                }
            }
        }
        if root {
            accepted.push(batch.root_entry().map_err(Failure::Refused)?);
        }
        if accepted.is_empty() {
            return within(sql::rollback(conn)).await.map_err(before_commit);
        }
        let leaves: Vec<_> = accepted.iter().map(|a| leaf_hash(&a.entry.body)).collect();
        let mut appender = self.mirror.log.appender.clone();
        let growth = appender.append(&leaves);
        let note = self.mirror.log.note(&growth).map_err(Failure::Refused)?;
        within(write(conn, accepted, &growth, (&note, &self.mirror.note))).await.map_err(before_commit)?;
        within(sql::commit(conn, growth.size)).await.map_err(Failure::Doubtful)?;
        let changed = accepted.iter().map(|a| a.puts.len() + a.deletes.len()).sum::<usize>();
        self.mirror.take_own(accepted, appender, note).map_err(Failure::Refused)?;
        self.count(root, changed);
        for change in accepted.drain(..) {
            let index = change.entry.index;
            let _ = change.answer.map(|to| to.send(Ok(Committed { index })));
        }
        Ok(())
    }

    fn count(&mut self, root: bool, changed: usize) {
        if root {
            self.root = RootDue::default();
        } else if changed > 0 {
            self.root.changes = self.root.changes.saturating_add(u32::try_from(changed).unwrap_or(u32::MAX));
            self.root.at.get_or_insert_with(|| Instant::now() + ROOT_AFTER);
        }
    }

    /// Learns what became of the batch whose commit was not answered: its entries are there, or they are not.
    /// The lock is taken first, so that a server which is still at it has ended it.
    async fn resolve(&mut self) -> Result<(), Error> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        let mut conn = session.conn();
        let open: Open = self.doubtful.iter().map(|a| a.entry.id.clone()).collect();
        let mirror = &mut self.mirror;
        let looked: Result<Landed, Error> = within(async {
            let _ = sql::rollback(&mut conn).await;
            let found = sql::begin_write(&mut conn).await?;
            let landed = mirror.catch_up(&mut conn, found, &open).await?;
            sql::rollback(&mut conn).await?;
            Ok(landed)
        })
        .await;
        let landed = match looked {
            Ok(landed) => landed,
            Err(error) if passing(&error) => {
                self.lose(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.session = Some(session);
        self.count(false, usize::from(!landed.is_empty()));
        tracing::info!(asked = self.doubtful.len(), written = landed.len(), "The outcome of a commit is known now");
        for change in self.doubtful.drain(..) {
            let Some(to) = change.answer else { continue };
            let _ = to.send(match landed.get(&change.entry.id) {
                Some(index) => Ok(Committed { index: *index }),
                None => Err(Error::Lost("it was lost before it committed".into())),
            });
        }
        Ok(())
    }

    /// Notes since when there is something that is not written.
    fn struggle(&self) {
        self.stuck.send_if_modified(|since| since.replace(since.unwrap_or_else(Instant::now)).is_none());
    }

    fn lose(&mut self, error: &Error) {
        tracing::warn!(%error, "The database went away; reads go on, writes are refused until it is back");
        self.session = None;
        self.seen.send_replace(None);
        if self.mirror.shared {
            self.stuck.send_replace(None);
        }
    }

    /// Waits until the database is back. Meanwhile every writer is told so. `None`: asked to stop.
    async fn reconnect(&mut self, inbox: &mut mpsc::Receiver<Job>) -> Option<Session> {
        let place = self.place.clone();
        let (why, reason) = watch::channel(String::from("its connection was lost"));
        let mut connecting = pin!(async move {
            loop {
                // First of all, too: an error that comes back with every connection must not keep us busy.
                sleep(AGAIN).await;
                match place.connect(false).await {
                    Ok(session) => return session,
                    Err(error) => {
                        tracing::warn!(%error, "The database is still away");
                        why.send_replace(error.to_string());
                    }
                }
            }
        });
        let tell_doubt = Instant::now() + DOUBT;
        loop {
            let in_doubt = self.doubtful.iter().any(|a| a.answer.is_some());
            tokio::select! {
                session = &mut connecting => return Some(session),
                job = inbox.recv() => match job {
                    Some(Job::Changes(_, answer)) => drop(answer.send(Err(Error::Lost(reason.borrow().clone())))),
                    Some(Job::Stop) | None => return None,
                },
                () = sleep_until(tell_doubt), if in_doubt => {
                    for change in &mut self.doubtful {
                        let error = Error::Unknown(change.id);
                        let _ = change.answer.take().map(|to| to.send(Err(error)));
                    }
                }
            }
        }
    }
}

/// Changes that were not looked at yet, with who waits for them.
struct Waiting(Vec<(Vec<Change>, Answer)>);

fn refuse(waiting: Waiting, accepted: Vec<Accepted>, error: &Error) {
    let answers = waiting.0.into_iter().map(|(_, answer)| answer);
    for answer in answers.chain(accepted.into_iter().filter_map(|a| a.answer)) {
        let _ = answer.send(Err(error.clone()));
    }
}

/// Whether an error is one of the moment: it says nothing about what is stored.
const fn passing(error: &Error) -> bool {
    matches!(error, Error::Sql(_) | Error::Lost(_) | Error::Place(_))
}

fn before_commit(error: Error) -> Failure {
    if matches!(error, Error::Lost(_)) { Failure::Gone(error) } else { Failure::Refused(error) }
}

/// Bounds what the database may take.
async fn within<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::Lost(format!("it was silent for {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, step).await.map_err(late)?
}

/// What a batch makes of one document: the version that was there, and what is there then.
type Fate<'a> = (u64, Option<&'a Document>);

/// Writes a batch: each table at once, each document once, however often the batch changes it.
async fn write(
    conn: &mut Conn<'_>,
    accepted: &[Accepted],
    growth: &Growth,
    (note, was): (&str, &str),
) -> Result<(), Error> {
    let entries: Vec<&NewEntry> = accepted.iter().map(|a| &a.entry).collect();
    let mut fates: HashMap<&DocId, Fate<'_>> = HashMap::new();
    for change in accepted {
        for (id, was, document) in &change.puts {
            fates.entry(id).or_insert((*was, None)).1 = Some(document);
        }
        for (id, was) in &change.deletes {
            fates.entry(id).or_insert((*was, None)).1 = None;
        }
    }
    let puts: Vec<_> = fates.iter().filter_map(|(id, (was, now))| Some((*id, *was, (*now)?))).collect();
    let gone = fates.iter().filter(|(_, (was, now))| *was > 0 && now.is_none());
    let deletes: Vec<_> = gone.map(|(id, (was, _))| (*id, *was)).collect();
    sql::insert_entries(conn, &entries).await?;
    sql::put_documents(conn, &puts).await?;
    sql::delete_documents(conn, &deletes).await?;
    sql::set_tiles(conn, &growth.tiles).await?;
    sql::set_head(conn, growth.size, note, was).await
}
