//! The index of a recording: what happened when, without the output.

use crate::event::{Event, What};
use std::collections::BTreeMap;

/// A pause that is worth a line, in microseconds.
const PAUSE: u64 = 10_000_000;
/// Most of a line that was typed, in bytes; the rest makes further lines.
const LINE: usize = 200;

/// What stands for keys that the target did not show.
pub const HIDDEN: &str = "•••";

/// One line of the index. Its text is what client and target wrote: make it harmless before it is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mark {
    /// Microseconds since the start.
    pub at: u64,
    /// The channel.
    pub channel: u32,
    /// `open`, `input`, `resize`, `signal`, `exit`, `idle`, or the sort of mark that the recording has, such as `command`.
    pub kind: String,
    /// What it says; of a pause, its microseconds.
    pub text: String,
}

/// Whether stepping stops at this event.
#[must_use]
pub const fn is_mark(what: &What) -> bool {
    !matches!(
        what,
        What::Output(_) | What::Stderr(_) | What::Input(_) | What::Hidden(0) | What::Content { .. } | What::Kept(_)
    )
}

/// The index of these events.
#[must_use]
pub fn index(events: &[Event]) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut typed = BTreeMap::new();
    let mut last = 0;
    for event in events {
        let Event { at, channel, .. } = *event;
        let silence = at.saturating_sub(last);
        if silence >= PAUSE {
            marks.push(Mark { at: last, channel, kind: "idle".into(), text: silence.to_string() });
        }
        last = at.max(last);
        match &event.what {
            What::Input(bytes) => {
                let line = typed.entry(channel).or_insert_with(|| Typed { at, bytes: Vec::new() });
                marks.extend(line.push(at, channel, bytes));
            }
            What::Hidden(0) => typed.entry(channel).or_insert_with(|| Typed { at, bytes: Vec::new() }).hide(at),
            What::Output(_) | What::Stderr(_) | What::Content { .. } => {}
            what => {
                marks.extend(typed.remove(&channel).and_then(|line: Typed| line.mark(channel)));
                marks.extend(mark(what).map(|(kind, text)| Mark { at, channel, kind: kind.to_owned(), text }));
            }
        }
    }
    marks.extend(typed.into_iter().filter_map(|(channel, line)| line.mark(channel)));
    marks
}

/// What was typed since a line began.
struct Typed {
    at: u64,
    bytes: Vec<u8>,
}

impl Typed {
    fn push(&mut self, at: u64, channel: u32, bytes: &[u8]) -> Vec<Mark> {
        let mut lines = Vec::new();
        for byte in bytes {
            if self.bytes.is_empty() {
                self.at = at;
            }
            if !matches!(byte, b'\r' | b'\n') {
                self.bytes.push(*byte);
            }
            if matches!(byte, b'\r' | b'\n') || self.bytes.len() >= LINE {
                let line = Self { at: self.at, bytes: std::mem::take(&mut self.bytes) };
                lines.extend(line.mark(channel));
            }
        }
        lines
    }

    /// Keys that were not shown, once in a row.
    fn hide(&mut self, at: u64) {
        if self.bytes.is_empty() {
            self.at = at;
        }
        if !self.bytes.ends_with(HIDDEN.as_bytes()) {
            self.bytes.extend_from_slice(HIDDEN.as_bytes());
        }
    }

    fn mark(self, channel: u32) -> Option<Mark> {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        text.chars().any(|c| !c.is_control()).then(|| Mark { at: self.at, channel, kind: "input".into(), text })
    }
}

fn mark(what: &What) -> Option<(&str, String)> {
    match what {
        What::Open { kind, detail } => Some(("open", format!("{} {detail}", kind.action()).trim_end().into())),
        What::Resize { cols, rows } => Some(("resize", format!("{cols}x{rows}"))),
        What::Signal(name) => Some(("signal", name.clone())),
        What::Mark { kind, text } => Some((kind, text.clone())),
        What::Close { exit, signal } => {
            let exit = exit.map_or_else(|| "closed".to_owned(), |exit| format!("with {exit}"));
            Some(("exit", signal.as_ref().map_or_else(|| exit.clone(), |signal| format!("{exit} by {signal}"))))
        }
        What::Hidden(bytes) if *bytes > 0 => Some(("input", format!("{bytes} bytes, not kept"))),
        What::Output(_) | What::Stderr(_) | What::Input(_) | What::Hidden(_) | What::Content { .. } | What::Kept(_) => {
            None
        }
    }
}
