//! What staff want of a session, done: lines for its user, and what crosses it held or let go on.

use super::live::Notice;
use super::open::Open;
use crate::observe::Tap;
use sallyport_model::WatchId;
use sallyport_model::steering::{Message, Pause, Steering};
use sallyport_recording::WhatRef;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{broadcast, mpsc, watch};

/// For what a session may be held.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Why {
    /// Staff paused it.
    Staff,
    /// Nobody observes it who must.
    Observer,
}

/// Whether a session is held: its tap listens.
pub(super) struct Pauses {
    reasons: Mutex<[Option<String>; 2]>,
    now: watch::Sender<Option<String>>,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self { reasons: Mutex::default(), now: watch::Sender::new(None) }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Option<String>> {
        self.now.subscribe()
    }

    /// Holds the session for one of the reasons, or no longer for that one, and tells whoever sits there.
    pub(super) fn set(&self, why: Why, text: Option<String>, notices: &broadcast::Sender<Notice>) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let [staff, observer] = &mut *reasons;
        match why {
            Why::Staff => *staff = text,
            Why::Observer => *observer = text,
        }
        let now = staff.clone().or_else(|| observer.clone());
        if self.now.send_if_modified(|was| std::mem::replace(was, now.clone()) != now) {
            let _ = notices.send(now.map_or_else(|| Notice::Ends("it goes on".to_owned()), Notice::Begins));
        }
    }
}

/// What the recording is to say of a session, in this order and without holding up whoever says it.
#[derive(Clone)]
pub(super) struct Marks(mpsc::UnboundedSender<(&'static str, String)>);

impl Marks {
    /// Those of a session. Needs a runtime.
    pub(super) fn new(tap: Arc<Tap>) -> Self {
        let (marks, due) = mpsc::unbounded_channel();
        tokio::spawn(mark(tap, due));
        Self(marks)
    }

    pub(super) fn add(&self, kind: &'static str, text: String) {
        let _ = self.0.send((kind, text));
    }
}

/// One session's steering, as far as it was heard.
pub(super) struct Steer {
    heard: Steering,
    marks: Marks,
}

impl Steer {
    /// Begins for a session that nobody has steered yet.
    pub(super) fn new(marks: Marks) -> Self {
        Self { heard: Steering::default(), marks }
    }

    /// Takes in what is wanted, and gives the guests that are to leave. What was heard before changes nothing.
    pub(super) fn hear(&mut self, open: &Open, wanted: Steering) -> Vec<WatchId> {
        if wanted.count <= self.heard.count {
            return Vec::new();
        }
        let was = std::mem::replace(&mut self.heard, wanted);
        for message in self.heard.messages.iter().filter(|message| message.count > was.count) {
            self.message(open, message);
        }
        match (was.paused, &self.heard.paused) {
            (None, Some(pause)) => self.pause(open, pause),
            (Some(pause), None) => self.resume(open, &pause),
            (Some(before), Some(pause)) if before != *pause => self.pause(open, pause),
            _ => {}
        }
        self.heard.dismissed.iter().filter(|id| !was.dismissed.contains(id)).copied().collect()
    }

    fn message(&self, open: &Open, message: &Message) {
        self.marks.add("message", format!("{}: {}", message.from, message.text));
        let _ = open.notices.send(Notice::Line(message.told()));
    }

    fn pause(&self, open: &Open, pause: &Pause) {
        open.pauses.set(Why::Staff, Some(pause.told()), &open.notices);
        self.marks.add("paused", format!("{}: {}", pause.by, pause.reason));
    }

    fn resume(&self, open: &Open, pause: &Pause) {
        self.marks.add("resumed", format!("paused by {}", pause.by));
        open.pauses.set(Why::Staff, None, &open.notices);
    }
}

/// Brings marks to the recording, until the session ends.
async fn mark(tap: Arc<Tap>, mut due: mpsc::UnboundedReceiver<(&'static str, String)>) {
    while let Some((kind, text)) = due.recv().await {
        // A recorder that fails here ends the session by itself.
        let _ = tap.note(0, WhatRef::Mark { kind, text: &text }).await;
    }
}
