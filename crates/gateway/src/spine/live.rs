//! What a relay has of its running session: the tap, the clearance, channels, notices and the end.

use super::company::Knocking;
use super::proof::Clearance;
use super::questions::{Asked, Consulted};
use super::signing::Signatures;
use super::traced;
use crate::authority::{self, Authority, PATIENCE};
use crate::observe::Tap;
use crate::observe::live::Repaint;
use crate::observe::tap::Stop;
use sallyport_model::access::{Channel, Denial, EndReason};
use sallyport_model::authority::{Call, OpenChannel, Reply};
use sallyport_model::company::Guest;
use sallyport_model::{ChannelId, Env, Handle, WatchId};
use sallyport_recording::WhatRef;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};
use tracing::Span;

/// Why a session is ended from outside, and what to tell the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ending {
    /// The reason.
    pub reason: EndReason,
    /// A line for the client.
    pub text: String,
}

/// A line for the person at a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// It is soon over.
    Line(String),
    /// The same, for whoever runs a program without a terminal too.
    Hint(String),
    /// It holds until [`Notice::Ends`], as that the session is paused.
    Begins(String),
    /// The same, of a question about what the target wants, and its number: whatever the target has drawn, it is to be read.
    Asks(String, u64),
    /// What began is over.
    Ends(String),
}

impl Notice {
    /// The line.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Line(text) | Self::Hint(text) | Self::Begins(text) | Self::Asks(text, _) | Self::Ends(text) => text,
        }
    }
}

/// How long a question must stand, and its user type nothing, before a key is the answer to it.
const CALM: Duration = Duration::from_millis(700);
/// Lines for a peer that wait to be taken; more are not told.
pub(super) const LINES: usize = 16;

/// A peer who types.
pub struct Typist {
    pub(super) id: WatchId,
    /// Who.
    pub handle: Handle,
    pub(super) lines: mpsc::Sender<String>,
}

impl Typist {
    /// Tells them a line, beside their screen.
    pub fn tell(&self, line: &str) {
        let _ = self.lines.try_send(line.to_owned());
    }
}

/// A piece that a peer typed.
pub(super) type Typed = (Typist, Vec<u8>);

/// What peers type, in one terminal.
pub struct Peers {
    typed: Option<mpsc::Receiver<Typed>>,
    place: Arc<Mutex<Option<mpsc::Receiver<Typed>>>>,
}

impl Peers {
    /// The next piece, and whose it is. May be dropped at any time.
    pub async fn next(&mut self) -> (Typist, Vec<u8>) {
        let typed = match &mut self.typed {
            Some(typed) => typed.recv().await,
            None => None,
        };
        match typed {
            Some(typed) => typed,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        if let Some(typed) = self.typed.take() {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(typed);
        }
    }
}

/// What a piece says that was typed while a question stood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Heard {
    /// It was under way before the question was read: it is for the target.
    Other,
    /// Nothing.
    Noise,
    /// Yes or no.
    Answer(bool),
}

impl Heard {
    /// Of a piece, how long the question stood before it, and how long nothing was typed.
    fn of(typed: &[u8], stood: Duration, quiet: Duration) -> Self {
        match typed {
            _ if stood < CALM => Self::Other,
            // Ctrl-C and Escape, at any time.
            [0x03 | 0x1b] => Self::Answer(false),
            // One key alone, and not of a word.
            b"y" | b"Y" if quiet >= CALM => Self::Answer(true),
            b"n" | b"N" if quiet >= CALM => Self::Answer(false),
            _ => Self::Noise,
        }
    }
}

/// A relay's part in its session. Clones are for its tasks.
pub struct Live {
    pub(super) env: Env,
    pub(super) clearance: Arc<Clearance>,
    pub(super) tap: Arc<Tap>,
    pub(super) authority: Arc<dyn Authority>,
    pub(super) channels: Arc<AtomicU32>,
    pub(super) refused: Arc<Mutex<HashSet<Channel>>>,
    pub(super) denials: Arc<Denials>,
    pub(super) notices: broadcast::Sender<Notice>,
    pub(super) heard: broadcast::Receiver<Notice>,
    pub(super) ending: watch::Receiver<Option<Ending>>,
    pub(super) consulted: Consulted,
    pub(super) knock: mpsc::UnboundedSender<Knocking>,
    pub(super) signatures: Arc<Signatures>,
    pub(super) peers: Arc<Mutex<Option<mpsc::Receiver<Typed>>>>,
    pub(super) guests: watch::Receiver<Vec<Guest>>,
    /// That of its session, wherever the relay's tasks run.
    pub(super) span: Span,
}

