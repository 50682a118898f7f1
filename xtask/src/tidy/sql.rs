//! Only `store` writes SQL.

use super::Finding;
use super::tree::Tree;

const WORDS: [&str; 7] =
    ["sqlx::", "\"SELECT ", "\"INSERT INTO ", "\"UPDATE ", "\"DELETE FROM ", "\"CREATE TABLE", "\"PRAGMA "];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let elsewhere = ["crates/store/", "crates/statements/", "crates/platforms/", "crates/protocols/"];
    let mut found = Vec::new();
    for file in tree.product().filter(|file| !elsewhere.iter().any(|dir| file.path.starts_with(dir))) {
        for (number, line) in file.code().filter(|(_, line)| WORDS.iter().any(|word| line.contains(word))) {
            found.push(Finding::new(
                &file.path,
                number,
                format!("only `store` writes SQL: `{}` belongs there", line.trim()),
            ));
        }
    }
    found
}
