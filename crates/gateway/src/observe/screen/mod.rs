//! A terminal as it is: what was written to it so far, as a screen that can be painted again.

use sallyport_model::door::Size;

/// Rows and columns of a picture at most: what a tile of the wall can show.
const PICTURE: (usize, usize) = (200, 400);
/// Longest private mode sequence that is followed.
const LONGEST: usize = 64;

/// The screen of one channel.
pub(super) struct Screen {
    terminal: avt::Terminal,
    /// The beginning of a character whose rest has not come.
    held: Vec<u8>,
    modes: Modes,
}

/// A screen on which nothing happens: what paints it again, which is a small part of its cells.
pub(super) struct Folded {
    size: Size,
    painting: Box<[u8]>,
}

impl Folded {
    #[cfg(test)]
    pub(super) fn size_in_memory(&self) -> usize {
        self.painting.len()
    }

    /// The screen as it was.
    pub(super) fn unfold(&self) -> Option<Screen> {
        let mut screen = Screen::new(self.size)?;
        screen.feed(&self.painting);
        Some(screen)
    }
}

impl Screen {
    pub(super) fn new(size: Size) -> Option<Self> {
        let terminal = avt::Terminal::new(size.cols.into(), size.rows.into()).ok()?;
        Some(Self { terminal, held: Vec::new(), modes: Modes::default() })
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.terminal.resize(size.cols.into(), size.rows.into());
    }

