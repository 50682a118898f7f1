//! Fragments of the changelog: a kind, and one sentence for the people who use the product.

use super::Finding;
use super::tree::Tree;

const KINDS: [&str; 6] = ["added", "changed", "deprecated", "fixed", "removed", "security"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let fragments =
        tree.files.iter().filter(|file| file.path.starts_with("changes/") && file.path != "changes/README.md");
    fragments
        .filter_map(|file| {
            let wrong =
                if file.path.ends_with(".md") { wrong(&file.text)? } else { "name it `changes/<slug>.md`".into() };
            Some(Finding::new(&file.path, 0, wrong))
        })
        .collect()
}

fn wrong(text: &str) -> Option<String> {
    let Some((kind, sentence)) = text.trim_end().split_once(": ") else {
        return Some("write `kind: One sentence.`".into());
    };
    if !KINDS.contains(&kind) {
        return Some(format!("`{kind}` is no kind: write one of {}", KINDS.join(", ")));
    }
    if sentence.contains('\n') || !sentence.ends_with('.') {
        return Some("write one sentence on one line, with a full stop".into());
    }
    None
}
