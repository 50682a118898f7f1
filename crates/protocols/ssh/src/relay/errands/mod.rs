//! Errands of people who came through the door: files of the target, over channels of SFTP that pass the same gate as
//! any client's.

mod cross;
mod talk;

use super::Session;
use super::channel::{self, Outcome};
use crate::client::own;
use crate::files::sftp::speak::{Attributes, Request, Says};
use crate::files::{Gate, StandIns, Way};
use crate::start::{Program, Started};
use sallyport_gateway::spine::Errand;
use sallyport_model::Kind;
use sallyport_model::access::Denial;
use sallyport_model::errand::{BadPath, Directory, Entry, Errand as Wanted, FilePath, Sort, Told};
use sallyport_ssh_transport::Random;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use talk::{Failed, Talk};
use tokio::sync::mpsc;

/// Errands of one session at once: each has a channel of its own, of which a server takes ten.
const MOST: usize = 6;
/// Channels that are kept for the next errand.
const IDLE: usize = 2;
/// Entries of a directory that are told, and bytes of their names: what one message holds.
const ENTRIES: usize = 10_000;
const NAMES: usize = 600 << 10;
/// Links of a directory that are followed, to tell what they lead to.
const LINKS: usize = 256;

/// The errands of one session.
pub(super) struct Errands {
    gate: Gate,
    stand_ins: StandIns,
    idle: Mutex<Vec<Talk>>,
    running: AtomicUsize,
    /// Where channels are begun.
    begin: mpsc::UnboundedSender<Started>,
    random: Random,
}

impl Errands {
    /// Those of a session behind this gate; the channels that they begin come out.
    pub(super) fn new(gate: Gate, random: Random) -> (Self, mpsc::UnboundedReceiver<Started>) {
        let (begin, begun) = mpsc::unbounded_channel();
        let stand_ins = StandIns::default();
        let running = AtomicUsize::new(0);
        (Self { gate, stand_ins, idle: Mutex::default(), running, begin, random }, begun)
    }

    /// What the session's channels know of its files together.
    pub(super) fn stand_ins(&self) -> StandIns {
        self.stand_ins.clone()
    }

    fn random(&self, out: &mut [u8]) {
        (self.random)(out);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Talk>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel of SFTP: one that has served before, or a new one.
    async fn talk(&self) -> Result<Talk, Failed> {
        let found = {
            let mut idle = self.idle();
            idle.retain(Talk::goes_on);
            idle.pop()
        };
        if let Some(talk) = found {
            return Ok(talk);
        }
        let ((read, write), ends) = own();
        let started = Started {
            read,
            write,
            terminal: None,
            env: Vec::new(),
            extras: Vec::new(),
            program: Program::Subsystem("sftp".into()),
            reply: false,
            stand_ins: self.stand_ins.clone(),
        };
        // Where nobody begins it any more, the talk ends at once.
        let _ = self.begin.send(started);
        Talk::begin(ends).await
    }

    /// Lets go of the channels that are kept: the session ends.
    pub(super) fn end(&self) {
        self.idle().clear();
    }

    fn keep(&self, talk: Talk) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(talk);
        }
    }
}

