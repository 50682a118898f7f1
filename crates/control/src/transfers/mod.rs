//! Transfers: files between people at the API and the targets of their own running sessions, through the gateway's door.
//!
//! A transfer is prepared first, which is where everything that can be said against it is said; then one request with its
//! claim carries it. What is prepared holds the file open at the target, for seconds.

mod crossing;

use crossing::{Crossing, refusal};
pub use crossing::{Download, Sending, Upload, Verdict};

use crate::metrics::Metrics;
use crate::terminal::Terminal;
use crate::{Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::authority::Authenticated;
use sallyport_model::door::{Knock, Outward};
use sallyport_model::errand::{Directory, Errand, FilePath, Put, Told};
use sallyport_model::relay::Wanted;
use sallyport_model::{DeviceId, IdentityId, Kind, Secret, SessionId, Timestamp, TransferId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long a prepared transfer waits to be fetched.
const CLAIM: Duration = Duration::from_secs(20);
/// How long the target may take to answer an errand before anything crosses.
const ANSWER: Duration = Duration::from_secs(20);
/// How long it is told how a transfer ended.
const TOLD: Duration = Duration::from_secs(120);
/// Transfers of one session that are prepared or under way, and those whose end is told.
const MOST: usize = 16;
const KEPT: usize = 64;

/// Which way a file goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// To the target.
    Up,
    /// From it.
    Down,
}

impl Way {
    /// Stable word, as the API spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How far a transfer has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// It waits to be fetched.
    Prepared,
    /// It crosses.
    Running,
    /// All of it has crossed.
    Done,
    /// It ended before, for this reason.
    Failed(String),
    /// Whoever wanted it wants it no more.
    Cancelled,
}

impl Stage {
    /// What came of it, as figures spell it; nothing where that is not known yet.
    const fn outcome(&self) -> Option<&'static str> {
        match self {
            Self::Prepared | Self::Running => None,
            Self::Done => Some("done"),
            Self::Failed(_) => Some("failed"),
            Self::Cancelled => Some("cancelled"),
        }
    }
}

/// A transfer, as it is told of.
#[derive(Clone, Debug)]
pub struct TransferLine {
    /// The transfer.
    pub id: TransferId,
    /// Which way it goes.
    pub way: Way,
    /// The file on the target.
    pub path: FilePath,
    /// Its bytes, where that is known.
    pub size: Option<u64>,
    /// Bytes that have crossed.
    pub crossed: u64,
    /// How far it is.
    pub stage: Stage,
}

/// A transfer that may begin.
pub struct Prepared {
    /// The transfer.
    pub line: TransferLine,
    /// Whoever shows this carries it, once.
    pub claim: Secret<String>,
    /// When it is too late for that.
    pub expires: Timestamp,
}

/// What is known of one transfer.
struct Known {
    session: SessionId,
    identity: IdentityId,
    device: Option<DeviceId>,
    way: Way,
    path: FilePath,
    size: Option<u64>,
    crossed: Arc<AtomicU64>,
    stage: Stage,
    /// When its stage began.
    since: Timestamp,
    /// Until it is fetched.
    waiting: Option<Terminal>,
    stop: watch::Sender<bool>,
}

impl Known {
    fn goes_on(&self) -> bool {
        matches!(self.stage, Stage::Prepared | Stage::Running)
    }

    fn line(&self, id: TransferId) -> TransferLine {
        let crossed = self.crossed.load(Ordering::Relaxed);
        TransferLine { id, way: self.way, path: self.path.clone(), size: self.size, crossed, stage: self.stage.clone() }
    }
}

#[derive(Default)]
struct Inner {
    known: HashMap<TransferId, Known>,
    claims: HashMap<[u8; 32], TransferId>,
}

/// The transfers of this node. Memory only: what crosses does not outlive this process.
#[derive(Clone)]
pub(crate) struct Transfers {
    inner: Arc<Mutex<Inner>>,
    metrics: Metrics,
}

