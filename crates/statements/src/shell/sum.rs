//! Reckoning: bash looks up the names in it, and the names in what they hold, and runs the substitutions that it finds there.

use super::Word;
use super::read::Reader;
use super::tree::{Part, Raw};

/// Names of names that are followed.
const NAMES: usize = 64;

/// Whether a text that bash reckons with would run something.
pub(super) fn hides(text: &str) -> bool {
    text.contains("$(") || text.contains('`') || text.contains("${")
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}

impl Reader<'_> {
    /// Reckons with what this text has become.
    pub(super) fn sum(&mut self, raw: &Raw, text: &Word) {
        let shown = text.shown();
        let mut odd = hides(&shown);
        // What stands there itself is no name of an unknown value, unless the text has set it to one.
        for part in raw {
            odd |= match part {
                Part::Variable { name, .. } | Part::Slice { name, .. } => self.odd(name),
                Part::Output { .. } => text.text().is_none(),
                _ => false,
            };
        }
        let mut open: Vec<String> = names(&shown).map(str::to_owned).collect();
        let sets = shown.replace("==", "").contains('=') || shown.contains("++") || shown.contains("--");
        let own = open.clone();
        let mut at = 0;
        while let Some(name) = open.get(at).cloned() {
            at = at.saturating_add(1);
            odd |= at > NAMES || self.odd(&name);
            if let Some(value) = self.known(&name).and_then(|value| value.text()).filter(|_| at <= NAMES) {
                odd |= hides(&value);
                let more: Vec<String> =
                    names(&value).filter(|name| !open.iter().any(|o| o == name)).map(str::to_owned).collect();
                open.extend(more);
            }
        }
        if odd {
            self.unclear("reckoning with what nobody knows before it runs");
        }
        if sets {
            own.iter().for_each(|name| self.unset(name));
        }
    }

    /// Whether a variable may hold anything at all: one that the text has set to what is not known, or a client of its own.
    fn odd(&self, name: &str) -> bool {
        match self.known(name) {
            Some(value) => value.text().is_none() && !self.memory.numbers.contains(name),
            None => {
                name.starts_with("LC_")
                    || name.starts_with("LANG")
                    || self.has_arguments() && name.parse::<u8>().is_ok()
            }
        }
    }
}
