//! Who may import whom. An edge more needs a line in ARCHITECTURE.md: `edge: a -> b reason`.

use super::Finding;
use super::tree::Tree;
use std::collections::BTreeSet;

/// Crate, and what it may import.
const TABLE: [(&str, &[&str]); 17] = [
    ("model", &[]),
    ("policy", &["model"]),
    ("vault", &["model"]),
    ("ledger", &["model"]),
    ("recording", &["model"]),
    ("statements", &["model"]),
    ("ssh-transport", &[]),
    ("store", &["model", "policy", "vault", "ledger", "recording"]),
    ("control", &["model", "policy", "vault", "ledger", "recording", "store"]),
    ("gateway", &["model", "recording"]),
    ("platforms", &["control", "model"]),
    ("wire", &[]),
    ("api", &["control", "wire", "model", "recording"]),
    ("cli", &["wire", "ledger", "recording", "model"]),
    ("testkit", &["model"]),
    ("e2e", &["testkit", "model", "ledger", "recording", "wire"]),
    ("xtask", &[]),
];
/// What a protocol may import.
const PROTOCOL: &[&str] = &["gateway", "model", "statements"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let document = tree.text("ARCHITECTURE.md").unwrap_or_default();
    let argued: BTreeSet<(&str, &str)> = document.lines().filter_map(argued).collect();
    let names: BTreeSet<&str> = tree.packages.iter().map(|p| p.name.as_str()).collect();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for package in &tree.packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        let allowed = match TABLE.iter().find(|(name, _)| *name == package.name) {
            Some((_, allowed)) => *allowed,
            None if package.folder.starts_with("crates/protocols/") => PROTOCOL,
            None if package.name == "server" => continue,
            None => {
                found.push(Finding::new(
                    &manifest,
                    0,
                    "this crate is not in the table of imports: add it to xtask/src/tidy/imports.rs",
                ));
                continue;
            }
        };
        for import in package.imports.iter().filter(|i| !allowed.contains(&i.as_str())) {
            let edge = (package.name.as_str(), import.as_str());
            if argued.contains(&edge) {
                used.insert(edge);
            } else {
                let (a, b) = edge;
                let message = format!(
                    "`{a}` may not import `{b}`: go through what it may import, or argue `edge: {a} -> {b} reason` in ARCHITECTURE.md"
                );
                found.push(Finding::new(&manifest, 0, message));
            }
        }
        // Tests may use testkit and what their own crate may; nothing else crosses a wall.
        let for_tests = |i: &&String| {
            !allowed.contains(&i.as_str()) && !package.imports.contains(i) && *i != "testkit" && *i != "model"
        };
        for import in package.dev_imports.iter().filter(for_tests) {
            let edge = (package.name.as_str(), import.as_str());
            if argued.contains(&edge) {
                used.insert(edge);
            } else {
                let (a, b) = edge;
                let message = format!(
                    "the tests of `{a}` may not import `{b}`: test it in e2e, or argue `edge: {a} -> {b} reason` in ARCHITECTURE.md"
                );
                found.push(Finding::new(&manifest, 0, message));
            }
        }
    }
    for (a, b) in argued.difference(&used).filter(|(a, b)| names.contains(a) && names.contains(b)) {
        found.push(Finding::warning("ARCHITECTURE.md", 0, format!("the edge {a} -> {b} is not used: remove its line")));
    }
    found
}

fn argued(line: &str) -> Option<(&str, &str)> {
    let (from, rest) =
        line.trim().trim_start_matches("- ").trim_matches('`').strip_prefix("edge: ")?.split_once(" -> ")?;
    let (to, reason) = rest.split_once(' ')?;
    (!reason.trim().is_empty()).then_some((from, to.trim_end_matches('`')))
}
