//! Going through a script in the shell's order, and finding every program that it would run.

use super::tree::{Assign, Item, List, Node, Other, Part, Pipeline, Raw, Redirect, Sort};
use super::unwrap::{self, Inner};
use super::{Broken, Memory, Script, Simple, Word, output, parse};
use std::collections::BTreeMap;

/// Programs in one text, at most; what is beyond is unclear.
const COMMANDS: usize = 4096;
/// Scripts within scripts, at most.
const WITHIN: usize = 12;
/// Characters that all words of one text may become; beyond it they are unknown.
const BUDGET: usize = 4 << 20;
/// Turns of a loop that are followed.
const TURNS: usize = 16;
/// Commands that are gone through, at most, loops and functions counted anew each time.
const STEPS: usize = 1 << 15;

/// Reads a text, with what earlier lines of the same shell have said.
///
/// # Errors
/// When it is no whole script.
pub fn read(text: &str, memory: &mut Memory) -> Result<Script, Broken> {
    go(text, memory, None, false)
}

/// Reads a text whose input is what nobody knows before it runs.
///
/// # Errors
/// When it is no whole script.
pub fn read_fed(text: &str, memory: &mut Memory) -> Result<Script, Broken> {
    go(text, memory, Some(None), false)
}

/// Reads a part of a script that comes by the input of its shell: what the script runs may take the rest of it.
///
/// # Errors
/// When it is no whole script.
pub fn read_script(text: &str, memory: &mut Memory) -> Result<Script, Broken> {
    go(text, memory, Some(None), true)
}

fn go(text: &str, memory: &mut Memory, feeds: Feed, sips: bool) -> Result<Script, Broken> {
    let list = parse::script(text)?;
    memory.splits |= splits(text);
    let script = Script::default();
    let (within, arguments, steps) = (0, 0, 0);
    let mut reader = Reader {
        memory,
        script,
        within,
        arguments,
        budget: BUDGET,
        steps,
        feeds,
        sips,
        hidden: false,
        journal: Vec::new(),
    };
    reader.list(&list);
    // What stands for bytes that are no text: which they were, the shell knows.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        reader.script.unclear.push("bytes that are no text".to_owned());
    }
    Ok(reader.script)
}

/// Whether a text may change by what words are split.
fn splits(text: &str) -> bool {
    text.matches("IFS").count() > text.matches("$IFS").count().saturating_add(text.matches("${IFS").count())
}

/// Goes through a script.
pub(super) struct Reader<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) script: Script,
    within: usize,
    /// Functions and scripts with arguments around this place.
    arguments: usize,
    /// Characters that may yet come of expansions.
    budget: usize,
    steps: usize,
    /// What is fed to the commands that are being read, where it is known; none where nothing is fed.
    pub(super) feeds: Feed,
    /// That the script itself comes by the input, which its commands may take parts of.
    pub(super) sips: bool,
    /// That a value was expanded in which reckoning would find something to run.
    pub(super) hidden: bool,
    /// Variables that are changed by what may run or not, and whether they were numbers all the time.
    journal: Vec<Changed>,
}

/// Variables, and whether what they were changed to was a number each time.
type Changed = BTreeMap<String, bool>;

/// What comes in by a pipe: nothing, something known, or something that is not.
pub(super) type Feed = Option<Option<String>>;

