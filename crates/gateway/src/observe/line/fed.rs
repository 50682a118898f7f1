//! Lines that are fed to a shell without a terminal: each is judged before any byte of it goes on.

use super::super::judge::Judge;
use super::super::tap::{Stop, Tap, Typed};
use super::{KEPT, Lines};
use sallyport_model::access::Channel;
use sallyport_model::authority::About;
use sallyport_model::inventory::Platform;
use sallyport_model::rules::{Grammar, Guarantee};
use sallyport_statements::shell::{self, Broken, Memory, Simple, Word};
use sallyport_statements::{Finding, Rules};
use std::sync::{Arc, Mutex, PoisonError};

/// One channel's shell.
pub(crate) struct Fed {
    platform: Platform,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What has come and not gone on: a line without its end, or lines that go on.
    held: Vec<u8>,
    memory: Memory,
}

/// What is done with what was held.
struct Piece {
    bytes: Vec<u8>,
    found: Option<Finding>,
}

/// Whether lines that are written into a channel are a shell's, as far as it is known before it runs. Where a password comes
/// first, nothing of it is read.
pub(super) fn reads_lines(kind: Channel, command: &str) -> bool {
    match kind {
        Channel::Shell => true,
        Channel::Exec => {
            let script = shell::read(command, &mut Memory::default());
            script.is_ok_and(|script| script.commands.iter().any(Simple::is_shell) && !script.commands.iter().any(asks))
        }
        _ => false,
    }
}

/// Whether a program reads a password from its input where there is no terminal.
fn asks(simple: &Simple) -> bool {
    let words: Vec<String> = simple.words.iter().map(Word::shown).collect();
    let name = words.first().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
    let stdin =
        |word: &String| word == "--stdin" || word.starts_with('-') && !word.starts_with("--") && word.contains('S');
    matches!(name, "su" | "runuser" | "passwd" | "chpasswd") || name == "sudo" && words.iter().any(stdin)
}

impl Fed {
    pub(super) fn new(platform: Platform) -> Self {
        Self { platform, state: Mutex::default() }
    }

    /// Takes up to the end of the first line, which may be the answer to who asked for a secret; how much that was, and what may go on of what is held.
    fn take(&self, rules: &Rules, bytes: &[u8], secret: bool) -> (usize, Option<Piece>) {
        let device = self.platform.grammar() == Grammar::Device;
        let ends = |byte: &u8| *byte == b'\n' || device && *byte == b'\r';
        let taken = bytes.iter().position(ends).map_or(bytes.len(), |at| at.saturating_add(1));
        let (piece, _) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if secret && state.held.is_empty() {
            // Whatever it is, nothing of it is told.
            let text = String::from_utf8_lossy(piece);
            let found = rules.fed(&text, &mut Memory::default()).ok().flatten().filter(|found| found.act.stops());
            let found = found.map(|found| Finding { command: "(an answer to who asked for a secret)".into(), ..found });
            return (taken, Some(Piece { bytes: piece.to_vec(), found }));
        }
        state.held.extend_from_slice(piece);
        let long = state.held.len() > KEPT;
        if !piece.last().is_some_and(ends) && !long {
            return (taken, None);
        }
        (taken, state.judge(rules, device || long))
    }

    /// Nothing comes any more: what may go on of what is held.
    fn end(&self, rules: &Rules) -> Option<Piece> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.held.is_empty() { None } else { state.judge(rules, true) }
    }
}

impl State {
    /// Judges what is held; `over` where it is not to wait for more.
    fn judge(&mut self, rules: &Rules, over: bool) -> Option<Piece> {
        let text = String::from_utf8_lossy(&self.held).into_owned();
        let found = match rules.fed(&text, &mut self.memory) {
            Ok(found) => found,
            Err(Broken::Open) if !over => return None,
            Err(broken) => rules.broken(&text, broken),
        };
        Some(Piece { bytes: std::mem::take(&mut self.held), found })
    }
}

impl Lines {
    /// A channel is open whose lines are read, where it has no terminal.
    pub(crate) fn open(&self, channel: u32, kind: Channel, command: &str) {
        if reads_lines(kind, command) {
            let fed = Arc::new(Fed::new(self.platform));
            self.fed.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, fed);
        }
    }

    /// The shell of a channel that has no terminal.
    pub(crate) fn fed(&self, channel: u32) -> Option<Arc<Fed>> {
        self.fed.lock().unwrap_or_else(PoisonError::into_inner).get(&channel).cloned()
    }
}

impl Tap {
    /// Lets the next line through that a shell without a terminal is fed. What is refused ends the channel: what follows in a
    /// script is not meant to run without it.
    pub(in super::super) async fn feed(
        &self,
        judge: &Judge,
        channel: u32,
        fed: &Fed,
        bytes: &[u8],
    ) -> Result<Typed, Stop> {
        self.touch();
        self.thaw().await?;
        let secret = match self.inputs.of(channel) {
            Some((_, input)) => input.lock().await.answers(),
            None => false,
        };
        let (taken, piece) = fed.take(judge.rules(), bytes, secret);
        let instead = match piece {
            Some(piece) => self.fed_on(judge, channel, piece).await?,
            None => Vec::new(),
        };
        Ok(Typed { taken, instead: Some(instead.into()), say: None })
    }

    /// What is left to go on where the client writes no more.
    ///
    /// # Errors
    /// When it must not go on.
    pub async fn written(&self, channel: u32) -> Result<Vec<u8>, Stop> {
        let Some((judge, fed)) = self.judge.as_ref().zip(self.lines.fed(channel)) else { return Ok(Vec::new()) };
        match fed.end(judge.rules()) {
            Some(piece) => self.fed_on(judge, channel, piece).await,
            None => Ok(Vec::new()),
        }
    }

    async fn fed_on(&self, judge: &Judge, channel: u32, piece: Piece) -> Result<Vec<u8>, Stop> {
        if let Some(found) = &piece.found {
            self.keep(judge, channel, found, (About::Command, Guarantee::BestEffort)).await?;
        }
        self.input(channel, &piece.bytes).await?;
        Ok(piece.bytes)
    }
}
