//! A text, character by character.

/// A reader of characters. A backslash at a line's end joins it with the next (POSIX section 2.2.1), in the middle of words
/// and operators too: only [`Self::raw`] and [`Self::line`] see it.
pub(super) struct Chars {
    chars: Vec<char>,
    at: usize,
}

impl Chars {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0 }
    }

    /// This place, or the first behind the joints that stand here.
    fn past(&self, mut at: usize) -> usize {
        while self.chars.get(at) == Some(&'\\') && self.chars.get(at.saturating_add(1)) == Some(&'\n') {
            at = at.saturating_add(2);
        }
        at
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.past(self.at)).copied()
    }

    pub(super) fn ahead(&self, by: usize) -> Option<char> {
        let at = (0..by).fold(self.past(self.at), |at, _| self.past(at.saturating_add(1)));
        self.chars.get(at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        self.at = self.past(self.at);
        self.raw()
    }

    /// The next character as it stands: within single quotes, in a comment, behind a backslash.
    pub(super) fn raw(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied()?;
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    pub(super) fn skip(&mut self, by: usize) {
        for _ in 0..by {
            self.next();
        }
    }

    /// Takes the text where it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let here = text.chars().enumerate().all(|(by, c)| self.ahead(by) == Some(c));
        if here {
            self.skip(text.chars().count());
        }
        here
    }

    /// Whether the text ends in the middle of a line that goes on.
    pub(super) fn dangles(&self) -> bool {
        self.peek().is_none() && self.at < self.chars.len()
    }

    /// Where it is, to come back to.
    pub(super) const fn place(&self) -> usize {
        self.at
    }

    pub(super) fn back(&mut self, place: usize) {
        self.at = place;
    }

    /// What was read from one place to another.
    pub(super) fn between(&self, from: usize, to: usize) -> &[char] {
        self.chars.get(from..to).unwrap_or_default()
    }

    /// Skips a comment.
    pub(super) fn comment(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| *c != '\n') {
            self.at = self.at.saturating_add(1);
        }
    }

    /// The next line, taken without its end; `joined` with those that it goes on with.
    pub(super) fn line(&mut self, joined: bool) -> Option<String> {
        self.chars.get(self.at)?;
        let mut line = String::new();
        let mut slashes = 0_usize;
        while let Some(c) = self.raw() {
            match c {
                '\n' if joined && slashes % 2 == 1 => drop(line.pop()),
                '\n' => return Some(line),
                c => line.push(c),
            }
            slashes = if c == '\\' { slashes.saturating_add(1) } else { 0 };
        }
        Some(line)
    }
}
