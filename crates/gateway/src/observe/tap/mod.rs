//! The tap: everything that crosses a session passes here, is judged, and is recorded before it goes on.

mod judged;

pub use judged::Typed;

use super::inputs::{Input, Inputs, Record, Sort};
use super::judge::Judge;
use super::line::Lines;
use super::recorder::{self, PIECE, Recording};
use crate::sabotage::sabotaged;
use sallyport_model::Kind;
use sallyport_model::access::{EndReason, Freeze};
use sallyport_model::door::Size;
use sallyport_model::inventory::NotBecome;
use sallyport_recording::{FileRef, WhatRef};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Something that crosses, as observers see it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A whole command: of an exec, a line, a statement.
    Command(&'a str),
    /// Bytes from the client.
    Input(&'a [u8]),
    /// Bytes from the target.
    Output(&'a [u8]),
}

/// An observer's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may go on.
    Pass,
    /// It waits and is asked again.
    Hold,
    /// It must not go on, and the session ends; the text is for the client.
    Block(String),
}

/// Judges what crosses. It is asked in line, so it must be quick and must not wait.
pub trait Observer: Send + Sync {
    /// What is to become of this event on this channel.
    fn observe(&self, channel: u32, event: &Event<'_>) -> Verdict;
}

/// Why bytes may not go on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stop {
    /// An observer or a rule blocked it, and the session ends.
    #[error("{0}")]
    Blocked(String),
    /// A rule refuses it, and the session goes on without it.
    #[error("{0}")]
    Refused(String),
    /// The recorder cannot take it.
    #[error("the session cannot be recorded any further")]
    Recorder,
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
}

impl Stop {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Blocked(_) | Self::Refused(_) => Kind::Denied,
            Self::Recorder => Kind::Unavailable,
            Self::Ended => Kind::Conflict,
        }
    }

    /// How a session ends for it.
    #[must_use]
    pub const fn reason(&self) -> EndReason {
        match self {
            Self::Blocked(_) | Self::Refused(_) => EndReason::Block,
            Self::Recorder | Self::Ended => EndReason::RecorderStall,
        }
    }
}

/// Time between two questions to an observer that holds.
const HOLD: Duration = Duration::from_millis(50);

/// A session's tap. The recorder is no observer in a list: no code path goes around it.
pub struct Tap {
    pub(crate) recording: Arc<Recording>,
    pub(crate) observers: Vec<Box<dyn Observer>>,
    pub(crate) judge: Option<Judge>,
    /// What is kept of what the client writes.
    pub(crate) inputs: Inputs,
    /// The terminals whose lines are read, where rules apply.
    pub(crate) lines: Lines,
    pub(crate) frozen: watch::Receiver<Option<Freeze>>,
    /// Why nothing crosses in either direction, where somebody holds the session.
    pub(crate) paused: watch::Receiver<Option<String>>,
    /// What ended the session, where a rule, an observer, or a refusal to become an account did.
    pub(crate) verdict: OnceLock<String>,
    /// Why the logon account did not become the account, where that ended it.
    pub(crate) not_become: OnceLock<NotBecome>,
    pub(crate) ended: watch::Receiver<bool>,
    pub(crate) strict: bool,
    pub(crate) began: Instant,
    /// Milliseconds since `began` at which something last crossed that is not silence.
    pub(crate) active: AtomicU64,
    pub(crate) bytes: (AtomicU64, AtomicU64),
}

impl Tap {
    /// Lets a client's bytes through to the target: not while frozen, not unrecorded, not once ended.
    ///
    /// # Errors
    /// When they must not go on.
    pub async fn input(&self, channel: u32, bytes: &[u8]) -> Result<(), Stop> {
        self.touch();
        while sabotaged("busy") && self.bytes().1 > 65536 && self.open().is_ok() {
            tokio::time::sleep(HOLD).await;
        }
        self.thaw().await?;
        self.judge(channel, Event::Input(bytes)).await?;
        if let Some((_, input)) = self.inputs.of(channel) {
            self.keep_input((channel, &input), |sort| sort.written(bytes)).await?;
        } else {
            for piece in bytes.chunks(PIECE) {
                self.record(channel, WhatRef::Input(piece)).await?;
            }
        }
        self.settle().await?;
        count(&self.bytes.0, bytes);
        self.open()
    }

    /// Records what of a channel's input is settled by now. A secret never is: see [`Inputs`].
    async fn keep_input(
        &self,
        (channel, input): (u32, &Input),
        settle: impl FnOnce(&mut Sort) -> Vec<Record>,
    ) -> Result<(), Stop> {
        let mut input = input.lock().await;
        for record in settle(&mut input) {
            match record.what() {
                WhatRef::Input(bytes) => {
                    for piece in bytes.chunks(PIECE) {
                        self.record(channel, WhatRef::Input(piece)).await?;
                    }
                }
                what => self.record(channel, what).await?,
            }
        }
        Ok(())
    }

