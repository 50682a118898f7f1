//! A text, character by character.

/// A reader of characters.
pub(super) struct Chars {
    chars: Vec<char>,
    at: usize,
}

impl Chars {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn ahead(&self, by: usize) -> Option<char> {
        self.chars.get(self.at.checked_add(by)?).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    pub(super) fn skip(&mut self, by: usize) {
        self.at = self.at.saturating_add(by).min(self.chars.len());
    }

    /// Takes the text where it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let here = text.chars().enumerate().all(|(by, c)| self.ahead(by) == Some(c));
        if here {
            self.skip(text.chars().count());
        }
        here
    }

    /// Where it is, to come back to.
    pub(super) const fn place(&self) -> usize {
        self.at
    }

    pub(super) fn back(&mut self, place: usize) {
        self.at = place;
    }

    /// What comes before the next line's end.
    pub(super) fn rest_of_line(&self) -> String {
        self.chars.iter().skip(self.at).take_while(|c| **c != '\n').collect()
    }

    /// Takes the lines that follow this one out of the text, up to a line that is `end`; `tabs` at their beginnings do
    /// not count.
    pub(super) fn cut(&mut self, end: &str, tabs: bool) -> Option<String> {
        let mut at = self.chars.iter().skip(self.at).position(|c| *c == '\n')?.saturating_add(self.at);
        let from = at.saturating_add(1);
        let mut body = String::new();
        loop {
            at = at.saturating_add(1);
            let line: String = self.chars.get(at..)?.iter().take_while(|c| **c != '\n').collect();
            let past = at.saturating_add(line.chars().count());
            let line = if tabs { line.trim_start_matches('\t') } else { line.as_str() };
            if line == end {
                self.chars.drain(from..past.saturating_add(1).min(self.chars.len()));
                return Some(body);
            }
            if past >= self.chars.len() {
                return None;
            }
            body.push_str(line);
            body.push('\n');
            at = past;
        }
    }
}
