//! Recorded output, made harmless for the terminal of whoever looks at it.
//!
//! What a target wrote is the attacker's text. It runs through a terminal parser, and only what an allow-list names is
//! written again, in one canonical form: text, colours, cursor movement, erasing, scrolling, the alternate screen.
//! Nothing that makes a terminal answer, remember, open, copy or beep comes out.

use crate::output::is_steering;
use sallyport_recording::{EventRef, WhatRef};
use std::collections::BTreeMap;
use vte::{Params, Parser, Perform};

/// Largest number in a sequence: more columns than any screen has, and few enough that a repetition is no flood.
const MOST: u16 = 999;
/// Bytes of one control string after which it is aborted: the parser holds them in memory.
const LONGEST: usize = 64 * 1024;
/// Bytes handed to the parser at once, so that [`LONGEST`] holds about.
const PIECE: usize = 4096;
/// Channels whose sequences are followed at once.
const CHANNELS: usize = 64;
/// Ends any control string (ECMA-48 section 8.3.6).
const CANCEL: &[u8] = b"\x18";

/// The special graphics of the VT100 from 0x60 on, so that frames are drawn without changing the terminal's own sets.
const GRAPHICS: &str = "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";

/// Shows the output of a session, event by event.
#[derive(Default)]
pub(crate) struct Screen {
    channels: BTreeMap<u32, Channel>,
    paint: Paint,
}

/// One channel: a sequence that one begins is not ended by another.
#[derive(Default)]
struct Channel {
    parser: Parser,
    graphics: Graphics,
    /// INVARIANT: the parser never sees a part of a character at the end of a piece: it would lose the one after it
    /// (vte 0.15, `advance_partial_utf8`), and what is lost is hidden from the viewer.
    held: Vec<u8>,
}

impl Screen {
    /// What of an event may be written to a terminal. Only output is shown; sequences may be cut anywhere.
    pub(crate) fn show(&mut self, event: &EventRef<'_>) -> Vec<u8> {
        match event.what {
            WhatRef::Output(bytes) | WhatRef::Stderr(bytes) => self.feed(event.channel, bytes),
            WhatRef::Close { .. } => {
                self.channels.remove(&event.channel);
            }
            WhatRef::Input(_)
            | WhatRef::Hidden(_)
            | WhatRef::Content { .. }
            | WhatRef::Kept(_)
            | WhatRef::Resize { .. }
            | WhatRef::Open { .. }
            | WhatRef::Signal(_)
            | WhatRef::Mark { .. } => {}
        }
        std::mem::take(&mut self.paint.out)
    }

    /// What brings the viewer's terminal back: its main screen, a visible cursor, no colours, the whole screen scrolling.
    pub(crate) fn restore(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.paint.changed {
            // Setting the margins moves the cursor, so it is saved around them.
            out.extend_from_slice(b"\x1b7\x1b[r\x1b8\x1b[4l\x1b[?7h");
            if self.paint.alternate {
                out.extend_from_slice(b"\x1b[?1049l");
            }
            out.extend_from_slice(b"\x1b[?25h\x1b[0m");
        }
        out
    }

    fn feed(&mut self, channel: u32, bytes: &[u8]) {
        if self.channels.len() >= CHANNELS && !self.channels.contains_key(&channel) {
            self.channels.pop_first();
        }
        let Channel { parser, graphics, held } = self.channels.entry(channel).or_default();
        for piece in bytes.chunks(PIECE) {
            held.extend_from_slice(piece);
            let whole = held.len() - partial(held);
            let mut filter = Filter { paint: &mut self.paint, graphics };
            filter.graphics.silent = filter.graphics.silent.saturating_add(whole);
            parser.advance(&mut filter, held.get(..whole).unwrap_or_default());
            held.drain(..whole);
            if filter.graphics.silent > LONGEST {
                parser.advance(&mut filter, CANCEL);
                filter.graphics.silent = 0;
            }
        }
    }
}

/// Length of the beginning of a UTF-8 character at the end of these bytes, where there may be more to come (RFC 3629).
fn partial(bytes: &[u8]) -> usize {
    let mut length = 0;
    for byte in bytes.iter().rev().take(3) {
        length += 1;
        let wanted = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if wanted > length { length } else { 0 };
    }
    0
}

/// What has been written, and what must be undone at the end.
#[derive(Default)]
struct Paint {
    out: Vec<u8>,
    /// Whether any sequence was written at all.
    changed: bool,
    /// Whether the alternate screen is shown.
    alternate: bool,
}

impl Paint {
    fn sequence(&mut self, bytes: &[u8]) {
        self.changed = true;
        self.out.extend_from_slice(bytes);
    }

    /// `CSI`, a mark, numbers, a final byte.
    fn csi(&mut self, mark: &str, numbers: &[u16], last: char) {
        let numbers: Vec<_> = numbers.iter().map(|n| n.min(&MOST).to_string()).collect();
        self.sequence(format!("\x1b[{mark}{}{last}", numbers.join(";")).as_bytes());
    }
}

/// Which of the two character sets G0 and G1 are special graphics, and which is in use.
#[derive(Default)]
struct Graphics {
    sets: [bool; 2],
    second: bool,
    /// Bytes since anything last came of them.
    silent: usize,
}

struct Filter<'a> {
    paint: &'a mut Paint,
    graphics: &'a mut Graphics,
}