    /// Takes in what the target wrote, cut anywhere.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let whole = self.held.len().saturating_sub(partial(&self.held));
        let text = String::from_utf8_lossy(self.held.get(..whole).unwrap_or_default());
        self.modes.feed(&text);
        self.terminal.feed(&*text);
        self.held.drain(..whole);
    }

    /// Forgets a sequence that was begun: what follows does not belong to it.
    pub(super) fn cut(&mut self) {
        self.held.clear();
        self.feed(b"\x18");
    }

    pub(super) fn size(&self) -> Size {
        let (cols, rows) = self.terminal.size();
        let small = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        Size { cols: small(cols), rows: small(rows) }
    }

    /// What makes an empty terminal of the same size look and behave like this one.
    pub(super) fn repaint(&self) -> Vec<u8> {
        let mut bytes = b"\x1b[!p\x1b[2J\x1b[H".to_vec();
        bytes.extend_from_slice(self.modes.set().as_bytes());
        bytes.extend_from_slice(self.terminal.dump().as_bytes());
        bytes.extend_from_slice(&self.held);
        bytes
    }

    /// The same, kept small. Places on it ([`Screen::here`]) are not found again.
    pub(super) fn fold(&self) -> Folded {
        Folded { size: self.size(), painting: self.repaint().into() }
    }

    /// Where the cursor is, to be found again when the screen has moved.
    pub(super) fn here(&mut self) -> avt::Anchor {
        self.terminal.anchor_at_cursor()
    }

    /// What stands before the cursor in its row.
    pub(super) fn before_cursor(&self) -> String {
        let cursor = self.terminal.cursor();
        let screen = self.terminal.screen();
        let row = screen.visible_lines().nth(cursor.row);
        row.map(|line| line.text().chars().take(cursor.col).collect()).unwrap_or_default()
    }

    /// Whether a program has the screen for itself.
    pub(super) fn alternate(&self) -> bool {
        self.terminal.active_screen_kind() == avt::ScreenKind::Alternate
    }

    /// Whether the program wants to be told what is pasted.
    pub(super) fn pastes(&self) -> bool {
        self.modes.set.contains(&2004)
    }

    /// What stands from a place to the end of the line that the cursor is in. Where that place was written over, the line
    /// begins behind its prompt, or else at its first column; so it does where no place is said.
    pub(super) fn since(&self, from: Option<&avt::Anchor>, prompt: &str) -> String {
        let screen = self.terminal.screen();
        let lines: Vec<&avt::Line> = screen.visible_lines().collect();
        let wraps = |row: usize| lines.get(row).is_some_and(|line| line.is_wrapped());
        let cursor = self.terminal.cursor().row;
        let (mut first, mut last) = (cursor, cursor);
        while first > 0 && wraps(first.saturating_sub(1)) {
            first = first.saturating_sub(1);
        }
        while wraps(last) {
            last = last.saturating_add(1);
        }
        let prompted =
            !prompt.trim().is_empty() && lines.get(first).is_some_and(|line| line.text().starts_with(prompt));
        let anchored = from.and_then(|from| self.terminal.resolve(from));
        let anchored = anchored.and_then(|at| Some((usize::try_from(at.row).ok()?, at.col)));
        let (row, col) = match anchored.filter(|(row, _)| *row <= cursor) {
            _ if prompted => (first, prompt.chars().count()),
            Some(at) => at,
            None => (first, 0),
        };
        let mut text = String::new();
        for (at, line) in lines.iter().enumerate().take(last.saturating_add(1)).skip(row) {
            let whole = line.text();
            let whole: String = whole.chars().skip(if at == row { col } else { 0 }).collect();
            if line.is_wrapped() {
                text.push_str(&whole);
            } else {
                text.push_str(whole.trim_end());
                text.push_str(if at < last { "\n" } else { "" });
            }
        }
        text
    }

    /// Its rows as text.
    pub(super) fn lines(&self) -> Vec<String> {
        let (rows, cols) = PICTURE;
        let text = |line: &avt::Line| line.text().trim_end().chars().take(cols).collect();
        let mut lines: Vec<String> = self.terminal.screen().visible_lines().map(text).take(rows).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

/// Length of the beginning of a UTF-8 character at the end of these bytes, where there may be more to come (RFC 3629).
pub(super) fn partial(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let tail = bytes.get(from..).unwrap_or_default();
    let begins = tail.iter().rposition(|byte| !(0x80..=0xbf).contains(byte));
    let Some(rest) = begins.and_then(|at| tail.get(at..)) else { return 0 };
    let wanted = match rest.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    if wanted > rest.len() { rest.len() } else { 0 }
}

/// Modes of keyboard and mouse, which the terminal model leaves out: a shell that was told of pasted text, or an editor that
/// was told of clicks, still wants to be.
#[derive(Default)]
struct Modes {
    set: std::collections::BTreeSet<u16>,
    /// A sequence that was begun: `ESC [ ?` and numbers.
    begun: String,
}

/// Bracketed paste, mouse tracking and its encodings, focus reports (xterm, "ctlseqs").
const FOLLOWED: [u16; 7] = [1000, 1002, 1003, 1004, 1006, 1015, 2004];

impl Modes {
    fn feed(&mut self, text: &str) {
        for c in text.chars() {
            match (self.begun.as_str(), c) {
                (_, '\x1b') => self.begun = "\x1b".into(),
                // The same introducer as one character (ECMA-48 section 8.3.16).
                (_, '\u{9b}') => self.begun = "\x1b[".into(),
                ("", _) => {}
                ("\x1b", '[') | ("\x1b[", '?') => self.begun.push(c),
                // A full reset forgets them all.
                ("\x1b", 'c') => *self = Self::default(),
                ("\x1b" | "\x1b[", _) => self.begun.clear(),
                (_, '0'..='9' | ';') if self.begun.len() < LONGEST => self.begun.push(c),
                (_, 'h' | 'l') => self.done(c == 'h'),
                _ => self.begun.clear(),
            }
        }
    }

    fn done(&mut self, on: bool) {
        let begun = std::mem::take(&mut self.begun);
        let numbers = begun.trim_start_matches("\x1b[?").split(';').filter_map(|n| n.parse().ok());
        for mode in numbers.filter(|mode| FOLLOWED.contains(mode)) {
            if on {
                self.set.insert(mode)
            } else {
                self.set.remove(&mode)
            };
        }
    }

    fn set(&self) -> String {
        self.set.iter().map(|mode| format!("\x1b[?{mode}h")).collect()
    }
}

#[cfg(test)]
mod tests;
