//! Anchors: places outside the database that hold the newest checkpoint, so that nothing can be set back unseen.

mod file;
mod head;
mod keep;

pub use file::FileAnchor;
pub use head::{Head, Seen};
pub(crate) use keep::Keeping;

use sallyport_ledger::{Note, WitnessKey};
use sallyport_model::Timestamp;
use sallyport_model::authority::Boxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How long one anchor may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How late an anchor may be, and what happens then.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The oldest head that it lacks may be this old.
    pub max_age: Duration,
    /// Whether new sessions are refused while it is later; otherwise it is only told.
    pub freeze: bool,
}

/// What an anchor gave when it took a head.
#[derive(Debug, Default)]
pub struct Receipt {
    /// A cosignature, as a signature line, and the key that it holds under.
    pub cosignature: Option<(String, WitnessKey)>,
    /// What was there instead of a checkpoint of this ledger.
    pub forged: Option<String>,
}

/// Why an anchor did not take a head.
#[derive(Debug)]
pub enum Missed {
    /// It cannot be reached, or written.
    Unreachable(String),
    /// It holds a checkpoint that this head does not continue.
    Contradicts(Seen),
}

/// A place that holds the newest checkpoint.
pub trait Anchor: Send + Sync {
    /// Its name in configuration, ledger and messages.
    fn name(&self) -> &str;
    /// `file`, `syslog` or `witness`.
    fn kind(&self) -> &'static str;
    /// How late it may be.
    fn policy(&self) -> Policy;
    /// Gives it a head. It takes the place of an older one that it continues, and of no other.
    fn publish<'a>(&'a self, head: &'a Head) -> Boxed<'a, Result<Receipt, Missed>>;
}

/// How an anchor is.
#[derive(Clone, Debug)]
pub struct AnchorLine {
    /// Its name.
    pub name: String,
    /// `file`, `syslog` or `witness`.
    pub kind: &'static str,
    /// How late it may be.
    pub policy: Policy,
    /// Entries of the checkpoint that it took last; 0 where it took none since the vault was opened.
    pub size: u64,
    /// When it took that.
    pub at: Option<Timestamp>,
    /// Whether it is later than it may be.
    pub late: bool,
    /// What is wrong; empty where nothing is.
    pub problem: String,
}

#[derive(Default)]
struct State {
    size: u64,
    at: Option<Timestamp>,
    /// Since when there is a head that it lacks.
    lacks_since: Option<Instant>,
    contradicts: bool,
    problem: String,
    /// Whether the ledger was told that it is late.
    told: bool,
}

impl State {
    fn late(&self, policy: Policy) -> bool {
        self.contradicts || self.lacks_since.is_some_and(|since| since.elapsed() > policy.max_age)
    }
}

/// A checkpoint with cosignatures.
#[derive(Clone)]
struct Cosigned {
    size: u64,
    note: Arc<str>,
    cosignatures: usize,
}

/// All anchors of a node.
pub(crate) struct Anchors {
    all: Vec<Arc<dyn Anchor>>,
    states: Mutex<Vec<State>>,
    cosigned: watch::Sender<Option<Cosigned>>,
}

impl Default for Anchors {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Anchors {
    pub(crate) fn new(all: Vec<Arc<dyn Anchor>>) -> Self {
        let states = Mutex::new(all.iter().map(|_| State::default()).collect());
        Self { all, states, cosigned: watch::channel(None).0 }
    }

    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, at: usize, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.states().get_mut(at) {
            change(state);
        }
    }

    /// How they are.
    pub(crate) fn lines(&self) -> Vec<AnchorLine> {
        let states = self.states();
        let line = |(anchor, state): (&Arc<dyn Anchor>, &State)| AnchorLine {
            name: anchor.name().to_owned(),
            kind: anchor.kind(),
            policy: anchor.policy(),
            size: state.size,
            at: state.at,
            late: state.late(anchor.policy()),
            problem: state.problem.clone(),
        };
        self.all.iter().zip(states.iter()).map(line).collect()
    }

    /// Whether new sessions are to be refused, because an anchor that must not be late is.
    pub(crate) fn frozen(&self) -> bool {
        let states = self.states();
        self.all.iter().zip(states.iter()).any(|(a, state)| a.policy().freeze && state.late(a.policy()))
    }

