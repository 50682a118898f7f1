//! What is live in one session: its terminals as they are, and those who look; kept by a task beside it, never at its cost.
//!
//! Events wait in a bounded queue. A session that writes faster than its screens are drawn loses what lies between for them,
//! never for its recording: a flood scrolls away what it wrote before.

use super::screen::{Folded, Screen};
use sallyport_model::WatchId;
use sallyport_model::authority::View;
use sallyport_model::door::{PIECE, Size};
use sallyport_recording::event::{self, WhatRef};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Bytes of events that wait; also what is kept of channels without a terminal for those who come late.
pub const RECENT: usize = 256 << 10;
/// Where nobody looks, screens are drawn this often.
const LAZY: Duration = Duration::from_millis(250);

/// After so long without an event, screens are folded.
const QUIET: Duration = Duration::from_secs(2);

/// A watcher who could take nothing so often in a row is let go.
const GIVE_UP: u32 = 50;

/// Offers a piece to a watcher; false where it cannot be taken now.
pub type Show = Arc<dyn Fn(View) -> bool + Send + Sync>;

/// A session's live side. Dropping it ends it.
pub struct Live {
    looking: Onlooker,
}

/// A way to look at a session.
#[derive(Clone)]
pub struct Onlooker {
    queue: Arc<Queue>,
}

/// A terminal, to be painted again.
#[derive(Debug)]
pub struct Repaint {
    /// Its size.
    pub size: Size,
    /// What draws it.
    pub bytes: Vec<u8>,
    /// How many bytes of the session's output are in it.
    pub upto: u64,
    /// Whether a program has the screen for itself.
    pub alternate: bool,
}

/// A terminal as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Picture {
    /// Its size.
    pub size: Size,
    /// Its rows.
    pub lines: Vec<String>,
}

#[derive(Default)]
struct Queue {
    pending: Mutex<Pending>,
    /// Something is pending.
    wake: Notify,
    /// Somebody waits for it.
    urgent: Notify,
    /// Bytes that targets wrote so far.
    written: AtomicU64,
}

#[derive(Default)]
struct Pending {
    events: Vec<u8>,
    /// Questions, each behind so many bytes of the events.
    asks: Vec<(usize, Ask)>,
    lost: bool,
    ended: bool,
}

enum Ask {
    Watch(WatchId, Show),
    Unwatch(WatchId),
    Repaint(Option<u32>, u64, oneshot::Sender<Option<Repaint>>),
    Picture(oneshot::Sender<Option<Picture>>),
}

impl Live {
    /// Begins. Needs a runtime.
    #[must_use]
    pub fn start() -> Self {
        Self::begin(QUIET)
    }

    fn begin(quiet: Duration) -> Self {
        let queue = Arc::<Queue>::default();
        tokio::spawn(keep(queue.clone(), quiet));
        Self { looking: Onlooker { queue } }
    }

    /// Notes an encoded event, of which so many bytes were written by the target.
    pub fn push(&self, event: &[u8], written: usize) {
        let queue = &self.looking.queue;
        queue.written.fetch_add(u64::try_from(written).unwrap_or(0), Ordering::AcqRel);
        let mut pending = queue.lock();
        if pending.events.len().saturating_add(event.len()) > RECENT {
            pending.lost = true;
            pending.events.clear();
            pending.asks.iter_mut().for_each(|(at, _)| *at = 0);
        }
        let first = pending.events.is_empty();
        pending.events.extend_from_slice(event);
        drop(pending);
        if first {
            queue.wake.notify_one();
        }
    }

    /// A way to look.
    #[must_use]
    pub fn onlooker(&self) -> Onlooker {
        self.looking.clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.looking.queue.lock().ended = true;
        self.looking.queue.hurry();
    }
}

impl Onlooker {
    /// Begins to serve a watcher: terminals as they are and what happened lately elsewhere, then what happens.
    pub fn watch(&self, show: Show, watch: WatchId) {
        self.ask(Ask::Watch(watch, show));
    }

    /// Stops serving a watcher.
    pub fn unwatch(&self, watch: WatchId) {
        self.ask(Ask::Unwatch(watch));
    }

