//! Output: aligned text for people, one JSON value for programs. The only module that prints.

use crate::Fail;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Form of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON value, stable.
    Json,
}

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) const fn is_json(self) -> bool {
        matches!(self.format, Format::Json)
    }

    /// Prints a result: the value as JSON, or what `text` makes of it.
    pub(crate) fn show<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Fail> {
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(value).map_err(Fail::failed)?),
            Format::Text => line(text(value).trim_end()),
        }
    }
}

/// Prints a line on standard output. A closed pipe ends in silence.
///
/// # Errors
/// When it cannot be written.
pub fn line(text: &str) -> Result<(), Fail> {
    write(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Fail> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Fail::failed(error)),
        _ => Ok(()),
    }
}

/// A remark for people, on standard error.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Replaces the line that tells how far long work has come; an empty text takes it away. For terminals only.
pub fn progress(text: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{text}");
    }
}

/// Clears the screen and what could be scrolled back to (xterm's `ED 3`), for what must not stay in sight.
pub(crate) fn clear_screen() -> Result<(), Fail> {
    write(b"\x1b[H\x1b[2J\x1b[3J")
}

/// Whether a person reads standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns, aligned, without borders, their cells made harmless; an empty table says what to do instead.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| harmless(cell).replace('\n', " ")).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Text of others, made harmless for a terminal: control and direction characters are shown, not obeyed.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let obeyed = c != '\n' && (c.is_control() || is_steering(c));
            if obeyed { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

/// Characters that no terminal draws but that turn, part or hide the text around them: direction marks and isolates
/// (Unicode UAX 9), line and paragraph separators, annotations and tags.
pub(crate) const fn is_steering(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
