//! The face of a terminal: lines that the gateway itself shows there, without harm to what a program has drawn.
//!
//! A shell gets them as lines of its scrollback, with a bell. Where a program has the screen for itself they stand in the first
//! row for a while, and then the screen is painted as it was, from the model of it that the recording feeds. Nothing is
//! shown in the middle of a sequence that the target has begun.

use crate::client::Writer;
use crate::events::line;
use sallyport_gateway::spine::{Live, Notice};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// How long a line stands in the first row.
const STANDS: Duration = Duration::from_secs(6);
/// How long a target may leave a sequence unfinished before a line is shown all the same.
const UNFINISHED: Duration = Duration::from_secs(1);

/// Rows that a question may have: its end, which says what a key does, must be read too.
const ROWS: usize = 4;
/// Breaks off whatever sequence the target has begun (ECMA-48 section 5.4), so that the next one is read.
const BREAK: &[u8] = b"\x18\x1b\\";
/// Takes back what would keep a line from being read: margins, lines that are not wrapped, colours without contrast, letters that
/// are drawn as something else or not at all. The cursor stays.
const PLAIN: &[u8] = b"\x1b7\x1b[?69l\x1b[r\x1b8\x1b[?7h\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x0f\x1b(B\x1b[0m";

/// Columns that a first row needs for a line: a client that did not say how large it is has fewer.
const NARROWEST: u16 = 20;

/// What the gateway shows in one channel.
pub(super) struct Face<'a> {
    live: Live,
    number: u32,
    write: &'a Writer,
    /// Whether somebody sees it: a channel without a terminal shows hints alone.
    shows: bool,
    sequence: Sequence,
    waiting: Waiting,
    /// When the first row is given back.
    restore: Option<Instant>,
    /// What holds until it is over.
    standing: Option<String>,
}

/// What is to be done.
pub(super) enum Due {
    Show(Notice),
    Restore,
}

impl<'a> Face<'a> {
    /// The face of a channel, which shows what was said since this part in the session was taken.
    pub(super) fn new(live: Live, number: u32, (write, shows): (&'a Writer, bool)) -> Self {
        Self {
            live,
            number,
            write,
            shows,
            sequence: Sequence::default(),
            waiting: Waiting::default(),
            restore: None,
            standing: None,
        }
    }

    /// Whether the user is asked here about something that the target wants: then nothing of the target's is shown.
    pub(super) fn asks(&self) -> bool {
        self.shows && self.live.holds_target()
    }

    /// Notes what the target wrote and the client was sent.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        if self.shows {
            self.sequence.feed(bytes);
        }
    }

    /// Resolves when something is to be done. May be dropped at any time.
    pub(super) async fn due(&mut self) -> Due {
        while !self.shows {
            if let notice @ Notice::Hint(_) = self.live.notice().await {
                return Due::Show(notice);
            }
        }
        loop {
            let (now, over) = (Instant::now(), self.sequence.is_over());
            if let Some(notice) = self.waiting.next(over, now) {
                return Due::Show(notice);
            }
            if over && self.restore.is_some_and(|at| at <= now) {
                self.restore = None;
                return Due::Restore;
            }
            let look = [self.waiting.until, self.restore].into_iter().flatten().filter(|at| *at > now).min();
            tokio::select! {
                notice = self.live.notice() => self.waiting.push(notice),
                () = at(look) => {}
            }
        }
    }

    /// Does it.
    pub(super) async fn act(&mut self, due: Due) {
        let text = match &due {
            Due::Show(notice) => {
                match notice {
                    Notice::Line(_) | Notice::Hint(_) => {}
                    Notice::Begins(text) | Notice::Asks(text, _) => self.standing = Some(text.clone()),
                    Notice::Ends(_) => self.standing = None,
                }
                Some(notice.text().to_owned())
            }
            Due::Restore => self.standing.clone(),
        };
        let number = match &due {
            Due::Show(Notice::Asks(_, number)) => Some(*number),
            _ => None,
        };
        let asks = number.is_some();
        if !self.shows {
            return self.write.say(&text.unwrap_or_default()).await;
        }
        let Writer::Channel(_) = self.write else {
            // Beside the screen, and so in nobody's way.
            if let (Due::Show(_), Some(text)) = (due, text) {
                self.write.say(&text).await;
            }
            return self.shown(number);
        };
        let painted =
            self.live.terminal(self.number).await.filter(|painted| painted.alternate && painted.size.cols >= NARROWEST);
        match (painted, text) {
            (Some(painted), Some(text)) => {
                let passes = matches!(&due, Due::Show(Notice::Line(_) | Notice::Hint(_) | Notice::Ends(_)));
                self.restore = passes.then(|| Instant::now() + STANDS);
                let rows = if asks { ROWS.min(painted.size.rows.into()) } else { 1 };
                let drawn = first_rows(&text, painted.size.cols.into(), rows);
                let before = if asks { BREAK } else { b"" };
                let _ = self.write.output([before, &drawn].concat().into()).await;
            }
            (Some(painted), None) => {
                // Back to the other screen first: what is painted begins with it.
                let bytes = [b"\x1b[?1047l".as_slice(), &painted.bytes].concat();
                let _ = self.write.output(bytes.into()).await;
            }
            // Where the target's output went, and behind it.
            (None, Some(text)) if asks => {
                let asked = [BREAK, PLAIN, b"\x07", line(&text).as_bytes()].concat();
                let _ = self.write.output(asked.into()).await;
            }
            (None, Some(text)) if matches!(due, Due::Show(_)) => self.write.ring(&text).await,
            (None, _) => {}
        }
        self.shown(number);
    }

    /// A question is on the screen, and what the target had begun there is not.
    fn shown(&mut self, question: Option<u64>) {
        if let Some(number) = question {
            self.sequence = Sequence::Over;
            self.live.shows_question(number);
        }
    }
}

