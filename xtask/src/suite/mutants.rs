//! Mutants: one sabotaged build of the gateway, whose guards are broken one case at a time.

use super::build::linting;
use super::totals::Reader;
use crate::run;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// A mutant of one case.
pub(super) struct Mutant {
    /// The case that must find it.
    pub(super) case: String,
    /// The suite, in a build that can be sabotaged.
    program: PathBuf,
}

/// A mutant for every case of the suite: a case that no mutant breaks is found by surviving it. The whole
/// workspace is selected, so that no dependency is compiled again with other features.
pub(super) fn all() -> Result<Vec<Mutant>> {
    let mut build = run::cargo();
    build.args(["test", "--workspace", "--test", "conformance", "--features", "sallyport-gateway/sabotage"]);
    let output = linting(build.args(["--no-run", "--message-format=json"]))?.output()?;
    if !output.status.success() {
        bail!("the sabotaged build fails: {}", run::last_lines(&String::from_utf8_lossy(&output.stderr), 20));
    }
    let said = String::from_utf8(output.stdout)?;
    let program = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some("conformance"))
        .find_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
        .context("cargo names no program of the conformance suite")?;
    let list = Command::new(&program).args(["--list", "--format", "terse"]).output()?;
    let mutant = |case: String| Mutant { case, program: program.clone() };
    Ok(cases(&String::from_utf8(list.stdout)?).into_iter().map(mutant).collect())
}

/// The cases in a list of tests, which are named `<transport>_<case>`.
pub(super) fn cases(list: &str) -> BTreeSet<String> {
    let case = |line: &str| Some(line.strip_suffix(": test")?.split_once('_')?.1.to_owned());
    list.lines().filter_map(case).collect()
}

impl Mutant {
    /// The run that must fail.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(run::root()).env("SALLYPORT_SABOTAGE", &self.case);
        command
    }

    /// Whether the tests of its case failed, and no other.
    pub(super) fn caught(&self, read: &Reader) -> bool {
        caught(&self.case, read)
    }
}

pub(super) fn caught(case: &str, read: &Reader) -> bool {
    let own = |test: &String| test.rsplit("::").next().is_some_and(|name| name.split('_').any(|part| part == case));
    !read.failures.is_empty() && read.failures.iter().all(own)
}
