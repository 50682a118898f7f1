//! Keeping anchors up to date: after each signed head, at most once a second, the newest head to each of them.

use super::{Anchors, Head, Missed, Receipt, Seen, publish};
use crate::durable;
use sallyport_ledger::Verifier;
use sallyport_model::{EntryId, Env};
use sallyport_store::{Change, Draft, Store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Between two heads that anchors are given.
const ROUND: Duration = Duration::from_secs(1);
/// How often it is looked who is late.
const LOOK: Duration = Duration::from_millis(250);
/// Pauses after an anchor was missed: the first, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// How long anchors may take to get the last head when the store closes.
const LAST: Duration = Duration::from_secs(3);

/// What the tasks share.
#[derive(Clone)]
struct Shared {
    env: Env,
    anchors: Arc<Anchors>,
    store: Store,
    key: Verifier,
    accepted: Arc<Vec<Seen>>,
}

/// The tasks that keep the anchors of an open store.
pub(crate) struct Keeping {
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Keeping {
    /// Starts them.
    pub(crate) fn start(
        env: &Env,
        anchors: &Arc<Anchors>,
        store: &Store,
        key: &Verifier,
        accepted: Vec<Seen>,
        cosigned: PathBuf,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            env: env.clone(),
            anchors: anchors.clone(),
            store: store.clone(),
            key: key.clone(),
            accepted: Arc::new(accepted),
        };
        let mut tasks = JoinSet::new();
        if !anchors.all.is_empty() {
            let (round, rounds) = watch::channel(None);
            tasks.spawn(shared.clone().rounds(round, stopping.clone()));
            for at in 0..anchors.all.len() {
                tasks.spawn(shared.clone().one(at, rounds.clone()));
            }
            tasks.spawn(shared.clone().lateness(stopping.clone()));
            tasks.spawn(shared.cosignatures(cosigned, stopping));
        }
        Self { stop, tasks: Mutex::new(tasks) }
    }

    /// Gives the last head to every anchor that takes it in time, and ends.
    pub(crate) async fn finish(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = timeout(LAST, async { while tasks.join_next().await.is_some() {} }).await;
    }
}

type Round = Option<(Arc<Head>, Instant)>;

impl Shared {
    fn head(&self) -> Option<Arc<Head>> {
        Head::of(&self.store, &self.key, &self.accepted).map(Arc::new)
    }

    /// Lends the newest head, at most once per `ROUND`, and once more at the end.
    async fn rounds(self, out: watch::Sender<Round>, mut stop: watch::Receiver<bool>) {
        let mut heads = self.store.heads();
        loop {
            let stopping = tokio::select! {
                changed = heads.changed() => changed.is_err(),
                _ = stop.wait_for(|stop| *stop) => true,
            };
            heads.mark_unchanged();
            if let Some(head) = self.head() {
                out.send_replace(Some((head, Instant::now())));
            }
            if stopping {
                return;
            }
            tokio::select! {
                () = sleep(ROUND) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Keeps one anchor; the newest head wins.
    async fn one(self, at: usize, mut rounds: watch::Receiver<Round>) {
        let Some(anchor) = self.anchors.all.get(at).cloned() else { return };
        let mut pause = AGAIN.0;
        while rounds.changed().await.is_ok() {
            loop {
                let Some((head, since)) = rounds.borrow_and_update().clone() else { break };
                self.anchors.update(at, |state| {
                    state.lacks_since.get_or_insert(since);
                });
                let answer = match publish(&*anchor, &head).await {
                    Err(Missed::Contradicts(seen)) if head.may_be_behind(&seen) => Err(Missed::Unreachable(format!(
                        "it has {} entries, which this node has not read yet",
                        seen.size
                    ))),
                    answer => answer,
                };
                if let Ok(Receipt { forged: Some(what), .. }) = &answer {
                    self.note("anchor.forged", anchor.name(), what).await;
                }
                let missed = answer.is_err();
                if let Err(Missed::Unreachable(why)) = &answer {
                    tracing::warn!(anchor = anchor.name(), %why, "An anchor cannot be reached");
                }
                self.anchors.took(at, &head, answer, self.env.now());
                if !missed {
                    pause = AGAIN.0;
                    break;
                }
                // A newer head does not hurry somebody who does not answer; the end does.
                if timeout(pause, closed(&mut rounds)).await.is_ok() {
                    return;
                }
                pause = AGAIN.1.min(pause * 2);
            }
        }
    }

    /// Writes who is late, and who has caught up.
    async fn lateness(self, mut stop: watch::Receiver<bool>) {
        while timeout(LOOK, stop.wait_for(|stop| *stop)).await.is_err() {
            for (at, line) in self.anchors.lines().into_iter().enumerate() {
                let told = self.anchors.states().get(at).is_some_and(|state| state.told);
                if line.late == told {
                    continue;
                }
                let action = if line.late { "anchor.late" } else { "anchor.caught_up" };
                tracing::warn!(
                    anchor = line.name,
                    frozen = line.late && line.policy.freeze,
                    "{action}: {}",
                    line.problem
                );
                let what = match (line.late, line.policy.freeze) {
                    (true, true) => format!("new sessions are refused: {}", line.problem),
                    (true, false) => line.problem,
                    (false, _) => format!("it has the checkpoint of {} entries", line.size),
                };
                if self.note(action, &line.name, &what).await {
                    self.anchors.update(at, |state| state.told = line.late);
                }
            }
        }
    }

    /// Keeps the newest cosigned checkpoint beside the ledger.
    async fn cosignatures(self, path: PathBuf, mut stop: watch::Receiver<bool>) {
        let mut cosigned = self.anchors.cosignatures();
        loop {
            tokio::select! {
                changed = cosigned.changed() => if changed.is_err() { return },
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let Some(newest) = cosigned.borrow_and_update().clone() else { continue };
            let path = path.clone();
            let written = tokio::task::spawn_blocking(move || durable::replace(&path, newest.note.as_bytes())).await;
            if let Err(error) = written.map_err(std::io::Error::other).flatten() {
                tracing::warn!(%error, "The cosigned checkpoint cannot be kept");
            }
        }
    }

    /// Writes an entry about an anchor; whether it was written.
    async fn note(&self, action: &'static str, anchor: &str, what: &str) -> bool {
        let draft = Draft {
            id: EntryId::new(&self.env),
            actor: "system anchors".into(),
            action,
            object: anchor.to_owned(),
            session: None,
            facts: BTreeMap::from([("what".to_owned(), crate::control::clip(what))]),
        };
        self.store.commit(Change::entry(draft)).await.is_ok()
    }
}

/// Resolves when no further head will come.
async fn closed(rounds: &mut watch::Receiver<Round>) {
    while rounds.has_changed().is_ok() {
        if rounds.changed().await.is_err() {
            return;
        }
    }
}