/// Lines that wait for the end of a sequence.
#[derive(Default)]
struct Waiting {
    lines: VecDeque<Notice>,
    /// Until when: then all of them are shown, whatever the target has begun.
    until: Option<Instant>,
}

impl Waiting {
    fn push(&mut self, notice: Notice) {
        self.lines.push_back(notice);
        self.until.get_or_insert_with(|| Instant::now() + UNFINISHED);
    }

    /// The next one that may be shown, now that a sequence is over or not.
    fn next(&mut self, over: bool, now: Instant) -> Option<Notice> {
        // A sequence that the target holds open must not swallow a question: it is broken off.
        let asks = self.lines.iter().any(|notice| matches!(notice, Notice::Asks(..)));
        let next =
            if asks || over || self.until.is_some_and(|until| until <= now) { self.lines.pop_front() } else { None };
        if self.lines.is_empty() {
            self.until = None;
        }
        next
    }
}

async fn at(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Draws a line in the first rows, with a bell, and leaves the cursor where it was.
fn first_rows(text: &str, cols: usize, rows: usize) -> Vec<u8> {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text: Vec<char> = format!(" sallyport: {text}").chars().collect();
    let mut drawn = String::from("\x07\x1b7\x0f\x1b(B");
    for (number, row) in (1..).zip(text.chunks(cols.max(1)).take(rows)) {
        // As long as the row, and not longer: it must not run into the next one.
        let row: String = row.iter().copied().chain(std::iter::repeat(' ')).take(cols).collect();
        let _ = write!(drawn, "\x1b[{number};1H\x1b[0;7m{row}");
    }
    drawn.push_str("\x1b[0m\x1b8");
    drawn.into_bytes()
}

/// Whether what was written so far ends in the middle of a control sequence (ECMA-48 section 5.4) or of a character.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Sequence {
    #[default]
    Over,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate.
    Intermediate,
    /// Within a control sequence.
    Control,
    /// Within a string that BEL or ST ends.
    Text,
    /// After ESC within such a string.
    TextEscape,
    /// So many bytes of a character are to come.
    Character(u8),
}

impl Sequence {
    fn is_over(self) -> bool {
        self == Self::Over
    }

    fn feed(&mut self, bytes: &[u8]) {
        // Of what is plain, which most is, many bytes are looked at in one go.
        let begins = |found: bool, byte: &u8| found | (*byte == 0x1b) | (*byte >= 0xc2);
        for piece in bytes.chunks(64) {
            if !self.is_over() || piece.iter().fold(false, begins) {
                *self = piece.iter().fold(*self, |state, byte| state.next(*byte));
            }
        }
    }