impl Perform for Filter<'_> {
    fn print(&mut self, c: char) {
        self.graphics.silent = 0;
        // INVARIANT: the parser hands C1 controls and DEL here in some cuts of the stream; they go nowhere.
        if c.is_control() || is_steering(c) {
            return;
        }
        let [first, second] = self.graphics.sets;
        let drawn = if self.graphics.second { second } else { first };
        let place = u32::from(c).checked_sub(0x60).filter(|_| drawn).and_then(|n| usize::try_from(n).ok());
        let c = place.and_then(|n| GRAPHICS.chars().nth(n)).unwrap_or(c);
        self.paint.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn execute(&mut self, byte: u8) {
        self.graphics.silent = 0;
        match byte {
            0x08 | b'\t' | b'\n' | b'\r' => self.paint.out.push(byte),
            // Vertical tab and form feed are line feeds to every terminal (xterm, "ctlseqs").
            0x0b | 0x0c => self.paint.out.push(b'\n'),
            0x0e => self.graphics.second = true,
            0x0f => self.graphics.second = false,
            _ => {}
        }
    }

    fn hook(&mut self, _: &Params, _: &[u8], _: bool, _: char) {
        self.graphics.silent = 0;
    }

    fn put(&mut self, _: u8) {
        // Not held by the parser: as long as it likes.
        self.graphics.silent = 0;
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.graphics.silent = 0;
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        self.graphics.silent = 0;
        if ignore {
            return;
        }
        let numbers: Vec<u16> = params.iter().filter_map(|p| p.first().copied()).collect();
        let plain = params.iter().all(|p| p.len() == 1);
        match (intermediates, action, numbers.as_slice()) {
            ([], 'm', _) => self.colours(params),
            ([b'?'], 'h' | 'l', modes) => modes.iter().for_each(|mode| self.mode(*mode, action)),
            _ if !plain => {}
            // Cursor: up, down, forward, back, next and previous line, column, row, tabs.
            (
                [],
                'A' | 'B' | 'C' | 'D' | 'E' | 'F' | 'G' | 'I' | 'Z' | '`' | 'a' | 'd' | 'e',
                [_],
            )
            // Position; insert and delete; scroll up and down (with more numbers `T` tracks the mouse); repeat; margins.
            | ([], 'H' | 'f' | 'r', [] | [_] | [_, _])
            | ([], '@' | 'P' | 'L' | 'M' | 'X' | 'S' | 'T' | 'b', [_])
            // Erase; 3 would take away what the viewer's terminal remembers.
            | ([], 'J' | 'K', [0..=2])
            // Save and restore the cursor; with numbers these are other functions.
            | ([], 's' | 'u', [0])
            // Insert mode, which is taken back at the end.
            | ([], 'h' | 'l', [4]) => {
                let numbers = if matches!(action, 's' | 'u') { &[] } else { numbers.as_slice() };
                self.paint.csi("", numbers, action);
            }
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], ignore: bool, byte: u8) {
        self.graphics.silent = 0;
        if ignore {
            return;
        }
        match (intermediates, byte) {
            // Index, next line, reverse index, save and restore the cursor.
            ([], b'D' | b'E' | b'M' | b'7' | b'8') => self.paint.sequence(&[0x1b, byte]),
            // A full reset would reset the viewer's terminal; it becomes an empty screen.
            ([], b'c') => {
                self.graphics.sets = [false; 2];
                self.graphics.second = false;
                self.paint.sequence(b"\x1b[0m\x1b[?25h\x1b[r\x1b[H\x1b[2J");
            }
            ([b'('], set) => self.graphics.sets[0] = set == b'0',
            ([b')'], set) => self.graphics.sets[1] = set == b'0',
            _ => {}
        }
    }
}

impl Filter<'_> {
    /// Select graphic rendition. What conceals text is left out: a recording hides nothing.
    fn colours(&mut self, params: &Params) {
        let mut out = Vec::new();
        let mut groups = params.iter();
        while let Some(group) = groups.next() {
            match group {
                [8] => {}
                // A colour in the old form takes the numbers that follow, which are no renditions themselves.
                [what @ (38 | 48 | 58)] => {
                    let Some([kind @ (2 | 5)]) = groups.next() else { break };
                    let count = if *kind == 2 { 3 } else { 1 };
                    let colour: Vec<u16> = groups.by_ref().take(count).filter_map(|p| p.first().copied()).collect();
                    if colour.len() == count {
                        out.extend([*what, *kind].into_iter().chain(colour).map(bounded));
                    }
                }
                [4 | 38 | 48 | 58, ..] | [_] => {
                    out.push(group.iter().map(|n| bounded(*n)).collect::<Vec<_>>().join(":"));
                }
                _ => {}
            }
        }
        if !out.is_empty() {
            self.paint.sequence(format!("\x1b[{}m", out.join(";")).as_bytes());
        }
    }

    /// Modes of the screen. Those of the keyboard, the mouse, pasting and reports are not among them.
    fn mode(&mut self, mode: u16, action: char) {
        match mode {
            // Automatic wrap, cursor.
            7 | 25 => self.paint.csi("?", &[mode], action),
            // Three ways to the alternate screen become the one that `restore` takes back.
            47 | 1047 | 1049 => {
                self.paint.alternate = action == 'h';
                self.paint.sequence(format!("\x1b[?1049{action}").as_bytes());
            }
            _ => {}
        }
    }
}

fn bounded(number: u16) -> String {
    number.min(MOST).to_string()
}

#[cfg(test)]
mod tests;
