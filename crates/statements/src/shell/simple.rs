//! Simple commands: assignments, words, redirections and here-documents.

use super::parse::{Broken, Parser, Pending, ends_word, is_reserved};
use super::tree::{Assign, Node, Other, Part, Raw, Redirect, Stream};
use std::sync::{Arc, OnceLock};

/// Here-documents in one text, at most.
const DOCUMENTS: usize = 64;

/// Builtins whose words may be assignments of arrays.
const DECLARE: [&str; 5] = ["declare", "typeset", "local", "export", "readonly"];

impl Parser {
    pub(super) fn simple(&mut self) -> Result<Option<Node>, Broken> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::<Raw>::new(), Vec::new());
        loop {
            self.blanks();
            if self.redirect(&mut redirects)? {
                continue;
            }
            if words.is_empty()
                && let Some((name, adds)) = self.assigned()
            {
                let value = if self.chars.take("(") { self.array()? } else { self.word()?.unwrap_or_default() };
                assigns.push(Assign { name, value, adds });
                continue;
            }
            let Some(mut word) = self.word()? else { break };
            // A list of values for `declare x=`.
            if self.chars.peek() == Some('(')
                && matches!(word.last(), Some(Part::Bare(text)) if text.ends_with('='))
                && matches!(words.first().map(Vec::as_slice), Some([Part::Bare(name)]) if DECLARE.contains(&name.as_str()))
            {
                self.chars.skip(1);
                word.extend(self.array()?);
            }
            words.push(word);
            if let ([only], true, true) = (words.as_slice(), assigns.is_empty(), redirects.is_empty())
                && let [Part::Bare(name)] = only.as_slice()
            {
                // Where it is written in pieces it was not seen before.
                if is_reserved(name) {
                    return Err(Broken::Misfit);
                }
                let name = name.clone();
                self.blanks();
                if self.chars.peek() == Some('(') && self.chars.ahead(1) == Some(')') {
                    self.chars.skip(2);
                    return self.function(name).map(Some);
                }
            }
        }
        let nothing = assigns.is_empty() && words.is_empty() && redirects.is_empty();
        Ok((!nothing).then_some(Node::Simple { assigns, words, redirects }))
    }

    /// `name=` or `name+=`, where it comes next; whether it adds.
    pub(super) fn assigned(&mut self) -> Option<(String, bool)> {
        let place = self.chars.place();
        let mut name = String::new();
        while let Some(c) = self.chars.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.chars.skip(1);
        }
        if name.starts_with(|c: char| !c.is_ascii_digit()) {
            if self.chars.take("=") {
                return Some((name, false));
            }
            if self.chars.take("+=") {
                return Some((name, true));
            }
        }
        self.chars.back(place);
        None
    }

    /// An array's words; only that they are read matters.
    fn array(&mut self) -> Result<Raw, Broken> {
        let mut inner = Raw::new();
        loop {
            self.lines()?;
            if self.chars.take(")") {
                break;
            }
            inner.extend(self.word()?.ok_or_else(|| self.short())?);
        }
        if self.chars.peek().is_some_and(|c| !ends_word(c)) {
            return Err(Broken::Misfit);
        }
        // Bash reckons with what stands between brackets.
        let sum = inner.iter().any(|part| matches!(part, Part::Bare(text) if text.contains('[')));
        Ok(vec![Part::Other(Other { inner, sum, sets: None, several: true })])
    }

    /// One redirection, where one comes next.
    pub(super) fn redirect(&mut self, redirects: &mut Vec<Redirect>) -> Result<bool, Broken> {
        let place = self.chars.place();
        let mut digits = String::new();
        while let Some(c) = self.chars.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.chars.skip(1);
        }
        let number = digits.parse().ok();
        let both = self.chars.peek() == Some('&') && self.chars.ahead(1) == Some('>') && digits.is_empty();
        let here = matches!(self.chars.peek(), Some('<' | '>')) && self.chars.ahead(1) != Some('(');
        if !both && !here {
            self.chars.back(place);
            return Ok(false);
        }
        let (number, what) = if self.chars.take("<<<") {
            (number.unwrap_or(0), Stream::Text(self.operand()?))
        } else if self.chars.take("<<") {
            (number.unwrap_or(0), self.document()?)
        } else if self.chars.take("&>>") || self.chars.take("&>") {
            (1, Stream::Write(self.operand()?))
        } else if self.chars.take("<>") {
            (number.unwrap_or(0), Stream::Write(self.operand()?))
        } else if self.chars.take(">&") {
            (number.unwrap_or(1), self.twin()?)
        } else if self.chars.take("<&") {
            (number.unwrap_or(0), self.twin()?)
        } else if self.chars.take(">>") || self.chars.take(">|") || self.chars.take(">") {
            (number.unwrap_or(1), Stream::Write(self.operand()?))
        } else {
            self.chars.skip(1);
            (number.unwrap_or(0), Stream::Read(self.operand()?))
        };
        redirects.push(Redirect { number, what });
        Ok(true)
    }

    /// `2`, `-`, `2-`: a descriptor, and no path.
    fn twin(&mut self) -> Result<Stream, Broken> {
        let operand = self.operand()?;
        let descriptor = match operand.as_slice() {
            [Part::Bare(text)] => text.chars().all(|c| c.is_ascii_digit() || c == '-'),
            _ => false,
        };
        Ok(if descriptor { Stream::Twin } else { Stream::Write(operand) })
    }

    fn operand(&mut self) -> Result<Raw, Broken> {
        self.blanks();
        self.word()?.ok_or_else(|| self.short())
    }

    /// A here-document begins: its lines come behind the end of this one.
    fn document(&mut self) -> Result<Stream, Broken> {
        self.documents = self.documents.saturating_add(1);
        if self.documents > DOCUMENTS {
            return Err(Broken::Vast);
        }
        let tabs = self.chars.take("-");
        self.blanks();
        let from = self.chars.place();
        let word = self.word()?.ok_or_else(|| self.short())?;
        let odd = self.chars.between(from, self.chars.place()).iter().any(|c| matches!(c, '$' | '`' | '\n'));
        let text = word.iter().map(|part| match part {
            Part::Quoted(text) | Part::Bare(text) if !odd => Ok(text.as_str()),
            _ => Err(Broken::Misfit),
        });
        let end: String = text.collect::<Result<_, _>>()?;
        let quoted = word.iter().any(|part| matches!(part, Part::Quoted(_)));
        let body = Arc::new(OnceLock::new());
        self.pending.push(Pending { end, quoted, tabs, from: self.chars.place(), body: body.clone() });
        Ok(Stream::Document(body))
    }

    /// The end of a line: the here-documents that it has begun follow.
    pub(super) fn newline(&mut self) -> Result<(), Broken> {
        let at = self.chars.place();
        self.chars.skip(1);
        for pending in std::mem::take(&mut self.pending) {
            // A line's end within quotes or a substitution: where the body begins then, shells do not agree.
            if self.chars.between(pending.from, at).contains(&'\n') {
                return Err(Broken::Misfit);
            }
            let mut text = String::new();
            loop {
                let line = self.chars.line(!pending.quoted).ok_or(Broken::Open)?;
                let line = if pending.tabs { line.trim_start_matches('\t') } else { line.as_str() };
                if line == pending.end {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            let mut raw = Raw::new();
            if pending.quoted {
                raw.push(Part::Quoted(text));
            } else {
                self.deeper(|parser| Self::new(&text, parser.depth).double(&mut raw, None))?;
            }
            let _ = pending.body.set(raw);
        }
        Ok(())
    }
}
