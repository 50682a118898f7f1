//! The code map of ARCHITECTURE.md equals the first lines of the modules.

use super::Finding;
use super::tree::{File, Tree};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;

const FILE: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- code map: begin (cargo xtask tidy --fix writes it) -->";
const END: &str = "<!-- code map: end -->";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    match tree.text(FILE).and_then(split) {
        None => vec![Finding::new(FILE, 0, format!("it wants the lines `{BEGIN}` and `{END}` around the code map"))],
        Some((_, map, _)) if map.trim() == draw(tree).trim() => Vec::new(),
        Some(_) => vec![Finding::new(
            FILE,
            0,
            "the code map differs from the modules' first lines: run `cargo xtask tidy --fix`",
        )],
    }
}

/// Rewrites the map.
pub(super) fn fix(tree: &Tree) -> Result<()> {
    let (before, _, after) =
        tree.text(FILE).and_then(split).context("ARCHITECTURE.md has no place for the code map")?;
    std::fs::write(tree.root.join(FILE), format!("{before}{BEGIN}\n\n{}\n{END}{after}", draw(tree)))?;
    Ok(())
}

fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (map, after) = rest.split_once(END)?;
    Some((before, map, after))
}

/// One line for each crate and each module at its top.
fn draw(tree: &Tree) -> String {
    let mut map = String::new();
    for package in &tree.packages {
        let source = format!("{}/src/", package.folder);
        let top = |file: &&File| ["lib.rs", "main.rs"].iter().any(|name| file.path == format!("{source}{name}"));
        let line = tree.rust().find(top).map(first_line).unwrap_or_default();
        let _ = writeln!(map, "- `{}`: {line}", package.folder);
        for file in tree.rust() {
            if let Some(module) = file.path.strip_prefix(&source).and_then(module) {
                let _ = writeln!(map, "  - `{module}`: {}", first_line(file));
            }
        }
    }
    map
}

/// The name of a module at the top of a crate.
fn module(path: &str) -> Option<&str> {
    let name = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs"))?;
    (!name.contains('/') && !["lib", "main", "tests"].contains(&name)).then_some(name)
}

/// The `//!` lines up to the first end of a sentence at the end of a line, or an empty line.
fn first_line(file: &File) -> String {
    let mut text = String::new();
    for line in file.text.lines().map_while(|line| line.strip_prefix("//!")) {
        if line.trim().is_empty() {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { " " });
        text.push_str(line.trim());
        if line.trim_end().ends_with('.') {
            break;
        }
    }
    text
}