impl Clone for Live {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            clearance: self.clearance.clone(),
            tap: self.tap.clone(),
            authority: self.authority.clone(),
            channels: self.channels.clone(),
            refused: self.refused.clone(),
            denials: self.denials.clone(),
            notices: self.notices.clone(),
            heard: self.notices.subscribe(),
            ending: self.ending.clone(),
            consulted: self.consulted.clone(),
            knock: self.knock.clone(),
            signatures: self.signatures.clone(),
            peers: self.peers.clone(),
            guests: self.guests.clone(),
            span: self.span.clone(),
        }
    }
}

/// Channels that a session was denied. Each denial is an entry, so a client that goes on asking is made to wait.
#[derive(Default)]
pub(super) struct Denials {
    count: AtomicU32,
    turn: tokio::sync::Mutex<()>,
}

/// Denials that a session may have before it waits for each further channel.
const DENIALS: u32 = 20;
/// How long it waits then.
const WAIT: Duration = Duration::from_secs(1);

impl Denials {
    /// Waits, one channel after the other, where too many were denied.
    async fn wait(&self) {
        if self.count.load(Ordering::Relaxed) >= DENIALS {
            let _turn = self.turn.lock().await;
            tokio::time::sleep(WAIT).await;
        }
    }
}

impl Live {
    /// What the session may reach.
    #[must_use]
    pub fn clearance(&self) -> &Clearance {
        &self.clearance
    }

    /// Where everything that crosses passes.
    #[must_use]
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Asks for a channel and records it; gives its number in the recording. Each channel is its own
    /// decision: nothing may flow in it before.
    ///
    /// # Errors
    /// When control refuses, is not reached, or the recorder failed.
    pub async fn channel(&self, kind: Channel, detail: &str) -> Result<u32, Denial> {
        traced::step(&self.span, kind.action(), self.permit(kind, detail), traced::allowed).await
    }

    async fn permit(&self, kind: Channel, detail: &str) -> Result<u32, Denial> {
        let stopped = |stop: Stop| Denial::new(stop.kind(), stop.to_string());
        self.denials.wait().await;
        self.tap.thaw().await.map_err(stopped)?;
        let number = self.channels.fetch_add(1, Ordering::Relaxed);
        let detail = crate::observe::tap::cut(detail);
        self.tap.note(number, WhatRef::Open { kind, detail }).await.map_err(stopped)?;
        match self.ask(kind, detail, None).await? {
            Reply::Done(_) => Ok(number),
            Reply::Denied(denial) => {
                self.denials.count.fetch_add(1, Ordering::Relaxed);
                let text = denial.message.as_str();
                let _ = self.tap.note(number, WhatRef::Mark { kind: "denied", text }).await;
                let _ = self.tap.note(number, WhatRef::Close { exit: None, signal: None }).await;
                Err(denial)
            }
            _ => Err(authority::Error::Misfit.into()),
        }
    }

    /// Records that a channel was asked for which this gateway does not carry. The first of each kind is
    /// also an entry `channel.denied`; the recording has them all, so that a client which asks a thousand
    /// times does not fill the ledger.
    pub async fn refuse(&self, kind: Channel, detail: &str, why: &str) {
        let detail = crate::observe::tap::cut(detail);
        let text = format!("{} {detail}", kind.action());
        // A recorder that fails here ends the session by itself.
        let _ = self.tap.note(0, WhatRef::Mark { kind: "refused", text: &text }).await;
        let first = self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(kind);
        if first && let Err(error) = self.ask(kind, detail, Some(why.to_owned())).await {
            tracing::warn!(%error, channel = kind.action(), "A refused channel is not in the ledger");
        }
    }

    async fn ask(&self, kind: Channel, detail: &str, refused: Option<String>) -> Result<Reply, Denial> {
        let channel = ChannelId::new(&self.env);
        let session = self.clearance.permit().session();
        let ask = OpenChannel { session, channel, kind, detail: detail.to_owned(), refused };
        Ok(self.authority.call(Call::Channel(ask), PATIENCE).await?)
    }

