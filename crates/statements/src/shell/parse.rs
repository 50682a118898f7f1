//! The grammar: pipes, lists and what holds them.
//!
//! Where bash and a POSIX shell would read a text differently, both readings are kept, or it is no line at all.

use super::chars::Chars;
use super::tree::{Item, List, Node, Other, Part, Pipeline, Raw, Redirect, Sort, looks};
use sallyport_model::Kind;
use std::sync::{Arc, OnceLock};

/// Why a text is no whole script.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Broken {
    /// It ends within a quote, a here-document or a compound command: a shell would ask for more.
    #[error("it is not finished")]
    Open,
    /// A shell would not take it, or it is not known what it would take it for.
    #[error("it is no line of a shell")]
    Misfit,
    /// It is deeper or longer than what is read.
    #[error("it is too long or too deep to be read")]
    Vast,
}

impl Broken {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(self) -> Kind {
        Kind::Usage
    }
}

/// Commands one in another, at most.
const DEPTH: usize = 40;

/// Reads a whole text.
pub(super) fn script(text: &str) -> Result<List, Broken> {
    if text.len() > super::LONGEST {
        return Err(Broken::Vast);
    }
    // Shells leave it out of what they read, or end there.
    if text.contains('\0') {
        return Err(Broken::Misfit);
    }
    Parser::new(text, 0).list(&Until::End)
}

/// Where a list ends.
pub(super) enum Until {
    End,
    Close(char),
    Words {
        stop: &'static [&'static str],
        between: &'static [&'static str],
    },
    /// `;;`, `;&`, `;;&` or `esac`.
    Case,
}

/// What comes where a command may begin.
enum Next {
    Command,
    /// A word between two lists.
    Between,
    End,
}

/// A here-document whose lines are yet to come.
pub(super) struct Pending {
    pub(super) end: String,
    pub(super) quoted: bool,
    pub(super) tabs: bool,
    /// Where its redirection ended.
    pub(super) from: usize,
    pub(super) body: Arc<OnceLock<Raw>>,
}

pub(super) struct Parser {
    pub(super) chars: Chars,
    pub(super) depth: usize,
    /// Here-documents so far.
    pub(super) documents: usize,
    pub(super) pending: Vec<Pending>,
}

/// Words that end or go on with a compound command, where a command would begin.
const RESERVED: [&str; 9] = ["then", "elif", "else", "fi", "do", "done", "esac", "}", "in"];
/// Words that begin one.
const BEGINS: [&str; 12] =
    ["{", "if", "while", "until", "case", "for", "select", "function", "!", "time", "coproc", "[["];

