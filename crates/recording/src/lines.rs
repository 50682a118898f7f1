//! What a target wrote, as lines: control sequences are left out, and where the cursor jumps a line ends. That is less than a
//! terminal and enough for words, at a cost that hostile output cannot raise.

use std::borrow::Cow;

/// Longest line, in bytes; what is longer makes further lines.
pub(crate) const LINE: usize = 4096;

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
pub(crate) struct Line {
    text: Vec<u8>,
    state: State,
}

impl Line {
    /// What it has so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// The same, as text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// Begins the next one.
    pub(crate) fn begin(&mut self) {
        self.text.clear();
    }

    /// Takes a byte in; whether the line ends with it.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        match self.state {
            State::Text => return self.write(byte),
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

    fn write(&mut self, byte: u8) -> bool {
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