/// Counts an errand while it runs.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn one(count: &'a AtomicUsize) -> Option<Self> {
        let running = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MOST).then_some(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries a channel of an errand: how it ends says nothing of how the session does, unless that must end.
pub(super) async fn carry(started: Started, session: Arc<Session>) -> Outcome {
    match channel::carry(started, session).await {
        stopped @ Outcome::Stopped(..) => stopped,
        _ => Outcome::Beside,
    }
}

/// Runs an errand to its end, which is told.
pub(super) async fn run(mut errand: Errand, session: Arc<Session>) -> Outcome {
    let errands = &session.errands;
    let Some(_running) = Running::one(&errands.running) else {
        let text = format!("{MOST} transfers are under way in this session: try again when one is done");
        errand.refuse(&Denial::new(Kind::Unavailable, text)).await;
        return Outcome::Beside;
    };
    match attempt(&mut errand, &session).await {
        Ok(talk) => errands.keep(talk),
        Err(failed) => {
            if let Some(why) = failed.denial() {
                errand.refuse(&why).await;
            }
        }
    }
    Outcome::Beside
}

async fn attempt(errand: &mut Errand, session: &Session) -> Result<Talk, Failed> {
    let mut talk = session.errands.talk().await?;
    match errand.wanted.clone() {
        Wanted::List(path) => {
            let directory = list(&mut talk, &path, &session.errands.gate).await?;
            errand.tell(Told::Listed(Box::new(directory))).await?;
        }
        Wanted::MakeDir(path) => {
            make(&mut talk, &path).await?;
            errand.tell(Told::Made).await?;
        }
        Wanted::Get(path) => cross::get(&mut talk, errand, (&path, session)).await?,
        Wanted::Put(put) => cross::put(&mut talk, errand, (&put, session)).await?,
    }
    Ok(talk)
}

fn unusable(bad: BadPath) -> Failed {
    Failed::because(Kind::Usage, bad.to_string())
}

async fn make(talk: &mut Talk, path: &FilePath) -> Result<(), Failed> {
    path.file().map_err(unusable)?;
    if talk.known(&Request::LinkStat(path.bytes())).await?.is_some() {
        return Err(Failed::because(Kind::Conflict, "something of this name is there already"));
    }
    talk.done(&Request::MakeDir(path.bytes())).await
}

async fn list(talk: &mut Talk, path: &FilePath, gate: &Gate) -> Result<Directory, Failed> {
    let real = talk.real_path(path.bytes()).await?;
    let real = FilePath::new(&real).map_err(unusable)?;
    match talk.known(&Request::Stat(real.bytes())).await? {
        Some(known) if known.is_directory() => {}
        Some(_) => return Err(Failed::because(Kind::Conflict, "this is no directory")),
        None => return Err(Failed::because(Kind::NotFound, "there is no such directory on the target")),
    }
    let handle = talk.handle(&Request::OpenDir(real.bytes())).await?;
    let (mut entries, mut bytes, mut cut) = (Vec::new(), 0_usize, false);
    'all: while let Some(names) = talk.names(&Request::ReadDir(&handle)).await? {
        for (name, known) in names {
            if matches!(&*name, b"." | b".." | b"") || name.contains(&b'/') || name.len() > FilePath::NAME {
                continue;
            }
            bytes = bytes.saturating_add(name.len());
            cut = entries.len() >= ENTRIES || bytes > NAMES;
            if cut {
                break 'all;
            }
            let mut entry =
                Entry { name: name.to_vec(), sort: Sort::Other, link: known.is_link(), size: None, modified: None };
            describe(&mut entry, known);
            entries.push(entry);
        }
    }
    talk.done(&Request::Close(&handle)).await?;
    follow(talk, &real, &mut entries).await?;
    let (no_up, no_down) = (gate.way(Way::Up).err(), gate.way(Way::Down).err());
    Ok(Directory { path: real, entries, cut, no_up, no_down })
}

/// Looks where links lead: all are asked for at once.
async fn follow(talk: &mut Talk, directory: &FilePath, entries: &mut [Entry]) -> Result<(), Failed> {
    let mut asked = HashMap::new();
    for entry in entries.iter_mut().filter(|entry| entry.link).take(LINKS) {
        if let Ok(path) = directory.join(&entry.name) {
            asked.insert(talk.request(&Request::Stat(path.bytes())).await?, entry);
        }
    }
    while !asked.is_empty() {
        let reply = talk.reply().await?;
        let Some(entry) = asked.remove(&reply.id) else { continue };
        if let Says::Attributes(known) = reply.says {
            describe(entry, known);
        }
    }
    Ok(())
}

fn describe(entry: &mut Entry, known: Attributes) {
    (entry.sort, entry.size) = match known {
        known if known.is_directory() => (Sort::Directory, None),
        known if known.is_file() => (Sort::File, known.size),
        _ => (Sort::Other, None),
    };
    entry.modified = known.modified;
}
