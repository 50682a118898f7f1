//! Shell lines: what a POSIX shell or bash would run of a text, as far as the text alone can say.
//!
//! First `parse` reads the grammar (POSIX.1-2024 chapter 2, and bash's additions), then `expand` and `read` go through it
//! in the shell's own order: variables that the text sets, words that it splits, programs that run other programs, text
//! that is piped into a shell. What depends on anything else has unknown places.

mod builtin;
mod chars;
mod expand;
mod history;
mod options;
mod output;
mod parse;
mod read;
mod simple;
mod streams;
mod sum;
mod tree;
mod unwrap;
mod words;

use crate::glob::{Place, Sense, Sure, word};
use std::collections::{HashMap, HashSet};

pub use history::recalls;
pub use parse::Broken;
pub use read::{read, read_fed, read_script};

/// Longest text that is read, in bytes.
pub const LONGEST: usize = 1 << 20;

/// One word after quoting and expansion.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Word(pub Vec<Place>);

impl Word {
    /// A word that is known.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.chars().map(Place::Char).collect())
    }

    /// A word that nobody knows.
    #[must_use]
    pub fn unknown() -> Self {
        Self(vec![Place::Any])
    }

    /// Its text, where all of it is known.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let known = |place: &Place| match place {
            Place::Char(c) => Some(*c),
            Place::One | Place::Any | Place::Several => None,
        };
        self.0.iter().map(known).collect()
    }

    /// For people: `?` and `*` stand where it is not known.
    #[must_use]
    pub fn shown(&self) -> String {
        let shown = |place: &Place| match place {
            Place::Char(c) => *c,
            Place::One => '?',
            Place::Any | Place::Several => '*',
        };
        self.0.iter().map(shown).collect()
    }

    /// Whether one of the patterns, split by `|`, is this word.
    #[must_use]
    pub fn is(&self, patterns: &str, sense: Sense) -> Sure {
        patterns.split('|').map(|pattern| word(pattern, &self.0, sense)).max().unwrap_or_default()
    }

    /// The part after the last slash.
    #[must_use]
    pub fn name(&self) -> Self {
        let at = self.0.iter().rposition(|place| *place == Place::Char('/')).map_or(0, |at| at.saturating_add(1));
        Self(self.0.get(at..).unwrap_or_default().to_vec())
    }
}

/// One program with what it is given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Simple {
    /// The program and its words.
    pub words: Vec<Word>,
    /// Variables that are set for it, or by it.
    pub assigns: Vec<String>,
    /// Paths that it writes, as far as is known of it.
    pub writes: Vec<Word>,
    /// What is fed to it, where that is known.
    pub fed: Option<String>,
    /// Programs later in its pipe.
    pub into: Vec<Word>,
}

/// What a text would run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Script {
    /// Every program, in the order of the text; of a program that runs another both.
    pub commands: Vec<Simple>,
    /// What cannot be told of it, in words.
    pub unclear: Vec<String>,
}

/// What lines before this one have said in the same shell.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    variables: HashMap<String, Word>,
    aliases: HashMap<String, String>,
    functions: HashMap<String, tree::Node>,
    /// Variables with attributes: what they become is not what they are given.
    fixed: HashSet<String>,
    /// Variables that hold numbers, known or not.
    numbers: HashSet<String>,
    /// That the shell may have arguments.
    arguments: bool,
    /// That words may be split by other characters than blanks.
    splits: bool,
}

/// Names that are remembered of one shell, at most.
const REMEMBERED: usize = 1024;
/// Longest value that is remembered, in characters.
const VALUE: usize = 4096;

/// Variables whose value is the shell's own.
const OWN: [&str; 28] = [
    "_",
    "RANDOM",
    "SRANDOM",
    "SECONDS",
    "LINENO",
    "BASHPID",
    "PPID",
    "UID",
    "EUID",
    "GROUPS",
    "PWD",
    "OLDPWD",
    "REPLY",
    "OPTARG",
    "OPTIND",
    "OPTERR",
    "PIPESTATUS",
    "FUNCNAME",
    "DIRSTACK",
    "HISTCMD",
    "EPOCHSECONDS",
    "EPOCHREALTIME",
    "SHELLOPTS",
    "BASHOPTS",
    "MAPFILE",
    "COPROC",
    "COPROC_PID",
    "IFS",
];

impl Memory {
    fn set(&mut self, name: &str, value: Word) {
        let unknown = value.0.len() > VALUE
            || OWN.contains(&name)
            || name.starts_with("BASH")
            || name.starts_with("COMP")
            || self.fixed.contains(name);
        let value = if unknown { Word::unknown() } else { value };
        if value.text().is_some_and(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())) {
            self.numbers.insert(name.to_owned());
        } else {
            self.numbers.remove(name);
        }
        self.splits |= name == "IFS";
        if self.variables.len() < REMEMBERED || self.variables.contains_key(name) {
            self.variables.insert(name.to_owned(), value);
        }
    }

    /// What variables are is not known any more: something may have happened to them, or what was read was not run.
    pub fn forget(&mut self) {
        self.variables.values_mut().for_each(|value| *value = Word::unknown());
        self.numbers.clear();
        self.arguments = true;
    }
}

#[cfg(test)]
mod tests;
