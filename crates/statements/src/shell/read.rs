//! Going through a script in the shell's order, and finding every program that it would run.

use super::tree::{List, Node, Pipeline, Raw, Redirect};
use super::unwrap::{self, Inner};
use super::{Broken, Memory, Script, Simple, Word, output, parse};
use crate::glob::Sense;

/// Programs in one text, at most; what is beyond is unclear.
const COMMANDS: usize = 4096;
/// Scripts within scripts, at most.
const WITHIN: usize = 12;
/// Characters that all words of one text may become; beyond it they are unknown.
const BUDGET: usize = 4 << 20;
/// Turns of a loop that are followed.
const TURNS: usize = 16;

/// Reads a text, with what earlier lines of the same shell have said.
///
/// # Errors
/// When it is no whole script.
pub fn read(text: &str, memory: &mut Memory) -> Result<Script, Broken> {
    let list = parse::script(text)?;
    let mut reader = Reader { memory, script: Script::default(), within: 0, functions: 0, budget: BUDGET, feeds: None };
    reader.list(&list);
    Ok(reader.script)
}

/// Goes through a script.
pub(super) struct Reader<'a> {
    memory: &'a mut Memory,
    script: Script,
    within: usize,
    functions: usize,
    /// Characters that may yet come of expansions.
    budget: usize,
    /// What is fed to the commands that are being read, where it is known; none where nothing is fed.
    feeds: Feed,
}

/// What comes in by a pipe: nothing, something known, or something that is not.
type Feed = Option<Option<String>>;

