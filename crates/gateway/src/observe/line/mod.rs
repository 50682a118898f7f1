//! Lines that are typed into a shell, read from its terminal at Enter: what stands there is what runs, however it was typed.
//!
//! Only where rules apply. History, completion, paste and editing keys come out right because the screen is read and not the
//! keys. It is best effort: what a shell makes of a line is its own, and in the alternate screen there are no lines.

mod fed;

use super::screen::Screen;
use fed::Fed;
use sallyport_model::door::Size;
use sallyport_model::inventory::Platform;
use sallyport_model::rules::{Act, Grammar};
use sallyport_statements::device;
use sallyport_statements::shell::{Broken, Memory};
use sallyport_statements::{Finding, Rules};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Without output for so long a terminal has said what it had to say.
const QUIET: Duration = Duration::from_millis(30);
/// How long output may go on before the line is read all the same.
const MOST: Duration = Duration::from_millis(150);
/// How long the echo of what was typed may take.
const ECHO: Duration = Duration::from_millis(500);
/// Longest line that is kept of what was typed without echo, and of lines that go on, in bytes.
const KEPT: usize = 64 << 10;

/// Largest terminal that is drawn, in columns and rows.
const WIDEST: u16 = 1000;
const HIGHEST: u16 = 300;

/// Clears the line that is being edited: to its end, then all before it. To the shell it is as if nothing was typed.
const CLEAR: &[u8] = b"\x05\x15";
/// Gives up a command of several lines.
const CANCEL: &[u8] = b"\x03";

/// The terminals of one session in which lines are read.
#[derive(Default)]
pub(crate) struct Lines {
    platform: Platform,
    shells: Mutex<HashMap<u32, Arc<Shell>>>,
    /// Shells without a terminal.
    fed: Mutex<HashMap<u32, Arc<Fed>>>,
}

/// What was typed, at Enter.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Line {
    /// This stands there.
    Shown(String),
    /// This was typed, and nothing of it was shown.
    Hidden(Zeroizing<String>),
    /// There is no line.
    None,
}

/// One terminal.
pub(crate) struct Shell {
    state: Mutex<State>,
    /// How much was heard of the target, and when last.
    heard: watch::Sender<(u64, Instant)>,
}

struct State {
    platform: Platform,
    screen: Screen,
    /// Where the line begins, and what stands before it; none until something is typed.
    prompt: Option<(avt::Anchor, String)>,
    /// What had been heard when the client last sent something.
    sent: u64,
    /// What was typed since the line began, as far as it is text.
    keys: Zeroizing<String>,
    /// Lines that the shell wants to go on.
    before: String,
    /// That the line which was judged last goes on with one before it.
    goes_on: bool,
    /// That an Enter went to the target and nothing was heard of it yet.
    entered: bool,
    /// What the line may be too, where it is not known which part of it is the prompt.
    other: Option<String>,
    memory: Memory,
    pasting: bool,
    tail: Vec<u8>,
}