    /// The terminal of a channel, or the newest one, to be painted again; `None` where there is none.
    pub async fn repaint(&self, channel: Option<u32>) -> Option<Repaint> {
        let (reply, answer) = oneshot::channel();
        // Counted before the question is asked: what is counted is in the queue before it.
        let upto = self.written();
        self.ask(Ask::Repaint(channel, upto, reply));
        answer.await.ok().flatten()
    }

    /// The newest terminal as text.
    pub async fn picture(&self) -> Option<Picture> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Picture(reply));
        answer.await.ok().flatten()
    }

    /// How many bytes targets wrote so far: whoever finds it unchanged need not look again.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.queue.written.load(Ordering::Acquire)
    }

    fn ask(&self, ask: Ask) {
        let mut pending = self.queue.lock();
        // Nobody is left to answer: dropping the question says so.
        if pending.ended {
            return;
        }
        let at = pending.events.len();
        pending.asks.push((at, ask));
        drop(pending);
        self.queue.hurry();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hurry(&self) {
        self.urgent.notify_one();
        self.wake.notify_one();
    }

    fn take(&self) -> Pending {
        let mut pending = self.lock();
        let ended = pending.ended;
        std::mem::replace(&mut *pending, Pending { ended, ..Pending::default() })
    }
}

/// Draws what comes, until the session ends; what is quiet for so long is folded.
async fn keep(queue: Arc<Queue>, quiet: Duration) {
    let mut seen = Seen::default();
    loop {
        let taken = queue.take();
        let ended = taken.ended;
        seen.take_in(taken);
        if ended {
            return seen.end();
        }
        if tokio::time::timeout(quiet, queue.wake.notified()).await.is_err() {
            seen.fold();
            queue.wake.notified().await;
        }
        if seen.watchers.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(LAZY) => {}
                () = queue.urgent.notified() => {}
            }
        }
    }
}

/// What the task keeps.
#[derive(Default)]
struct Seen {
    screens: BTreeMap<u32, Kept>,
    /// Events of channels without a terminal.
    recent: VecDeque<Vec<u8>>,
    size: usize,
    watchers: Vec<Watcher>,
}

/// A screen: most sessions are quiet most of the time, and its cells are most of what a quiet one takes.
enum Kept {
    Drawn(Box<Screen>),
    Folded(Folded),
}

impl Kept {
    /// The screen, to be looked at and drawn on; `None` where it cannot be.
    fn screen(&mut self) -> Option<&mut Screen> {
        if let Self::Folded(folded) = self {
            *self = Self::Drawn(Box::new(folded.unfold()?));
        }
        match self {
            Self::Drawn(screen) => Some(screen),
            Self::Folded(_) => None,
        }
    }

    fn fold(&mut self) {
        if let Self::Drawn(screen) = self {
            *self = Self::Folded(screen.fold());
        }
    }
}

struct Watcher {
    id: WatchId,
    show: Show,
    /// Whether it has missed something, and is to be shown everything again.
    behind: bool,
    /// How often in a row it could take nothing.
    refused: u32,
}

impl Watcher {
    fn send(&mut self, events: &[u8]) {
        if self.behind {
            return;
        }
        if (self.show)(View { watch: self.id, events: events.to_vec(), last: false }) {
            self.refused = 0;
        } else {
            (self.behind, self.refused) = (true, self.refused.saturating_add(1));
        }
    }
}

impl Seen {
    fn take_in(&mut self, taken: Pending) {
        if taken.lost {
            self.screens.values_mut().filter_map(Kept::screen).for_each(Screen::cut);
            self.watchers.iter_mut().for_each(|watcher| watcher.behind = true);
        }
        let mut rest = taken.events.as_slice();
        let mut done = 0;
        for (at, ask) in taken.asks {
            let (now, later) = rest.split_at_checked(at.saturating_sub(done)).unwrap_or((rest, &[]));
            self.play(now);
            (rest, done) = (later, at);
            self.answer(ask);
        }
        self.play(rest);
        self.catch_up();
    }

    /// Takes in events, and passes them on in pieces.
    fn play(&mut self, events: &[u8]) {
        let mut reading = event::events(events);
        let (mut piece, mut last) = (events, events);
        while let Some(Ok(event)) = reading.next() {
            let rest = reading.rest();
            if !self.draw(event.channel, event.what) {
                self.remember(before(last, rest));
            }
            if piece.len().saturating_sub(rest.len()) >= PIECE || rest.is_empty() {
                self.watchers.iter_mut().for_each(|watcher| watcher.send(before(piece, rest)));
                piece = rest;
            }
            last = rest;
        }
    }