impl Reader<'_> {
    pub(super) const fn has_arguments(&self) -> bool {
        self.arguments > 0 || self.memory.arguments
    }

    pub(super) const fn splits_oddly(&self) -> bool {
        self.memory.splits
    }

    pub(super) fn known(&self, name: &str) -> Option<Word> {
        self.memory.variables.get(name).cloned()
    }

    /// A variable is about to change: to a number, or to something else.
    pub(super) fn note(&mut self, name: &str, number: bool) {
        let before = !self.memory.variables.contains_key(name) || self.memory.numbers.contains(name);
        if let Some(changed) = self.journal.last_mut() {
            let so_far = changed.entry(name.to_owned()).or_insert(before);
            *so_far &= number;
        }
    }

    /// Whether so many characters may yet come.
    pub(super) fn spend(&mut self, characters: usize) -> bool {
        let left = self.budget.checked_sub(characters);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }

    pub(super) fn unclear(&mut self, what: &str) {
        if self.script.unclear.len() < 16 && !self.script.unclear.iter().any(|said| said == what) {
            self.script.unclear.push(what.to_owned());
        }
    }

    /// Reads something within; what is too deep is unclear.
    pub(super) fn inside<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.steps = self.steps.saturating_add(1);
        if self.within >= WITHIN || self.steps > STEPS || self.script.commands.len() >= COMMANDS {
            self.unclear("it is too deep or too long to be followed");
            return T::default();
        }
        self.within = self.within.saturating_add(1);
        let result = read(self);
        self.within = self.within.saturating_sub(1);
        result
    }

    /// Reads what may run or not, or runs in a shell of its own: what it changes is not known behind it.
    pub(super) fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.journal.push(Changed::new());
        let result = read(self);
        self.settle();
        result
    }

    /// What was changed since the journal began is not known any more.
    fn settle(&mut self) -> Changed {
        let changed = self.journal.pop().unwrap_or_default();
        self.unknown(&changed);
        changed
    }

    fn unknown(&mut self, changed: &Changed) {
        for (name, number) in changed {
            self.note(name, *number);
            self.memory.set(name, Word::unknown());
            if *number {
                self.memory.numbers.insert(name.clone());
            }
        }
    }

    /// Reads what runs at another time: nobody knows what variables are then.
    pub(super) fn later<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let known = std::mem::take(&mut self.memory.variables);
        self.journal.push(Changed::new());
        let result = self.called(read);
        self.memory.variables = known;
        self.settle();
        result
    }

    /// Reads what runs with arguments of its own.
    pub(super) fn called<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.arguments = self.arguments.saturating_add(1);
        let result = read(self);
        self.arguments = self.arguments.saturating_sub(1);
        result
    }

    /// Reads what a shell of its own runs: it knows nothing of this one.
    pub(super) fn child<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let here = std::mem::take(self.memory);
        let arguments = std::mem::take(&mut self.arguments);
        let result = self.maybe(read);
        self.arguments = arguments;
        *self.memory = here;
        result
    }

    /// Goes through what runs any number of times.
    fn turns(&mut self, mut turn: impl FnMut(&mut Self, &Changed)) {
        let (commands, unclear) = (self.script.commands.len(), self.script.unclear.len());
        self.journal.push(Changed::new());
        turn(self, &Changed::new());
        let changed = self.settle();
        if !changed.is_empty() {
            // The next turn begins with what this one has left, or a part of it.
            self.script.commands.truncate(commands);
            self.script.unclear.truncate(unclear);
            self.maybe(|reader| turn(reader, &changed));
        }
    }

    /// Goes through a list; what it writes, where that is known.
    fn list(&mut self, list: &List) -> Option<String> {
        let outer = self.feeds.clone();
        // Nobody knows which of them takes how much of it.
        if list.len() > 1 && matches!(self.feeds, Some(Some(_))) {
            self.feeds = Some(None);
        }
        let mut written = Some(String::new());
        for Item { nodes, maybe } in list {
            let more = if *maybe {
                self.maybe(|reader| reader.pipeline(nodes));
                None
            } else {
                self.pipeline(nodes)
            };
            written = written.zip(more).map(|(text, more)| text + &more);
        }
        self.feeds = outer;
        written
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Option<String> {
        if let [node] = pipeline.as_slice() {
            return self.node(node);
        }
        let (outer, sips) = (self.feeds.clone(), self.sips);
        let mut begins = Vec::new();
        let mut written = None;
        for (at, node) in pipeline.iter().enumerate() {
            if at > 0 {
                self.feeds = Some(written.take());
                self.sips = false;
            }
            begins.push(self.script.commands.len());
            written = self.maybe(|reader| reader.node(node));
        }
        (self.feeds, self.sips) = (outer, sips);
        // What a pipe leads to is known once all of it was read.
        for (begin, end) in begins.iter().zip(begins.iter().skip(1)) {
            let later = self.script.commands.iter().skip(*end).take(64).filter_map(|command| command.words.first());
            let later: Vec<Word> = later.cloned().collect();
            for command in self.script.commands.iter_mut().take(*end).skip(*begin) {
                command.into.extend(later.iter().cloned());
            }
        }
        written
    }

    fn node(&mut self, node: &Node) -> Option<String> {
        match node {
            Node::Simple { assigns, words, redirects } => {
                self.inside(|reader| reader.simple(assigns, words, redirects))
            }
            Node::Group { sort, parts, redirects } => {
                let streams = self.redirects(redirects);
                self.note_writes(streams.writes);
                let written = self.fed(streams.fed, |reader| reader.inside(|reader| reader.group(*sort, parts)));
                written.filter(|_| streams.quiet)
            }
            Node::For { name, words, body, redirects } => {
                let streams = self.redirects(redirects);
                self.note_writes(streams.writes);
                let words: Vec<Word> = words.iter().flatten().flat_map(|raw| self.words(raw)).collect();
                let turns = if words.is_empty() || words.len() > TURNS { vec![Word::unknown()] } else { words };
                self.fed(streams.fed, |reader| {
                    reader.turns(|reader, changed| {
                        for word in &turns {
                            reader.unknown(changed);
                            reader.memory.set(name, word.clone());
                            reader.inside(|reader| reader.list(body));
                        }
                    });
                });
                self.unknown(&[(name.clone(), false)].into());
                None
            }
            Node::Function { name, body } => {
                self.later(|reader| reader.inside(|reader| reader.node(body)));
                if self.memory.functions.len() < super::REMEMBERED {
                    self.memory.functions.insert(name.clone(), (**body).clone());
                }
                Some(String::new())
            }
        }
    }

    fn group(&mut self, sort: Sort, parts: &[List]) -> Option<String> {
        match sort {
            Sort::Braces | Sort::Subshell => {
                let all = |reader: &mut Self| {
                    let written: Option<Vec<String>> = parts.iter().map(|part| reader.list(part)).collect();
                    written.map(|all| all.concat())
                };
                return if sort == Sort::Braces { all(self) } else { self.maybe(all) };
            }
            Sort::Choice => parts.iter().for_each(|part| drop(self.maybe(|reader| reader.list(part)))),
            Sort::Loop => self.turns(|reader, changed| {
                reader.unknown(changed);
                parts.iter().for_each(|part| drop(reader.list(part)));
            }),
        }
        None
    }

    /// A redirection without a program writes too.
    fn note_writes(&mut self, writes: Vec<Word>) {
        if !writes.is_empty() {
            self.script.commands.push(Simple { writes, ..Simple::default() });
        }
    }

    /// What a substitution writes.
    pub(super) fn output(&mut self, script: &List) -> Option<String> {
        let before = self.feeds.clone();
        if self.feeds.is_some() {
            self.feeds = Some(None);
        }
        let written = self.maybe(|reader| reader.inside(|reader| reader.list(script)));
        self.feeds = before;
        // It ends at none of them, but leaves them out.
        written.filter(|text| !text.contains('\0'))
    }

    /// A substitution whose output is read as a file, by whatever program its word belongs to.
    pub(super) fn process(&mut self, script: &List) {
        let begin = self.script.commands.len();
        let written = self.output(script);
        for command in self.script.commands.iter_mut().skip(begin) {
            command.into.push(Word::new("source"));
        }
        if let Some(text) = written {
            self.later(|reader| reader.text(&text));
        }
    }

    /// A text that a shell is given.
    pub(super) fn text(&mut self, text: &str) {
        self.memory.splits |= splits(text);
        match parse::script(text) {
            Ok(list) => drop(self.inside(|reader| reader.list(&list))),
            Err(error) => self.unclear(&format!("a text that a shell is given: {error}")),
        }
    }

    fn simple(&mut self, assigns: &[Assign], words: &[Raw], redirects: &[Redirect]) -> Option<String> {
        let words: Vec<Word> = words.iter().flat_map(|raw| self.words(raw)).collect();
        let streams = self.redirects(redirects);
        let mut names = Vec::new();
        for Assign { name, value, adds } in assigns {
            let number = matches!(value.as_slice(), [Part::Other(Other { sum: true, several: false, .. })]) && !*adds;
            let value = self.one(value);
            if !name.is_empty() {
                self.assign(name, if *adds { Word::unknown() } else { value }, number);
                names.push(name.clone());
            }
        }
        let (writes, quiet) = (streams.writes, streams.quiet);
        if words.is_empty() {
            if !names.is_empty() || !writes.is_empty() {
                self.script.commands.push(Simple { assigns: names, writes, ..Simple::default() });
            }
            return Some(String::new());
        }
        if streams.fed.is_some() && words == [Word::new("exec")] {
            self.unclear("the shell's own input is another one from here on");
        }
        let own = names.clone();
        let written = self.fed(streams.fed, |reader| {
            let aliased = reader.aliased(&words);
            reader.program(words, names, writes).filter(|_| !aliased)
        });
        // They were for this program, or for good: that depends on the shell.
        self.unknown(&own.into_iter().map(|name| (name, false)).collect());
        written.filter(|_| quiet)
    }

    /// One program: it is noted, and what it runs in its turn is read too.
    pub(super) fn program(&mut self, words: Vec<Word>, assigns: Vec<String>, mut writes: Vec<Word>) -> Option<String> {
        let Some(first) = words.first().cloned() else { return Some(String::new()) };
        let fed = self.feeds.clone();
        writes.extend(unwrap::written(&words));
        let assigns = [assigns, self.builtin(&words)].concat();
        let noted = Simple { words: words.clone(), assigns, writes, fed: fed.clone().flatten(), into: Vec::new() };
        self.script.commands.push(noted);
        // A home directory, or what `=name` is in zsh.
        let other =
            matches!(first.text(), Some(text) if text.starts_with('=') || text.starts_with('~') && !text.contains('/'));
        let Some(name) = first.name().text().filter(|_| !other) else {
            self.unclear("a program that is named by what nobody knows before it runs");
            return None;
        };
        if let Some(body) = self.memory.functions.get(&name).cloned() {
            self.maybe(|reader| reader.called(|reader| reader.inside(|reader| reader.node(&body))));
            return None;
        }
        for inner in unwrap::unwrap(&name, &words) {
            self.inner(inner);
        }
        if self.sips && unwrap::sips(&name) {
            self.unclear("a program takes parts of the script that is fed");
        }
        match fed {
            Some(Some(text)) if unwrap::reads_script(&name, &words) => self.child(|reader| {
                let sips = std::mem::replace(&mut reader.sips, true);
                let feeds = reader.feeds.replace(None);
                reader.called(|reader| reader.text(&text));
                (reader.sips, reader.feeds) = (sips, feeds);
            }),
            Some(None) if unwrap::reads_script(&name, &words) => {
                self.unclear("a shell is fed with what nobody knows before it runs");
            }
            Some(text) if unwrap::reads_code(&name, &words, text.as_deref()) => {
                self.unclear(&format!("code in another language, fed to {name}"));
            }
            _ => {}
        }
        let fed = self.feeds.clone().flatten();
        output::of(&words, fed.as_deref())
    }

    fn inner(&mut self, inner: Inner) {
        match inner {
            Inner::Words { words, assigns, here } => {
                for (name, value) in &assigns {
                    self.runs_by(name, value);
                }
                let names = assigns.into_iter().map(|(name, _)| name).collect();
                let read = |reader: &mut Self| drop(reader.inside(|reader| reader.program(words, names, Vec::new())));
                if here { read(self) } else { self.maybe(read) }
            }
            // The words of its input become words of the program.
            Inner::Fed { mut words } => {
                let plain = |text: &String| !text.contains(['\'', '"', '\\', '\0']);
                match self.feeds.clone().flatten().filter(plain) {
                    Some(text) => words.extend(text.split_whitespace().take(256).map(Word::new)),
                    None => words.push(Word(vec![crate::glob::Place::Several])),
                }
                self.maybe(|reader| reader.inside(|reader| reader.program(words, Vec::new(), Vec::new())));
            }
            Inner::Text { text, way } => match (text.text(), way) {
                (Some(text), unwrap::Way::Here) => self.text(&text),
                (Some(text), unwrap::Way::Later) => self.later(|reader| reader.text(&text)),
                (Some(text), unwrap::Way::Own { arguments: false }) => self.child(|reader| reader.text(&text)),
                (Some(text), unwrap::Way::Own { arguments: true }) => {
                    self.child(|reader| reader.called(|reader| reader.text(&text)));
                }
                (None, way) => {
                    self.unclear("a shell is given a text that nobody knows before it runs");
                    if !matches!(way, unwrap::Way::Own { .. }) {
                        self.forget();
                    }
                }
            },
            Inner::Foreign(what) => self.unclear(&format!("code in another language, given to {what}")),
            Inner::Unclear(what) => self.unclear(what),
        }
    }
}
