//! Export to asciicast v3 (<https://docs.asciinema.org/manual/asciicast/v3/>): JSON lines for terminal players.

use crate::event::{Event, What};
use crate::{Facts, Wrong, marks, way};
use sallyport_model::access::Channel;
use serde::Serialize;

mod text;

/// An export that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording is wrong.
    #[error(transparent)]
    Recording(#[from] Wrong),
    /// The library refused.
    #[error("the export cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> sallyport_model::Kind {
        match self {
            Self::Recording(wrong) => wrong.kind(),
            Self::Json(_) => sallyport_model::Kind::Failed,
        }
    }
}

#[derive(Serialize)]
struct Head<'a> {
    version: u8,
    term: Term,
    timestamp: i64,
    title: &'a str,
}

#[derive(Serialize)]
struct Term {
    cols: u16,
    rows: u16,
}

/// Writes one channel of a recording as asciicast v3; what other channels do becomes marks.
///
/// `channel` is the one to show; without it, the first that carries a shell or a program. A terminal of unknown
/// size has 80 columns and 24 rows. Bytes that are no UTF-8 become U+FFFD; valid text is kept, wherever
/// it was cut into events. The title names the way to the target too. Times are exact to the microsecond, and never run backwards.
///
/// # Errors
/// Where the events end in an error: there is no export of a part.
pub fn export(
    facts: &Facts,
    events: impl IntoIterator<Item = Result<Event, Wrong>>,
    channel: Option<u32>,
) -> Result<String, Error> {
    let (cols, rows) = facts.size.unwrap_or((80, 24));
    let mut events = events.into_iter().peekable();
    let mut first = Vec::new();
    while let Some(mark) = events.next_if(|event| event.as_ref().is_ok_and(way::is_own_mark)) {
        first.push(mark?);
    }
    let title = format!("{} by {} over {}", way::place(facts, &first), facts.handle, facts.protocol);
    let timestamp = facts.started.0.div_euclid(1_000_000);
    let head = Head { version: 3, term: Term { cols, rows }, timestamp, title: &title };
    let mut out = serde_json::to_string(&head)?;
    out.push('\n');
    let mut writer =
        Writer { out, last: 0, shown: channel, output: text::Joiner::default(), input: text::Joiner::default() };
    for event in first.into_iter().map(Ok).chain(events) {
        writer.event(event?)?;
    }
    writer.finish()?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    /// Time of the line before, in microseconds.
    last: u64,
    shown: Option<u32>,
    output: text::Joiner,
    input: text::Joiner,
}

impl Writer {
    fn event(&mut self, event: Event) -> Result<(), Error> {
        let Event { at, channel, what } = event;
        if self.shown.is_none() && shows(&what) {
            self.shown = Some(channel);
        }
        if self.shown == Some(channel) {
            return self.shown_event(at, what);
        }
        match what {
            What::Open { kind, detail } => {
                self.line(at, "m", format!("channel {channel}: {} {detail}", kind.action()).trim_end())
            }
            What::Close { exit, signal } => {
                self.line(at, "m", &format!("channel {channel} closed{}", ended(exit, signal.as_deref())))
            }
            What::Mark { kind, text } => self.line(at, "m", &format!("{kind}: {text}")),
            What::Signal(name) => self.line(at, "m", &format!("channel {channel}: signal {name}")),
            What::Output(_)
            | What::Stderr(_)
            | What::Input(_)
            | What::Hidden(_)
            | What::Content { .. }
            | What::Kept(_)
            | What::Resize { .. } => Ok(()),
        }
    }

    fn shown_event(&mut self, at: u64, what: What) -> Result<(), Error> {
        match what {
            What::Output(bytes) | What::Stderr(bytes) => {
                let text = self.output.push(&bytes);
                if text.is_empty() { Ok(()) } else { self.line(at, "o", &text) }
            }
            What::Input(bytes) => {
                let text = self.input.push(&bytes);
                if text.is_empty() { Ok(()) } else { self.line(at, "i", &text) }
            }
            What::Hidden(0) => self.line(at, "i", marks::HIDDEN),
            What::Hidden(bytes) => self.line(at, "m", &format!("input: {bytes} bytes, not kept")),
            What::Content { .. } | What::Kept(_) => Ok(()),
            What::Resize { cols, rows } => self.line(at, "r", &format!("{cols}x{rows}")),
            What::Open { kind, detail } => self.line(at, "m", format!("{} {detail}", kind.action()).trim_end()),
            What::Signal(name) => self.line(at, "m", &format!("signal {name}")),
            What::Mark { kind, text } => self.line(at, "m", &format!("{kind}: {text}")),
            What::Close { exit: Some(exit), signal: None } => self.line(at, "x", &exit.to_string()),
            What::Close { exit, signal } => self.line(at, "m", &format!("closed{}", ended(exit, signal.as_deref()))),
        }
    }

    /// What was cut off inside a character at the very end.
    fn finish(&mut self) -> Result<(), Error> {
        let (output, input) = (self.output.finish(), self.input.finish());
        if !output.is_empty() {
            self.line(self.last, "o", output)?;
        }
        if !input.is_empty() {
            self.line(self.last, "i", input)?;
        }
        Ok(())
    }

    fn line(&mut self, at: u64, code: &str, data: &str) -> Result<(), Error> {
        let interval = at.saturating_sub(self.last);
        self.last = self.last.max(at);
        let data = serde_json::to_string(data)?;
        let (seconds, micros) = (interval / 1_000_000, interval % 1_000_000);
        self.out.push_str(&format!("[{seconds}.{micros:06}, \"{code}\", {data}]\n"));
        Ok(())
    }
}

/// Whether a channel that does this is worth showing.
const fn shows(what: &What) -> bool {
    match what {
        What::Open { kind, .. } => matches!(kind, Channel::Shell | Channel::Exec),
        What::Output(_) | What::Stderr(_) | What::Resize { .. } => true,
        What::Input(_)
        | What::Hidden(_)
        | What::Content { .. }
        | What::Kept(_)
        | What::Close { .. }
        | What::Signal(_)
        | What::Mark { .. } => false,
    }
}

fn ended(exit: Option<u32>, signal: Option<&str>) -> String {
    match (exit, signal) {
        (Some(exit), Some(signal)) => format!(" with {exit} by {signal}"),
        (Some(exit), None) => format!(" with {exit}"),
        (None, Some(signal)) => format!(" by {signal}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests;
