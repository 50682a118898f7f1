//! The bytes of a secret are looked at in listed modules only.

use super::Finding;
use super::tree::Tree;

const LIST: &str = include_str!("expose.txt");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    listed(
        tree,
        LIST,
        "xtask/src/tidy/expose.txt",
        "let a listed module do it, or add this one with a reason",
        |line| line.contains(".expose()"),
    )
}

/// Lines of code that only the modules of a list may contain; a module that needs its place no more
/// loses it.
pub(super) fn listed(tree: &Tree, list: &str, name: &str, advice: &str, matches: fn(&str) -> bool) -> Vec<Finding> {
    let entries: Vec<(&str, &str)> =
        list.lines().filter(|l| !l.starts_with('#')).filter_map(|line| line.split_once(' ')).collect();
    let mut found = Vec::new();
    for file in tree.product() {
        let allowed = entries.iter().any(|(path, _)| *path == file.path);
        for (number, line) in file.code().filter(|(_, line)| matches(line) && !allowed) {
            found.push(Finding::new(&file.path, number, format!("`{}`: {advice} in {name}", line.trim())));
        }
    }
    for (path, _) in &entries {
        let used = tree.product().any(|file| file.path == *path && file.code().any(|(_, line)| matches(line)));
        if !used && tree.text(name).is_some() {
            found.push(Finding::warning(name, 0, format!("`{path}` needs its line no more: remove it")));
        }
    }
    found
}
