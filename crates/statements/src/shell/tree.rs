//! What the grammar makes of a text, before anything is expanded.

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
    /// Something whose value is not known here: arithmetic, the state of the shell.
    Unknown,
}

/// A word before expansion.
pub(super) type Raw = Vec<Part>;

/// Commands one after another.
pub(super) type List = Vec<Pipeline>;

/// Commands joined by pipes.
pub(super) type Pipeline = Vec<Node>;

/// A redirection.
#[derive(Clone, Debug)]
pub(super) enum Redirect {
    /// To a path.
    Write(Raw),
    /// From a path.
    Read(Raw),
    /// From a text: a here-document or here-string.
    Text(Raw),
}

/// One command.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Assignments, words and redirections.
    Simple { assigns: Vec<(String, Raw)>, words: Vec<Raw>, redirects: Vec<Redirect> },
    /// Anything that holds other commands.
    Group { body: List, redirects: Vec<Redirect> },
    /// A loop over words.
    For { name: String, words: Option<Vec<Raw>>, body: List, redirects: Vec<Redirect> },
    /// A function's definition.
    Function { name: String, body: Box<Node> },
}
