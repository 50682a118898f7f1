//! What the target shows until the account is become: nothing of it goes on, and one question of it is answered, once.

use super::script::Marks;
use sallyport_model::inventory::By;

/// Bytes that the target may show before.
const MOST: usize = 64 << 10;
/// Longest question of `su`.
const QUESTION: usize = 64;

/// Where something was shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stream {
    Errors,
    Output,
}

/// What is to be done.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Wait for more.
    Wait,
    /// Answer: what was to ask has asked.
    Answer,
    /// These bytes came behind the marks: they are the user's program's.
    Theirs(usize),
    /// It asks again: the answer was not the right one.
    Again,
    /// It shows more than anybody who becomes an account would.
    Flood,
}

/// The gate of one channel.
pub(super) struct Gate {
    by: By,
    /// Where everything is shown that is no program's own: with a terminal both streams are one.
    asks: Stream,
    ready: Vec<u8>,
    prompt: Vec<u8>,
    errors: Side,
    output: Side,
    answered: bool,
}

/// One stream.
struct Side {
    mark: Vec<u8>,
    shown: Vec<u8>,
    /// Where in it what `su` says begins, or what came after the answer.
    from: Option<usize>,
    /// It has shown its mark.
    open: bool,
}

impl Side {
    const fn new(mark: Vec<u8>) -> Self {
        Self { mark, shown: Vec::new(), from: None, open: false }
    }

    /// Takes bytes in; how many of the last ones stand behind the mark.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let looked = self.shown.len().saturating_sub(self.mark.len());
        self.shown.extend_from_slice(bytes);
        let at = find(self.shown.get(looked..).unwrap_or_default(), &self.mark)?;
        self.open = true;
        let end = looked.saturating_add(at).saturating_add(self.mark.len());
        Some(self.shown.len().saturating_sub(end))
    }

    fn said(&self) -> &[u8] {
        self.from.and_then(|from| self.shown.get(from..)).unwrap_or_default()
    }
}

impl Gate {
    /// For a channel with a terminal, or without.
    pub(super) fn new(by: By, terminal: bool, marks: &Marks) -> Self {
        let [errors, output] = &marks.done;
        Self {
            by,
            asks: if terminal { Stream::Output } else { Stream::Errors },
            ready: marks.ready.word(),
            prompt: marks.prompt.word(),
            errors: Side::new(errors.word()),
            output: Side::new(output.word()),
            answered: false,
        }
    }

    /// Whether what comes now is the user's program's, on both streams.
    pub(super) fn is_open(&self) -> bool {
        self.errors.open && self.output.open
    }

    /// Whether the one question was answered.
    pub(super) const fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether what was shown speaks of a terminal, as `sudo` does where it wants one.
    pub(super) fn speaks_of_terminals(&self) -> bool {
        [&self.errors, &self.output].iter().any(|side| find(&side.shown, b"tty").is_some())
    }

    /// Takes in what was shown.
    pub(super) fn shown(&mut self, stream: Stream, bytes: &[u8]) -> Step {
        let (by, asks) = (self.by, stream == self.asks);
        let side = match stream {
            Stream::Errors => &mut self.errors,
            Stream::Output => &mut self.output,
        };
        if side.open {
            return Step::Theirs(bytes.len());
        }
        if let Some(theirs) = side.take(bytes) {
            // A terminal has no other stream, whatever the target sends on it before.
            self.errors.open |= asks && stream == Stream::Output;
            return Step::Theirs(theirs);
        }
        if self.errors.shown.len().saturating_add(self.output.shown.len()) > MOST {
            return Step::Flood;
        }
        if asks { self.asked(by) } else { Step::Wait }
    }

    /// Whether the program asks now.
    fn asked(&mut self, by: By) -> Step {
        let side = match self.asks {
            Stream::Errors => &mut self.errors,
            Stream::Output => &mut self.output,
        };
        let asks = match by {
            By::Sudo => side.shown.ends_with(&self.prompt) && side.from.is_none_or(|from| side.shown.len() > from),
            By::Su => {
                if side.from.is_none() {
                    side.from = find(&side.shown, &self.ready).map(|at| at.saturating_add(self.ready.len()));
                }
                let said = side.said();
                // Before the answer it says this and nothing else; behind it, an account's profile may say anything.
                question(if self.answered { last_line(said) } else { said })
            }
        };
        if !asks {
            return Step::Wait;
        }
        if std::mem::replace(&mut self.answered, true) {
            return Step::Again;
        }
        side.from = Some(side.shown.len());
        Step::Answer
    }
}

/// Whether this is how `su` asks in English: `Password: `.
fn question(said: &[u8]) -> bool {
    let plain = said.iter().all(|byte| (b' '..=b'~').contains(byte));
    let text = said.to_ascii_lowercase();
    let text = text.strip_suffix(b" ").unwrap_or(&text);
    plain && said.len() <= QUESTION && text.ends_with(b":") && find(text, b"password").is_some()
}

fn last_line(said: &[u8]) -> &[u8] {
    said.rsplit(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default()
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len().max(1)).position(|window| window == needle)
}

#[cfg(test)]
mod tests;
