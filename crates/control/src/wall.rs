//! The wall: pictures of the terminals of every node. A line to a node that is lost is connected again, and told of meanwhile.

use crate::metrics::Streaming;
use crate::terminal::Terminal;
use crate::{Control, Error, Op};
use sallyport_model::door::{Hear, Outward, Screened};
use sallyport_model::relay::Wanted;
use sallyport_policy::Right;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Pictures that wait for a slow browser; then the nodes wait.
const WAITING: usize = 64;
/// How often it is looked which nodes there are.
const LOOK: Duration = Duration::from_secs(2);
/// How long after a lost line the next one is tried; twice as long after each that comes to nothing, up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A line that was had for so long without an end is one, also where there is no picture to show.
const SETTLED: Duration = Duration::from_secs(2);

/// What somebody is told who looks at the wall.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OnWall {
    /// A terminal has changed.
    Screen(Box<Screened>),
    /// The nodes, by name, whose pictures do not come at present: they are connected again. All of them, each time.
    Away(BTreeSet<String>),
}

/// The pictures, while somebody looks at them.
pub struct Wall {
    told: mpsc::Receiver<OnWall>,
    _streaming: Streaming,
}

impl Wall {
    /// What is seen next; `None` where it is over.
    pub async fn next(&mut self) -> Option<OnWall> {
        self.told.recv().await
    }
}

impl Control {
    /// The terminals of all sessions as text, as they change: of this node's gateway, and of the other nodes.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub async fn watch_screens(self: &Arc<Self>, op: &Op) -> Result<Wall, Error> {
        self.require(op, Right::SessionWatch)?;
        self.note(op.actor.clone(), "screens.watched", "sessions", &[]).await?;
        let (tell, told) = mpsc::channel(WAITING);
        tokio::spawn(tend(self.clone(), op.clone(), tell));
        Ok(Wall { told, _streaming: self.metrics.streaming() })
    }

    /// The pictures of one node.
    async fn pictures(&self, op: &Op, node: &str) -> Result<Terminal, Error> {
        if node == self.node() { self.screens_here().await } else { self.relay(op, node, Wanted::Screens).await }
    }
}

/// Follows every node for as long as it is one, and somebody looks.
async fn tend(control: Arc<Control>, op: Op, tell: mpsc::Sender<OnWall>) {
    let away = Away::default();
    let mut lines = JoinSet::new();
    let mut followed: BTreeMap<String, AbortHandle> = BTreeMap::new();
    loop {
        let nodes = control.reachable();
        followed.retain(|node, line| {
            let stays = nodes.contains(node);
            if !stays {
                line.abort();
                away.set(node, false);
            }
            stays
        });
        for node in nodes {
            followed.entry(node).or_insert_with_key(|node| {
                let line = Line { control: control.clone(), op: op.clone(), node: node.clone(), away: away.clone() };
                lines.spawn(line.follow(tell.clone()))
            });
        }
        tokio::select! {
            () = tell.closed() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The nodes whose pictures do not come.
#[derive(Clone, Default)]
struct Away(Arc<Mutex<BTreeSet<String>>>);

impl Away {
    /// Says of a node whether its pictures do not come; all of them, where that is new.
    fn set(&self, node: &str, is: bool) -> Option<BTreeSet<String>> {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = if is { away.insert(node.to_owned()) } else { away.remove(node) };
        new.then(|| away.clone())
    }
}

/// The line to one node.
struct Line {
    control: Arc<Control>,
    op: Op,
    node: String,
    away: Away,
}

impl Line {
    /// Tells what comes over it, and has it anew whenever it is lost, until nobody looks any more.
    async fn follow(self, tell: mpsc::Sender<OnWall>) {
        let mut wait = AGAIN;
        loop {
            if let Ok(Terminal { speak, mut hear, streaming }) = self.control.pictures(&self.op, &self.node).await {
                let _held = (speak, streaming);
                while let Some(Outward::Screen(screen)) = self.heard(&mut *hear, &tell).await {
                    wait = AGAIN;
                    if tell.send(OnWall::Screen(screen)).await.is_err() {
                        return;
                    }
                }
            }
            self.is_away(true, &tell).await;
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST);
        }
    }

    /// What is heard next. Once something is, or the line has lasted, the node is away no more.
    async fn heard(&self, hear: &mut dyn Hear, tell: &mpsc::Sender<OnWall>) -> Option<Outward> {
        let mut hearing = hear.hear();
        let heard = tokio::select! {
            heard = &mut hearing => Some(heard),
            () = tokio::time::sleep(SETTLED) => None,
        };
        if !matches!(heard, Some(None | Some(Outward::Closed(_)))) {
            self.is_away(false, tell).await;
        }
        match heard {
            Some(heard) => heard,
            None => hearing.await,
        }
    }

    async fn is_away(&self, is: bool, tell: &mpsc::Sender<OnWall>) {
        if let Some(away) = self.away.set(&self.node, is) {
            // Where nobody looks any more, there is nobody to be told.
            let _ = tell.send(OnWall::Away(away)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_away_is_told_whole_and_once() {
        let away = Away::default();
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(away.set("node-2", true), names(&["node-2"]));
        assert_eq!(away.set("node-2", true), None);
        assert_eq!(away.set("node-3", true), names(&["node-2", "node-3"]));
        assert_eq!((away.set("node-2", false), away.set("node-2", false)), (names(&["node-3"]), None));
    }
}
