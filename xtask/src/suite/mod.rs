//! `test`: tiers 0 to 3, each step with its seconds, closed by one line of totals; `mutants`: a step of it alone.
//!
//! A step that is no test run (formatting, lints, documentation) counts as nothing when it is good
//! and as one failure when it is not, so that the last line never says less than the exit code.

mod build;
mod mutants;
mod totals;

use crate::{components, deny, portal, python, run};
use anyhow::{Context as _, Result, bail};
use build::Built;
pub(crate) use build::linting;
pub(crate) use mutants::{Args as MutantArgs, mutants};
use mutants::{Mutant, Protocol};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use totals::{Reader, Totals};

/// `test`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install missing components without asking
    #[arg(long)]
    yes: bool,
}

/// Tests that run at once: on two cores they wait for servers and clients more than they compute.
const AT_ONCE: &str = "4";

/// Runs everything; a failing step does not keep the next from running. What tests need on this machine comes while they are built,
/// where nobody is asked whether it may.
pub(crate) fn test(args: &Args) -> Result<()> {
    let ensure = || components::ensure_for_tests(args.yes).and_then(|()| python::ensure());
    std::thread::scope(|scope| {
        let ready = if run::consent(args.yes) { Some(scope.spawn(ensure)) } else { ensure().map(|()| None)? };
        let ready =
            || ready.map_or(Ok(()), |ready| ready.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        everything(ready)
    })
}

/// All steps; tests begin once what they need is `ready`.
fn everything(ready: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut bench = Bench::new()?;
    let cargo = |words: &[&str]| {
        let mut command = run::cargo();
        command.args(words);
        command
    };
    bench.check("fmt", &mut cargo(&["fmt", "--all", "--check", "--", "--color", "never"]));
    bench.check("tidy", Command::new(std::env::current_exe()?).arg("tidy"));
    match deny::command() {
        Ok(mut command) => drop(bench.check("deny", &mut command)),
        Err(error) => bench.fail("deny", &format!("{error:#}")),
    }
    if bench.check("portal", Command::new(std::env::current_exe()?).arg("portal")).is_some() {
        bench.check("portal-ts", &mut portal::npm(&["run", "unit"]));
    }
    let build = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    let built = bench.check("lint", linting(&mut cargo(&build))?);
    ready()?;
    if let Some(said) = built {
        let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
        bench.tests("test", linting(tests.env("RUST_TEST_THREADS", AT_ONCE))?);
        // Mutants wait more than they compute, and have no need of the documentation.
        let built = Built::read(&said)?;
        std::thread::scope(|scope| {
            let documented = scope.spawn(|| {
                let start = Instant::now();
                build::documentation(&built).map(|wrong| (wrong, run::seconds(start)))
            });
            let mutants = mutants::all(Protocol::Toy).map(|mutants| bench.mutants(Protocol::Toy, mutants));
            let (wrong, seconds) = documented.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            bench.documentation(&wrong, &seconds);
            mutants
        })?;
    }
    bench.close()
}

/// What has been run so far.
struct Bench {
    logs: PathBuf,
    totals: Totals,
    wrong: Vec<String>,
}

impl Bench {
    fn new() -> Result<Self> {
        let logs = run::root().join("target/test-logs");
        std::fs::create_dir_all(&logs)?;
        Ok(Self { logs, totals: Totals::default(), wrong: Vec::new() })
    }

    /// The line of totals, and whether everything was good.
    fn close(&self) -> Result<()> {
        for wrong in &self.wrong {
            println!("failed: {wrong}");
        }
        println!("{} passed, {} failed", self.totals.passed, self.totals.failed);
        if self.wrong.is_empty() && self.totals.failed == 0 {
            Ok(())
        } else {
            bail!("not everything passed; the logs are in target/test-logs")
        }
    }

    /// A step that is good or not; gives its standard output where it is good.
    fn check(&mut self, name: &str, command: &mut Command) -> Option<String> {
        let start = Instant::now();
        match command.output() {
            Ok(output) if output.status.success() => {
                println!("{name:<10} ok      {}", run::seconds(start));
                return Some(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            Ok(output) => {
                let lines = String::from_utf8_lossy(&output.stdout);
                let people = lines.lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n");
                self.failed(
                    name,
                    &run::seconds(start),
                    &format!("{people}{}", String::from_utf8_lossy(&output.stderr)),
                );
            }
            Err(error) => self.fail(name, &error.to_string()),
        }
        None
    }

    /// The documentation has no broken link and no warning.
    fn documentation(&mut self, wrong: &str, seconds: &str) {
        if wrong.is_empty() {
            println!("{:<10} ok      {seconds}", "doc");
        } else {
            self.failed("doc", seconds, wrong);
        }
    }

    fn failed(&mut self, name: &str, seconds: &str, said: &str) {
        let _ = std::fs::write(self.logs.join(format!("{name}.log")), said);
        println!("{name:<10} FAILED  {seconds}\n{}", run::last_lines(said, 60));
        self.fail(name, "see above");
    }

    fn fail(&mut self, name: &str, why: &str) {
        self.totals.failed += 1;
        self.wrong.push(format!("{name} ({why})"));
    }

    /// A run of tests.
    fn tests(&mut self, name: &str, command: &mut Command) {
        let start = Instant::now();
        match follow(&self.logs, name, command, true) {
            Ok((good, read)) => {
                let word = if good { "ok    " } else { "FAILED" };
                println!(
                    "{name:<10} {word}  {}  {} passed, {} failed",
                    run::seconds(start),
                    read.totals.passed,
                    read.totals.failed
                );
                self.totals.add(&read.totals);
                self.wrong.extend(read.failures.iter().map(|test| format!("test {test}")));
                if !good && read.totals.failed == 0 {
                    self.fail(name, "it did not build or did not finish");
                }
            }
            Err(error) => self.fail(name, &format!("{error:#}")),
        }
    }

    /// A mutant is caught when the tests of its case fail, and no other test does.
    fn mutants(&mut self, protocol: Protocol, mutants: Vec<Mutant>) {
        let logs = self.logs.clone();
        let run = |mutant: Mutant| {
            let start = Instant::now();
            let name = format!("mutant-{}", mutant.case);
            let read = follow(&logs, &name, &mut mutant.command(), false);
            (mutant, name, read, run::seconds(start))
        };
        let runs =
            if protocol.one_by_one() { mutants.into_iter().map(run).collect() } else { run::two_at_once(mutants, run) };
        for (mutant, name, read, seconds) in runs {
            match read {
                Ok((_, read)) if mutant.caught(&read) => {
                    self.totals.passed += 1;
                    println!("{name:<20} caught  {seconds}");
                }
                Ok((_, read)) => {
                    let failed = if read.failures.is_empty() { "no test".to_owned() } else { read.failures.join(" ") };
                    println!("{name:<20} FAILED  {seconds}");
                    self.fail(&name, &format!("{failed} failed instead of the tests of `{}`", mutant.case));
                }
                Err(error) => self.fail(&name, &format!("{error:#}")),
            }
        }
    }
}

/// Follows a test run line by line: into its log, into the totals, and as progress.
fn follow(logs: &Path, name: &str, command: &mut Command, show: bool) -> Result<(bool, Reader)> {
    let log = logs.join(format!("{name}.log"));
    let mut file = std::fs::File::create(&log)?;
    // One stream for both: which binary a result belongs to stands on standard error.
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut read = Reader::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        writeln!(file, "{line}")?;
        let told = read.line(&line);
        if let Some(told) = told.filter(|_| show) {
            println!("{told}");
        }
    }
    let good = child.wait()?.success();
    if show && !good {
        let said = std::fs::read_to_string(&log)?;
        println!("{}", totals::worth_reading(&said));
    }
    Ok((good, read))
}

#[cfg(test)]
mod tests;