impl Reader<'_> {
    pub(super) const fn in_function(&self) -> bool {
        self.functions > 0
    }

    pub(super) fn known(&self, name: &str) -> Option<Word> {
        self.memory.variables.get(name).cloned()
    }

    /// Whether so many characters may yet come.
    pub(super) fn spend(&mut self, characters: usize) -> bool {
        let left = self.budget.checked_sub(characters);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }

    fn unclear(&mut self, what: &str) {
        if self.script.unclear.len() < 16 && !self.script.unclear.iter().any(|said| said == what) {
            self.script.unclear.push(what.to_owned());
        }
    }

    /// Reads something within; what is too deep is unclear.
    fn inside<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        if self.within >= WITHIN || self.script.commands.len() >= COMMANDS {
            self.unclear("it is too deep or too long to be followed");
            return T::default();
        }
        self.within = self.within.saturating_add(1);
        let result = read(self);
        self.within = self.within.saturating_sub(1);
        result
    }

    /// Goes through a list; what it writes, where that is known.
    fn list(&mut self, list: &List) -> Option<String> {
        let mut written = Some(String::new());
        for pipeline in list {
            let more = self.pipeline(pipeline);
            written = match (written, more) {
                (Some(mut text), Some(more)) => {
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push('\n');
                    }
                    text.push_str(&more);
                    Some(text)
                }
                _ => None,
            };
        }
        written
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Option<String> {
        let outer = self.feeds.clone();
        let mut begins = Vec::new();
        let mut written = None;
        for (at, node) in pipeline.iter().enumerate() {
            if at > 0 {
                self.feeds = Some(written.take());
            }
            begins.push(self.script.commands.len());
            written = self.node(node);
        }
        self.feeds = outer;
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
            Node::Group { body, redirects } => {
                let (writes, fed) = self.redirects(redirects);
                self.note_writes(writes);
                self.fed(fed, |reader| reader.inside(|reader| reader.list(body)))
            }
            Node::For { name, words, body, redirects } => {
                let (writes, fed) = self.redirects(redirects);
                self.note_writes(writes);
                let words: Vec<Word> = words.iter().flatten().flat_map(|raw| self.words(raw)).collect();
                let turns = if words.is_empty() || words.len() > TURNS { vec![Word::unknown()] } else { words };
                self.fed(fed, |reader| {
                    for word in turns {
                        reader.memory.set(name, word);
                        reader.inside(|reader| reader.list(body));
                    }
                });
                self.memory.set(name, Word::unknown());
                None
            }
            Node::Function { name, body } => {
                self.call(body);
                if self.memory.functions.len() < super::REMEMBERED {
                    self.memory.functions.insert(name.clone(), (**body).clone());
                }
                Some(String::new())
            }
        }
    }

    fn call(&mut self, body: &Node) {
        self.functions = self.functions.saturating_add(1);
        self.inside(|reader| reader.node(body));
        self.functions = self.functions.saturating_sub(1);
    }

    fn fed<T>(&mut self, fed: Feed, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.feeds.clone();
        if fed.is_some() {
            self.feeds = fed;
        }
        let result = read(self);
        self.feeds = before;
        result
    }

    /// What redirections write to, and what they feed.
    fn redirects(&mut self, redirects: &[Redirect]) -> (Vec<Word>, Feed) {
        let (mut writes, mut fed) = (Vec::new(), None);
        for redirect in redirects {
            match redirect {
                Redirect::Write(path) => writes.push(self.one(path)),
                Redirect::Read(path) => {
                    self.one(path);
                    fed = Some(None);
                }
                Redirect::Text(text) => fed = Some(self.one(text).text()),
            }
        }
        (writes, fed)
    }

    /// A redirection without a program writes too.
    fn note_writes(&mut self, writes: Vec<Word>) {
        if !writes.is_empty() {
            self.script.commands.push(Simple { writes, ..Simple::default() });
        }
    }

    /// What a substitution writes.
    pub(super) fn output(&mut self, script: &List) -> Option<String> {
        let before = self.feeds.take();
        let written = self.inside(|reader| reader.list(script));
        self.feeds = before;
        written
    }

    /// A substitution whose output is read as a file, by whatever program its word belongs to.
    pub(super) fn process(&mut self, script: &List) {
        let begin = self.script.commands.len();
        let written = self.output(script);
        for command in self.script.commands.iter_mut().skip(begin) {
            command.into.push(Word::new("source"));
        }
        if let Some(text) = written {
            self.text(&text);
        }
    }

    /// A text that a shell is given.
    fn text(&mut self, text: &str) -> Option<String> {
        let list = match parse::script(text) {
            Ok(list) => list,
            Err(error) => {
                self.unclear(&format!("a text that a shell is given: {error}"));
                return None;
            }
        };
        self.inside(|reader| reader.list(&list))
    }

    fn simple(&mut self, assigns: &[(String, Raw)], words: &[Raw], redirects: &[Redirect]) -> Option<String> {
        let mut names = Vec::new();
        let mut values = Vec::new();
        for (name, value) in assigns {
            values.push((name.clone(), self.one(value)));
            if !name.is_empty() {
                names.push(name.clone());
            }
        }
        let (writes, fed) = self.redirects(redirects);
        let words: Vec<Word> = words.iter().flat_map(|raw| self.words(raw)).collect();
        if words.is_empty() {
            for (name, value) in values.into_iter().filter(|(name, _)| !name.is_empty()) {
                self.memory.set(&name, value);
            }
            if !names.is_empty() || !writes.is_empty() {
                self.script.commands.push(Simple { assigns: names, writes, ..Simple::default() });
            }
            return Some(String::new());
        }
        let words = self.unaliased(words);
        let quiet = writes.is_empty();
        let written = self.fed(fed, |reader| reader.program(words, names, writes));
        // What goes to a file is not written to the pipe.
        if quiet { written } else { Some(String::new()) }
    }

    fn unaliased(&self, words: Vec<Word>) -> Vec<Word> {
        let Some(text) = words.first().and_then(Word::text).and_then(|name| self.memory.aliases.get(&name)) else {
            return words;
        };
        let plain = text.split_whitespace().map(Word::new);
        plain.chain(words.iter().skip(1).cloned()).collect()
    }

    /// One program: it is noted, and what it runs in its turn is read too.
    pub(super) fn program(&mut self, words: Vec<Word>, assigns: Vec<String>, mut writes: Vec<Word>) -> Option<String> {
        let Some(first) = words.first().cloned() else { return Some(String::new()) };
        let fed = self.feeds.clone();
        writes.extend(unwrap::written(&words));
        let assigns = [assigns, self.builtin(&words)].concat();
        self.script.commands.push(Simple {
            words: words.clone(),
            assigns,
            writes,
            fed: fed.clone().flatten(),
            into: Vec::new(),
        });
        let Some(name) = first.name().text() else {
            self.unclear("a program that is named by what nobody knows before it runs");
            return None;
        };
        if let Some(body) = self.memory.functions.get(&name).cloned() {
            self.call(&body);
            return None;
        }
        for inner in unwrap::unwrap(&name, &words) {
            self.inner(inner);
        }
        match fed {
            Some(Some(text)) if unwrap::reads_script(&name, &words) => drop(self.text(&text)),
            Some(None) if unwrap::reads_script(&name, &words) => {
                self.unclear("a shell is fed with what nobody knows before it runs");
            }
            Some(_) if unwrap::reads_code(&name, &words) => {
                self.unclear(&format!("code in another language, fed to {name}"));
            }
            _ => {}
        }
        let fed = self.feeds.clone().flatten();
        output::of(&words, fed.as_deref())
    }

    fn inner(&mut self, inner: Inner) {
        match inner {
            Inner::Words { words, assigns } => drop(self.inside(|reader| reader.program(words, assigns, Vec::new()))),
            // The words of its input become words of the program.
            Inner::Fed { mut words } => {
                match self.feeds.clone().flatten() {
                    Some(text) => words.extend(text.split_whitespace().take(256).map(Word::new)),
                    None => words.push(Word::unknown()),
                }
                let words = words;
                self.inside(|reader| reader.program(words, Vec::new(), Vec::new()));
            }
            Inner::Text(text) => match text.text() {
                Some(text) => drop(self.text(&text)),
                None => self.unclear("a shell is given a text that nobody knows before it runs"),
            },
            Inner::Foreign(what) => self.unclear(&format!("code in another language, given to {what}")),
        }
    }

    /// Builtins that change what later words mean; the variables that they touch.
    fn builtin(&mut self, words: &[Word]) -> Vec<String> {
        let mut texts = words.iter().map(Word::shown);
        let name = texts.next().unwrap_or_default();
        let rest: Vec<String> = texts.filter(|word| !word.starts_with('-')).collect();
        match name.as_str() {
            "export" | "declare" | "typeset" | "readonly" | "local" => {
                for word in words.iter().skip(1) {
                    let text = word.text();
                    if let Some((name, value)) = text.as_deref().and_then(|text| text.split_once('=')) {
                        self.memory.set(name, Word::new(value));
                    }
                }
                rest.iter().map(|word| word.split('=').next().unwrap_or_default().to_owned()).collect()
            }
            "unset" => rest,
            "read" | "mapfile" | "readarray" | "getopts" => {
                for name in &rest {
                    let value = match self.feeds.clone().flatten() {
                        Some(text) if rest.len() == 1 => Word::new(text.trim_end()),
                        _ => Word::unknown(),
                    };
                    self.memory.set(name, value);
                }
                rest
            }
            "alias" => {
                for word in &rest {
                    if let Some((name, text)) = word.split_once('=')
                        && self.memory.aliases.len() < super::REMEMBERED
                    {
                        self.memory.aliases.insert(name.to_owned(), text.to_owned());
                    }
                }
                Vec::new()
            }
            "printf" if words.get(1).is_some_and(|word| word.is("-v", Sense::Exact) == crate::glob::Sure::Yes) => {
                let name = rest.first().cloned().unwrap_or_default();
                let printed: Vec<Word> = words.iter().take(1).chain(words.iter().skip(3)).cloned().collect();
                let value = output::of(&printed, None).map_or_else(Word::unknown, |text| Word::new(&text));
                self.memory.set(&name, value);
                vec![name]
            }
            _ => Vec::new(),
        }
    }
}
