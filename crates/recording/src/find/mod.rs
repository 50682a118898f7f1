//! Finding text in a recording: on the screen, as typed, and in commands.
//!
//! What a target wrote is taken as lines: control sequences are left out, and where the cursor jumps a line ends.

use crate::event::{EventRef, WhatRef};
use crate::lines::Line;
use std::collections::BTreeMap;

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
    lines: BTreeMap<(u32, bool), Looked>,
    hits: Vec<Hit>,
}

/// A line, and how far it was looked at.
#[derive(Default)]
struct Looked {
    line: Line,
    checked: usize,
    found: bool,
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
        let mut looked = self.lines.remove(&stream).unwrap_or_default();
        for byte in bytes {
            if looked.line.take(*byte) {
                self.check(&mut looked, at);
                looked.line.begin();
                (looked.checked, looked.found) = (0, false);
            }
        }
        self.check(&mut looked, at);
        self.lines.insert(stream, looked);
    }

    /// Looks at a line as far as it has come. One line is found once.
    fn check(&mut self, looked: &mut Looked, at: u64) {
        let bytes = looked.line.bytes();
        if looked.found || bytes.is_empty() || bytes.len() == looked.checked || self.hits.len() >= self.most {
            return;
        }
        looked.checked = bytes.len();
        let text = looked.line.text();
        if text.to_lowercase().contains(&self.wanted) {
            looked.found = true;
            self.hit(at, &text);
        }
    }
}

#[cfg(test)]
mod tests;
