//! What rule sets say of a command: of all rules that apply the strictest counts.

use crate::device;
use crate::glob::{Place, Sense, Sure, alternatives};
use crate::shell::{self, Broken, Memory, Script, Simple, Word};
use sallyport_model::rules::{Act, CommandRule, Grammar, RuleSet};

/// Longest text of a command in a finding, in bytes.
const SHOWN: usize = 1024;

/// Programs behind which other lines are read than a shell's own, or by another shell.
const LEAVES: &str = "su|ssh|exit|logout|exec|login|newgrp|screen|tmux|chroot|nsenter|docker|podman|kubectl|machinectl";

/// How a text comes to its shell.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    /// As the whole of what it is to run; its input is open.
    Exec,
    /// At a terminal.
    Typed,
    /// By its input, which what it runs may read too.
    Fed,
}

/// Rule sets, ready to judge.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    sets: Vec<RuleSet>,
}

/// What rules say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What becomes of it.
    pub act: Act,
    /// Which rule says so: `set/rule`; `set/unknown` and `set/otherwise` are the set's own words.
    pub rule: String,
    /// Why, for the person who is stopped.
    pub why: String,
    /// The command that it is about, as far as it is known.
    pub command: String,
}

impl Rules {
    /// With these sets; all of them apply.
    #[must_use]
    pub fn new(sets: &[RuleSet]) -> Self {
        let sets = sets.iter().filter(|set| !set.commands.is_empty() || set.otherwise != Act::Pass);
        Self { sets: sets.cloned().collect() }
    }

    /// Whether there is nothing to judge by.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Whether any set reads lines as network devices do.
    #[must_use]
    pub fn devices(&self) -> bool {
        self.sets.iter().any(|set| set.grammar == Grammar::Device)
    }

    /// Judges a whole command, such as an exec asks for. Nothing is found where it may simply go on. What it reads from its
    /// input is not known: a shell that reads commands there is unknown.
    #[must_use]
    pub fn command(&self, text: &str) -> Option<Finding> {
        self.judged(text, &mut Memory::default(), Way::Exec).unwrap_or_else(|broken| self.broken(text, broken))
    }

    /// Judges a line that is typed into a shell which has said earlier what is in its memory.
    ///
    /// # Errors
    /// When the shell would ask for more: it is to be judged again with what comes then.
    pub fn line(&self, text: &str, memory: &mut Memory) -> Result<Option<Finding>, Broken> {
        self.judged(text, memory, Way::Typed)
    }

    /// Judges a line that a shell without a terminal is given, which has said earlier what is in its memory.
    ///
    /// # Errors
    /// When the shell would read on: it is to be judged again with what comes then.
    pub fn fed(&self, text: &str, memory: &mut Memory) -> Result<Option<Finding>, Broken> {
        self.judged(text, memory, Way::Fed)
    }

    fn judged(&self, text: &str, memory: &mut Memory, way: Way) -> Result<Option<Finding>, Broken> {
        let mut strictest = Strictest(None);
        let shells = self.sets.iter().any(|set| set.grammar == Grammar::Shell);
        let script = match (shells, way) {
            (false, _) => Ok(Script::default()),
            (true, Way::Exec) => shell::read_fed(text, memory),
            (true, Way::Typed) => shell::read(text, memory),
            (true, Way::Fed) => shell::read_script(text, memory),
        };
        let mut script = match script {
            Ok(script) => script,
            Err(Broken::Open) => return Err(Broken::Open),
            Err(broken) => return Ok(self.broken(text, broken)),
        };
        if shells && way == Way::Typed && shell::recalls(text) {
            script.unclear.push("what the history of the shell has".to_owned());
        }
        for set in &self.sets {
            match set.grammar {
                Grammar::Shell => judge(set, &script, text, &mut strictest),
                Grammar::Device => judge_device(set, text, &mut strictest),
            }
        }
        // What does not run changes nothing, and another shell may read the lines from here on.
        let leaves = |command: &Simple| {
            command.reads_script() || command.words.first().is_some_and(|word| program(LEAVES, word) != Sure::No)
        };
        if strictest.0.as_ref().is_some_and(|found| found.act.stops()) || script.commands.iter().any(leaves) {
            memory.forget();
        }
        Ok(strictest.0)
    }

