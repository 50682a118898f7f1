//! Serde writes for the public in `wire` alone; elsewhere only what is listed, such as bodies of documents.

use super::Finding;
use super::expose::listed;
use super::tree::Tree;

const LIST: &str = include_str!("serialize.txt");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    listed(
        tree,
        LIST,
        "xtask/src/tidy/serialize.txt",
        "make it a type of `wire`, or add this module with a reason",
        |line| {
            let derive = line.split_once("derive(").and_then(|(_, rest)| rest.split_once(')'));
            derive.is_some_and(|(traits, _)| {
                traits.split(',').any(|t| matches!(t.trim(), "Serialize" | "serde::Serialize"))
            })
        },
    )
}
