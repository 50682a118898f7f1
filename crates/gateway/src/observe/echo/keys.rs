//! Keys, read off the bytes that a terminal's client sends: text, which may be a secret, and what steers, which is none.

use super::super::screen::partial;

/// One key, or what a client sends like one.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Press {
    /// A character of text.
    Text(char),
    /// What moves or changes text: arrows, backspace, tab, the brackets of a paste.
    Steer(Vec<u8>),
    /// What ends a line and is answered by a new one.
    Enter(u8),
    /// What ends a line in another way: escape, interrupt, end of file.
    End(u8),
    /// What nobody here can tell from text: an encoded key, an answer of the terminal, bytes that are no UTF-8.
    Unread,
}

/// Longest sequence that is taken for a key, in bytes.
const LONGEST: usize = 64;

/// Reads keys. A sequence counts only where it came in one piece, as terminals send it: somebody who types an escape and then a
/// password types no sequence.
#[derive(Default)]
pub(super) struct Keys {
    /// The beginning of a character whose rest has not come.
    held: Vec<u8>,
}

impl Keys {
    /// The keys in the next bytes.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Press> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut keys = Vec::with_capacity(all.len());
        let mut rest = all.as_slice();
        while let Some((first, after)) = rest.split_first() {
            let (key, taken) = match first {
                0x1b => sequence(after),
                b'\r' | b'\n' => (Press::Enter(*first), 1),
                // ^C, ^D, ^O, ^U, ^Z, ^\: they give the line away, run it, or begin it anew.
                0x03 | 0x04 | 0x0f | 0x15 | 0x1a | 0x1c => (Press::End(*first), 1),
                0..=0x1f | 0x7f => (Press::Steer(vec![*first]), 1),
                _ => match character(rest) {
                    Some(key) => key,
                    None => {
                        self.held = rest.to_vec();
                        break;
                    }
                },
            };
            keys.push(key);
            rest = rest.get(taken..).unwrap_or_default();
        }
        keys
    }
}

/// The character that these bytes begin with; none where its rest has not come.
fn character(bytes: &[u8]) -> Option<(Press, usize)> {
    let begun = bytes.get(..bytes.len().min(4)).unwrap_or(bytes);
    let valid = match std::str::from_utf8(begun) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(begun.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
    };
    match valid.chars().next() {
        Some(c) => Some((Press::Text(c), c.len_utf8())),
        None if partial(begun) == begun.len() => None,
        None => Some((Press::Unread, 1)),
    }
}

/// What an escape and the bytes after it are.
fn sequence(after: &[u8]) -> (Press, usize) {
    let alone = (Press::End(0x1b), 1);
    let whole = |length: usize, steers: bool| {
        let taken = length.saturating_add(1);
        let bytes = || [&[0x1b], after.get(..length).unwrap_or_default()].concat();
        (if steers { Press::Steer(bytes()) } else { Press::Unread }, taken)
    };
    match after {
        [b'[', rest @ ..] => {
            let end = rest.iter().take(LONGEST).position(|byte| !(0x20..=0x3f).contains(byte));
            match end.and_then(|end| Some((end, rest.get(end)?, rest.get(..end)?))) {
                Some((end, last, parameters)) if (0x40..=0x7e).contains(last) => {
                    whole(end.saturating_add(2), steers(parameters, *last))
                }
                _ => alone,
            }
        }
        // The keypad can send digits in this way (xterm, "ctlseqs", application keypad): only what has no text steers.
        [b'O', key, ..] if key.is_ascii_alphabetic() => {
            whole(2, matches!(key, b'A'..=b'D' | b'F' | b'H' | b'P'..=b'S'))
        }
        [b']' | b'P' | b'X' | b'^' | b'_', rest @ ..] => {
            let bell = rest.iter().position(|byte| *byte == 0x07).map(|at| at.saturating_add(2));
            let string = rest.windows(2).position(|pair| pair == b"\x1b\\").map(|at| at.saturating_add(3));
            match bell.into_iter().chain(string).min() {
                Some(length) => whole(length, false),
                None => alone,
            }
        }
        _ => alone,
    }
}

/// Whether a control sequence is a key without text, the mouse, a focus report or a bracket of a paste. Keyboards may be told to
/// send text as sequences too (`CSI u`, `CSI 27 ; ... ~`).
fn steers(parameters: &[u8], last: u8) -> bool {
    match last {
        b'A'..=b'D' | b'F' | b'H' | b'I' | b'M' | b'O'..=b'S' | b'Z' | b'c' | b'm' => true,
        b'~' => !parameters.starts_with(b"27;"),
        _ => false,
    }
}