impl Lines {
    /// On a target of this sort.
    pub(crate) fn of(platform: Platform) -> Self {
        Self { platform, shells: Mutex::default(), fed: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Shell>>> {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel has a terminal of this size.
    pub(crate) fn resize(&self, channel: u32, size: Size) {
        let size = drawn(size);
        self.fed.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
        let mut shells = self.lock();
        match shells.get(&channel) {
            Some(shell) => shell.lock().screen.resize(size),
            None => {
                if let Some(shell) = Shell::new(size, self.platform) {
                    shells.insert(channel, Arc::new(shell));
                }
            }
        }
    }

    /// A channel is over.
    pub(crate) fn close(&self, channel: u32) {
        self.fed.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
        self.lock().remove(&channel);
    }

    /// The terminal of a channel.
    pub(crate) fn shell(&self, channel: u32) -> Option<Arc<Shell>> {
        self.lock().get(&channel).cloned()
    }
}

impl Shell {
    fn new(size: Size, platform: Platform) -> Option<Self> {
        let state = State {
            platform,
            screen: Screen::new(size)?,
            prompt: None,
            sent: 0,
            keys: Zeroizing::default(),
            before: String::new(),
            goes_on: false,
            entered: false,
            other: None,
            memory: Memory::default(),
            pasting: false,
            tail: Vec::new(),
        };
        Some(Self { state: Mutex::new(state), heard: watch::Sender::new((0, Instant::now())) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the target wrote.
    pub(crate) fn output(&self, bytes: &[u8]) {
        self.lock().screen.feed(bytes);
        self.heard.send_modify(|(count, at)| (*count, *at) = (count.wrapping_add(1), Instant::now()));
    }

    /// How much of these bytes to take at once: up to the next Enter, or that Enter alone.
    pub(crate) fn piece(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        for (at, byte) in bytes.iter().enumerate() {
            if enters(*byte) && !state.pasting {
                return at.max(1);
            }
            state.paste(*byte);
        }
        bytes.len()
    }

    /// Something is about to be typed: where the cursor stands, once the terminal is quiet, a line begins.
    pub(crate) async fn begins(&self) {
        if self.lock().prompt.is_some() {
            return;
        }
        // The answer to an Enter is at least a new line; before it the cursor still stands in the old one.
        self.echoed().await;
        self.quiet().await;
        self.here();
    }

    /// A line begins where the cursor stands.
    fn here(&self) {
        let mut state = self.lock();
        state.entered = false;
        let before = state.screen.before_cursor();
        state.prompt = Some((state.screen.here(), before));
    }

    /// Text went to the target.
    pub(crate) fn sent(&self, bytes: &[u8]) {
        let heard = self.heard.borrow().0;
        let mut state = self.lock();
        state.sent = heard;
        for c in String::from_utf8_lossy(bytes).chars() {
            match c {
                '\u{8}' | '\u{7f}' => drop(state.keys.pop()),
                '\u{15}' | '\u{3}' => state.keys.clear(),
                c if !c.is_control() && state.keys.len() < KEPT => state.keys.push(c),
                _ => {}
            }
        }
    }

    /// What stands in the line at Enter.
    pub(crate) async fn line(&self) -> Line {
        self.echoed().await;
        self.quiet().await;
        self.stands()
    }

    /// What stands in the line now.
    fn stands(&self) -> Line {
        let mut state = self.lock();
        state.other = None;
        let Some((from, prompt)) = &state.prompt else { return Line::None };
        if state.screen.alternate() {
            return Line::None;
        }
        // A device writes its line where a pager has stood, and again below its help: it is the row that counts there.
        let device = state.platform.grammar() == Grammar::Device;
        let shown = state.screen.since(Some(from).filter(|_| !device), prompt);
        let line = if device { device::unprompted(&shown) } else { shown.as_str() };
        if device {
            state.other = (line.trim() != shown.trim()).then(|| shown.clone());
        } else if prompt.trim().is_empty() {
            state.other = prompted(&shown).map(str::to_owned);
        }
        match line.trim() {
            "" if state.keys.trim().is_empty() => Line::None,
            "" => Line::Hidden(state.keys.clone()),
            _ => Line::Shown(unsearched(line).trim().to_owned()),
        }
    }

    /// Judges a line, together with those before it that it goes on with.
    pub(crate) fn judge(&self, rules: &Rules, line: &Line) -> Option<Finding> {
        let mut state = self.lock();
        let (text, shown) = match line {
            Line::Shown(text) => (text.as_str(), true),
            Line::Hidden(text) => (text.as_str(), false),
            Line::None => return None,
        };
        if !shown {
            // It is most likely a password. Whatever it is, nothing of it is kept or told.
            let found = rules.line(text, &mut Memory::default()).ok().flatten().filter(|found| found.act.stops());
            return found.map(|found| Finding { command: "(typed without echo)".into(), ..found });
        }
        state.goes_on = !state.before.is_empty();
        let whole = if state.before.is_empty() { text.to_owned() } else { format!("{}\n{text}", state.before) };
        let mut memory = std::mem::take(&mut state.memory);
        let other = state.other.take();
        let other = other.and_then(|other| rules.line(&other, &mut memory.clone()).ok().flatten());
        let judged = rules.line(&whole, &mut memory);
        state.memory = memory;
        match judged {
            Ok(found) => {
                state.before.clear();
                found.into_iter().chain(other).max_by_key(|found| found.act)
            }
            // What does not end is judged with what comes; a quote that stays open for ever is none. A device's line ends.
            Err(Broken::Open) if whole.len() <= KEPT && state.platform.grammar() == Grammar::Shell => {
                state.before = whole;
                other
            }
            Err(broken) => {
                state.before.clear();
                rules.broken(&whole, broken)
            }
        }
    }

    /// The line is over: it went on, or it was cleared; what clears it.
    pub(crate) fn over(&self) -> &'static [u8] {
        let heard = self.heard.borrow().0;
        let mut state = self.lock();
        let cancel = if state.goes_on { CANCEL } else { CLEAR };
        state.prompt = None;
        state.entered = true;
        state.keys.clear();
        state.sent = heard;
        cancel
    }

    /// Waits for the echo of what was sent, at most [`ECHO`].
    async fn echoed(&self) {
        let (sent, typed) = {
            let state = self.lock();
            (state.sent, state.entered || !state.keys.is_empty())
        };
        let mut heard = self.heard.subscribe();
        if typed {
            let _ = tokio::time::timeout(ECHO, heard.wait_for(|(count, _)| *count != sent)).await;
        }
    }

    /// Waits until the terminal is quiet, at most [`MOST`].
    async fn quiet(&self) {
        let end = Instant::now() + MOST;
        let mut heard = self.heard.subscribe();
        loop {
            let last = heard.borrow_and_update().1;
            let until = (last + QUIET).min(end);
            if Instant::now() >= until || tokio::time::timeout_at(until, heard.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl State {
    /// Follows bracketed paste: in it a line's end is text. It counts only where the program asked for it; otherwise anybody
    /// could write its signs by hand.
    fn paste(&mut self, byte: u8) {
        self.tail.push(byte);
        if self.tail.len() > 6 {
            self.tail.remove(0);
        }
        match self.tail.as_slice() {
            b"\x1b[200~" => self.pasting = self.screen.pastes(),
            b"\x1b[201~" => self.pasting = false,
            _ => {}
        }
    }
}

/// A size that can be drawn, whatever the client says of its terminal. Without a size programs take 80 by 24.
fn drawn(size: Size) -> Size {
    let or = |cells: u16, usual: u16, most: u16| if cells == 0 { usual } else { cells.min(most) };
    Size { cols: or(size.cols, 80, WIDEST), rows: or(size.rows, 24, HIGHEST) }
}

/// What makes a shell run its line: carriage return, line feed, and readline's operate-and-get-next.
const fn enters(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0x0f)
}

/// What stands behind the first sign that prompts end with.
fn prompted(line: &str) -> Option<&str> {
    let ends = ["$ ", "# ", "> ", "% "].into_iter().filter_map(|sign| line.find(sign));
    line.get(ends.min()?.saturating_add(2)..).map(str::trim).filter(|rest| !rest.is_empty())
}

/// The line that readline has found in its history, without what it says of its search.
fn unsearched(line: &str) -> &str {
    match line.split_once("i-search)`") {
        Some((_, found)) => found.split_once("': ").map_or(line, |(_, found)| found),
        None => line,
    }
}

/// How surely a line was kept from running, for the person.
pub(crate) fn told(act: Act, why: &str) -> String {
    match act {
        Act::Hold | Act::Block => format!("{why}. The line was cleared; nothing of it has run"),
        _ => why.to_owned(),
    }
}

#[cfg(any(test, fuzzing))]
pub(super) mod walked;

#[cfg(test)]
mod tests;
