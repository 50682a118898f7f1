//! What staff want of a session, done: lines for its user, and what crosses it held or let go on.

use super::live::Notice;
use super::open::Open;
use crate::observe::Tap;
use sallyport_model::steering::{Message, Pause, Steering};
use sallyport_recording::WhatRef;
use std::sync::Arc;
use tokio::sync::mpsc;

/// One session's steering, as far as it was heard.
pub(super) struct Steer {
    heard: Steering,
    /// What the recording is to say, in this order and without holding up whoever steers.
    marks: mpsc::UnboundedSender<(&'static str, String)>,
}

impl Steer {
    /// Begins for a session that nobody has steered yet.
    pub(super) fn new(open: &Open) -> Self {
        let (marks, due) = mpsc::unbounded_channel();
        tokio::spawn(mark(open.tap.clone(), due));
        Self { heard: Steering::default(), marks }
    }

    /// Takes in what is wanted. What was heard before changes nothing.
    pub(super) fn hear(&mut self, open: &Open, wanted: Steering) {
        if wanted.count <= self.heard.count {
            return;
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
    }

    fn message(&self, open: &Open, message: &Message) {
        self.mark("message", format!("{}: {}", message.from, message.text));
        let _ = open.notices.send(Notice::Line(message.told()));
    }

    fn pause(&self, open: &Open, pause: &Pause) {
        let told = pause.told();
        open.paused.send_replace(Some(told.clone()));
        self.mark("paused", format!("{}: {}", pause.by, pause.reason));
        let _ = open.notices.send(Notice::Begins(told));
    }

    fn resume(&self, open: &Open, pause: &Pause) {
        self.mark("resumed", format!("paused by {}", pause.by));
        open.paused.send_replace(None);
        let _ = open.notices.send(Notice::Ends("it goes on".to_owned()));
    }

    fn mark(&self, kind: &'static str, text: String) {
        let _ = self.marks.send((kind, text));
    }
}

/// Brings marks to the recording, until the session ends.
async fn mark(tap: Arc<Tap>, mut due: mpsc::UnboundedReceiver<(&'static str, String)>) {
    while let Some((kind, text)) = due.recv().await {
        // A recorder that fails here ends the session by itself.
        let _ = tap.note(0, WhatRef::Mark { kind, text: &text }).await;
    }
}
