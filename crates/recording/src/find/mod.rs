//! Finding text in a recording: on the screen, as typed, and in commands.
//!
//! What a target wrote is taken as lines: control sequences are left out, and where the cursor jumps a line ends. That is
//! less than a terminal and enough for words, at a cost that hostile output cannot raise.

use crate::event::{EventRef, WhatRef};
use std::collections::BTreeMap;

/// Longest line that is looked at, in bytes; what is longer makes further lines.
const LINE: usize = 4096;
/// Channels that are followed at once, each with what is shown and what is typed.
const STREAMS: usize = 128;

/// A line in which something was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hit {
    /// Microseconds since the recording's start: when the text had come.
    pub at: u64,
    /// The line, as far as it had come.
    pub line: String,
}

/// Looks for a text, whatever its case.
pub struct Finder {
    wanted: String,
    most: usize,
    lines: BTreeMap<(u32, bool), Line>,
    hits: Vec<Hit>,
}

impl Finder {
    /// For this text, at most so many times.
    #[must_use]
    pub fn new(text: &str, most: usize) -> Self {
        Self { wanted: text.to_lowercase(), most, lines: BTreeMap::new(), hits: Vec::new() }
    }

    /// Looks at the next event; false once there is no need to go on.
    pub fn look(&mut self, event: &EventRef<'_>) -> bool {
        if self.wanted.is_empty() || self.hits.len() >= self.most {
            return false;
        }
        match event.what {
            WhatRef::Output(bytes) | WhatRef::Stderr(bytes) => self.bytes((event.channel, false), event.at, bytes),
            WhatRef::Input(bytes) => self.bytes((event.channel, true), event.at, bytes),
            WhatRef::Mark { text, .. } | WhatRef::Open { detail: text, .. } => {
                if text.to_lowercase().contains(&self.wanted) {
                    self.hit(event.at, text);
                }
            }
            WhatRef::Close { .. } => self.lines.retain(|(channel, _), _| *channel != event.channel),
            WhatRef::Hidden(_)
            | WhatRef::Content { .. }
            | WhatRef::Kept(_)
            | WhatRef::Resize { .. }
            | WhatRef::Signal(_) => {}
        }
        self.hits.len() < self.most
    }

    /// What was found, in order.
    #[must_use]
    pub fn hits(self) -> Vec<Hit> {
        self.hits
    }

    fn hit(&mut self, at: u64, line: &str) {
        let line: String = line.chars().filter(|c| !c.is_control()).take(400).collect();
        self.hits.push(Hit { at, line });
    }

    fn bytes(&mut self, stream: (u32, bool), at: u64, bytes: &[u8]) {
        if self.lines.len() >= STREAMS && !self.lines.contains_key(&stream) {
            self.lines.pop_first();
        }
        let mut line = self.lines.remove(&stream).unwrap_or_default();
        for byte in bytes {
            if line.take(*byte) {
                self.check(&mut line, at);
                line.begin();
            }
        }
        self.check(&mut line, at);
        self.lines.insert(stream, line);
    }

    /// Looks at a line as far as it has come. One line is found once.
    fn check(&mut self, line: &mut Line, at: u64) {
        if line.found || line.text.is_empty() || line.text.len() == line.checked || self.hits.len() >= self.most {
            return;
        }
        line.checked = line.text.len();
        let text = String::from_utf8_lossy(&line.text);
        if text.to_lowercase().contains(&self.wanted) {
            line.found = true;
            self.hit(at, &text);
        }
    }
}

/// Where a byte stream is.
#[derive(Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// Within a control sequence.
    Sequence,
    /// Within a string that is ended by BEL or ST.
    String,
    /// Within such a string, after an escape.
    StringEscape,
}

/// A line that is being written.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
    state: State,
    checked: usize,
    found: bool,
}

impl Line {
    fn begin(&mut self) {
        self.text.clear();
        (self.checked, self.found) = (0, false);
    }

    /// Takes a byte in; whether the line ends with it.
    fn take(&mut self, byte: u8) -> bool {
        match self.state {
            State::Text => return self.text(byte),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Sequence,
                    b']' | b'P' | b'X' | b'^' | b'_' => State::String,
                    _ => State::Text,
                }
            }
            State::Sequence if (0x40..=0x7e).contains(&byte) => {
                self.state = State::Text;
                // The cursor goes elsewhere: what is written there is another line.
                return matches!(byte, b'A' | b'B' | b'E' | b'F' | b'H' | b'J' | b'd' | b'f') && !self.text.is_empty();
            }
            State::Sequence => {}
            State::String => match byte {
                0x07 | 0x18 | 0x1a => self.state = State::Text,
                0x1b => self.state = State::StringEscape,
                _ => {}
            },
            State::StringEscape => self.state = if byte == b'\\' { State::Text } else { State::String },
        }
        false
    }

    fn text(&mut self, byte: u8) -> bool {
        match byte {
            0x1b => self.state = State::Escape,
            b'\n' | b'\r' | 0x0b | 0x0c => return !self.text.is_empty(),
            0x08 | 0x7f => {
                self.text.pop();
            }
            b'\t' => self.text.push(b' '),
            0..=0x1f => {}
            _ => self.text.push(byte),
        }
        self.text.len() >= LINE
    }
}

#[cfg(test)]
mod tests;
