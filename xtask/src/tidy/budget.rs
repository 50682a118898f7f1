//! The time that tests may take: every test binary has its seconds, and together they stay under 25 minutes.

use super::Finding;
use super::tree::{Package, Tree};
use anyhow::Result;
use std::collections::BTreeSet;

const FILE: &str = "tests/budget.toml";
const MOST: i64 = 25 * 60;
/// What `--fix` gives to a new binary.
const NEW: i64 = 20;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let table = match tree.text(FILE).unwrap_or_default().parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => return vec![Finding::new(FILE, 0, format!("write `\"crate/binary\" = seconds` lines: {error}"))],
    };
    let mut found = Vec::new();
    let wanted = wanted(tree);
    for name in wanted.iter().filter(|name| !table.contains_key(*name)) {
        found.push(Finding::new(
            FILE,
            0,
            format!("`{name}` has no seconds: add a line, or run `cargo xtask tidy --fix`"),
        ));
    }
    for (name, seconds) in &table {
        if !wanted.contains(name) {
            found.push(Finding::new(FILE, 0, format!("`{name}` is no test binary any more: remove its line")));
        }
        if seconds.as_integer().is_none_or(|s| s < 1) {
            found.push(Finding::new(FILE, 0, format!("`{name}` wants a whole number of seconds, at least 1")));
        }
    }
    let sum: i64 = table.values().filter_map(toml::Value::as_integer).sum();
    if sum > MOST {
        found.push(Finding::new(
            FILE,
            0,
            format!("the sum is {sum} s and may be {MOST} s: make tests smaller, or move full sizes to torture"),
        ));
    }
    found
}

/// Adds missing lines and removes lines of what is gone.
pub(super) fn fix(tree: &Tree) -> Result<()> {
    let wanted = wanted(tree);
    let mut lines: Vec<String> = tree
        .text(FILE)
        .unwrap_or_default()
        .lines()
        .filter(|line| named(line).is_none_or(|name| wanted.contains(name)))
        .map(str::to_owned)
        .collect();
    let have: BTreeSet<String> = lines.iter().filter_map(|line| named(line)).map(str::to_owned).collect();
    lines.extend(wanted.difference(&have).map(|name| format!("\"{name}\" = {NEW}")));
    std::fs::create_dir_all(tree.root.join("tests"))?;
    std::fs::write(tree.root.join(FILE), format!("{}\n", lines.join("\n")))?;
    Ok(())
}

fn named(line: &str) -> Option<&str> {
    line.strip_prefix('"')?.split('"').next()
}

/// Every test binary; of the whole-product tests every module.
fn wanted(tree: &Tree) -> BTreeSet<String> {
    tree.packages
        .iter()
        .flat_map(|package| if package.name == "e2e" { modules(tree, package) } else { binaries(package) })
        .collect()
}

fn binaries(package: &Package) -> Vec<String> {
    package.tests.iter().map(|test| format!("{}/{test}", package.name)).collect()
}

fn modules(tree: &Tree, package: &Package) -> Vec<String> {
    let start = format!("{}/", package.folder);
    let files = tree.rust().filter_map(|file| file.path.strip_prefix(&start));
    files
        .filter_map(|path| path.rsplit('/').next()?.strip_suffix(".rs"))
        .filter(|name| !["lib", "main", "mod"].contains(name))
        .map(|name| format!("{}/{name}", package.name))
        .collect()
}
