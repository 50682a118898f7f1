//! Lints are never silenced quietly: no `allow`, and every `expect` has a reason and a place in the count.

use super::Finding;
use super::tree::Tree;

/// Largest number of `#[expect]` outside tests, with the day it was set. It only shrinks.
const RATCHET: &str = include_str!("attributes.txt");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut count = 0;
    for file in tree.rust() {
        let mut lines = file.code().peekable();
        while let Some((number, line)) = lines.next() {
            let start = line.trim_start();
            if start.starts_with("#[allow(") || start.starts_with("#![allow(") {
                found.push(Finding::new(
                    &file.path,
                    number,
                    "`allow` hides more than it says: write `#[expect(lint, reason = \"...\")]`",
                ));
            }
            if start.starts_with("#[expect(") || start.starts_with("#![expect(") {
                let mut whole = start.to_owned();
                while !whole.contains(")]") {
                    let Some((_, next)) = lines.next() else { break };
                    whole.push_str(next);
                }
                if !whole.contains("reason = ") {
                    found.push(Finding::new(&file.path, number, "say why: add `reason = \"...\"`"));
                }
                count += usize::from(!file.is_test());
            }
        }
    }
    let limit = RATCHET
        .lines()
        .find(|l| !l.starts_with('#'))
        .and_then(|l| l.split_whitespace().next())
        .and_then(|n| n.parse().ok());
    if count > limit.unwrap_or(0) {
        let message = format!(
            "{count} `#[expect]` stand outside tests, {} are agreed: remove one, or argue for a new number here",
            limit.unwrap_or(0)
        );
        found.push(Finding::new("xtask/src/tidy/attributes.txt", 0, message));
    }
    found
}
