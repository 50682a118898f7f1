//! Expansion: what a word becomes in the shell's own order - braces, variables, outputs, splitting, paths.

use super::read::Reader;
use super::sum::hides;
use super::tree::{Other, Part, Raw};
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
    /// Where a bracket that is not quoted has opened, and whether one has closed behind it.
    class: Option<(usize, bool)>,
}

impl Growing {
    fn end(&mut self) {
        // From the bracket on it stands for what is there on the target: its ends may be in parts.
        if let Some((at, true)) = self.class.take() {
            self.now.truncate(at);
            self.now.push(Place::Any);
        }
        if self.some || !self.now.is_empty() {
            self.words.push(Word(std::mem::take(&mut self.now)));
        }
        self.some = false;
    }

    /// A character outside of quotes: stars, question marks and classes stand for what is there on the target.
    fn bare(&mut self, c: char) {
        match (c, &mut self.class) {
            ('[', None) => self.class = Some((self.now.len(), false)),
            (']', Some((_, closed))) => *closed = true,
            _ => {}
        }
        self.now.push(match c {
            '*' => Place::Any,
            '?' => Place::One,
            c => Place::Char(c),
        });
    }

    /// Text of an expansion outside of quotes: blanks split it.
    fn split(&mut self, word: &Word) {
        for place in &word.0 {
            match place {
                Place::Char(' ' | '\t' | '\n') => self.end(),
                // A pattern of bash's own, where it has been switched on.
                Place::Char('(') => self.now.push(Place::Several),
                Place::Char(c) => self.bare(*c),
                Place::Any => self.now.push(Place::Several),
                other => self.now.push(*other),
            }
        }
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
            // No arguments are no word at all, in quotes too.
            let none = |part: &Part| matches!(part, Part::Variable { name, .. } if name == "@");
            if raw.iter().any(none) && growing.words == [Word::default()] {
                growing.words = vec![Word(vec![Place::Several])];
            }
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
            Part::Quoted(text) | Part::Bare(text) if !self.spend(text.len()) => growing.now.push(Place::Several),
            Part::Quoted(text) => {
                growing.some = true;
                growing.now.extend(text.chars().map(Place::Char));
            }
            Part::Bare(text) if splits => text.chars().for_each(|c| growing.bare(c)),
            Part::Bare(text) => growing.now.extend(text.chars().map(Place::Char)),
            Part::Variable { name, quoted } => {
                let value = self.variable(name);
                // In quotes too the arguments are several words.
                if name == "@" && splits && !value.0.is_empty() {
                    growing.now.push(Place::Several);
                } else {
                    self.value(&value, *quoted, splits, growing);
                }
            }
            Part::Slice { name, from, count, quoted } => {
                let value = match self.variable(name).text() {
                    Some(text) => {
                        let rest = text.chars().skip(*from);
                        Word::new(&rest.take(count.unwrap_or(usize::MAX)).collect::<String>())
                    }
                    None => Word::unknown(),
                };
                self.value(&value, *quoted && name != "@", splits, growing);
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
            Part::Other(Other { inner, sum, sets, several }) => {
                let text = self.one(inner);
                if *sum {
                    self.sum(inner, &text);
                }
                if let Some(name) = sets {
                    self.assign(name, Word::unknown(), false);
                }
                growing.now.push(if *several { Place::Several } else { Place::Any });
            }
        }
    }

    fn value(&mut self, value: &Word, quoted: bool, splits: bool, growing: &mut Growing) {
        self.hidden |= value.0.contains(&Place::Char('[')) && hides(&value.shown());
        if !self.spend(value.0.len()) {
            growing.now.push(Place::Several);
        } else if quoted || !splits {
            growing.some |= quoted;
            growing.now.extend(&value.0);
        } else if self.splits_oddly() {
            growing.now.push(Place::Several);
        } else {
            growing.split(value);
        }
    }

    fn variable(&self, name: &str) -> Word {
        match name {
            "IFS" if !self.splits_oddly() => Word::new(" \t\n"),
            // A line that is typed, or run by `sh -c`, has no arguments.
            "@" | "*" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" if !self.has_arguments() => Word::default(),
            name => self.known(name).unwrap_or_else(Word::unknown),
        }
    }
}

fn unknown() -> Part {
    Part::Other(Other { several: true, ..Other::default() })
}

/// The words that `{a,b}` and `{1..3}` make. Only text outside of quotes has them.
fn braces(raw: &Raw) -> Vec<Raw> {
    let long = |part: &Part| matches!(part, Part::Bare(text) if text.len() > LONG && text.contains('{'));
    if raw.iter().any(long) {
        return vec![vec![unknown()]];
    }
    let mut done: Vec<Raw> = Vec::new();
    let mut open = vec![raw.clone()];
    while let Some(raw) = open.pop() {
        match brace(&raw) {
            Some(made) if open.len().saturating_add(made.len()).saturating_add(done.len()) <= BRACES => {
                // The first is to come out first.
                open.extend(made.into_iter().rev());
            }
            Some(_) => done.push(vec![unknown()]),
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
    // What bash takes for a brace within one that does not close is not followed.
    let has = |c: char| raw.iter().any(|part| matches!(part, Part::Bare(text) if text.contains(c)));
    (depth > 0 && has(',') && has('}')).then(|| vec![vec![unknown()]])
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
    let most = BRACES.saturating_add(1);
    let count = |text: &str| text.parse::<u32>().ok().filter(|n| n.to_string() == text);
    let letter = |text: &str| text.parse::<char>().ok().filter(char::is_ascii_alphabetic);
    let mut all: Vec<String> = match (count(from), count(to), letter(from), letter(to)) {
        (Some(from), Some(to), ..) => (from.min(to)..=from.max(to)).take(most).map(|n| n.to_string()).collect(),
        (.., Some(from), Some(to)) if from.is_lowercase() == to.is_lowercase() => {
            (from.min(to)..=from.max(to)).map(String::from).collect()
        }
        // Steps, zeros in front, and letters of both cases.
        _ => return Some(vec![vec![unknown()]]),
    };
    let falls = match (count(from), count(to)) {
        (Some(from), Some(to)) => from > to,
        _ => from > to,
    };
    if falls && all.len() < most {
        all.reverse();
    }
    let (before, after) = (between(raw, None, Some(begin)), between(raw, Some(end), None));
    Some(all.into_iter().map(|text| [before.clone(), vec![Part::Bare(text)], after.clone()].concat()).collect())
}
