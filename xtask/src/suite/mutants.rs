//! Mutants: one sabotaged build of the gateway, whose guards are broken one case at a time.

use super::Bench;
use super::build::linting;
use super::totals::Reader;
use crate::{components, run};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// `mutants`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The protocol whose suite must catch them
    #[arg(long, value_enum, default_value_t = Protocol::Toy)]
    protocol: Protocol,
    /// Cases; all of them where none is named
    cases: Vec<String>,
    /// Install missing components without asking
    #[arg(long)]
    yes: bool,
}

/// A protocol that runs the suite.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Protocol {
    /// The gateway's own: `cargo xtask test` runs its mutants
    Toy,
    /// SSH, with a real sshd and the stock client
    Ssh,
}

impl Protocol {
    /// The test binary that holds its suite, and how the suite's tests are told from others there.
    const fn suite(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Toy => ("conformance", None),
            Self::Ssh => ("it", Some("conformance::")),
        }
    }

    /// Whether its runs go on one after another: every sshd here has the same accounts of the machine.
    pub(super) const fn one_by_one(self) -> bool {
        matches!(self, Self::Ssh)
    }
}

/// Runs the mutants alone, under the suite of one protocol.
pub(crate) fn mutants(args: &Args) -> Result<()> {
    components::ensure_for_tests(args.yes)?;
    let mut bench = Bench::new()?;
    let mut all = all(args.protocol)?;
    for case in &args.cases {
        ensure!(all.iter().any(|mutant| mutant.case == *case), "there is no case `{case}`");
    }
    all.retain(|mutant| args.cases.is_empty() || args.cases.contains(&mutant.case));
    bench.mutants(args.protocol, all);
    bench.close()
}

/// A mutant of one case.
pub(super) struct Mutant {
    /// The case that must find it.
    pub(super) case: String,
    /// The suite, in a build that can be sabotaged.
    program: PathBuf,
    only: Option<&'static str>,
}

/// A mutant for every case of the suite: a case that no mutant breaks is found by surviving it. The whole
/// workspace is selected, so that no dependency is compiled again with other features.
pub(super) fn all(protocol: Protocol) -> Result<Vec<Mutant>> {
    let (test, only) = protocol.suite();
    let mut build = run::cargo();
    build.args(["test", "--workspace", "--test", test, "--features", "sallyport-gateway/sabotage"]);
    let output = linting(build.args(["--no-run", "--message-format=json"]))?.output()?;
    if !output.status.success() {
        bail!("the sabotaged build fails: {}", run::last_lines(&String::from_utf8_lossy(&output.stderr), 20));
    }
    let said = String::from_utf8(output.stdout)?;
    let program = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some(test))
        .find_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
        .context("cargo names no program of the conformance suite")?;
    let list = Command::new(&program).args(only).args(["--list", "--format", "terse"]).output()?;
    let mutant = |case: String| Mutant { case, program: program.clone(), only };
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
        command.args(self.only).current_dir(run::root()).env("SALLYPORT_SABOTAGE", &self.case);
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
