//! `cargo xtask fuzz`: the parsers of the trusted core under a coverage-guided fuzzer, on the compiler of the house.
//!
//! The engine is libFuzzer, built from the registry's `libfuzzer-sys`. Coverage comes from LLVM's own pass, which the
//! stable compiler passes on; sanitizers are left out, because the parsers have no unsafe code to sanitise.

use crate::run;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args as Arguments;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Coverage of edges and comparisons; overflow and assertions are findings too.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "--cfg=fuzzing",
];
/// Largest input, in bytes: what a parser does wrong it does in a few kilobytes.
const LONGEST: &str = "-max_len=8192";
const BUILD: Duration = Duration::from_secs(3600);

/// Fuzzes parsers; `docs/howto/fuzz.md` says how to go on from a finding.
#[derive(Arguments)]
pub(crate) struct Args {
    /// Targets; all of them where none is named
    targets: Vec<String>,
    /// Seconds for each of them
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Add inputs that reached something new to the corpora that tests replay
    #[arg(long)]
    keep: bool,
}

pub(crate) fn fuzz(args: &Args) -> Result<()> {
    run::catch_signals()?;
    let package = run::root().join("fuzz");
    let work = run::root().join("target/fuzz");
    let known = targets(&package)?;
    let wanted = if args.targets.is_empty() { &known } else { &args.targets };
    for name in wanted {
        ensure!(known.contains(name), "there is no target `{name}`: {}", known.join(", "));
    }
    println!("Building with coverage, in target/fuzz");
    build(&package, &work)?;
    let parsers = work.join(TRIPLE).join("release/parsers");
    let seeds = work.join("seeds");
    run::succeed(Command::new(&parsers).env("SALLYPORT_SEEDS", &seeds), "", Duration::from_secs(60))?;
    println!("{:<12} {:>14} {:>10} {:>8} {:>8}", "target", "executions", "per s", "edges", "inputs");
    let mut total = 0;
    for name in wanted {
        let ran = one(&parsers, &work, &package, name, args)?;
        println!("{name:<12} {:>14} {:>10} {:>8} {:>8}", ran.executions, ran.rate, ran.edges, ran.inputs);
        total += ran.executions;
    }
    println!("{total} executions of {} targets, no finding", wanted.len());
    Ok(())
}

/// The targets, as their corpora name them.
fn targets(package: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(package.join("corpus"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn build(package: &Path, work: &Path) -> Result<()> {
    let mut cargo = run::cargo();
    cargo.current_dir(package).args(["build", "--quiet", "--release", "--locked", "--target", TRIPLE, "--bins"]);
    cargo.env("CARGO_TARGET_DIR", work).env("RUSTFLAGS", FLAGS.join(" "));
    run::succeed(&mut cargo, "", BUILD).context("the fuzzer does not build: it needs a C++ compiler (g++)").map(drop)
}

/// How a run went.
struct Ran {
    executions: u64,
    rate: u64,
    edges: u64,
    inputs: usize,
}

fn one(binary: &Path, work: &Path, package: &Path, name: &str, args: &Args) -> Result<Ran> {
    let (found, kept, broken) = (work.join("found").join(name), package.join("corpus").join(name), work.join("broken"));
    std::fs::create_dir_all(&found)?;
    std::fs::create_dir_all(&broken)?;
    let start = Instant::now();
    let mut fuzzer = Command::new(binary);
    fuzzer.env("SALLYPORT_FUZZ", name).args([LONGEST, "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    fuzzer.arg(format!("-max_total_time={}", args.seconds));
    fuzzer.arg(format!("-artifact_prefix={}/{name}-", broken.display()));
    fuzzer.arg(&found).arg(&kept).arg(work.join("seeds").join(name));
    let output = run::output(&mut fuzzer, "", Duration::from_secs(args.seconds) + BUILD)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!(
            "`{name}` has a finding; its input is under {}, and belongs into {} once it is mended:\n{}",
            broken.display(),
            kept.display(),
            run::last_lines(&said, 25)
        );
    }
    let executions = number(&said, "stat::number_of_executed_units:").context("the fuzzer does not say what it did")?;
    if args.keep {
        keep(binary, name, &kept, &found)?;
    }
    let edges = said.lines().rev().find_map(|line| number(line, "cov:")).unwrap_or(0);
    let rate = executions / start.elapsed().as_secs().max(1);
    Ok(Ran { executions, rate, edges, inputs: std::fs::read_dir(&kept)?.count() })
}

/// Adds what reached something new to the kept inputs, the smallest of each.
fn keep(binary: &Path, name: &str, kept: &Path, found: &PathBuf) -> Result<()> {
    let mut merge = Command::new(binary);
    merge.env("SALLYPORT_FUZZ", name).args(["-merge=1", "-max_len=2048"]).arg(kept).arg(found);
    run::succeed(&mut merge, "", BUILD).map(drop)
}

/// The number behind a word.
fn number(text: &str, word: &str) -> Option<u64> {
    text.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}