    /// Gives a head to every anchor that can be reached, each at the same time.
    pub(crate) async fn check(self: &Arc<Self>, head: Head, now: Timestamp) -> Checked {
        let head = Arc::new(head);
        let mut asked = JoinSet::new();
        for (at, anchor) in self.all.iter().cloned().enumerate() {
            let head = head.clone();
            asked.spawn(async move { (at, publish(&*anchor, &head).await) });
        }
        let mut checked = Checked::default();
        while let Some(answer) = asked.join_next().await {
            let Ok((at, answer)) = answer else { continue };
            let name = self.all.get(at).map_or("", |a| a.name()).to_owned();
            match &answer {
                Ok(Receipt { forged: Some(what), .. }) => checked.forged.push((name, what.clone())),
                Ok(_) => {}
                Err(Missed::Unreachable(why)) => tracing::warn!(anchor = name, %why, "An anchor cannot be reached"),
                Err(Missed::Contradicts(seen)) => checked.contradictions.push(seen.clone()),
            }
            self.took(at, &head, answer, now);
        }
        checked.contradictions.sort_by(|a, b| a.anchor.cmp(&b.anchor));
        checked
    }

    /// Notes what came of giving a head to an anchor.
    fn took(&self, at: usize, head: &Head, answer: Result<Receipt, Missed>, now: Timestamp) {
        match answer {
            Ok(receipt) => {
                self.update(at, |state| {
                    let told = state.told;
                    *state = State { size: head.checkpoint().size, at: Some(now), told, ..State::default() };
                });
                if let Some((line, key)) = receipt.cosignature {
                    self.cosign(head, &line, &key);
                }
            }
            Err(Missed::Unreachable(why)) => self.update(at, |state| {
                state.problem = why;
                state.lacks_since.get_or_insert_with(Instant::now);
            }),
            Err(Missed::Contradicts(seen)) => self.update(at, |state| {
                state.problem = contradiction(&seen);
                state.contradicts = true;
            }),
        }
    }

    /// Adds a cosignature to the newest cosigned checkpoint, or begins a newer one with it.
    fn cosign(&self, head: &Head, line: &str, key: &WitnessKey) {
        self.cosigned.send_if_modified(|newest| {
            let size = head.checkpoint().size;
            let base = match newest {
                Some(known) if known.size > size => return false,
                Some(known) if known.size == size => known.note.to_string(),
                _ => head.note().to_owned(),
            };
            let Ok(mut note) = Note::parse(&base) else { return false };
            if key.cosigned(&note).is_ok() || note.add(line).is_err() || key.cosigned(&note).is_err() {
                return false;
            }
            let cosignatures = note.names().count().saturating_sub(1);
            *newest = Some(Cosigned { size, note: note.to_string().into(), cosignatures });
            true
        });
    }

    /// A cosigned checkpoint of at least this size: the one that all witnesses cosigned where that comes in time, else
    /// the best; none where there is no such.
    pub(crate) async fn cosigned(&self, size: u64, wait: Duration) -> Option<Arc<str>> {
        let witnesses = self.lines().iter().filter(|line| line.kind == "witness" && !line.late).count();
        let mut newest = self.cosigned.subscribe();
        if witnesses > 0 {
            let whole =
                |c: &Option<Cosigned>| c.as_ref().is_some_and(|c| c.size >= size && c.cosignatures >= witnesses);
            let _ = timeout(wait, newest.wait_for(whole)).await;
        }
        let found = newest.borrow().clone();
        found.filter(|cosigned| cosigned.size >= size).map(|cosigned| cosigned.note)
    }

    /// The newest cosigned checkpoint, from now on whenever there is a newer one.
    fn cosignatures(&self) -> watch::Receiver<Option<Cosigned>> {
        self.cosigned.subscribe()
    }
}

/// What asking every anchor at start found.
#[derive(Default)]
pub(crate) struct Checked {
    /// Anchors that held something else than a checkpoint, and what became of it.
    pub(crate) forged: Vec<(String, String)>,
    /// Checkpoints that the head does not continue.
    pub(crate) contradictions: Vec<Seen>,
}

async fn publish(anchor: &dyn Anchor, head: &Head) -> Result<Receipt, Missed> {
    let late = || Missed::Unreachable(format!("it did not answer within {} s", ANSWER.as_secs()));
    timeout(ANSWER, anchor.publish(head)).await.unwrap_or_else(|_| Err(late()))
}

/// What is wrong, for people.
pub(crate) fn contradiction(seen: &Seen) -> String {
    format!("it holds a checkpoint of {} entries that this ledger does not contain", seen.size)
}
