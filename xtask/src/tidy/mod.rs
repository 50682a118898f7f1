//! The rules of the house, as code: one file per rule, and messages that say what to do.
//!
//! A rule is a function from the [`Tree`] to its [`Finding`]s. Lists that rules need lie beside them.

mod attributes;
mod budget;
mod changes;
mod environment;
mod expose;
mod imports;
mod length;
mod links;
mod manifests;
mod map;
mod measures;
mod modules;
mod names;
mod serialize;
mod sql;
mod threats;
mod tree;
mod words;

use anyhow::{Result, bail};
use std::fmt;
use tree::Tree;

/// `tidy`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rewrite what can be derived: the code map, missing lines of the test budget
    #[arg(long)]
    fix: bool,
}

/// Something that a rule has found.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Finding {
    /// Where.
    path: String,
    /// Line, from 1; 0 means the whole file.
    line: usize,
    /// What is wrong and what to do.
    message: String,
    /// Named, but not a failure.
    warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into(), warning: false }
    }

    fn warning(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::new(path, line, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.warning { "warning: " } else { "" };
        match self.line {
            0 => write!(f, "{}: {mark}{}", self.path, self.message),
            line => write!(f, "{}:{line}: {mark}{}", self.path, self.message),
        }
    }
}

/// A rule.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: [Rule; 17] = [
    attributes::check,
    budget::check,
    changes::check,
    environment::check,
    expose::check,
    imports::check,
    length::check,
    links::check,
    manifests::check,
    map::check,
    measures::check,
    modules::check,
    names::check,
    serialize::check,
    sql::check,
    threats::check,
    words::check,
];

fn findings(tree: &Tree) -> Vec<Finding> {
    let mut found: Vec<_> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    found.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    found
}

/// Checks the tree.
pub(crate) fn tidy(args: &Args) -> Result<()> {
    if args.fix {
        let tree = Tree::read()?;
        map::fix(&tree)?;
        budget::fix(&tree)?;
    }
    let found = findings(&Tree::read()?);
    for finding in &found {
        eprintln!("{finding}");
    }
    match found.iter().filter(|f| !f.warning).count() {
        0 => Ok(()),
        n => bail!("{n} findings: mend them, or argue in ARCHITECTURE.md where a rule has a place for it"),
    }
}

#[cfg(test)]
mod tests;
