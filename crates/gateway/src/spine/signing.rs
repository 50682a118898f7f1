//! What targets want of the agent that their user lends them: asked for, entered before it goes on, and bounded.
//!
//! INVARIANT: nothing is [`Allowed`] that is not in the ledger, and that the user has not said yes to, unless policy says that
//! nobody need be asked.

use super::company::Knocking;
use super::live::{Live, Notice};
use super::questions::{About, Answer, Question};
use crate::authority::PATIENCE;
use sallyport_model::access::Denial;
use sallyport_model::agent::{By, Outcome, Signature};
use sallyport_model::authority::{Call, Reply};
use sallyport_model::limits::Signing;
use sallyport_recording::WhatRef;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{RwLock, Semaphore, oneshot};
use tokio::time::Instant;

/// Questions in succession that may come to nothing; then nobody is asked for a while.
const STRIKES: u32 = 3;
/// For how long. Tests do not wait a minute for it.
const SILENCE: Duration = Duration::from_secs(if cfg!(any(test, feature = "conformance")) { 4 } else { 60 });
/// Signatures that may wait to be asked about.
const WAITING: usize = 8;
/// What may happen at once, and of what goes beyond it how long each waits.
const MINUTE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(1);
/// Of a minute's: channels to the agent, signatures without a question, refusals, and refusals that are entries by themselves.
const CHANNELS: u32 = 60;
const UNATTENDED: u32 = 60;
const REFUSALS: u32 = 20;
const ENTRIES: u32 = 5;

/// What a target wants of an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sought {
    /// What, in words that follow `to`.
    pub what: String,
    /// The key that it is to use, by its fingerprint and sort; empty where it is about none.
    pub key: String,
}

impl Sought {
    fn told(&self) -> String {
        if self.key.is_empty() { self.what.clone() } else { format!("{}, with the key {}", self.what, self.key) }
    }
}

/// That a signature may be asked of the agent: the ledger has it.
#[derive(Debug)]
pub struct Allowed {
    by: By,
    sought: Sought,
}

/// A signature that is asked for, and by whom it was allowed, where it was.
type Standing = (Option<By>, Sought);

/// A session's signatures, as its channels share them.
pub(super) struct Signatures {
    /// Terminals in which the user can be asked.
    terminals: AtomicUsize,
    count: AtomicU64,
    waiting: Semaphore,
    /// Whether it was said that there is no terminal.
    hinted: AtomicBool,
    /// What stands in each channel.
    open: Mutex<HashMap<u32, Standing>>,
    /// Held by what is being told to the ledger.
    telling: Arc<RwLock<()>>,
    /// Held by the one that is being asked about.
    turn: tokio::sync::Mutex<()>,
    strikes: Mutex<(u32, Option<Instant>)>,
    refused: Mutex<Minute>,
    channels: Pace,
    unattended: Pace,
    refusals: Pace,
}

