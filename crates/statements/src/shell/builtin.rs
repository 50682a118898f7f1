//! Builtins that change what later words mean, and variables that something is run by.

use super::read::Reader;
use super::sum::hides;
use super::tree::{Node, Part};
use super::{Simple, Word, output, parse};
use crate::glob::{Place, Sense, Sure};

/// Variables whose value bash expands as it does a text in double quotes.
const EXPANDED: [&str; 7] = ["PS0", "PS1", "PS2", "PS3", "PS4", "ENV", "BASH_ENV"];
/// Variables whose value is run.
const RUN: [&str; 18] = [
    "PROMPT_COMMAND",
    "EDITOR",
    "VISUAL",
    "FCEDIT",
    "SUDO_EDITOR",
    "PAGER",
    "MANPAGER",
    "GIT_PAGER",
    "GIT_EDITOR",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_EXTERNAL_DIFF",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
    "RSYNC_RSH",
    "BROWSER",
    "LESSOPEN",
];

impl Reader<'_> {
    /// A variable is given a value; `number` where it is one that is not known.
    pub(super) fn assign(&mut self, name: &str, value: Word, number: bool) {
        self.runs_by(name, &value);
        if self.memory.fixed.contains(name) {
            self.unclear_where(value.text().is_none());
            self.sum(&Vec::new(), &value);
        }
        let digits = value.text().is_some_and(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
        self.note(name, number || digits);
        self.memory.set(name, value);
        if number {
            self.memory.numbers.insert(name.to_owned());
        }
    }

    /// A variable has no value that the text knows of.
    pub(super) fn unset(&mut self, name: &str) {
        self.note(name, true);
        self.memory.variables.remove(name);
        self.memory.numbers.remove(name);
    }

    /// Any variable may have any value from here on.
    pub(super) fn forget(&mut self) {
        let names: Vec<String> = self.memory.variables.keys().cloned().collect();
        names.iter().for_each(|name| self.note(name, false));
        self.memory.forget();
    }

    /// What the value of a variable has run, sooner or later.
    pub(super) fn runs_by(&mut self, name: &str, value: &Word) {
        let (expanded, run) = (EXPANDED.contains(&name), RUN.contains(&name));
        if matches!(name, "BASH_ALIASES" | "BASH_CMDS" | "SHELLOPTS" | "BASHOPTS") {
            return self.unclear("a variable that changes what commands mean");
        }
        if !expanded && !run {
            return;
        }
        match value.text() {
            None => self.unclear("a variable that something is run by"),
            Some(text) if run => self.later(|reader| reader.text(text.trim_start_matches('|'))),
            Some(text) => {
                let mut raw = Vec::new();
                match parse::Parser::new(&text, 0).double(&mut raw, None) {
                    Ok(()) => drop(self.later(|reader| reader.one(&raw))),
                    Err(_) if hides(&text) => self.unclear("a variable that something is run by"),
                    Err(_) => {}
                }
            }
        }
    }

    /// Reads a command by its alias too: whether the shell knows it depends on the shell. Whether there is one.
    pub(super) fn aliased(&mut self, words: &[Word]) -> bool {
        let alias = |word: Option<&Word>, reader: &Self| {
            word.and_then(Word::text).and_then(|name| reader.memory.aliases.get(&name).cloned())
        };
        let Some(text) = alias(words.first(), self) else { return false };
        let mut words: Vec<Word> = words.to_vec();
        let mut next = Some(text);
        for _ in 0..8 {
            let Some(text) = next else { break };
            let Some(plain) = plain(&text) else {
                self.unclear("an alias that is more than words");
                return true;
            };
            words.splice(..1, plain);
            next = alias(words.first(), self).filter(|other| *other != text);
        }
        if next.is_some() {
            self.unclear("an alias of an alias without end");
        }
        self.maybe(|reader| reader.program(words, Vec::new(), Vec::new()));
        true
    }

    /// Builtins that change what later words mean; the variables that they touch.
    pub(super) fn builtin(&mut self, words: &[Word]) -> Vec<String> {
        let mut texts = words.iter().map(Word::shown);
        let name = texts.next().unwrap_or_default();
        let rest: Vec<String> = texts.filter(|word| !word.starts_with('-')).collect();
        let several = words.iter().skip(1).any(|word| word.text().is_none() && names_unknown(word));
        match name.as_str() {
            "export" | "declare" | "typeset" | "readonly" | "local" => self.declare(&name, words),
            "unset" => rest.iter().for_each(|name| self.unset(name)),
            "read" | "mapfile" | "readarray" | "getopts" | "wait" => {
                let plain = name == "read" && rest.len() == 1 && words.len() <= 2;
                for name in &rest {
                    let whole = |text: &String| !text.trim_end_matches('\n').contains(['\n', '\\', '\0']);
                    let value = match self.feeds.clone().flatten().filter(whole) {
                        Some(text) if plain && !self.splits_oddly() => Word::new(text.trim_matches([' ', '\t', '\n'])),
                        _ => Word::unknown(),
                    };
                    self.assign(name, value, false);
                }
            }
            "let" => {
                for word in words.iter().skip(1) {
                    self.sum(&Vec::new(), word);
                    self.unclear_where(word.text().is_none());
                }
            }
            "[[" | "[" | "test" => {
                let hidden = self.hidden || rest.iter().any(|word| hides(word));
                let reckons = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"];
                let reckons = words.iter().any(|word| word.text().is_some_and(|word| reckons.contains(&word.as_str())));
                self.unclear_where(hidden && reckons);
                if reckons && name == "[[" {
                    words.iter().skip(1).for_each(|word| self.sum(&Vec::new(), word));
                }
                return Vec::new();
            }
            "set" | "shift" if words.len() > 1 || name == "shift" => self.memory.arguments = true,
            "." | "source" => {
                self.forget();
                return Vec::new();
            }
            "shopt" | "enable" | "setopt" | "emulate" if !rest.is_empty() => {
                self.unclear("the shell is told to read otherwise");
                return Vec::new();
            }
            "alias" => {
                self.alias(&rest);
                return Vec::new();
            }
            "printf" if words.get(1).is_some_and(|word| word.is("-v*", Sense::Exact) != Sure::No) => {
                return self.print(words);
            }
            _ => return Vec::new(),
        }
        // A name that is not known is any name; a subscript is reckoned with.
        if several {
            self.forget();
        }
        if name != "let" && rest.iter().any(|word| word.split('=').next().is_some_and(hides)) {
            self.unclear_where(true);
        }
        rest.iter().map(|word| word.split(['=', '[', '+']).next().unwrap_or_default().to_owned()).collect()
    }

    fn unclear_where(&mut self, so: bool) {
        if so {
            self.unclear("reckoning with what nobody knows before it runs");
        }
    }

    fn declare(&mut self, builtin: &str, words: &[Word]) {
        let options: String =
            words.iter().skip(1).map(Word::shown).filter(|word| word.starts_with(['-', '+'])).collect();
        // A name for another variable.
        if options.contains('n') && builtin != "export" {
            self.unclear("a variable that stands for another one");
        }
        let attributes =
            builtin == "readonly" || builtin != "export" && options.contains(['a', 'A', 'i', 'l', 'u', 'r', 'c']);
        for word in words.iter().skip(1) {
            let at = word.0.iter().position(|place| *place == Place::Char('='));
            let name = Word(word.0.iter().take(at.unwrap_or(word.0.len())).copied().collect());
            let Some(name) = name.text().filter(|name| !name.starts_with(['-', '+'])) else { continue };
            let adds = name.ends_with('+');
            let name = name.split(['+', '[']).next().unwrap_or_default();
            match at {
                Some(at) => {
                    let value = Word(word.0.iter().skip(at.saturating_add(1)).copied().collect());
                    let element = word.0.iter().take(at).any(|place| *place == Place::Char('['));
                    self.assign(name, if adds || element { Word::unknown() } else { value }, false);
                }
                None if builtin == "export" || builtin == "readonly" => {}
                None => self.unset(name),
            }
            if attributes && self.memory.fixed.len() < super::REMEMBERED {
                self.memory.fixed.insert(name.to_owned());
            }
        }
    }

    /// What an alias stands for is read where it is made: where it is used, it may have become something else.
    fn alias(&mut self, words: &[String]) {
        for word in words {
            let Some((name, text)) = word.split_once('=') else { continue };
            if word.contains(['*', '?']) {
                self.unclear("an alias for what nobody knows before it runs");
            }
            self.later(|reader| reader.text(text));
            if self.memory.aliases.len() < super::REMEMBERED {
                self.memory.aliases.insert(name.to_owned(), text.to_owned());
            }
        }
    }

    /// `printf -v name format words`.
    fn print(&mut self, words: &[Word]) -> Vec<String> {
        let (name, from) = match words.get(1).and_then(Word::text).as_deref() {
            Some("-v") => (words.get(2).and_then(Word::text), 3),
            Some(text) => (text.strip_prefix("-v").map(str::to_owned), 2),
            None => (None, 2),
        };
        let Some(name) = name else {
            self.forget();
            return Vec::new();
        };
        let printed: Vec<Word> = words.iter().take(1).chain(words.iter().skip(from)).cloned().collect();
        let value = output::of(&printed, None).map_or_else(Word::unknown, |text| Word::new(&text));
        self.unclear_where(hides(&name));
        let name = name.split('[').next().unwrap_or_default().to_owned();
        self.assign(&name, value, false);
        vec![name]
    }
}

