//! Ways around rules, and which of them are caught: the reviewed score.

use super::ready;
use super::*;
use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    line: Vec<Evasion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evasion {
    line: String,
    source: String,
    exec: Act,
    shell: Act,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A table for the book: how many lines of each sort of source end how.
fn table(corpus: &Corpus) -> String {
    let mut text = String::from("| as | blocked | alerted | not caught |\n|---|---|---|---|\n");
    let exec: Vec<Act> = corpus.line.iter().map(|line| line.exec).collect();
    let shell = corpus.line.iter().map(|line| line.shell).collect();
    for (name, acts) in [("exec", exec), ("line in a shell", shell)] {
        let count = |wanted: Act| acts.iter().filter(|act| **act == wanted).count();
        writeln!(text, "| {name} | {} | {} | {} |", count(Act::Block), count(Act::Alert), count(Act::Pass)).unwrap();
    }
    text
}

#[test]
fn the_score_of_the_evasions_is_the_reviewed_one() {
    let corpus: Corpus =
        toml::from_str(&fs::read_to_string(root().join("testdata/evasions/shell.toml")).unwrap()).unwrap();
    let rules = Rules::new(&[ready("high-risk")]);
    let public = corpus.line.iter().filter(|line| !line.source.starts_with("own") && line.source != "plain").count();
    assert!(
        public * 2 >= corpus.line.len(),
        "half of the lines come from public sources: {public} of {}",
        corpus.line.len()
    );
    let mut wrong = String::new();
    for line in &corpus.line {
        let exec = rules.command(&line.line).map_or(Act::Pass, |found| found.act);
        let shell = match rules.line(&line.line, &mut Memory::default()) {
            Ok(found) => found.map_or(Act::Pass, |found| found.act),
            Err(broken) => panic!("{}: {broken}", line.line),
        };
        if (exec, shell) != (line.exec, line.shell) {
            writeln!(wrong, "{}: exec is {exec:?}, shell is {shell:?}", line.line).unwrap();
        }
    }
    assert_eq!(wrong, "", "the score has changed: review testdata/evasions/shell.toml");
    let page = fs::read_to_string(root().join("docs/book/command-rules.md")).unwrap();
    assert!(page.contains(&table(&corpus)), "docs/book/command-rules.md has another table than\n{}", table(&corpus));
}
