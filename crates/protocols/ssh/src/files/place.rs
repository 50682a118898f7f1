//! Paths as rules read them: from the root where that is known, and otherwise as much of them as is.

use sallyport_statements::glob::{Place, Sense, Sure};
use sallyport_statements::shell::Word;

/// From where a path is to be understood that is not written from the root.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Start {
    /// The home of an account, wherever that is: what leads out of it may be anywhere, what stays in it is not.
    #[default]
    Home,
    /// Nobody here knows: it may be anywhere.
    Anywhere,
    /// This directory, written from the root.
    At(String),
}

/// Where a path may lead to, as patterns are compared with it: any of these.
#[derive(Clone, Debug)]
pub(super) struct Path(Vec<Word>);

impl Path {
    /// What a client wrote, understood from a start.
    pub(super) fn of(path: &str, start: &Start) -> Self {
        let written = plain(path);
        if written.starts_with('/') {
            return Self(vec![Word::new(&written)]);
        }
        match start {
            Start::At(directory) => Self(vec![Word::new(&plain(&format!("{directory}/{path}"))), Word::new(&written)]),
            Start::Home if written != ".." && !written.starts_with("../") => Self(vec![Word::new(&written)]),
            Start::Home | Start::Anywhere => {
                let tail = written.split('/').skip_while(|part| *part == "..").collect::<Vec<_>>().join("/");
                Self(vec![Word::new(&written), Word::new(&format!("/{tail}")), below(&tail)])
            }
        }
    }

    /// What a shell is to make a path of: its stars and question marks, and a home of somebody's, are anything.
    pub(super) fn loose(path: &str, start: &Start) -> Self {
        let home = path.strip_prefix('~').map(|path| path.split_once('/').map_or("", |(_, rest)| rest));
        let known = home.map_or_else(|| Self::of(path, start), |rest| Self(vec![below(&plain(rest))]));
        let open = |place: &Place| match place {
            Place::Char('*') => Place::Any,
            Place::Char('?') => Place::One,
            place => *place,
        };
        Self(known.0.into_iter().map(|word| Word(word.0.iter().map(open).collect())).collect())
    }

    /// Whether it may be what a pattern names: the whole path or, for a pattern without a slash, its last name.
    pub(super) fn may_be(&self, pattern: &str) -> bool {
        self.0.iter().any(|word| named(word, pattern) != Sure::No)
    }

    fn surely_is(&self, pattern: &str) -> bool {
        self.0.iter().any(|word| named(word, pattern) == Sure::Yes)
    }

    /// Whether a pattern that names this path, or something in a directory of this path, would not name it there.
    pub(super) fn is_lost(&self, pattern: &str, there: &Self) -> bool {
        // A pattern and, of one with slashes, each directory that it leads through.
        let ends = pattern.match_indices('/').map(|(at, _)| at).chain([pattern.len()]);
        ends.filter_map(|end| pattern.get(..end))
            .map(|part| if part.is_empty() { "/" } else { part })
            .any(|part| self.may_be(part) && !there.surely_is(part))
    }

    /// The same file may be either.
    pub(super) fn or(self, other: Self) -> Self {
        Self([self.0, other.0].concat())
    }
}

fn named(word: &Word, pattern: &str) -> Sure {
    let whole = word.is(pattern, Sense::Exact);
    if pattern.contains('/') { whole } else { whole.or(word.name().is(pattern, Sense::Exact)) }
}

/// Something below a directory that nobody knows.
fn below(tail: &str) -> Word {
    let tail = tail.chars().map(Place::Char);
    Word([Place::Char('/'), Place::Any, Place::Char('/')].into_iter().chain(tail).collect())
}

/// The path without `.`, `..` and doubled slashes, as far as it says by itself what they mean. What a symbolic link on
/// the target means nobody here knows.
pub(super) fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// What a symbolic link leads to, as it is understood from where the link lies.
pub(super) fn beside(link: &str, leads: &str) -> String {
    match link.rsplit_once('/') {
        Some((directory, _)) if !leads.starts_with('/') => format!("{directory}/{leads}"),
        _ => leads.to_owned(),
    }
}
