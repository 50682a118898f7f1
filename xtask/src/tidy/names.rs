//! Names that say nothing are no names.

use super::Finding;
use super::tree::Tree;

const BANNED: [&str; 8] = ["common", "helper", "helpers", "manager", "misc", "util", "utils", "stuff"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let parts = file.path.trim_end_matches(".rs").split('/').flat_map(|part| part.split(['_', '-']));
        for name in parts.filter(|part| BANNED.contains(part)) {
            found.push(Finding::new(
                &file.path,
                0,
                format!("`{name}` says nothing: name the module after what it knows"),
            ));
        }
        for (number, line) in file.code() {
            let Some((_, rest)) = line
                .trim_start()
                .split_once("mod ")
                .filter(|(before, _)| before.is_empty() || before.starts_with("pub"))
            else {
                continue;
            };
            let name = rest.trim_end_matches([';', '{', ' ', '}']);
            if BANNED.contains(&name) {
                found.push(Finding::new(
                    &file.path,
                    number,
                    format!("`{name}` says nothing: name the module after what it knows"),
                ));
            }
        }
    }
    found
}
