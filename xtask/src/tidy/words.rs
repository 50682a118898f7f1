//! Words that do not belong in the product: marks of unfinished work, and paths of one machine.

use super::Finding;
use super::tree::Tree;

const LIST: &str = include_str!("words.txt");
/// Where the words themselves stand.
const HERE: &str = "xtask/src/tidy/";
/// Directories that every machine has: to name one says nothing of any machine.
const COMMON: [&str; 4] = ["/tmp/", "/var/tmp/", "/srv/", "/opt/"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let words: Vec<&str> = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let place = tree.root.parent().map(|p| format!("{}/", p.to_string_lossy())).filter(|p| p.len() > 2);
    let place = place.filter(|place| !COMMON.contains(&place.as_str()));
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.starts_with(HERE) && file.path != "Cargo.lock") {
        for (number, line) in file.lines() {
            for word in words.iter().filter(|word| contains(line, word)) {
                found.push(Finding::new(
                    &file.path,
                    number,
                    format!("`{word}` does not belong in the product: finish it, or say what is true now"),
                ));
            }
            if place.as_ref().is_some_and(|place| line.contains(place)) {
                found.push(Finding::new(
                    &file.path,
                    number,
                    "this names a directory of your machine: use a relative path",
                ));
            }
        }
    }
    found
}

/// Whether the line holds the words, not as part of longer ones.
fn contains(line: &str, words: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(words).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = at.checked_add(words.len()).and_then(|end| line.get(end..)).and_then(|text| text.chars().next());
        !inside(before) && !inside(after)
    })
}