    /// The programs of a command with their words, as these rules read them; `?` and `*` stand where a word is not known.
    /// A command that cannot be read has none.
    #[must_use]
    pub fn read(&self, text: &str) -> Vec<Vec<String>> {
        let mut commands: Vec<Vec<String>> = Vec::new();
        if self.sets.iter().any(|set| set.grammar == Grammar::Shell)
            && let Ok(script) = shell::read(text, &mut Memory::default())
        {
            // What sets variables alone runs nothing.
            let runs = script.commands.iter().filter(|simple| !simple.words.is_empty());
            commands.extend(runs.map(|simple| simple.words.iter().map(Word::shown).collect()));
        }
        if self.devices() {
            let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
            commands.extend(device::commands(text).into_iter().map(owned));
        }
        commands
    }

    /// What becomes of a text that no shell would take, or that nobody can read.
    #[must_use]
    pub fn broken(&self, text: &str, broken: Broken) -> Option<Finding> {
        let mut strictest = Strictest(None);
        for set in &self.sets {
            match set.grammar {
                Grammar::Shell => strictest.unknown(set, &format!("it cannot be read: {broken}"), text),
                Grammar::Device => judge_device(set, text, &mut strictest),
            }
        }
        strictest.0
    }
}

/// The strictest finding so far.
struct Strictest(Option<Finding>);

impl Strictest {
    fn add(&mut self, act: Act, rule: impl FnOnce() -> String, why: impl FnOnce() -> String, command: &str) {
        if act > self.0.as_ref().map_or(Act::Pass, |found| found.act) {
            let command = command.get(..command.floor_char_boundary(SHOWN)).unwrap_or_default().to_owned();
            self.0 = Some(Finding { act, rule: rule(), why: why(), command });
        }
    }

    fn unknown(&mut self, set: &RuleSet, why: &str, command: &str) {
        self.add(set.unknown.max(set.otherwise), || format!("{}/unknown", set.name), || why.to_owned(), command);
    }

    fn otherwise(&mut self, set: &RuleSet, command: &str) {
        let why = || format!("no rule of the set {} names it", set.name);
        self.add(set.otherwise, || format!("{}/otherwise", set.name), why, command);
    }
}

fn judge(set: &RuleSet, script: &Script, text: &str, strictest: &mut Strictest) {
    for command in &script.commands {
        let shown = command.words.iter().map(Word::shown).collect::<Vec<_>>().join(" ");
        let mut named = false;
        for rule in &set.commands {
            match applies(rule, command) {
                Sure::Yes => {
                    named = true;
                    strictest.add(rule.act, || format!("{}/{}", set.name, rule.id), || rule.why.clone(), &shown);
                }
                Sure::Maybe if rule.act != Act::Pass => {
                    strictest.unknown(
                        set,
                        &format!("it may be what the rule {} is about: {}", rule.id, rule.why),
                        &shown,
                    );
                }
                Sure::Maybe | Sure::No => {}
            }
        }
        if !named && (!command.words.is_empty() || !command.writes.is_empty()) {
            strictest.otherwise(set, &shown);
        }
    }
    for what in &script.unclear {
        strictest.unknown(set, &format!("{what} is in it"), text);
    }
}

fn judge_device(set: &RuleSet, text: &str, strictest: &mut Strictest) {
    for words in device::commands(text) {
        let shown = words.join(" ");
        let mut named = false;
        for rule in set.commands.iter().filter(|rule| device::is(&rule.line, &words)) {
            named = true;
            strictest.add(rule.act, || format!("{}/{}", set.name, rule.id), || rule.why.clone(), &shown);
        }
        if !named {
            strictest.otherwise(set, &shown);
        }
    }
}