/// Whether a word may name other variables than it says.
fn names_unknown(word: &Word) -> bool {
    let name: Vec<&Place> = word.0.iter().take_while(|place| **place != Place::Char('=')).collect();
    word.0.contains(&Place::Several) || name.iter().any(|place| !matches!(place, Place::Char(_)))
}

/// The words of an alias, where it is nothing else.
fn plain(text: &str) -> Option<Vec<Word>> {
    let list = parse::script(text).ok()?;
    let [item] = list.as_slice() else { return None };
    let [Node::Simple { assigns, words, redirects }] = item.nodes.as_slice() else { return None };
    if !assigns.is_empty() || !redirects.is_empty() || words.is_empty() || item.maybe {
        return None;
    }
    let text = |raw: &Vec<Part>| match raw.as_slice() {
        [Part::Bare(text)] if !text.contains(['*', '?', '[', '{', '~']) => Some(Word::new(text)),
        _ => None,
    };
    words.iter().map(text).collect()
}

impl Simple {
    /// Whether it reads commands or code from its input, as far as its own words say.
    #[must_use]
    pub fn reads_script(&self) -> bool {
        use super::unwrap::{reads_code, reads_script};
        let Some(name) = self.words.first().and_then(|program| program.name().text()) else { return false };
        reads_script(&name, &self.words) || reads_code(&name, &self.words, Some(""))
    }

    /// Whether it is a shell that reads commands from its input.
    #[must_use]
    pub fn is_shell(&self) -> bool {
        let name = self.words.first().and_then(|program| program.name().text());
        name.is_some_and(|name| super::unwrap::reads_script(&name, &self.words))
    }
}