impl Transfers {
    /// None yet; what comes of them is counted here.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { inner: Arc::default(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may be prepared for a session. Forgets those whose end was told long enough.
    fn room(&self, session: SessionId, now: Timestamp) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.known.retain(|_, known| known.goes_on() || now.since(known.since) < TOLD);
        let of_session = || inner.known.values().filter(|known| known.session == session);
        if of_session().filter(|known| known.goes_on()).count() >= MOST || of_session().count() >= KEPT {
            return Err(Error::Busy("this session has as many transfers as it takes: try again when one is done"));
        }
        Ok(())
    }

    /// Ends a transfer, unless it has ended.
    fn end(&self, id: TransferId, stage: Stage, now: Timestamp) {
        let mut inner = self.lock();
        inner.claims.retain(|_, claimed| *claimed != id);
        if let Some(known) = inner.known.get_mut(&id).filter(|known| known.goes_on()) {
            if let Some(outcome) = stage.outcome() {
                self.metrics.transferred(known.way, outcome, known.crossed.load(Ordering::Relaxed));
            }
            (known.stage, known.since, known.waiting) = (stage, now, None);
        }
    }

    /// What was heard before anything could cross, counted where it is a refusal.
    fn heard(&self, way: Way, answer: Result<Told, Error>) -> Result<Told, Error> {
        if matches!(answer, Err(Error::Denied(_))) {
            self.metrics.transferred(way, "refused", 0);
        }
        answer
    }
}

impl Control {
    /// What lies in a directory of the target of one's own session.
    ///
    /// # Errors
    /// When the session is not one's own, policy lets it carry no files, or the target says no.
    pub async fn list_files(&self, op: &Op, session: SessionId, path: FilePath) -> Result<Directory, Error> {
        let mut errand = self.errand(op, session, Errand::List(path)).await?;
        match answer(&mut errand).await? {
            Told::Listed(directory) => Ok(*directory),
            _ => Err(refusal(None)),
        }
    }

    /// Makes a directory there.
    ///
    /// # Errors
    /// As [`Self::list_files`].
    pub async fn make_directory(&self, op: &Op, session: SessionId, path: FilePath) -> Result<(), Error> {
        let mut errand = self.errand(op, session, Errand::MakeDir(path)).await?;
        answer(&mut errand).await.map(drop)
    }

    /// Prepares a file to come from the target: it is open there, and its size known.
    ///
    /// # Errors
    /// When the session is not one's own, policy or the target says no, or there are too many.
    pub async fn prepare_download(&self, op: &Op, session: SessionId, path: FilePath) -> Result<Prepared, Error> {
        self.transfers.room(session, self.env.now())?;
        let mut errand = self.errand(op, session, Errand::Get(path.clone())).await?;
        match self.transfers.heard(Way::Down, answer(&mut errand).await)? {
            Told::Gives(size) => self.prepared(op, session, (Way::Down, path, size), errand),
            _ => Err(refusal(None)),
        }
    }

    /// Prepares a file to come to the target: it may, and its place there is open.
    ///
    /// # Errors
    /// As [`Self::prepare_download`].
    pub async fn prepare_upload(&self, op: &Op, session: SessionId, put: Put) -> Result<Prepared, Error> {
        self.transfers.room(session, self.env.now())?;
        let (path, size) = (put.path.clone(), put.size);
        let mut errand = self.errand(op, session, Errand::Put(put)).await?;
        match self.transfers.heard(Way::Up, answer(&mut errand).await)? {
            Told::Takes => self.prepared(op, session, (Way::Up, path, size), errand),
            _ => Err(refusal(None)),
        }
    }

    fn prepared(
        &self,
        op: &Op,
        session: SessionId,
        (way, path, size): (Way, FilePath, Option<u64>),
        errand: Terminal,
    ) -> Result<Prepared, Error> {
        let (id, secret, now) = (TransferId::new(&self.env), self.env.random::<32>(), self.env.now());
        let known = Known {
            session,
            identity: self.acting(op)?.id,
            device: op.device,
            way,
            path,
            size,
            crossed: Arc::default(),
            stage: Stage::Prepared,
            since: now,
            waiting: Some(errand),
            stop: watch::Sender::new(false),
        };
        let line = known.line(id);
        {
            let mut inner = self.transfers.lock();
            inner.known.insert(id, known);
            inner.claims.insert(secret, id);
        }
        let (transfers, env) = (self.transfers.clone(), self.env.clone());
        tokio::spawn(async move {
            tokio::time::sleep(CLAIM).await;
            let waits = transfers.lock().known.get(&id).is_some_and(|known| known.stage == Stage::Prepared);
            if waits {
                transfers.end(id, Stage::Failed("nobody fetched it in time".into()), env.now());
            }
        });
        Ok(Prepared { line, claim: Secret::new(hex::encode(secret)), expires: now.plus(CLAIM) })
    }

