//! Words: quotes and expansions, before anything is expanded.

use super::parse::{Broken, Parser, Until, ends_word};
use super::tree::{List, Other, Part, Raw};

impl Parser {
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
            flush(&mut bare, &mut raw);
            self.chars.skip(1);
            match c {
                '\\' => raw.push(Part::Quoted(self.chars.raw().ok_or(Broken::Open)?.to_string())),
                '\'' => raw.push(Part::Quoted(self.until('\'')?)),
                '"' => {
                    raw.push(Part::Quoted(String::new()));
                    self.double(&mut raw, Some('"'))?;
                }
                '`' => raw.push(self.backquoted(false)?),
                '$' => self.dollar(&mut raw, false)?,
                _ => {
                    self.chars.skip(1);
                    raw.push(Part::Process { script: self.substitution()? });
                }
            }
        }
        flush(&mut bare, &mut raw);
        // `{name}<`: for bash a descriptor that it names, for others a word.
        if let ([Part::Bare(text)], Some('<' | '>')) = (raw.as_slice(), self.chars.peek())
            && text.starts_with('{')
            && text.ends_with('}')
        {
            return Err(Broken::Misfit);
        }
        Ok(some.then_some(raw))
    }

    /// The script of `$( )`, behind its first bracket.
    fn substitution(&mut self) -> Result<List, Broken> {
        let outer = std::mem::take(&mut self.pending);
        let list = self.list(&Until::Close(')'))?;
        // A here-document whose lines would stand outside.
        if !self.pending.is_empty() {
            return Err(Broken::Misfit);
        }
        self.pending = outer;
        Ok(list)
    }

    fn until(&mut self, end: char) -> Result<String, Broken> {
        let mut text = String::new();
        loop {
            match self.chars.raw().ok_or(Broken::Open)? {
                c if c == end => return Ok(text),
                c => text.push(c),
            }
        }
    }

    /// In double quotes, to their end, or to the end of the text.
    pub(super) fn double(&mut self, raw: &mut Raw, end: Option<char>) -> Result<(), Broken> {
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
                '\\' => match self.chars.raw() {
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
            match self.chars.raw().ok_or(Broken::Open)? {
                '`' => break,
                '\\' => match self.chars.raw().ok_or(Broken::Open)? {
                    c @ ('$' | '`' | '\\') => text.push(c),
                    // What it is depends on where the whole stands.
                    '"' if quoted => return Err(Broken::Misfit),
                    c => text.extend(['\\', c]),
                },
                c => text.push(c),
            }
        }
        let script = self.deeper(|parser| Self::new(&text, parser.depth).list(&Until::End))?;
        Ok(Part::Output { script, quoted })
    }

    /// What follows a dollar sign.
    fn dollar(&mut self, raw: &mut Raw, quoted: bool) -> Result<(), Broken> {
        match self.chars.peek() {
            Some('(') if self.chars.ahead(1) == Some('(') => {
                self.chars.skip(2);
                // Where its ends do not stand together, it is a subshell to bash and more reckoning to others.
                let (inner, plain) = self.arithmetic()?;
                if !plain {
                    return Err(Broken::Misfit);
                }
                raw.push(Part::Other(Other { inner, sum: true, ..Other::default() }));
            }
            Some('(') => {
                self.chars.skip(1);
                raw.push(Part::Output { script: self.substitution()?, quoted });
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
                let inner = self.brackets()?;
                raw.push(Part::Other(Other { inner, sum: true, ..Other::default() }));
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

    /// Reckoning up to the two brackets that end it, which must stand together; whether every shell ends it there.
    pub(super) fn arithmetic(&mut self) -> Result<(Raw, bool), Broken> {
        let (mut inner, mut text) = (Raw::new(), String::new());
        let (mut depth, mut plain) = (0_usize, true);
        loop {
            let c = self.chars.next().ok_or(Broken::Open)?;
            match c {
                ')' if depth == 0 => {
                    if !self.chars.take(")") {
                        return Err(Broken::Misfit);
                    }
                    inner.push(Part::Quoted(text));
                    return Ok((inner, plain));
                }
                '(' => depth = depth.saturating_add(1),
                ')' => depth = depth.saturating_sub(1),
                '`' | '$' => {
                    inner.push(Part::Quoted(std::mem::take(&mut text)));
                    if c == '`' {
                        inner.push(self.backquoted(true)?);
                    } else {
                        self.deeper(|parser| parser.dollar(&mut inner, true))?;
                    }
                    continue;
                }
                '\'' => drop(self.until('\'')?),
                '"' => self.double(&mut inner, Some('"'))?,
                '\\' => drop(self.chars.raw()),
                _ => {}
            }
            let comment = c == '#' && text.chars().next_back().is_none_or(|c| c.is_whitespace() || ends_word(c));
            plain &= !comment && !matches!(c, '\'' | '"' | '\\');
            text.push(c);
        }
    }

    /// `$[ ]`, old reckoning in bash and a word elsewhere.
    fn brackets(&mut self) -> Result<Raw, Broken> {
        let (mut inner, mut text, mut depth) = (Raw::new(), String::new(), 0_usize);
        self.chars.skip(1);
        loop {
            match self.chars.next().ok_or(Broken::Open)? {
                ']' if depth == 0 => {
                    inner.push(Part::Quoted(text));
                    return Ok(inner);
                }
                '$' => {
                    inner.push(Part::Quoted(std::mem::take(&mut text)));
                    self.deeper(|parser| parser.dollar(&mut inner, true))?;
                }
                c if c.is_ascii_alphanumeric() || " _+-*/%=!~^,?:[]".contains(c) => {
                    match c {
                        '[' => depth = depth.saturating_add(1),
                        ']' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    text.push(c);
                }
                _ => return Err(Broken::Misfit),
            }
        }
    }

    /// `${ }`.
    fn parameter(&mut self, quoted: bool) -> Result<Part, Broken> {
        let mut name = String::new();
        match self.chars.peek() {
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
                while let Some(c) = self.chars.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.chars.skip(1);
                }
            }
            Some(c @ ('@' | '*')) => {
                name.push(c);
                self.chars.skip(1);
            }
            _ => {}
        }
        if !name.is_empty() && self.chars.take("}") {
            return Ok(Part::Variable { name, quoted });
        }
        // What follows may run something by itself, which is read, and its value is not known.
        let (mut rest, mut text, mut inner) = (String::new(), String::new(), Raw::new());
        loop {
            let c = self.chars.next().ok_or(Broken::Open)?;
            match c {
                '}' => break,
                '\\' => text.extend(self.chars.raw()),
                // Whether it quotes depends on what stands before it.
                '\'' if quoted => return Err(Broken::Misfit),
                '\'' => text.push_str(&self.until('\'')?),
                '<' | '>' if self.chars.peek() == Some('(') => return Err(Broken::Misfit),
                '"' | '`' | '$' => {
                    inner.push(Part::Quoted(std::mem::take(&mut text)));
                    match c {
                        '"' => self.deeper(|parser| parser.double(&mut inner, Some('"')))?,
                        '`' => inner.push(self.backquoted(true)?),
                        _ => self.deeper(|parser| parser.dollar(&mut inner, true))?,
                    }
                }
                c => text.push(c),
            }
            rest.push(c);
        }
        inner.push(Part::Quoted(text.clone()));
        if inner.len() == 1
            && let Some(slice) = slice(&text)
        {
            return Ok(Part::Slice { name, from: slice.0, count: slice.1, quoted });
        }
        // The value is expanded as a prompt is.
        if rest.starts_with('@') && rest.contains('P') {
            return Err(Broken::Misfit);
        }
        // Places, subscripts and names of names are reckoned with.
        let slices = rest.strip_prefix(':').is_some_and(|rest| !rest.starts_with(['-', '=', '?', '+']));
        let sum = slices || rest.contains('[') || rest.starts_with('!');
        let sets = (rest.starts_with('=') || rest.starts_with(":=")).then_some(name);
        let several = !quoted || rest.contains('@') || rest.contains('*');
        Ok(Part::Other(Other { inner, sum, sets, several }))
    }

    /// `$' '`: escapes as in C (bash, section 3.1.2.4). For a shell that does not know it, a quote ends it.
    fn ansi(&mut self) -> Result<String, Broken> {
        let mut text = String::new();
        loop {
            match self.chars.raw().ok_or(Broken::Open)? {
                '\'' => return Ok(text),
                '\\' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), Broken> {
        let place = self.chars.place();
        let value = match self.chars.raw().ok_or(Broken::Open)? {
            'x' => self.digits(16, 2),
            'u' => self.digits(16, 4),
            'U' => self.digits(16, 8),
            '0'..='7' => {
                self.chars.back(place);
                self.digits(8, 3).map(|value| value & 0xff)
            }
            '\'' | 'c' => return Err(Broken::Misfit),
            c => {
                match super::output::escaped(c) {
                    Some(c) => text.push(c),
                    None => text.extend(['\\', c]),
                }
                return Ok(());
            }
        };
        // A text ends at NUL.
        match value.and_then(char::from_u32) {
            None | Some('\0') => Err(Broken::Misfit),
            Some(c) => {
                text.push(c);
                Ok(())
            }
        }
    }

    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let mut value = None;
        for _ in 0..most {
            let place = self.chars.place();
            let Some(digit) = self.chars.raw().and_then(|c| c.to_digit(radix)) else {
                self.chars.back(place);
                break;
            };
            value = Some(value.unwrap_or(0_u32).saturating_mul(radix).saturating_add(digit));
        }
        value
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