    /// Draws an event; whether it belongs to a terminal, so that its screen shows it to those who come late.
    fn draw(&mut self, channel: u32, what: WhatRef<'_>) -> bool {
        match what {
            WhatRef::Resize { cols, rows } => {
                let size = Size { cols: cols.clamp(1, Size::MOST), rows: rows.clamp(1, Size::MOST) };
                match self.screen(channel) {
                    Some(screen) => screen.resize(size),
                    None => {
                        self.screens.extend(Screen::new(size).map(|screen| (channel, Kept::Drawn(Box::new(screen)))))
                    }
                }
                true
            }
            WhatRef::Output(bytes) | WhatRef::Stderr(bytes) => match self.screen(channel) {
                Some(screen) => {
                    screen.feed(bytes);
                    true
                }
                None => false,
            },
            WhatRef::Close { .. } => self.screens.remove(&channel).is_some(),
            _ => false,
        }
    }

    fn remember(&mut self, event: &[u8]) {
        self.size = self.size.saturating_add(event.len());
        self.recent.push_back(event.to_vec());
        while self.size > RECENT {
            let Some(oldest) = self.recent.pop_front() else { return };
            self.size = self.size.saturating_sub(oldest.len());
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Watch(id, show) => {
                self.watchers.retain(|watcher| watcher.id != id);
                self.watchers.push(Watcher { id, show, behind: true, refused: 0 });
                self.catch_up();
            }
            Ask::Unwatch(id) => self.watchers.retain(|watcher| watcher.id != id),
            Ask::Repaint(channel, upto, reply) => {
                let screen = match channel {
                    Some(channel) => self.screen(channel),
                    None => self.newest(),
                };
                let paint =
                    |s: &mut Screen| Repaint { size: s.size(), bytes: s.repaint(), upto, alternate: s.alternate() };
                let _ = reply.send(screen.map(paint));
            }
            Ask::Picture(reply) => {
                let _ = reply.send(self.newest().map(|s| Picture { size: s.size(), lines: s.lines() }));
            }
        }
    }

    /// Shows everything to those who are behind. Whoever cannot take it now is shown it later.
    fn catch_up(&mut self) {
        if self.watchers.iter().all(|watcher| !watcher.behind) {
            return;
        }
        let pieces = self.everything();
        for watcher in self.watchers.iter_mut().filter(|watcher| watcher.behind) {
            watcher.behind = false;
            pieces.iter().for_each(|piece| watcher.send(piece));
        }
        self.watchers.retain(|watcher| watcher.refused < GIVE_UP);
    }

    fn screen(&mut self, channel: u32) -> Option<&mut Screen> {
        self.screens.get_mut(&channel)?.screen()
    }

    fn newest(&mut self) -> Option<&mut Screen> {
        self.screens.values_mut().next_back()?.screen()
    }

    /// Nothing happens: what is kept is kept small.
    fn fold(&mut self) {
        self.screens.values_mut().for_each(Kept::fold);
    }

    /// What happened lately, and terminals as they are, as events.
    fn everything(&mut self) -> Vec<Vec<u8>> {
        let mut pieces = vec![Vec::new()];
        let mut add = |event: &[u8]| match pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.extend_from_slice(event),
            _ => pieces.push(event.to_vec()),
        };
        self.recent.iter().for_each(|event| add(event));
        for (channel, kept) in &mut self.screens {
            let Some(screen) = kept.screen() else { continue };
            let mut event = Vec::new();
            let Size { cols, rows } = screen.size();
            event::encode(0, *channel, WhatRef::Resize { cols, rows }, &mut event);
            add(&event);
            for part in screen.repaint().chunks(PIECE) {
                event.clear();
                event::encode(0, *channel, WhatRef::Output(part), &mut event);
                add(&event);
            }
        }
        pieces
    }

    fn end(self) {
        for watcher in self.watchers {
            let _ = (watcher.show)(View { watch: watcher.id, events: Vec::new(), last: true });
        }
    }
}

/// What of `bytes` lies before its tail `rest`.
fn before<'a>(bytes: &'a [u8], rest: &[u8]) -> &'a [u8] {
    bytes.get(..bytes.len().saturating_sub(rest.len())).unwrap_or(bytes)
}

#[cfg(test)]
mod tests;
