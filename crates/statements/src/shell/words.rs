//! Words: quotes, expansions and here-documents, before anything is expanded.

use super::parse::{Broken, DOCUMENTS, Parser, Until, ends_word};
use super::tree::{List, Part, Raw};

impl Parser {
    /// The body of a here-document, taken from behind this line and out of the text.
    pub(super) fn document(&mut self, end: &str, quoted: bool, tabs: bool) -> Result<Raw, Broken> {
        self.documents = self.documents.saturating_add(1);
        if self.documents > DOCUMENTS {
            return Err(Broken::Vast);
        }
        // The body begins behind the next line's end that is not quoted. Where that could be another one than the next,
        // nobody needs to guess.
        let rest = self.chars.rest_of_line();
        let odd = |c: char| !rest.chars().filter(|other| *other == c).count().is_multiple_of(2);
        if odd('\'')
            || odd('"')
            || odd('`')
            || rest.ends_with('\\')
            || rest.matches('(').count() > rest.matches(')').count()
        {
            return Err(Broken::Misfit);
        }
        let lines = self.chars.cut(end, tabs).ok_or(Broken::Open)?;
        if quoted {
            return Ok(vec![Part::Quoted(lines)]);
        }
        let mut raw = Raw::new();
        self.deeper(|parser| Parser::new(&lines, parser.depth).double(&mut raw, None))?;
        Ok(raw)
    }

    /// The next word, if one comes.
    pub(super) fn word(&mut self) -> Result<Option<Raw>, Broken> {
        let mut raw = Raw::new();
        let mut bare = String::new();
        let mut some = false;
        while let Some(c) = self.chars.peek() {
            let process = matches!(c, '<' | '>') && self.chars.ahead(1) == Some('(');
            if ends_word(c) && !process {
                break;
            }
            some = true;
            if !matches!(c, '\\' | '\'' | '"' | '$' | '`') && !process {
                bare.push(c);
                self.chars.skip(1);
                continue;
            }
            if c == '\\' && self.chars.ahead(1) == Some('\n') {
                self.chars.skip(2);
                continue;
            }
            flush(&mut bare, &mut raw);
            self.chars.skip(1);
            match c {
                '\\' => raw.push(Part::Quoted(self.chars.next().ok_or(Broken::Open)?.to_string())),
                '\'' => raw.push(Part::Quoted(self.until('\'')?)),
                '"' => {
                    raw.push(Part::Quoted(String::new()));
                    self.double(&mut raw, Some('"'))?;
                }
                '`' => raw.push(self.backquoted(false)?),
                '$' => self.dollar(&mut raw, false)?,
                _ => {
                    self.chars.skip(1);
                    raw.push(Part::Process { script: self.list(&Until::Close(')'))? });
                }
            }
        }
        flush(&mut bare, &mut raw);
        Ok(some.then_some(raw))
    }

