//! Links of the documents lead somewhere.

use super::Finding;
use super::tree::Tree;
use std::path::{Component, Path, PathBuf};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, link) in file.lines().flat_map(|(number, line)| links(line).map(move |link| (number, link))) {
            let elsewhere = link.contains("://") || link.starts_with('#') || link.starts_with("mailto:");
            let place = link.split('#').next().unwrap_or_default();
            if !elsewhere && !exists(tree, &file.path, place) {
                found.push(Finding::new(
                    &file.path,
                    number,
                    format!("`{link}` leads nowhere: name a file relative to this one"),
                ));
            }
        }
    }
    found
}

fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

fn exists(tree: &Tree, from: &str, link: &str) -> bool {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    let path = path.to_string_lossy();
    let folder = format!("{}/", path.trim_end_matches('/'));
    let pictured = tree.pictures.iter().any(|picture| *picture == path);
    pictured || tree.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}
