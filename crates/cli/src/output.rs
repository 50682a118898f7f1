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

    /// Prints a result: the value as JSON, or what `text` makes of it.
    pub(crate) fn show<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Fail> {
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(value).map_err(Fail::failed)?),
            Format::Text => line(text(value).trim_end()),
        }
    }
}

/// Prints a line on standard output. A closed pipe ends in silence.
pub(crate) fn line(text: &str) -> Result<(), Fail> {
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

/// Whether a person reads standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns, aligned, without borders; an empty table says what to do instead.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::TableStyle::Nothing);
    table.set_header(head.iter().copied());
    for row in rows {
        table.add_row(row);
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
            let hidden = c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if hidden && c != '\n' { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}
