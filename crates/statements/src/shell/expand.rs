//! Expansion: what a word becomes in the shell's own order - braces, variables, outputs, splitting, paths.

use super::read::Reader;
use super::tree::{Part, Raw};
use super::{Place, Word};

/// Words that braces may make of one, at most; beyond it is unknown.
const BRACES: usize = 256;

/// Longest text in which braces are expanded, in bytes.
const LONG: usize = 4096;

/// A word that grows.
#[derive(Default)]
struct Growing {
    words: Vec<Word>,
    now: Vec<Place>,
    /// That the word exists even where it is empty: it was quoted.
    some: bool,
}

impl Growing {
    fn end(&mut self) {
        if self.some || !self.now.is_empty() {
            self.words.push(Word(std::mem::take(&mut self.now)));
        }
        self.some = false;
    }

    /// Text of an expansion outside of quotes: blanks split it, stars are stars.
    fn split(&mut self, word: &Word) {
        for place in &word.0 {
            match place {
                Place::Char(' ' | '\t' | '\n') => self.end(),
                Place::Char(c) => self.now.push(starred(*c)),
                other => self.now.push(*other),
            }
        }
    }
}

fn starred(c: char) -> Place {
    match c {
        '*' => Place::Any,
        '?' => Place::One,
        c => Place::Char(c),
    }
}

impl Reader<'_> {
    /// The words that a word becomes.
    pub(super) fn words(&mut self, raw: &Raw) -> Vec<Word> {
        let mut words = Vec::new();
        for raw in braces(raw) {
            let mut growing = Growing::default();
            for part in &raw {
                self.part(part, &mut growing, true);
            }
            growing.end();
            words.append(&mut growing.words);
        }
        words
    }

    /// The one word that a word becomes where it is not split: a value, a path, a text.
    pub(super) fn one(&mut self, raw: &Raw) -> Word {
        let mut growing = Growing { some: true, ..Growing::default() };
        for part in raw {
            self.part(part, &mut growing, false);
        }
        growing.end();
        growing.words.pop().unwrap_or_default()
    }

    fn part(&mut self, part: &Part, growing: &mut Growing, splits: bool) {
        match part {
            Part::Quoted(text) | Part::Bare(text) if !self.spend(text.len()) => growing.now.push(Place::Any),
            Part::Quoted(text) => {
                growing.some = true;
                growing.now.extend(text.chars().map(Place::Char));
            }
            Part::Bare(text) if splits => bare(text, &mut growing.now),
            Part::Bare(text) => growing.now.extend(text.chars().map(Place::Char)),
            Part::Variable { name, quoted } => {
                let value = self.variable(name);
                self.value(&value, *quoted, splits, growing);
            }
            Part::Slice { name, from, count, quoted } => {
                let value = match self.variable(name).text() {
                    Some(text) => {
                        let rest = text.chars().skip(*from);
                        Word::new(&rest.take(count.unwrap_or(usize::MAX)).collect::<String>())
                    }
                    None => Word::unknown(),
                };
                self.value(&value, *quoted, splits, growing);
            }
            Part::Output { script, quoted } => {
                let value = match self.output(script) {
                    Some(text) => Word::new(text.trim_end_matches('\n')),
                    None => Word::unknown(),
                };
                self.value(&value, *quoted, splits, growing);
            }
            Part::Process { script } => {
                self.process(script);
                growing.now.extend("/dev/fd/".chars().map(Place::Char));
                growing.now.push(Place::Any);
            }
            Part::Unknown => growing.now.push(Place::Any),
        }
    }

    fn value(&mut self, value: &Word, quoted: bool, splits: bool, growing: &mut Growing) {
        if !self.spend(value.0.len()) {
            growing.now.push(Place::Any);
        } else if quoted || !splits {
            growing.some |= quoted;
            growing.now.extend(&value.0);
        } else {
            growing.split(value);
        }
    }

    fn variable(&self, name: &str) -> Word {
        match name {
            "IFS" => self.known("IFS").unwrap_or_else(|| Word::new(" ")),
            // A line that is typed, or run by `sh -c`, has no arguments.
            "@" | "*" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" if !self.in_function() => Word::default(),
            name => self.known(name).unwrap_or_else(Word::unknown),
        }
    }
}

/// Text outside of quotes: its stars, question marks and classes stand for what is there on the target.
fn bare(text: &str, into: &mut Vec<Place>) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => into.push(Place::Any),
            '?' => into.push(Place::One),
            '[' if chars.clone().any(|c| c == ']') => {
                // A bracket that closes at once is itself in the class.
                let mut first = true;
                for c in chars.by_ref() {
                    if c == ']' && !first {
                        break;
                    }
                    first = false;
                }
                into.push(Place::One);
            }
            c => into.push(Place::Char(c)),
        }
    }
}