    /// Spends a claim, which is whoever's who prepared the transfer, and nobody else's.
    fn spend(&self, op: &Op, claim: &str, way: Way) -> Result<(TransferLine, Terminal, Crossing), Error> {
        let gone = || Error::NotFound("this transfer is not prepared, or was fetched already: prepare it anew".into());
        let own = self.acting(op)?;
        let secret = hex::decode(claim).ok().and_then(|secret| <[u8; 32]>::try_from(secret).ok()).ok_or_else(gone)?;
        let mut inner = self.transfers.lock();
        let Inner { known, claims } = &mut *inner;
        let id = *claims.get(&secret).ok_or_else(gone)?;
        let known = known.get_mut(&id).filter(|known| {
            known.identity == own.id && known.device == op.device && known.way == way && known.stage == Stage::Prepared
        });
        let known = known.ok_or_else(gone)?;
        let terminal = known.waiting.take().ok_or_else(gone)?;
        claims.remove(&secret);
        (known.stage, known.since) = (Stage::Running, self.env.now());
        let (line, crossed, stopped) = (known.line(id), known.crossed.clone(), known.stop.subscribe());
        drop(inner);
        let crossing = Crossing { transfers: self.transfers.clone(), env: self.env.clone(), id, crossed, stopped };
        Ok((line, terminal, crossing))
    }

    /// Begins what was prepared to come from a target.
    ///
    /// # Errors
    /// When there is no such claim of the caller's.
    pub fn begin_download(&self, op: &Op, claim: &str) -> Result<Download, Error> {
        let (line, door, crossing) = self.spend(op, claim, Way::Down)?;
        Ok(Download::new(line, crossing, door))
    }

    /// Begins what was prepared to go to a target.
    ///
    /// # Errors
    /// When there is no such claim of the caller's.
    pub fn begin_upload(&self, op: &Op, claim: &str) -> Result<Upload, Error> {
        let (_, door, crossing) = self.spend(op, claim, Way::Up)?;
        Ok(Upload::new(crossing, door))
    }

    /// The transfers of one's own session, oldest first, also those that have ended lately.
    ///
    /// # Errors
    /// When the caller may do nothing.
    pub fn transfers(&self, op: &Op, session: SessionId) -> Result<Vec<TransferLine>, Error> {
        let own = self.acting(op)?;
        let inner = self.transfers.lock();
        let of_own = inner.known.iter().filter(|(_, known)| known.session == session && known.identity == own.id);
        let mut lines: Vec<TransferLine> = of_own.map(|(id, known)| known.line(*id)).collect();
        lines.sort_by_key(|line| line.id);
        Ok(lines)
    }

    /// Ends a transfer of one's own that is prepared or under way.
    ///
    /// # Errors
    /// When there is none.
    pub fn cancel_transfer(&self, op: &Op, session: SessionId, id: TransferId) -> Result<(), Error> {
        let own = self.acting(op)?;
        {
            let inner = self.transfers.lock();
            let known = inner.known.get(&id).filter(|known| known.session == session && known.identity == own.id);
            let known = known.filter(|known| known.goes_on());
            let none = || Error::NotFound("there is no such transfer under way".into());
            known.ok_or_else(none)?.stop.send_replace(true);
        }
        let waits = self.transfers.lock().known.get(&id).is_some_and(|known| known.waiting.is_some());
        if waits {
            self.transfers.end(id, Stage::Cancelled, self.env.now());
        }
        Ok(())
    }

    /// Sends a session on an errand, on whatever node it runs.
    pub(crate) async fn errand(&self, op: &Op, session: SessionId, wanted: Errand) -> Result<Terminal, Error> {
        let (own, known) = self.own_live(op, session)?;
        if self.elsewhere(&known) {
            return self.relay(op, &known.node, Wanted::Errand(session, wanted)).await;
        }
        let knock = |who: Authenticated| Knock::Errand(who, session, wanted);
        self.knock(op, &own, Some(known.gateway), knock).await
    }
}

/// The first answer to an errand.
async fn answer(errand: &mut Terminal) -> Result<Told, Error> {
    let slow = || {
        let text = "the session does not answer: it may be paused, or its target busy; try again";
        Error::Denied(Denial::new(Kind::Unavailable, text))
    };
    match tokio::time::timeout(ANSWER, errand.hear.hear()).await.map_err(|_| slow())? {
        Some(Outward::Told(told)) => Ok(told),
        other => Err(refusal(other)),
    }
}
