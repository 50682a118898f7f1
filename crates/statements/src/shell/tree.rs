//! What the grammar makes of a text, before anything is expanded.

use std::sync::{Arc, OnceLock};

/// A part of a word.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Text in which nothing is special.
    Quoted(String),
    /// Text that has not been quoted: stars, braces and blanks of its own.
    Bare(String),
    /// A variable; in double quotes it stays one word.
    Variable { name: String, quoted: bool },
    /// A part of a variable's text: from a place on, so many characters.
    Slice { name: String, from: usize, count: Option<usize>, quoted: bool },
    /// `$( )` and backquotes.
    Output { script: List, quoted: bool },
    /// `<( )` and `>( )`.
    Process { script: List },
    /// Something whose value is not known here, with what is expanded for it: arithmetic, the state of the shell.
    Other(Other),
}

/// What stands for a value that is not known here.
#[derive(Clone, Debug, Default)]
pub(super) struct Other {
    /// What is expanded for it.
    pub(super) inner: Raw,
    /// That bash reckons with the text: names in it, and what their values say.
    pub(super) sum: bool,
    /// A variable that it sets.
    pub(super) sets: Option<String>,
    /// That it may become several words.
    pub(super) several: bool,
}

/// A word before expansion.
pub(super) type Raw = Vec<Part>;

/// Commands one after another.
pub(super) type List = Vec<Item>;

/// Commands joined by pipes.
pub(super) type Pipeline = Vec<Node>;

/// One pipe of a list.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) nodes: Pipeline,
    /// That it may not run, or runs beside: behind `&&` and `||`, before `&`.
    pub(super) maybe: bool,
}

/// A redirection.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    /// The descriptor: 0 is the input, 1 the output.
    pub(super) number: usize,
    pub(super) what: Stream,
}

/// Where a redirection leads.
#[derive(Clone, Debug)]
pub(super) enum Stream {
    /// To a path.
    Write(Raw),
    /// From a path.
    Read(Raw),
    /// From a text.
    Text(Raw),
    /// From the lines below.
    Document(Arc<OnceLock<Raw>>),
    /// To or from what another descriptor leads to.
    Twin,
}

/// How commands are held together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sort {
    /// They run.
    Braces,
    /// They run in a shell of their own.
    Subshell,
    /// Some of them run.
    Choice,
    /// They run any number of times.
    Loop,
}

/// One command.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Assignments, words and redirections.
    Simple { assigns: Vec<Assign>, words: Vec<Raw>, redirects: Vec<Redirect> },
    /// Anything that holds other commands.
    Group { sort: Sort, parts: Vec<List>, redirects: Vec<Redirect> },
    /// A loop over words.
    For { name: String, words: Option<Vec<Raw>>, body: List, redirects: Vec<Redirect> },
    /// A function's definition.
    Function { name: String, body: Box<Node> },
}

/// `name=value`.
#[derive(Clone, Debug)]
pub(super) struct Assign {
    /// Empty where a value is only looked at.
    pub(super) name: String,
    pub(super) value: Raw,
    /// `+=`: what it becomes is not known.
    pub(super) adds: bool,
}

/// A command that only looks at words.
pub(super) fn looks(words: Vec<Raw>) -> Item {
    let assign = |value| Assign { name: String::new(), value, adds: false };
    let assigns = words.into_iter().map(assign).collect();
    Item { nodes: vec![Node::Simple { assigns, words: Vec::new(), redirects: Vec::new() }], maybe: false }
}