    /// Waits for the next line that the client should see.
    pub async fn notice(&mut self) -> Notice {
        loop {
            match self.heard.recv().await {
                Ok(notice) => return notice,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Shows a line in every channel of the session that shows lines.
    pub fn announce(&self, line: &str) {
        let _ = self.notices.send(Notice::Line(line.to_owned()));
    }

    /// Takes what the user typed, so long after what they typed before, for the answer to a question of ours, where they are
    /// asked one; whether it was. What they were typing when they were asked is none, and goes on.
    #[must_use]
    pub fn answers(&self, typed: &[u8], quiet: Duration) -> bool {
        let Some(asked) = self.consulted.asked.borrow().clone() else { return false };
        let Some(since) = self.consulted.since(&asked) else { return false };
        let heard = Heard::of(typed, since.elapsed(), quiet);
        if let Heard::Answer(yes) = heard {
            let _ = self.consulted.answers.send((asked.about, yes));
        }
        if heard != Heard::Other {
            self.tap.touch();
        }
        heard != Heard::Other
    }

    /// Notes that the user is shown the question of this number: a key from a moment later on may be the answer.
    pub fn shows_question(&self, number: u64) {
        self.consulted.shown(number);
    }

    /// Whether the user is asked about something that the target wants: meanwhile it shows them nothing.
    #[must_use]
    pub fn holds_target(&self) -> bool {
        self.consulted.asked.borrow().as_ref().is_some_and(Asked::holds)
    }

    /// Resolves when they are not. May be dropped at any time.
    pub async fn lets_target_go_on(&self) {
        let mut asked = self.consulted.asked.clone();
        let _ = asked.wait_for(|asked| !asked.as_ref().is_some_and(Asked::holds)).await;
    }

    /// Whether a peer who typed something is still there: what they typed is theirs to type no more once they have left, or were
    /// sent away.
    #[must_use]
    pub fn is_here(&self, typist: &Typist) -> bool {
        self.guests.borrow().iter().any(|guest| guest.id == typist.id)
    }

    /// What peers type in this session, for the terminal that has it: the first one, until it is dropped.
    #[must_use]
    pub fn peers(&self) -> Peers {
        let typed = self.peers.lock().unwrap_or_else(PoisonError::into_inner).take();
        Peers { typed, place: self.peers.clone() }
    }

    /// The terminal of a channel as everything that was recorded of it has drawn it; `None` where it has none.
    pub async fn terminal(&self, channel: u32) -> Option<Repaint> {
        self.tap.recording.onlooker()?.repaint(Some(channel)).await
    }

    /// Why the session is ended from outside, where it is.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending.borrow().clone()
    }

    /// Waits until the session is ended from outside. There is little time from then on.
    pub async fn ended(&mut self) -> Ending {
        match self.ending.wait_for(Option::is_some).await.map(|ending| ending.clone()) {
            Ok(Some(ending)) => ending,
            _ => Ending { reason: EndReason::Shutdown, text: "the gateway stops".into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_typed_is_no_answer() {
        let (soon, calm) = (Duration::from_millis(100), Duration::from_secs(2));
        let of = |typed: &str, stood, quiet| Heard::of(typed.as_bytes(), stood, quiet);
        for typed in ["y", "n", "\x03", "systemctl status\r"] {
            assert_eq!(of(typed, soon, calm), Heard::Other, "{typed:?}");
        }
        for typed in ["y", "N", "yes", "y\r", "systemctl status\r", "\x1b[A", "x", ""] {
            assert_eq!(of(typed, calm, soon), Heard::Noise, "{typed:?}");
        }
        for typed in ["yes", "y\r", "ny", "\x1b[A", "x"] {
            assert_eq!(of(typed, calm, calm), Heard::Noise, "{typed:?}");
        }
        for (typed, yes) in [("y", true), ("Y", true), ("n", false), ("N", false), ("\x03", false), ("\x1b", false)] {
            assert_eq!(of(typed, calm, calm), Heard::Answer(yes), "{typed:?}");
        }
        assert_eq!(of("\x1b", calm, soon), Heard::Answer(false));
    }
}