impl Default for Signatures {
    fn default() -> Self {
        Self {
            terminals: AtomicUsize::new(0),
            count: AtomicU64::new(0),
            waiting: Semaphore::new(WAITING),
            hinted: AtomicBool::new(false),
            open: Mutex::default(),
            telling: Arc::default(),
            turn: tokio::sync::Mutex::default(),
            strikes: Mutex::default(),
            refused: Mutex::default(),
            channels: Pace::of(CHANNELS),
            unattended: Pace::of(UNATTENDED),
            refusals: Pace::of(REFUSALS),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens within a minute.
#[derive(Debug, Default)]
struct Minute {
    began: Option<Instant>,
    count: u32,
    /// Those that no entry has told of yet.
    untold: u32,
}

impl Minute {
    /// Counts one more, from now on: how many there were in this minute.
    fn one_more(&mut self, now: Instant) -> u32 {
        if self.began.is_none_or(|began| began + MINUTE <= now) {
            (self.began, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count
    }

    /// How many the entry tells of that is to be written now; none where it waits.
    fn due(&mut self, now: Instant) -> Option<u32> {
        let count = self.one_more(now);
        self.untold = self.untold.saturating_add(1);
        (count <= ENTRIES).then(|| std::mem::take(&mut self.untold))
    }
}

/// So many a minute, and then one after the other.
struct Pace {
    most: u32,
    minute: Mutex<Minute>,
    turn: tokio::sync::Mutex<()>,
}

impl Pace {
    fn of(most: u32) -> Self {
        Self { most, minute: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    async fn wait(&self) {
        if locked(&self.minute).one_more(Instant::now()) > self.most {
            let _turn = self.turn.lock().await;
            tokio::time::sleep(WAIT).await;
        }
    }
}

/// That the user sees a terminal, for as long as this is held.
pub struct Watched(Arc<Signatures>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.terminals.fetch_sub(1, Ordering::Relaxed);
    }
}

/// By whom a signature is refused, and why.
type No = (By, &'static str);

const HELD: No = (By::Gateway, "the session is paused or over");

impl Live {
    /// Notes that the user sees a terminal in which they can be asked.
    #[must_use]
    pub fn watched(&self) -> Watched {
        self.signatures.terminals.fetch_add(1, Ordering::Relaxed);
        Watched(self.signatures.clone())
    }

    /// Waits where a target begins very many channels to an agent: each is an entry.
    pub async fn agent_channel(&self) {
        self.signatures.channels.wait().await;
    }

    /// Has the user asked whether their agent may sign this, and the yes entered in the ledger. Whoever stops waiting takes the
    /// question back. Nothing comes of one that must not go on to the agent: that is entered too.
    pub async fn signature(&self, channel: u32, sought: &Sought) -> Option<Allowed> {
        locked(&self.signatures.open).insert(channel, (None, sought.clone()));
        self.mark(channel, "agent", &format!("asked to {}", sought.told())).await;
        let (by, why) = match self.consent(sought).await {
            Ok(by) => match self.allow(channel, sought, by).await {
                Ok(allowed) => return Some(allowed),
                Err(why) => (By::Gateway, why),
            },
            Err((by, why)) => (by, why.to_owned()),
        };
        self.not_carried(channel, sought, (by, &why)).await;
        locked(&self.signatures.open).remove(&channel);
        None
    }

    /// Enters that something is not carried which a target wants of an agent. Very many of them wait.
    pub async fn not_carried(&self, channel: u32, sought: &Sought, no: (By, &str)) {
        self.signatures.refusals.wait().await;
        self.unsigned(channel, sought, no).await;
    }

    /// Enters what came of a signature that was allowed: whether the agent has signed, or why not.
    pub async fn signed(&self, channel: u32, allowed: Allowed, outcome: Result<(), &str>) {
        locked(&self.signatures.open).remove(&channel);
        self.came_of(channel, (allowed.by, &allowed.sought), outcome).await;
    }

    async fn came_of(&self, channel: u32, (by, sought): (By, &Sought), outcome: Result<(), &str>) {
        let (outcome, why) = match outcome {
            Ok(()) => (Outcome::Signed, ""),
            Err(why) => (Outcome::Failed, why),
        };
        self.enter(sought, (outcome, by, why), 1).await;
        let told = if why.is_empty() { String::new() } else { format!(": {why}") };
        self.mark(channel, "agent", &format!("{} to {}{told}", outcome.word(), sought.told())).await;
    }

    /// Enters what is left to tell of a channel to an agent that is over.
    pub async fn agent_left(&self, channel: u32) {
        let left = locked(&self.signatures.open).remove(&channel);
        self.left(left.map(|left| (channel, left)).into_iter().collect()).await;
    }

    /// Enters what is left to tell of all of them. To be called once they are over.
    pub async fn agents_left(&self) {
        drop(self.signatures.telling.write().await);
        let left = std::mem::take(&mut *locked(&self.signatures.open));
        self.left(left.into_iter().collect()).await;
    }

    async fn left(&self, left: Vec<(u32, Standing)>) {
        for (channel, (by, sought)) in left {
            match by {
                Some(by) => {
                    let why = "the channel ended before the agent answered";
                    self.came_of(channel, (by, &sought), Err(why)).await;
                }
                None => self.unsigned(channel, &sought, (By::Gateway, "nobody waited for the answer")).await,
            }
        }
        let untold = std::mem::take(&mut locked(&self.signatures.refused).untold);
        if untold > 0 {
            let sought = Sought { what: "use it in ways that were refused".into(), key: String::new() };
            self.enter(&sought, (Outcome::Refused, By::Gateway, "there were too many to enter each"), untold).await;
        }
    }

    /// Whether a signature may be made, as far as the user or policy says; by whom.
    async fn consent(&self, sought: &Sought) -> Result<By, No> {
        if self.clearance.permit().terms().limits.agent == Signing::Unattended {
            self.signatures.unattended.wait().await;
            return self.goes_on().await.map(|()| By::Policy);
        }
        let signatures = &*self.signatures;
        let too_many = (By::Gateway, "too many signatures wait to be asked about");
        let _waiting = signatures.waiting.try_acquire().map_err(|_| too_many)?;
        let _turn = tokio::select! {
            biased;
            () = self.tap.held() => return Err(HELD),
            turn = signatures.turn.lock() => turn,
        };
        let target = &self.clearance.place().target;
        if signatures.terminals.load(Ordering::Relaxed) == 0 {
            if !signatures.hinted.swap(true, Ordering::Relaxed) {
                let text = format!(
                    "{target} wants to {} by your agent, and you cannot be asked without a terminal: `ssh -t` gives you one",
                    sought.what
                );
                let _ = self.notices.send(Notice::Hint(text));
            }
            return Err((By::Gateway, "there is no terminal in which the user could be asked"));
        }
        if !signatures.may_ask(Instant::now()) {
            return Err((
                By::Gateway,
                "questions came to nothing again and again, so that nobody is asked for a while",
            ));
        }
        let text = format!("{target} wants to {} with your key {}: y to allow, n to refuse", sought.what, sought.key);
        let about = About::Signature(signatures.count.fetch_add(1, Ordering::Relaxed));
        let (tell, told) = oneshot::channel();
        if self.knock.send(Knocking::Asks(Question { about, text, tell: Some(tell) })).is_err() {
            return Err(HELD);
        }
        let answer = tokio::select! {
            biased;
            () = self.tap.held() => return Err(HELD),
            answer = told => answer.unwrap_or(Answer::Withdrawn),
        };
        match answer {
            Answer::Yes => {
                *locked(&signatures.strikes) = (0, None);
                self.goes_on().await.map(|()| By::User)
            }
            Answer::No => Err((By::User, "the user said no")),
            Answer::Late => Err((By::User, "the user did not answer in time")),
            Answer::Withdrawn => Err(HELD),
        }
    }

    /// Waits while evidence is late, which passes. What was allowed before a pause does not go on behind it.
    async fn goes_on(&self) -> Result<(), No> {
        tokio::select! {
            biased;
            () = self.tap.held() => Err(HELD),
            thawed = self.tap.thaw() => thawed.map_err(|_| HELD),
        }
    }

    /// Enters that it may go on, and only then lets it.
    async fn allow(&self, channel: u32, sought: &Sought, by: By) -> Result<Allowed, String> {
        locked(&self.signatures.open).insert(channel, (Some(by), sought.clone()));
        if !self.enter(sought, (Outcome::Allowed, by, ""), 1).await {
            return Err("the ledger has no entry of it".to_owned());
        }
        self.mark(channel, "agent", &format!("allowed by the {}: to {}", by.word(), sought.told())).await;
        self.tap.settle().await.map_err(|stop| stop.to_string())?;
        Ok(Allowed { by, sought: sought.clone() })
    }

    async fn unsigned(&self, channel: u32, sought: &Sought, (by, why): (By, &str)) {
        let due = locked(&self.signatures.refused).due(Instant::now());
        if let Some(times) = due {
            self.enter(sought, (Outcome::Refused, by, why), times).await;
        }
        self.mark(channel, "refused", &format!("agent: to {}: {why}", sought.told())).await;
    }

    /// Writes into the recording. A recorder that fails here ends the session by itself.
    async fn mark(&self, channel: u32, kind: &str, text: &str) {
        let _ = self.tap.note(channel, WhatRef::Mark { kind, text }).await;
    }

    /// Whether the ledger has it. What was begun to be told is told, whoever stops waiting for it.
    async fn enter(&self, sought: &Sought, (outcome, by, why): (Outcome, By, &str), times: u32) -> bool {
        let session = self.clearance.permit().session();
        let Sought { what, key } = sought.clone();
        let told = Signature { session, outcome, by, what, key, why: why.to_owned(), times };
        let (authority, telling) = (self.authority.clone(), self.signatures.telling.clone().read_owned().await);
        let told = tokio::spawn(async move {
            let _telling = telling;
            authority.call(Call::Signature(told), PATIENCE).await
        });
        let denial = match told.await {
            Ok(Ok(Reply::Done(_))) => return true,
            Ok(Ok(Reply::Denied(denial))) => denial,
            Ok(_) | Err(_) => Denial::unavailable("the ledger"),
        };
        tracing::warn!(%denial, %session, "What a target wants of an agent is not in the ledger");
        false
    }
}

impl Signatures {
    /// Whether the user may be asked once more; counts it for one that comes to nothing, until it did come to something.
    fn may_ask(&self, now: Instant) -> bool {
        let (count, since) = &mut *locked(&self.strikes);
        if since.is_some_and(|since| since + SILENCE <= now) {
            (*count, *since) = (0, None);
        }
        if *count >= STRIKES {
            // From the last of them on.
            since.get_or_insert(now);
            return false;
        }
        *count = count.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_few_entries_that_count_all_of_it() {
        let (mut minute, now) = (Minute::default(), Instant::now());
        let told: Vec<_> = (0..100).filter_map(|_| minute.due(now)).collect();
        assert_eq!(told, [1; 5]);
        assert_eq!(minute.due(now + MINUTE), Some(96), "what was counted meanwhile, and itself");
        assert_eq!(minute.untold, 0);
    }

    #[test]
    fn after_questions_that_came_to_nothing_nobody_is_asked_for_a_while() {
        let (signatures, now) = (Signatures::default(), Instant::now());
        let asked = |now| (0..10).filter(|_| signatures.may_ask(now)).count();
        assert_eq!(asked(now), 3);
        assert_eq!(asked(now + SILENCE / 2), 0);
        assert_eq!(asked(now + SILENCE), 3);
        *locked(&signatures.strikes) = (0, None);
        assert_eq!(asked(now + SILENCE), 3, "a yes begins anew");
    }
}