    /// Lets the target's bytes through to the client.
    ///
    /// # Errors
    /// When they must not go on.
    pub async fn output(&self, channel: u32, bytes: &[u8]) -> Result<(), Stop> {
        self.out(channel, bytes, false).await
    }

    /// Lets the target's error bytes through to the client.
    ///
    /// # Errors
    /// When they must not go on.
    pub async fn stderr(&self, channel: u32, bytes: &[u8]) -> Result<(), Stop> {
        self.out(channel, bytes, true).await
    }

    /// Lets bytes through that are counted: where they go is recorded with their channel, and their content by [`Self::content`].
    ///
    /// # Errors
    /// When they must not go on.
    pub async fn flow(&self, up: bool, bytes: usize) -> Result<(), Stop> {
        let counter = if up {
            self.touch();
            self.thaw().await?;
            &self.bytes.0
        } else {
            // What is counted now may be told only later: under strict recording it waits for a recorder that can.
            if self.strict {
                self.thaw().await?
            } else {
                self.flowing().await?
            }
            self.touch();
            &self.bytes.1
        };
        counter.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        self.settle().await?;
        self.open()
    }

    /// Records content of a file or a forward: the next bytes of it, which may go on then.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn content(&self, channel: u32, file: u32, bytes: &[u8]) -> Result<(), Stop> {
        for bytes in bytes.chunks(PIECE) {
            self.record(channel, WhatRef::Content { file, bytes }).await?;
        }
        self.settle().await
    }

    fn condemn(&self, why: String) -> Stop {
        self.doom(&why);
        Stop::Blocked(why)
    }

    /// Notes what ends the session: its last entry says so.
    pub fn doom(&self, why: &str) {
        let _ = self.verdict.set(why.to_owned());
    }

    /// What ended the session, where something in it did.
    #[must_use]
    pub fn verdict(&self) -> Option<&str> {
        self.verdict.get().map(String::as_str)
    }

    /// Notes why the logon account did not become the account, where that is what failed.
    pub fn not_become(&self, why: Option<NotBecome>) {
        let _ = why.map(|why| self.not_become.set(why));
    }

    /// Why it did not.
    #[must_use]
    pub fn why_not_become(&self) -> Option<NotBecome> {
        self.not_become.get().copied()
    }

    /// Records something that is neither side's bytes. Its text is cut at 4 KiB.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn note(&self, channel: u32, what: WhatRef<'_>) -> Result<(), Stop> {
        match what {
            WhatRef::Resize { cols, rows } if self.reads_lines() => self.lines.resize(channel, Size { cols, rows }),
            WhatRef::Open { kind, detail } if self.reads_lines() => self.lines.open(channel, kind, detail),
            WhatRef::Close { .. } => {
                self.lines.close(channel);
                if let Some((_, input)) = self.inputs.of(channel) {
                    let ended = self.keep_input((channel, &input), Sort::end).await;
                    self.inputs.close(channel);
                    ended?;
                }
            }
            _ => {}
        }
        self.inputs.note(channel, &what);
        let what = match what {
            WhatRef::Mark { kind, text } => WhatRef::Mark { kind: cut(kind), text: cut(text) },
            WhatRef::Open { kind, detail } => WhatRef::Open { kind, detail: cut(detail) },
            WhatRef::Close { exit, signal } => WhatRef::Close { exit, signal: signal.map(cut) },
            WhatRef::Signal(name) => WhatRef::Signal(cut(name)),
            WhatRef::Kept(file) => WhatRef::Kept(FileRef { path: cut(file.path), ..file }),
            other => other,
        };
        self.record(channel, what).await
    }

    /// Notes that the session is not idle.
    pub fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active.store(now, Ordering::Relaxed);
    }

    /// When something last crossed that is not silence: see [`sallyport_model::Limits::idle`].
    #[must_use]
    pub fn active(&self) -> Instant {
        self.began.checked_add(Duration::from_millis(self.active.load(Ordering::Relaxed))).unwrap_or(self.began)
    }

    /// Bytes from the client and from the target so far.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes.0.load(Ordering::Relaxed), self.bytes.1.load(Ordering::Relaxed))
    }

    async fn out(&self, channel: u32, bytes: &[u8], error: bool) -> Result<(), Stop> {
        self.flowing().await?;
        let (terminal, input) = self.inputs.of(channel).unzip();
        // In a terminal only what is typed counts: what shows something there by itself may be left behind by anybody.
        if terminal != Some(true) {
            self.touch();
        }
        self.judge(channel, Event::Output(bytes)).await?;
        for piece in bytes.chunks(PIECE) {
            let what = if error { WhatRef::Stderr(piece) } else { WhatRef::Output(piece) };
            self.record(channel, what).await?;
        }
        if let Some(input) = input {
            self.keep_input((channel, &input), |sort| sort.output(bytes)).await?;
        }
        self.settle().await?;
        if self.reads_lines()
            && let Some(shell) = self.lines.shell(channel)
        {
            shell.output(bytes);
        }
        count(&self.bytes.1, bytes);
        self.open()
    }

    async fn judge(&self, channel: u32, event: Event<'_>) -> Result<(), Stop> {
        for observer in &self.observers {
            loop {
                match observer.observe(channel, &event) {
                    Verdict::Pass => break,
                    Verdict::Block(_) if sabotaged("block") => break,
                    Verdict::Hold => {
                        self.open()?;
                        tokio::time::sleep(HOLD).await;
                    }
                    Verdict::Block(why) => {
                        self.record(channel, WhatRef::Mark { kind: "blocked", text: cut(&why) }).await?;
                        return Err(self.condemn(why));
                    }
                }
            }
        }
        Ok(())
    }

    async fn record(&self, channel: u32, what: WhatRef<'_>) -> Result<(), Stop> {
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            pushed = self.recording.push(channel, what) => pushed.map_err(|error| stop(&error)),
            _ = ended.wait_for(|ended| *ended) => Err(Stop::Ended),
        }
    }

    /// Under strict recording, waits until what was recorded is durable. To be asked before anything goes on of which
    /// something was noted.
    ///
    /// # Errors
    /// When it never will be.
    pub async fn settle(&self) -> Result<(), Stop> {
        if !self.strict {
            return Ok(());
        }
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            durable = self.recording.durable() => durable.map_err(|error| stop(&error)),
            _ = ended.wait_for(|ended| *ended) => Err(Stop::Ended),
        }
    }

    /// Waits while the session is paused. To be asked before anything of the target's goes on that does not pass here.
    ///
    /// # Errors
    /// When the session ended before it went on.
    pub async fn flowing(&self) -> Result<(), Stop> {
        self.open()?;
        if self.paused.borrow().is_none() {
            return Ok(());
        }
        let (mut paused, mut ended) = (self.paused.clone(), self.ended.clone());
        tokio::select! {
            resumed = paused.wait_for(Option::is_none) => resumed.map(drop).map_err(|_| Stop::Ended),
            _ = ended.wait_for(|ended| *ended) => Err(Stop::Ended),
        }
    }

    /// Whether the session is paused now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.borrow().is_some()
    }

    /// Why the session is paused now.
    #[must_use]
    pub fn paused(&self) -> Option<String> {
        self.paused.borrow().clone()
    }

    /// Resolves when the session is paused, or over. May be dropped at any time.
    pub async fn held(&self) {
        let (mut paused, mut ended) = (self.paused.clone(), self.ended.clone());
        tokio::select! {
            _ = paused.wait_for(Option::is_some) => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    }

    /// Waits while the session is frozen or paused. To be asked before anything of the client's goes on that does not
    /// pass here: a signal, a new channel.
    ///
    /// # Errors
    /// When the session ended before it thawed.
    pub async fn thaw(&self) -> Result<(), Stop> {
        loop {
            self.flowing().await?;
            if self.frozen.borrow().is_none() {
                return Ok(());
            }
            let (mut frozen, mut ended) = (self.frozen.clone(), self.ended.clone());
            tokio::select! {
                thawed = frozen.wait_for(Option::is_none) => thawed.map(drop).map_err(|_| Stop::Recorder)?,
                _ = ended.wait_for(|ended| *ended) => return Err(Stop::Ended),
            }
            // It may have been paused meanwhile.
        }
    }

    /// Whether rules judge the lines of terminals.
    fn reads_lines(&self) -> bool {
        self.judge.as_ref().is_some_and(|judge| !judge.rules().is_empty())
    }

    fn open(&self) -> Result<(), Stop> {
        if *self.ended.borrow() { Err(Stop::Ended) } else { Ok(()) }
    }
}

fn stop(error: &recorder::Error) -> Stop {
    tracing::error!(%error, "an event was not recorded");
    match error {
        recorder::Error::Ended => Stop::Ended,
        _ => Stop::Recorder,
    }
}

fn count(counter: &AtomicU64, bytes: &[u8]) {
    counter.fetch_add(u64::try_from(bytes.len()).unwrap_or(0), Ordering::Relaxed);
}

/// At most 4 KiB of a text, whole characters.
#[must_use]
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(4096)).unwrap_or(text)
}