impl Parser {
    pub(super) fn new(text: &str, depth: usize) -> Self {
        Self { chars: Chars::new(text), depth, documents: 0, pending: Vec::new() }
    }

    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Broken>) -> Result<T, Broken> {
        if self.depth >= DEPTH {
            return Err(Broken::Vast);
        }
        self.depth = self.depth.saturating_add(1);
        let result = read(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Blanks and comments. Other characters that look like blanks are part of words.
    pub(super) fn blanks(&mut self) {
        loop {
            match self.chars.peek() {
                Some(' ' | '\t') => self.chars.skip(1),
                Some('#') => self.chars.comment(),
                _ => return,
            }
        }
    }

    /// Blanks and ends of lines.
    pub(super) fn lines(&mut self) -> Result<(), Broken> {
        self.blanks();
        while self.chars.peek() == Some('\n') {
            self.newline()?;
            self.blanks();
        }
        Ok(())
    }

    pub(super) fn list(&mut self, until: &Until) -> Result<List, Broken> {
        let parts = self.parts(until)?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The lists up to an end, apart where words between them say so.
    fn parts(&mut self, until: &Until) -> Result<Vec<List>, Broken> {
        self.deeper(|parser| {
            let (mut parts, mut list) = (Vec::new(), List::new());
            // Where the pipes that are joined by `&&` and `||` begin.
            let (mut chain, mut joined) = (0, false);
            loop {
                match parser.ends(until)? {
                    Next::Command => {}
                    Next::Between => {
                        parts.push(std::mem::take(&mut list));
                        (chain, joined) = (0, false);
                        continue;
                    }
                    Next::End => {
                        parts.push(list);
                        return Ok(parts);
                    }
                }
                let (nodes, apart) = parser.pipeline()?;
                if !nodes.is_empty() {
                    list.push(Item { nodes, maybe: joined || apart });
                }
                match parser.separator(until)? {
                    Some("&") => {
                        list.iter_mut().skip(chain).for_each(|item| item.maybe = true);
                        (chain, joined) = (list.len(), false);
                    }
                    Some("&&") => joined = true,
                    _ => (chain, joined) = (list.len(), false),
                }
            }
        })
    }

    /// Whether the list ends here; takes what ends it.
    fn ends(&mut self, until: &Until) -> Result<Next, Broken> {
        self.lines()?;
        let end = match until {
            Until::End if self.chars.dangles() => return Err(Broken::Open),
            Until::End if self.chars.peek().is_none() && !self.pending.is_empty() => return Err(Broken::Open),
            Until::End => self.chars.peek().is_none(),
            _ if self.chars.peek().is_none() => return Err(Broken::Open),
            Until::Close(c) => self.chars.take(c.encode_utf8(&mut [0; 4])),
            Until::Words { between, .. } if between.iter().any(|word| self.reserved(word)) => return Ok(Next::Between),
            Until::Words { stop, .. } => stop.iter().any(|word| self.reserved(word)),
            Until::Case => {
                self.chars.take(";;&") || self.chars.take(";;") || self.chars.take(";&") || self.at(&["esac"])
            }
        };
        Ok(if end { Next::End } else { Next::Command })
    }

    /// What stands between two pipelines: `&`, `&&` for both that join, or anything else.
    fn separator(&mut self, until: &Until) -> Result<Option<&'static str>, Broken> {
        self.blanks();
        match (self.chars.peek(), self.chars.ahead(1)) {
            (Some(';'), Some(';' | '&')) if matches!(until, Until::Case) => {}
            (Some('&'), Some('&')) | (Some('|'), Some('|')) => {
                self.chars.skip(2);
                self.lines()?;
                return if self.chars.peek().is_none() { Err(Broken::Open) } else { Ok(Some("&&")) };
            }
            (Some('&'), _) => {
                self.chars.skip(1);
                return Ok(Some("&"));
            }
            (Some('\n'), _) => self.newline()?,
            (Some(';'), _) => self.chars.skip(1),
            (Some(c), _) => match until {
                Until::Close(close) if c == *close => {}
                // A compound command may be followed by the word that ends the one around it.
                Until::Words { .. } | Until::Case if c != ')' && c != '(' => {}
                _ => return Err(Broken::Misfit),
            },
            (None, _) => {}
        }
        Ok(None)
    }

    /// Whether one of these words comes next, as a word of its own.
    fn at(&self, words: &[&str]) -> bool {
        words.iter().any(|word| {
            let count = word.chars().count();
            word.chars().enumerate().all(|(by, c)| self.chars.ahead(by) == Some(c))
                && self.chars.ahead(count).is_none_or(ends_word)
        })
    }

    fn reserved(&mut self, word: &str) -> bool {
        let here = self.at(&[word]);
        if here {
            self.chars.skip(word.chars().count());
        }
        here
    }

    /// The words before a pipe; whether it runs beside.
    fn prefixes(&mut self) -> bool {
        let mut apart = false;
        loop {
            self.blanks();
            if self.reserved("!") {
                continue;
            }
            let place = self.chars.place();
            if self.reserved("coproc") {
                apart = true;
                self.blanks();
                let name = self.chars.place();
                self.name();
                self.blanks();
                // Only a compound command may have a name.
                if !(self.at(&BEGINS) || self.chars.peek() == Some('(')) {
                    self.chars.back(name);
                }
                continue;
            }
            if self.reserved("time") {
                // For bash it is no program.
                self.blanks();
                while self.reserved("-p") || self.reserved("--") {
                    self.blanks();
                }
                let here = self.chars.place();
                let assigns = self.assigned().is_some();
                self.chars.back(here);
                if assigns || self.at(&BEGINS) || self.chars.peek() == Some('(') {
                    continue;
                }
                self.chars.back(place);
            }
            return apart;
        }
    }

    fn pipeline(&mut self) -> Result<(Pipeline, bool), Broken> {
        let mut pipeline = Pipeline::new();
        let mut apart = false;
        loop {
            apart |= self.prefixes();
            if let Some(node) = self.command()? {
                pipeline.push(node);
            } else if !pipeline.is_empty() {
                return Err(self.short());
            }
            self.blanks();
            if self.chars.peek() != Some('|') || self.chars.ahead(1) == Some('|') {
                return Ok((pipeline, apart));
            }
            self.chars.skip(1);
            // `|&` pipes both outputs.
            self.chars.take("&");
            self.lines()?;
        }
    }

    fn command(&mut self) -> Result<Option<Node>, Broken> {
        let words = |stop, between| Until::Words { stop, between };
        let (sort, parts) = if self.chars.peek() == Some('(') {
            self.parens()?
        } else if self.reserved("{") {
            (Sort::Braces, vec![self.list(&words(&["}"], &[]))?])
        } else if self.reserved("if") {
            (Sort::Choice, self.parts(&words(&["fi"], &["then", "elif", "else"]))?)
        } else if self.reserved("while") || self.reserved("until") {
            (Sort::Loop, self.parts(&words(&["done"], &["do"]))?)
        } else if self.reserved("case") {
            (Sort::Choice, self.deeper(Self::case)?)
        } else if self.reserved("for") || self.reserved("select") {
            return self.deeper(Self::repeat).map(Some);
        } else if self.reserved("function") {
            self.blanks();
            let name = self.name();
            self.blanks();
            if self.chars.take("(") {
                self.blanks();
                if !self.chars.take(")") {
                    return Err(Broken::Misfit);
                }
            }
            return self.function(name).map(Some);
        } else if self.at(&RESERVED) {
            return Err(Broken::Misfit);
        } else {
            return self.simple();
        };
        let redirects = self.redirects()?;
        Ok(Some(Node::Group { sort, parts, redirects }))
    }

    /// `( )` and `(( ))`. The second is reckoning in bash, where its ends stand together, and two subshells elsewhere.
    fn parens(&mut self) -> Result<(Sort, Vec<List>), Broken> {
        let place = self.chars.place();
        if self.chars.take("((") {
            let from = self.chars.place();
            if let Ok((sum, plain)) = self.arithmetic() {
                let text: String = self.chars.between(from, self.chars.place()).iter().collect();
                let Some(inner) = text.strip_suffix("))").filter(|text| plain && !text.contains("<<")) else {
                    return Err(Broken::Misfit);
                };
                let other = self.deeper(|parser| Parser::new(inner, parser.depth).list(&Until::End));
                let parts = [Ok(vec![looks(vec![reckoned(sum)])]), other];
                return Ok((Sort::Choice, parts.into_iter().flatten().collect()));
            }
            self.chars.back(place);
        }
        let twice = self.chars.take("((");
        self.chars.back(place);
        self.chars.skip(1);
        let list = self.list(&Until::Close(')'))?;
        // Bash reads it a second time, and then finds no lines for a here-document.
        if twice && self.chars.between(place, self.chars.place()).windows(2).any(|two| two == ['<', '<']) {
            return Err(Broken::Misfit);
        }
        Ok((Sort::Subshell, vec![list]))
    }

    pub(super) fn function(&mut self, name: String) -> Result<Node, Broken> {
        self.lines()?;
        let body = self.deeper(Self::command)?.ok_or_else(|| self.short())?;
        Ok(Node::Function { name, body: Box::new(body) })
    }

    fn case(&mut self) -> Result<Vec<List>, Broken> {
        self.blanks();
        // What is compared, and what it is compared with, may itself run something.
        let mut words = vec![self.word()?.ok_or_else(|| self.short())?];
        let mut parts = Vec::new();
        self.lines()?;
        if !self.reserved("in") {
            return Err(self.short());
        }
        loop {
            self.lines()?;
            if self.reserved("esac") {
                parts.insert(0, vec![looks(words)]);
                return Ok(parts);
            }
            self.chars.take("(");
            loop {
                self.blanks();
                words.push(self.word()?.ok_or_else(|| self.short())?);
                self.blanks();
                if !self.chars.take("|") {
                    break;
                }
            }
            if !self.chars.take(")") {
                return Err(self.short());
            }
            parts.push(self.list(&Until::Case)?);
        }
    }

    pub(super) fn short(&self) -> Broken {
        if self.chars.peek().is_none() { Broken::Open } else { Broken::Misfit }
    }

    fn repeat(&mut self) -> Result<Node, Broken> {
        self.blanks();
        let mut words = None;
        let mut sum = None;
        let mut name = String::new();
        if self.chars.take("((") {
            sum = Some(reckoned(self.arithmetic()?.0));
        } else {
            name = self.name();
            self.lines()?;
            if self.reserved("in") {
                let mut found = Vec::new();
                self.blanks();
                while let Some(word) = self.word()? {
                    found.push(word);
                    self.blanks();
                }
                words = Some(found);
            }
        }
        self.blanks();
        self.chars.take(";");
        self.lines()?;
        let body = if self.reserved("do") {
            self.list(&Until::Words { stop: &["done"], between: &[] })?
        } else if self.reserved("{") {
            self.list(&Until::Words { stop: &["}"], between: &[] })?
        } else {
            return Err(self.short());
        };
        let redirects = self.redirects()?;
        Ok(match sum {
            Some(sum) => Node::Group { sort: Sort::Loop, parts: vec![vec![looks(vec![sum])], body], redirects },
            None => Node::For { name, words, body, redirects },
        })
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.chars.peek().filter(|c| !ends_word(*c)) {
            name.push(c);
            self.chars.skip(1);
        }
        name
    }

    /// Redirections behind a compound command.
    fn redirects(&mut self) -> Result<Vec<Redirect>, Broken> {
        let mut redirects = Vec::new();
        self.blanks();
        while self.redirect(&mut redirects)? {
            self.blanks();
        }
        Ok(redirects)
    }
}

fn reckoned(inner: Raw) -> Raw {
    vec![Part::Other(Other { inner, sum: true, ..Other::default() })]
}

/// Whether a word has a meaning of its own where a command begins.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word) || BEGINS.contains(&word) && !matches!(word, "[[" | "time")
}

/// Whether a word ends before this character (POSIX section 2.3).
pub(super) const fn ends_word(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}
