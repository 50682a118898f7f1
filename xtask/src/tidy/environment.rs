//! Only `server` reads the environment: what a module depends on stands in its arguments.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.product().filter(|file| !file.path.starts_with("crates/server/")) {
        for (number, line) in file.code().filter(|(_, line)| line.contains("std::env") || line.contains("env::var")) {
            let message = format!("only `server` reads the environment: take `{}` as an argument", line.trim());
            found.push(Finding::new(&file.path, number, message));
        }
    }
    found
}
