//! The grammar: words, pipes, lists and what holds them.

use super::chars::Chars;
use super::tree::{List, Node, Part, Pipeline, Raw, Redirect};
use sallyport_model::Kind;

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

pub(super) struct Parser {
    pub(super) chars: Chars,
    pub(super) depth: usize,
    /// Here-documents so far.
    pub(super) documents: usize,
}

/// Here-documents in one text, at most.
pub(super) const DOCUMENTS: usize = 64;

/// Words that end or go on with a compound command, where a command would begin.
const RESERVED: [&str; 9] = ["then", "elif", "else", "fi", "do", "done", "esac", "}", "in"];

impl Parser {
    pub(super) fn new(text: &str, depth: usize) -> Self {
        Self { chars: Chars::new(text), depth, documents: 0 }
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

    /// Blanks, lines that go on, and comments.
    fn blanks(&mut self) {
        loop {
            match self.chars.peek() {
                Some(' ' | '\t' | '\r') => self.chars.skip(1),
                Some('\\') if self.chars.ahead(1) == Some('\n') => self.chars.skip(2),
                Some('#') => {
                    while self.chars.peek().is_some_and(|c| c != '\n') {
                        self.chars.skip(1);
                    }
                }
                _ => return,
            }
        }
    }

    pub(super) fn list(&mut self, until: &Until) -> Result<List, Broken> {
        self.deeper(|parser| {
            let mut list = List::new();
            while !parser.ends(until)? {
                let pipeline = parser.pipeline()?;
                if !pipeline.is_empty() {
                    list.push(pipeline);
                }
                parser.separator(until)?;
            }
            Ok(list)
        })
    }

    /// Whether the list ends here; takes what ends it.
    fn ends(&mut self, until: &Until) -> Result<bool, Broken> {
        loop {
            self.blanks();
            if self.chars.peek() == Some('\n') {
                self.chars.skip(1);
                continue;
            }
            match until {
                Until::End => return Ok(self.chars.peek().is_none()),
                _ if self.chars.peek().is_none() => return Err(Broken::Open),
                Until::Close(c) => return Ok(self.chars.take(c.encode_utf8(&mut [0; 4]))),
                Until::Words { stop, between } => {
                    if between.iter().any(|word| self.reserved(word)) {
                        continue;
                    }
                    return Ok(stop.iter().any(|word| self.reserved(word)));
                }
                Until::Case => {
                    return Ok(self.chars.take(";;&")
                        || self.chars.take(";;")
                        || self.chars.take(";&")
                        || self.at(&["esac"]));
                }
            }
        }
    }

    /// What stands between two pipelines.
    fn separator(&mut self, until: &Until) -> Result<(), Broken> {
        self.blanks();
        match (self.chars.peek(), self.chars.ahead(1)) {
            (Some(';'), Some(';' | '&')) if matches!(until, Until::Case) => {}
            (Some('&'), Some('&')) | (Some('|'), Some('|')) => {
                self.chars.skip(2);
                self.blanks();
                if self.chars.peek().is_none() {
                    return Err(Broken::Open);
                }
            }
            (Some(';' | '&' | '\n'), _) => self.chars.skip(1),
            (Some(c), _) => match until {
                Until::Close(close) if c == *close => {}
                // A compound command may be followed by the word that ends the one around it.
                Until::Words { .. } | Until::Case if c != ')' && c != '(' => {}
                _ => return Err(Broken::Misfit),
            },
            (None, _) => {}
        }
        Ok(())
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

    fn pipeline(&mut self) -> Result<Pipeline, Broken> {
        let mut pipeline = Pipeline::new();
        loop {
            self.blanks();
            while self.reserved("!") || self.reserved("coproc") {
                self.blanks();
            }
            if let Some(node) = self.command()? {
                pipeline.push(node);
            } else if !pipeline.is_empty() {
                return Err(if self.chars.peek().is_none() { Broken::Open } else { Broken::Misfit });
            }
            self.blanks();
            if self.chars.peek() != Some('|') || self.chars.ahead(1) == Some('|') {
                return Ok(pipeline);
            }
            self.chars.skip(1);
            // `|&` pipes both outputs.
            self.chars.take("&");
            self.blanks();
            while self.chars.peek() == Some('\n') {
                self.chars.skip(1);
                self.blanks();
            }
        }
    }

    fn command(&mut self) -> Result<Option<Node>, Broken> {
        let body = if self.chars.take("((") {
            self.arithmetic()?;
            List::new()
        } else if self.chars.take("(") {
            self.list(&Until::Close(')'))?
        } else if self.reserved("{") {
            self.list(&Until::Words { stop: &["}"], between: &[] })?
        } else if self.reserved("if") {
            self.list(&Until::Words { stop: &["fi"], between: &["then", "elif", "else"] })?
        } else if self.reserved("while") || self.reserved("until") {
            self.list(&Until::Words { stop: &["done"], between: &["do"] })?
        } else if self.reserved("case") {
            self.deeper(Self::case)?
        } else if self.reserved("for") || self.reserved("select") {
            return self.deeper(Self::repeat).map(Some);
        } else if self.reserved("function") {
            self.blanks();
            let name = self.name();
            self.blanks();
            self.chars.take("()");
            return self.function(name).map(Some);
        } else if self.at(&RESERVED) {
            return Err(Broken::Misfit);
        } else {
            return self.simple();
        };
        let redirects = self.redirects()?;
        Ok(Some(Node::Group { body, redirects }))
    }

    fn function(&mut self, name: String) -> Result<Node, Broken> {
        self.blanks();
        while self.chars.peek() == Some('\n') {
            self.chars.skip(1);
            self.blanks();
        }
        let body = self.deeper(Self::command)?.ok_or(Broken::Open)?;
        Ok(Node::Function { name, body: Box::new(body) })
    }

    fn case(&mut self) -> Result<List, Broken> {
        self.blanks();
        let mut list = List::new();
        let subject = self.word()?.ok_or(Broken::Open)?;
        // What is compared may itself run something.
        list.push(vec![Node::Simple {
            assigns: vec![(String::new(), subject)],
            words: Vec::new(),
            redirects: Vec::new(),
        }]);
        self.lines()?;
        if !self.reserved("in") {
            return Err(self.short());
        }
        loop {
            self.lines()?;
            if self.reserved("esac") {
                return Ok(list);
            }
            self.chars.take("(");
            loop {
                self.blanks();
                self.word()?.ok_or_else(|| self.short())?;
                self.blanks();
                if !self.chars.take("|") {
                    break;
                }
            }
            if !self.chars.take(")") {
                return Err(self.short());
            }
            list.extend(self.list(&Until::Case)?);
        }
    }

    fn lines(&mut self) -> Result<(), Broken> {
        self.blanks();
        while matches!(self.chars.peek(), Some('\n')) {
            self.chars.skip(1);
            self.blanks();
        }
        Ok(())
    }

    fn short(&self) -> Broken {
        if self.chars.peek().is_none() { Broken::Open } else { Broken::Misfit }
    }

    fn repeat(&mut self) -> Result<Node, Broken> {
        self.blanks();
        let mut words = None;
        let name = if self.chars.take("((") {
            self.arithmetic()?;
            String::new()
        } else {
            let name = self.name();
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
            name
        };
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
        Ok(Node::For { name, words, body, redirects: self.redirects()? })
    }

    /// Skips to the end of `(( ))`.
    pub(super) fn arithmetic(&mut self) -> Result<(), Broken> {
        let mut depth = 2_usize;
        while depth > 0 {
            match self.chars.next().ok_or(Broken::Open)? {
                '(' => depth = depth.saturating_add(1),
                ')' => depth = depth.saturating_sub(1),
                // It may run something: nobody writes that who does not want to hide it.
                '`' => return Err(Broken::Misfit),
                '$' if self.chars.peek() == Some('(') && self.chars.ahead(1) != Some('(') => {
                    return Err(Broken::Misfit);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.chars.peek().filter(|c| !ends_word(*c)) {
            name.push(c);
            self.chars.skip(1);
        }
        name
    }

    fn simple(&mut self) -> Result<Option<Node>, Broken> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::<Raw>::new(), Vec::new());
        loop {
            self.blanks();
            if self.redirect(&mut redirects)? {
                continue;
            }
            if words.is_empty()
                && let Some(name) = self.assigned()
            {
                let value = if self.chars.take("(") { self.array()? } else { self.word()?.unwrap_or_default() };
                assigns.push((name, value));
                continue;
            }
            let Some(word) = self.word()? else { break };
            words.push(word);
            self.blanks();
            if let ([only], Some('('), Some(')')) = (words.as_slice(), self.chars.peek(), self.chars.ahead(1))
                && let [Part::Bare(name)] = only.as_slice()
            {
                let name = name.clone();
                self.chars.skip(2);
                return self.function(name).map(Some);
            }
        }
        let nothing = assigns.is_empty() && words.is_empty() && redirects.is_empty();
        Ok((!nothing).then_some(Node::Simple { assigns, words, redirects }))
    }

    /// `name=` or `name+=`, where it comes next.
    fn assigned(&mut self) -> Option<String> {
        let place = self.chars.place();
        let mut name = String::new();
        while let Some(c) = self.chars.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.chars.skip(1);
        }
        if name.starts_with(|c: char| !c.is_ascii_digit()) && !name.is_empty() {
            if self.chars.take("=") {
                return Some(name);
            }
            // What is added to is not known any more.
            if self.chars.take("+=") {
                return Some(name);
            }
        }
        self.chars.back(place);
        None
    }

    /// An array's words; only that they are read matters.
    fn array(&mut self) -> Result<Raw, Broken> {
        let mut raw = vec![Part::Unknown];
        loop {
            self.lines()?;
            if self.chars.take(")") {
                return Ok(raw);
            }
            raw.extend(self.word()?.ok_or_else(|| self.short())?);
        }
    }

    fn redirects(&mut self) -> Result<Vec<Redirect>, Broken> {
        let mut redirects = Vec::new();
        self.blanks();
        while self.redirect(&mut redirects)? {
            self.blanks();
        }
        Ok(redirects)
    }

    /// One redirection, where one comes next.
    fn redirect(&mut self, redirects: &mut Vec<Redirect>) -> Result<bool, Broken> {
        let place = self.chars.place();
        while self.chars.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.chars.skip(1);
        }
        if place != self.chars.place() && !matches!(self.chars.peek(), Some('<' | '>')) {
            self.chars.back(place);
            return Ok(false);
        }
        if matches!(self.chars.peek(), Some('<' | '>')) && self.chars.ahead(1) == Some('(') {
            self.chars.back(place);
            return Ok(false);
        }
        if self.chars.take("<<<") {
            redirects.push(Redirect::Text(self.operand()?));
        } else if self.chars.take("<<") {
            let tabs = self.chars.take("-");
            let end = self.operand()?;
            let quoted = end.iter().any(|part| matches!(part, Part::Quoted(_)));
            let end = end.iter().map(|part| match part {
                Part::Quoted(text) | Part::Bare(text) => Ok(text.as_str()),
                _ => Err(Broken::Misfit),
            });
            let end: String = end.collect::<Result<_, _>>()?;
            redirects.push(Redirect::Text(self.document(&end, quoted, tabs)?));
        } else if self.chars.take("&>>") || self.chars.take("&>") || self.chars.take(">>") || self.chars.take(">|") {
            redirects.push(Redirect::Write(self.operand()?));
        } else if self.chars.take(">&") || self.chars.take("<&") {
            let operand = self.operand()?;
            if !descriptor(&operand) {
                redirects.push(Redirect::Write(operand));
            }
        } else if self.chars.take("<>") || self.chars.take(">") {
            redirects.push(Redirect::Write(self.operand()?));
        } else if self.chars.take("<") {
            redirects.push(Redirect::Read(self.operand()?));
        } else {
            self.chars.back(place);
            return Ok(false);
        }
        Ok(true)
    }

    fn operand(&mut self) -> Result<Raw, Broken> {
        self.blanks();
        self.word()?.ok_or_else(|| self.short())
    }
}

/// `2`, `-`, `2-`: a descriptor, and no path.
fn descriptor(raw: &Raw) -> bool {
    match raw.as_slice() {
        [Part::Bare(text)] => text.chars().all(|c| c.is_ascii_digit() || c == '-'),
        _ => false,
    }
}

/// Whether a word ends before this character (POSIX section 2.3).
pub(super) fn ends_word(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}
