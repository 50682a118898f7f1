//! What rules say of what crosses a tap: commands, lines of terminals, files; and what is done about it.

use super::{Event, Stop, Tap, cut};
use crate::observe::judge::Judge;
use crate::observe::line::{self, Line, Shell};
use sallyport_model::authority::About;
use sallyport_model::rules::{Act, Guarantee};
use sallyport_recording::WhatRef;
use sallyport_statements::Finding;

/// What becomes of a piece of what a client types.
#[derive(Debug)]
pub struct Typed {
    /// How many of the bytes are dealt with.
    pub taken: usize,
    /// What goes to the target in their place.
    pub instead: Option<std::borrow::Cow<'static, [u8]>>,
    /// A line for the person.
    pub say: Option<String>,
}

/// Longest piece of a command in one mark, in bytes.
const COMMAND: usize = 16 << 10;

impl Tap {
    /// Lets a whole command through; to be asked before any byte of it is sent.
    ///
    /// # Errors
    /// When it must not go on; after [`Stop::Refused`] the session may.
    pub async fn command(&self, channel: u32, text: &str) -> Result<(), Stop> {
        self.touch();
        self.thaw().await?;
        self.judge(channel, Event::Command(text)).await?;
        // The whole of it, in pieces: what lies behind the first kilobytes is evidence too.
        let (mut kind, mut rest) = ("command", text);
        loop {
            let (piece, more) = rest.split_at_checked(rest.floor_char_boundary(COMMAND)).unwrap_or((rest, ""));
            self.record(channel, WhatRef::Mark { kind, text: piece }).await?;
            (kind, rest) = ("command+", more);
            if rest.is_empty() {
                break;
            }
        }
        self.settle().await?;
        if let Some(judge) = &self.judge
            && let Some(finding) = judge.rules().command(text)
        {
            self.keep(judge, channel, &finding, (About::Command, Guarantee::Enforced)).await?;
        }
        self.open()
    }

    /// Lets the next piece of what a client types through. Where rules apply and the channel has a terminal, a line is judged
    /// before the Enter that runs it goes on; what is refused is cleared in its place.
    ///
    /// # Errors
    /// When it must not go on, and the session ends.
    pub async fn typed(&self, channel: u32, bytes: &[u8]) -> Result<Typed, Stop> {
        let Some((judge, shell)) = self.judge.as_ref().zip(self.lines.shell(channel)) else {
            if let Some((judge, fed)) = self.judge.as_ref().zip(self.lines.fed(channel)) {
                return self.feed(judge, channel, &fed, bytes).await;
            }
            self.input(channel, bytes).await?;
            return Ok(Typed { taken: bytes.len(), instead: None, say: None });
        };
        let taken = shell.piece(bytes);
        let (piece, _) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
        if !matches!(piece, [b'\r' | b'\n' | 0x0f]) {
            shell.begins().await;
            self.input(channel, piece).await?;
            shell.sent(piece);
            return Ok(Typed { taken, instead: None, say: None });
        }
        self.thaw().await?;
        match self.line(judge, channel, &shell).await {
            Ok(()) => {
                self.input(channel, piece).await?;
                shell.over();
                Ok(Typed { taken, instead: None, say: None })
            }
            Err((Stop::Refused(why), act)) => {
                Ok(Typed { taken, instead: Some(shell.over().into()), say: Some(line::told(act, &why)) })
            }
            Err((stop, _)) => Err(stop),
        }
    }

    /// Judges the line of a terminal at Enter, and records it.
    async fn line(&self, judge: &Judge, channel: u32, shell: &Shell) -> Result<(), (Stop, Act)> {
        let line = shell.line().await;
        if let Line::Shown(text) = &line {
            let text = WhatRef::Mark { kind: "command", text: cut(text) };
            self.record(channel, text).await.map_err(|stop| (stop, Act::Pass))?;
        }
        match shell.judge(judge.rules(), &line) {
            Some(found) => {
                let about = (About::Command, Guarantee::BestEffort);
                self.keep(judge, channel, &found, about).await.map_err(|stop| (stop, found.act))
            }
            None => Ok(()),
        }
    }

    /// Notes that something was done with a file which a rule wants noted: in the recording, and in the ledger.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub async fn alert(&self, channel: u32, rule: &str, why: &str, text: &str) -> Result<(), Stop> {
        let Some(judge) = &self.judge else { return Ok(()) };
        let found = Finding { act: Act::Alert, rule: rule.into(), why: why.into(), command: cut(text).into() };
        self.keep(judge, channel, &found, (About::File, Guarantee::Enforced)).await
    }

    /// Marks what a rule says in the recording, and does it.
    pub(in crate::observe) async fn keep(
        &self,
        judge: &Judge,
        channel: u32,
        found: &Finding,
        (about, sure): (About, Guarantee),
    ) -> Result<(), Stop> {
        let text = format!("{} ({}): {}: {}", found.rule, sure.word(), found.why, found.command);
        self.record(channel, WhatRef::Mark { kind: said(found.act), text: cut(&text) }).await?;
        let mut ended = self.ended.clone();
        let kept = tokio::select! {
            kept = judge.keep(about, found, sure) => kept,
            _ = ended.wait_for(|ended| *ended) => Err(Stop::Ended),
        };
        kept.map_err(|stop| match stop {
            Stop::Blocked(why) => self.condemn(why),
            other => other,
        })
    }
}

/// The kind of a mark that says what a rule did.
const fn said(act: Act) -> &'static str {
    match act {
        Act::Pass | Act::Alert => "alert",
        Act::Hold => "held",
        Act::Block | Act::Terminate => "blocked",
    }
}
