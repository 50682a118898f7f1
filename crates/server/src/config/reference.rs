//! `config reference`: every setting, read off the types that hold it, so that it cannot drift from them.

use super::Config;
use sallyport_cli::{Fail, Format};
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// One setting.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Setting {
    /// As it stands in the file, `[api]` or `[[anchors]]`; empty at the top.
    section: String,
    /// What the section is, as its type says.
    about: String,
    /// Its key.
    key: String,
    /// What is written there.
    kind: String,
    /// The default, as TOML; absent where there is none.
    default: Option<String>,
    /// The variable that overrides it; absent in sections that may be repeated.
    variable: Option<String>,
    /// What it does.
    meaning: String,
}

/// Prints all of them.
pub(crate) fn print(format: Format) -> Result<(), Fail> {
    let settings = settings();
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&settings).map_err(Fail::failed)?,
        Format::Text => markdown(&settings),
    };
    sallyport_cli::line(text.trim_end())
}

/// Every setting, in the order of the file.
pub(crate) fn settings() -> Vec<Setting> {
    let inline = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    let schema = inline.into_generator().into_root_schema_for::<Config>();
    let mut settings = Vec::new();
    section(schema.as_value(), &mut Vec::new(), false, &mut settings);
    settings
}

/// The settings of a table: its own first, then those of the tables in it.
fn section(schema: &Value, path: &mut Vec<String>, repeated: bool, settings: &mut Vec<Setting>) {
    let dotted = path.join(".");
    let name = match (path.is_empty(), repeated) {
        (true, _) => String::new(),
        (false, true) => format!("[[{dotted}]]"),
        (false, false) => format!("[{dotted}]"),
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut tables = Vec::new();
    for (key, value) in properties.into_iter().flatten() {
        if let Some((table, repeated)) = table(value) {
            tables.push((key, table, repeated));
            continue;
        }
        let variable = path.iter().chain([key]).map(|part| part.to_uppercase()).collect::<Vec<_>>().join("__");
        settings.push(Setting {
            section: name.clone(),
            about: said(schema),
            key: key.clone(),
            kind: kind(value),
            default: value.get("default").and_then(default),
            variable: (!repeated).then(|| format!("SALLYPORT__{variable}")),
            meaning: meaning(value),
        });
    }
    for (key, table, repeated) in tables {
        path.push(key.clone());
        section(table, path, repeated, settings);
        path.pop();
    }
}

/// The table that a setting is, and whether it may be repeated.
fn table(value: &Value) -> Option<(&Value, bool)> {
    let is_table = |schema: &Value| schema.get("properties").is_some();
    if is_table(value) {
        return Some((value, false));
    }
    if let Some(items) = value.get("items").filter(|items| is_table(items)) {
        return Some((items, true));
    }
    // An optional table is one of it and nothing. What can also be a word is a setting that takes either.
    let choices = value.get("anyOf")?.as_array()?;
    let only = choices.iter().all(|choice| is_table(choice) || is_nothing(choice));
    Some((choices.iter().find(|choice| is_table(choice)).filter(|_| only)?, false))
}

fn is_nothing(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

/// The alternatives of a schema, those within alternatives too; none where it is no choice.
fn choices(schema: &Value) -> Vec<&Value> {
    let named = ["anyOf", "oneOf"].iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    named
        .flat_map(|choice| {
            let inner = choices(choice);
            if inner.is_empty() { vec![choice] } else { inner }
        })
        .filter(|choice| !is_nothing(choice))
        .collect()
}

/// What is written for a setting.
fn kind(schema: &Value) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        return choices.iter().map(|choice| kind(choice)).collect::<Vec<_>>().join(" or ");
    }
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return format!("`\"{word}\"`");
    }
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        let fields: Vec<_> = fields.keys().map(|field| format!("{field} = ...")).collect();
        return format!("`{{ {} }}`", fields.join(", "));
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).map(|word| format!("`\"{word}\"`")).collect();
        return words.join(" or ");
    }
    let types = schema.get("type");
    let name = types.and_then(Value::as_str).or_else(|| types?.as_array()?.first()?.as_str());
    match name {
        Some("integer" | "number") => "number".into(),
        Some("boolean") => "`true` or `false`".into(),
        Some("array") => "list".into(),
        _ => "text".into(),
    }
}

/// A default as it would be written, nothing where it is that the setting is absent.
fn default(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) if items.is_empty() => None,
        value => Some(value.to_string()),
    }
}

/// The sentences of a setting, then those of each word that it takes.
fn meaning(schema: &Value) -> String {
    let mut text = said(schema);
    for choice in choices(schema) {
        let about = said(choice);
        if !about.is_empty() {
            let _ = write!(text, " {}: {about}", kind(choice));
        }
    }
    text
}

fn said(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As a page of the book.
pub(crate) fn markdown(settings: &[Setting]) -> String {
    let mut text = String::from(
        "# Every setting\n\n\
         `sallyport config reference` prints this page. [Configuration](configuration.md) says how the file and the \
         environment are read.\n",
    );
    let mut last = None;
    for setting in settings {
        let Setting { section, about, key, kind, default, variable, meaning } = setting;
        if last != Some(section) {
            let title = if section.is_empty() { "At the top" } else { section };
            let title = if section.is_empty() { title.to_owned() } else { format!("`{title}`") };
            let _ = write!(text, "\n## {title}\n\n{about}\n\n");
            text.push_str("| key | what is written | default | variable | what it does |\n|---|---|---|---|---|\n");
            last = Some(section);
        }
        let code = |value: &Option<String>| value.as_ref().map_or_else(|| "none".into(), |value| format!("`{value}`"));
        let cells = [format!("`{key}`"), kind.clone(), code(default), code(variable), meaning.clone()];
        let _ = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of the book is what the types say; a setting without a sentence has no place in it.
    #[test]
    fn the_reference_is_the_page_of_the_book() {
        let settings = settings();
        for setting in &settings {
            assert!(setting.meaning.ends_with('.') && !setting.about.is_empty(), "{setting:?}");
        }
        expect_test::expect_file!["../../../../docs/book/settings.md"].assert_eq(&markdown(&settings));
    }

    /// What the reference calls the variable of a setting is one, and what it calls the default changes nothing.
    #[test]
    fn every_variable_is_read_and_every_default_is_one() {
        let plain = format!("{:?}", super::super::parse_for_test("", &[]).unwrap());
        for setting in settings() {
            let (Some(variable), Some(default)) = (&setting.variable, &setting.default) else { continue };
            let path = variable.strip_prefix("SALLYPORT__").unwrap();
            let read = super::super::parse_for_test("", &[(path, default)]);
            if setting.section == "[seal.pkcs11]" {
                assert!(read.unwrap_err().contains("module"), "a token needs the other settings too");
            } else {
                assert_eq!(format!("{:?}", read.unwrap()), plain, "{variable}={default}");
            }
            let wrong = super::super::parse_for_test("", &[(&format!("{path}S"), default)]);
            assert!(wrong.is_err(), "{path}S is no setting");
        }
    }
}