/// The words that `{a,b}` and `{1..3}` make. Only text outside of quotes has them.
fn braces(raw: &Raw) -> Vec<Raw> {
    let long = |part: &Part| matches!(part, Part::Bare(text) if text.len() > LONG && text.contains('{'));
    if raw.iter().any(long) {
        return vec![vec![Part::Unknown]];
    }
    let mut done: Vec<Raw> = Vec::new();
    let mut open = vec![raw.clone()];
    while let Some(raw) = open.pop() {
        match brace(&raw) {
            Some(made) if open.len().saturating_add(made.len()).saturating_add(done.len()) <= BRACES => {
                // The first is to come out first.
                open.extend(made.into_iter().rev());
            }
            Some(_) => done.push(vec![Part::Unknown]),
            None => done.push(raw),
        }
    }
    done
}

/// Expands the first brace of a word.
fn brace(raw: &Raw) -> Option<Vec<Raw>> {
    let mut begins: Option<(usize, usize)> = None;
    // Where the outermost brace begins and its commas are: part, offset in it.
    let mut commas: Vec<(usize, usize)> = Vec::new();
    let mut depth = 0_usize;
    for (at, part) in raw.iter().enumerate() {
        let Part::Bare(text) = part else { continue };
        let mut before = '\0';
        for (offset, c) in text.char_indices() {
            match c {
                '{' if before != '$' => {
                    depth = depth.saturating_add(1);
                    if depth == 1 {
                        begins = Some((at, offset));
                        commas.clear();
                    }
                }
                ',' if depth == 1 => commas.push((at, offset)),
                '}' if depth == 1 => {
                    depth = 0;
                    let begin = begins?;
                    let end = (at, offset);
                    if !commas.is_empty() {
                        return Some(pieces(raw, begin, &commas, end));
                    }
                    if let Some(made) = range(raw, begin, end) {
                        return Some(made);
                    }
                }
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            before = c;
        }
    }
    None
}

/// The parts from one place to another; both are the places of a character that is left out.
fn between(raw: &Raw, from: Option<(usize, usize)>, to: Option<(usize, usize)>) -> Raw {
    let first = from.map_or(0, |(at, _)| at);
    let last = to.map_or(raw.len(), |(at, _)| at.saturating_add(1));
    let mut parts = Raw::new();
    for (at, part) in raw.iter().enumerate().take(last).skip(first) {
        let Part::Bare(text) = part else {
            parts.push(part.clone());
            continue;
        };
        let begin = from.filter(|(part, _)| *part == at).map_or(0, |(_, offset)| offset.saturating_add(1));
        let end = to.filter(|(part, _)| *part == at).map_or(text.len(), |(_, offset)| offset);
        if let Some(text) = text.get(begin..end).filter(|text| !text.is_empty()) {
            parts.push(Part::Bare(text.to_owned()));
        }
    }
    parts
}

fn pieces(raw: &Raw, begin: (usize, usize), commas: &[(usize, usize)], end: (usize, usize)) -> Vec<Raw> {
    let (before, after) = (between(raw, None, Some(begin)), between(raw, Some(end), None));
    let from = std::iter::once(begin).chain(commas.iter().copied());
    let to = commas.iter().copied().chain([end]);
    let whole = |(from, to)| [before.clone(), between(raw, Some(from), Some(to)), after.clone()].concat();
    from.zip(to).map(whole).collect()
}

/// `{a..e}` and `{1..9}`.
fn range(raw: &Raw, begin: (usize, usize), end: (usize, usize)) -> Option<Vec<Raw>> {
    let inner = between(raw, Some(begin), Some(end));
    let [Part::Bare(text)] = inner.as_slice() else { return None };
    let (from, to) = text.split_once("..")?;
    let all: Vec<String> = match (from.parse::<u32>(), to.parse::<u32>()) {
        (Ok(from), Ok(to)) => {
            (from.min(to)..=from.max(to)).take(BRACES.saturating_add(1)).map(|n| n.to_string()).collect()
        }
        _ => {
            let (from, to) = (from.parse::<char>().ok()?, to.parse::<char>().ok()?);
            (from.min(to)..=from.max(to)).take(BRACES.saturating_add(1)).map(String::from).collect()
        }
    };
    let (before, after) = (between(raw, None, Some(begin)), between(raw, Some(end), None));
    Some(all.into_iter().map(|text| [before.clone(), vec![Part::Bare(text)], after.clone()].concat()).collect())
}