    fn until(&mut self, end: char) -> Result<String, Broken> {
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or(Broken::Open)? {
                c if c == end => return Ok(text),
                c => text.push(c),
            }
        }
    }

    /// In double quotes, to their end, or to the end of the text.
    fn double(&mut self, raw: &mut Raw, end: Option<char>) -> Result<(), Broken> {
        let mut text = String::new();
        loop {
            let Some(c) = self.chars.next() else {
                raw.push(Part::Quoted(text));
                return if end.is_none() { Ok(()) } else { Err(Broken::Open) };
            };
            match c {
                c if Some(c) == end => {
                    raw.push(Part::Quoted(text));
                    return Ok(());
                }
                '\\' => match self.chars.next() {
                    Some('\n') => {}
                    Some(c @ ('$' | '`' | '\\')) => text.push(c),
                    Some('"') if end.is_some() => text.push('"'),
                    Some(c) => text.extend(['\\', c]),
                    None => return Err(Broken::Open),
                },
                '$' | '`' => {
                    raw.push(Part::Quoted(std::mem::take(&mut text)));
                    if c == '`' { raw.push(self.backquoted(true)?) } else { self.dollar(raw, true)? }
                }
                c => text.push(c),
            }
        }
    }

    fn backquoted(&mut self, quoted: bool) -> Result<Part, Broken> {
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or(Broken::Open)? {
                '`' => break,
                '\\' => match self.chars.next().ok_or(Broken::Open)? {
                    c @ ('$' | '`' | '\\') => text.push(c),
                    c => text.extend(['\\', c]),
                },
                c => text.push(c),
            }
        }
        let script = self.deeper(|parser| Parser::new(&text, parser.depth).list(&Until::End))?;
        Ok(Part::Output { script, quoted })
    }

    /// What follows a dollar sign.
    fn dollar(&mut self, raw: &mut Raw, quoted: bool) -> Result<(), Broken> {
        if self.chars.take("((") {
            // Where it is no arithmetic it is a subshell in a substitution.
            let place = self.chars.place();
            if self.arithmetic().is_ok() {
                raw.push(Part::Unknown);
                return Ok(());
            }
            self.chars.back(place.saturating_sub(1));
            raw.push(Part::Output { script: self.list(&Until::Close(')'))?, quoted });
            return Ok(());
        }
        match self.chars.peek() {
            Some('(') => {
                self.chars.skip(1);
                raw.push(Part::Output { script: self.list(&Until::Close(')'))?, quoted });
            }
            Some('{') => {
                self.chars.skip(1);
                let part = self.parameter(quoted)?;
                raw.push(part);
            }
            Some('\'') if !quoted => {
                self.chars.skip(1);
                raw.push(Part::Quoted(self.ansi()?));
            }
            Some('"') if !quoted => {
                self.chars.skip(1);
                raw.push(Part::Quoted(String::new()));
                self.double(raw, Some('"'))?;
            }
            Some('[') => {
                self.chars.skip(1);
                self.until(']')?;
                raw.push(Part::Unknown);
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.chars.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.chars.skip(1);
                }
                raw.push(Part::Variable { name, quoted });
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.chars.skip(1);
                raw.push(Part::Variable { name: c.to_string(), quoted });
            }
            _ => raw.push(Part::Quoted("$".into())),
        }
        Ok(())
    }

    /// `${ }`.
    fn parameter(&mut self, quoted: bool) -> Result<Part, Broken> {
        let mut name = String::new();
        while let Some(c) = self.chars.peek().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '*')) {
            name.push(c);
            self.chars.skip(1);
        }
        if !name.is_empty() && self.chars.take("}") {
            return Ok(Part::Variable { name, quoted });
        }
        // What follows may run something by itself, which is read, and its value is not known.
        let mut rest = String::new();
        let mut inner = Raw::new();
        loop {
            match self.chars.next().ok_or(Broken::Open)? {
                '}' => break,
                '\\' => rest.extend(self.chars.next()),
                '\'' if !quoted => rest.push_str(&self.until('\'')?),
                '"' => self.deeper(|parser| parser.double(&mut inner, Some('"')))?,
                '`' => inner.push(self.backquoted(true)?),
                '$' => self.deeper(|parser| parser.dollar(&mut inner, true))?,
                c => rest.push(c),
            }
        }
        if inner.is_empty()
            && let Some(slice) = slice(&rest)
        {
            return Ok(Part::Slice { name, from: slice.0, count: slice.1, quoted });
        }
        let runs: List = inner
            .into_iter()
            .filter_map(|part| match part {
                Part::Output { script, .. } => Some(script),
                _ => None,
            })
            .flatten()
            .collect();
        Ok(if runs.is_empty() { Part::Unknown } else { Part::Output { script: runs, quoted: true } })
    }

    /// `$' '`: escapes as in C (bash, section 3.1.2.4).
    fn ansi(&mut self) -> Result<String, Broken> {
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or(Broken::Open)? {
                '\'' => return Ok(text),
                '\\' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), Broken> {
        let (radix, most) = match self.chars.next().ok_or(Broken::Open)? {
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            c @ '0'..='7' => {
                self.chars.back(self.chars.place().saturating_sub(1));
                text.extend(self.digits(8, if c == '0' { 4 } else { 3 }));
                return Ok(());
            }
            c => {
                text.push(super::output::escaped(c).unwrap_or(c));
                return Ok(());
            }
        };
        text.extend(self.digits(radix, most));
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize) -> Option<char> {
        let mut value = 0_u32;
        for _ in 0..most {
            let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(radix)) else { break };
            self.chars.skip(1);
            value = value.saturating_mul(radix).saturating_add(digit);
        }
        char::from_u32(value)
    }
}

/// `:from` or `:from:count`, in plain numbers.
fn slice(rest: &str) -> Option<(usize, Option<usize>)> {
    let rest = rest.strip_prefix(':')?;
    match rest.split_once(':') {
        Some((from, count)) => Some((from.trim().parse().ok()?, Some(count.trim().parse().ok()?))),
        None => Some((rest.trim().parse().ok()?, None)),
    }
}

fn flush(bare: &mut String, raw: &mut Raw) {
    if !bare.is_empty() {
        raw.push(Part::Bare(std::mem::take(bare)));
    }
}