/// Whether a rule is about a command: all that it names must be so.
fn applies(rule: &CommandRule, command: &Simple) -> Sure {
    let rest = command.words.get(1..).unwrap_or_default();
    let mut sure = Sure::Yes;
    if !rule.program.is_empty() {
        sure = sure.and(command.words.first().map_or(Sure::No, |word| program(&rule.program, word)));
    }
    // What needs a program is not about a command without one.
    if command.words.is_empty() && !(rule.flags.is_empty() && rule.args.is_empty() && rule.says.is_empty()) {
        return Sure::No;
    }
    for flag in &rule.flags {
        if sure == Sure::No {
            return sure;
        }
        sure = sure.and(rest.iter().map(|word| carries(flag, word)).max().unwrap_or_default());
    }
    for pattern in &rule.args {
        sure = sure.and(any(rest, |word| word.is(pattern, Sense::Exact).or(path(word).is(pattern, Sense::Exact))));
    }
    for text in &rule.says {
        sure = sure.and(says(text, command, !rule.program.is_empty()));
    }
    if !rule.into.is_empty() {
        sure = sure.and(any(&command.into, |word| program(&rule.into, word)));
    }
    if !rule.writes.is_empty() {
        sure = sure.and(any(&command.writes, |word| {
            word.is(&rule.writes, Sense::Exact).or(path(word).is(&rule.writes, Sense::Exact))
        }));
    }
    if !rule.assigns.is_empty() {
        sure = sure.and(command.assigns.iter().any(|name| alternatives(&rule.assigns, name, Sense::Exact)).into());
    }
    sure
}

fn any(words: &[Word], is: impl FnMut(&Word) -> Sure) -> Sure {
    words.iter().map(is).max().unwrap_or_default()
}

/// A program by its last name, or by its whole path where the pattern has a slash.
fn program(patterns: &str, word: &Word) -> Sure {
    let name = word.name();
    let one = |pattern: &str| {
        if pattern.contains('/') { path(word).is(pattern, Sense::Exact) } else { name.is(pattern, Sense::Exact) }
    };
    patterns.split('|').map(one).max().unwrap_or_default()
}

/// Whether a word carries one of these options: a letter in any bundle, a long name that may be shortened, or a name
/// behind one dash.
fn carries(flags: &str, word: &Word) -> Sure {
    let Some(text) = word.text() else {
        // Only what may begin with a dash may be an option.
        let begins = word.0.first().is_some_and(|place| matches!(place, Place::Char('-') | Place::One | Place::Any))
            || word.0.contains(&Place::Several);
        return if begins { Sure::Maybe } else { Sure::No };
    };
    let has = |flag: &str| match (text.strip_prefix("--"), text.strip_prefix('-')) {
        (Some(long), _) => {
            let long = long.split('=').next().unwrap_or_default();
            long.len() > 1 && flag.len() > 1 && flag.starts_with(long)
        }
        (None, Some(short)) if flag.chars().count() == 1 => short.contains(flag),
        (None, Some(short)) => short == flag,
        (None, None) => false,
    };
    flags.split('|').any(has).into()
}

/// A path without doubled slashes, `.` and `..`, where all of it is known.
///
/// Everything in a directory is as much as the directory: a star behind the last slash is left out.
fn path(word: &Word) -> Word {
    let word = match word.0.as_slice() {
        [Place::Char('/'), Place::Any] => &Word::new("/"),
        [dir @ .., Place::Char('/'), Place::Any] => &Word(dir.to_vec()),
        _ => word,
    };
    let Some(text) = word.text().filter(|text| text.contains('/')) else { return word.clone() };
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if text.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let root = if text.starts_with('/') { "/" } else { "" };
    Word::new(&format!("{root}{}", parts.join("/")))
}

/// Whether one of the texts is in the command's words, or in what is fed to it.
fn says(texts: &str, command: &Simple, programmed: bool) -> Sure {
    let words = command.words.iter().map(Word::shown).collect::<Vec<_>>().join(" ");
    let said = [Some(words.as_str()), command.fed.as_deref()];
    let said: Vec<String> =
        said.into_iter().flatten().flat_map(|text| [plain(text), plain(&commentless(text))]).collect();
    if texts.split('|').any(|text| said.iter().any(|said| said.contains(&plain(text)))) {
        return Sure::Yes;
    }
    let unknown = command.words.iter().skip(1).any(|word| word.text().is_none());
    if unknown && programmed { Sure::Maybe } else { Sure::No }
}

/// Lower case, and one blank between words.
fn plain(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without the comments of SQL.
fn commentless(text: &str) -> String {
    let mut rest = text;
    let mut open = String::new();
    while let Some((before, (_, after))) =
        rest.split_once("/*").and_then(|(before, rest)| Some((before, rest.split_once("*/")?)))
    {
        open.push_str(before);
        open.push(' ');
        rest = after;
    }
    open.push_str(rest);
    open
}

#[cfg(test)]
mod tests;
