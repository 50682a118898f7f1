//! The threat model names tests that exist.

use super::Finding;
use super::tree::Tree;
use std::collections::BTreeSet;

const FILE: &str = "docs/threat-model.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(document) = tree.files.iter().find(|file| file.path == FILE) else {
        return Vec::new();
    };
    let tests = tree.rust().filter(|file| file.path.starts_with("crates/") && file.is_test());
    let known: BTreeSet<&str> = tests.flat_map(|file| file.text.lines()).filter_map(test).collect();
    let named = document.lines().flat_map(|(number, line)| names(line).map(move |name| (number, name)));
    named
        .filter(|(_, name)| !known.contains(name))
        .map(|(number, name)| {
            Finding::new(FILE, number, format!("no test is called `{name}`: name the one that shows it"))
        })
        .collect()
}

/// The tests in the last column of a table's row.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let cell = line.strip_prefix('|').and_then(|row| row.trim_end().trim_end_matches('|').rsplit('|').next());
    cell.unwrap_or_default().split('`').skip(1).step_by(2).filter(|name| name.contains('_'))
}

/// The name in `fn name(` or, in a suite's table, in `name = Case over Transport;`.
fn test(line: &str) -> Option<&str> {
    let line = line.trim_start();
    match line.split_once("fn ") {
        Some((before, rest)) if before.is_empty() || before == "async " => rest.split('(').next(),
        _ => line.split_once(" = ").map(|(name, _)| name),
    }
}
