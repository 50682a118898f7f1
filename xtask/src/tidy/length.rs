//! How long a file may be.

use super::Finding;
use super::tree::Tree;

const WARN: usize = 500;
const MOST: usize = 800;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter_map(|file| {
            let lines = file.text.lines().count();
            let message = format!("{lines} lines: split it by what changes together ({WARN} is long, {MOST} too long)");
            match lines {
                lines if lines > MOST => Some(Finding::new(&file.path, 0, message)),
                lines if lines > WARN => Some(Finding::warning(&file.path, 0, message)),
                _ => None,
            }
        })
        .collect()
}
