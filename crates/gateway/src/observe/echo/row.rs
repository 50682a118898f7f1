//! The row in which the cursor of a terminal stands, as far as it says what is new in it and what is only drawn again.

use super::super::screen::partial;
use avt::parser::{Function, Parser};

/// Longest row that is followed, in characters.
const LONGEST: usize = 4096;

/// What a target's output did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Drawn {
    /// A character stands where another or none was.
    New(char),
    /// The same character was written again where it stood, or a blank over it.
    Again(char),
    /// The cursor went to the begin of the row.
    Return,
    /// The cursor went to the next line.
    Line,
}

/// A row.
pub(super) struct Row {
    parser: Parser,
    /// The beginning of a character whose rest has not come.
    held: Vec<u8>,
    cells: Vec<char>,
    at: usize,
    /// What was written last, and whether the cursor has returned since, and done nothing else.
    last: Option<(char, bool)>,
}

impl Row {
    /// The row after this output.
    pub(super) fn after(recent: &[u8]) -> Self {
        let mut row = Self { parser: Parser::new(), held: Vec::new(), cells: Vec::new(), at: 0, last: None };
        // What was cut off in a character or a sequence is some cells too many: they only make what is new look new.
        row.feed(recent, |_| {});
        row
    }

    /// Takes in output, and tells what it did.
    pub(super) fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(Drawn)) {
        self.held.extend_from_slice(bytes);
        let whole = self.held.len().saturating_sub(partial(&self.held));
        let rest = self.held.split_off(whole);
        let text = std::mem::replace(&mut self.held, rest);
        for c in String::from_utf8_lossy(&text).chars() {
            if let Some(drawn) = self.parser.feed(c).and_then(|function| self.draw(&function)) {
                tell(drawn);
            }
        }
    }

    fn draw(&mut self, function: &Function) -> Option<Drawn> {
        let steps = |n: u16| usize::from(n.max(1));
        let last = self.last.take();
        match *function {
            Function::Print(c) => {
                self.last = Some((c, false));
                // Over the end of a row, editors write what comes next, return, and write it again.
                return Some(if last == Some((c, true)) { Drawn::Again(c) } else { self.print(c) });
            }
            Function::Lf | Function::Nel | Function::Cnl(_) => {
                self.clear();
                return Some(Drawn::Line);
            }
            Function::Cr => {
                self.last = last.map(|(c, _)| (c, true));
                self.at = 0;
                return Some(Drawn::Return);
            }
            Function::Bs => self.at = self.at.saturating_sub(1),
            Function::Cub(n) => self.at = self.at.saturating_sub(steps(n)),
            Function::Cuf(n) => self.at = self.at.saturating_add(steps(n)).min(self.cells.len()),
            Function::Cha(n) => self.at = usize::from(n).saturating_sub(1).min(self.cells.len()),
            Function::El(_) | Function::Ed(_) => self.cells.truncate(self.at),
            Function::Dch(n) => {
                let end = self.at.saturating_add(steps(n)).min(self.cells.len());
                self.cells.drain(self.at.min(end)..end);
            }
            // Another row: what stands there is not known.
            Function::Cup(..)
            | Function::Vpa(_)
            | Function::Vpr(_)
            | Function::Cuu(_)
            | Function::Cud(_)
            | Function::Cpl(_)
            | Function::Ri
            | Function::Ris
            | Function::Decrc
            | Function::Scorc => self.clear(),
            _ => {}
        }
        None
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.at = 0;
    }

    fn print(&mut self, c: char) -> Drawn {
        if self.cells.len() >= LONGEST {
            self.clear();
        }
        let drawn = match self.cells.get_mut(self.at) {
            Some(cell) if *cell == c || c == ' ' => {
                *cell = c;
                Drawn::Again(c)
            }
            // A line that is being edited makes room for what is put into it, and draws what follows again.
            _ => {
                self.cells.insert(self.at.min(self.cells.len()), c);
                Drawn::New(c)
            }
        };
        self.at = self.at.saturating_add(1).min(self.cells.len());
        drawn
    }
}