    const fn next(self, byte: u8) -> Self {
        match (self, byte) {
            // CAN and SUB end everything; ESC begins anew, but within a string.
            (_, 0x18 | 0x1a) => Self::Over,
            (Self::Text, 0x1b) => Self::TextEscape,
            (_, 0x1b) => Self::Escape,
            (Self::Escape, b'[') => Self::Control,
            (Self::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Self::Text,
            (Self::Escape | Self::Intermediate, 0x20..=0x2f) => Self::Intermediate,
            (Self::Control, 0x40..=0x7e) => Self::Over,
            (Self::Control, _) => Self::Control,
            (Self::Text, 0x07) => Self::Over,
            (Self::Text, _) => Self::Text,
            (Self::Character(more @ 2..), 0x80..=0xbf) => Self::Character(more.saturating_sub(1)),
            (Self::Over | Self::Character(_), 0xc2..=0xdf) => Self::Character(1),
            (Self::Over | Self::Character(_), 0xe0..=0xef) => Self::Character(2),
            (Self::Over | Self::Character(_), 0xf0..=0xf4) => Self::Character(3),
            _ => Self::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bytes: &[u8]) -> Sequence {
        let mut state = Sequence::default();
        state.feed(bytes);
        state
    }

    #[test]
    fn a_line_waits_for_the_end_of_what_the_target_has_begun() {
        for whole in [
            "plain".as_bytes(),
            b"\x1b[1;31m",
            b"\x1b]0;title\x07",
            b"\x1b]0;title\x1b\\",
            b"\x1b(B",
            b"\x1bP+q\x1b\\",
            b"\x1b[1;\x18",
            "grüße €𝄞".as_bytes(),
        ] {
            assert!(after(whole).is_over(), "{whole:?}");
        }
        for cut in [
            b"x\x1b".as_slice(),
            b"\x1b[",
            b"\x1b[1;3",
            b"\x1b]0;tit",
            b"\x1b]0;title\x1b",
            b"\x1b(",
            "€".as_bytes().split_last().unwrap().1,
        ] {
            assert!(!after(cut).is_over(), "{cut:?}");
        }
    }

    #[test]
    fn lines_do_not_wait_for_a_sequence_that_does_not_end() {
        let mut waiting = Waiting::default();
        let line = |text: &str| Notice::Line(text.into());
        for text in ["a", "b", "c"] {
            waiting.push(line(text));
        }
        let now = Instant::now();
        assert_eq!(waiting.next(false, now), None);
        for text in ["a", "b", "c"] {
            assert_eq!(
                waiting.next(false, now + UNFINISHED),
                Some(line(text)),
                "one after the other, and not the first alone"
            );
        }
        assert_eq!((waiting.next(true, now), waiting.until), (None, None));
        // What comes later waits anew; a question does not, and what stands before it goes first.
        waiting.push(line("d"));
        assert_eq!(waiting.next(false, now), None);
        let asks = Notice::Asks("e".into(), 1);
        waiting.push(asks.clone());
        assert_eq!((waiting.next(false, now), waiting.next(false, now)), (Some(line("d")), Some(asks)));
        waiting.push(line("f"));
        assert_eq!(waiting.next(true, now), Some(line("f")));
    }

    #[test]
    fn many_bytes_at_once_come_to_the_same_as_one_by_one() {
        let text = format!("{}\x1b[1m{}€\x1b]0;{}\x07\u{85}", "plain ".repeat(40), "x".repeat(61), "t".repeat(200));
        for end in 0..=text.len() {
            let (bytes, mut one) = (&text.as_bytes()[..end], Sequence::default());
            bytes.iter().for_each(|byte| one.feed(&[*byte]));
            assert_eq!(after(bytes), one, "{end}");
        }
    }

    #[test]
    fn the_first_row_is_filled_and_not_left() {
        let row = String::from_utf8(first_rows("a\x1b[2Jb", 20, 1)).unwrap();
        assert!(row.contains("\x1b[0;7m sallyport: a [2Jb  \x1b[0m"), "{row:?}");
        let long = String::from_utf8(first_rows(&"x".repeat(500), 30, 1)).unwrap();
        assert!(long.contains(&format!("\x1b[0;7m sallyport: {}\x1b[0m", "x".repeat(18))), "{long:?}");
        let question = String::from_utf8(first_rows(&"x".repeat(40), 30, 4)).unwrap();
        let rows = format!("\x1b[1;1H\x1b[0;7m sallyport: {}\x1b[2;1H\x1b[0;7m{}", "x".repeat(18), "x".repeat(22));
        assert!(question.contains(&format!("{rows}{}\x1b[0m", " ".repeat(8))), "{question:?}");
    }
}
