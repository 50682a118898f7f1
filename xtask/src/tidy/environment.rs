//! Only `server` reads the environment: what a module depends on stands in its arguments. A build script has no others.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let exempt = |path: &str| path.starts_with("crates/server/") || path.ends_with("/build.rs");
    for file in tree.product().filter(|file| !exempt(&file.path)) {
        for (number, line) in file.code().filter(|(_, line)| line.contains("std::env") || line.contains("env::var")) {
            let message = format!("only `server` reads the environment: take `{}` as an argument", line.trim());
            found.push(Finding::new(&file.path, number, message));
        }
    }
    found
}
