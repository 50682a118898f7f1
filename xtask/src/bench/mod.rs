//! `bench`: measures in release and writes the figures with commit and date under docs/measures.

mod asleep;
mod ssh;

use crate::{components, portal, run};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Package, example.
const EXAMPLES: [(&str, &str); 11] = [
    ("sallyport-control", "serving"),
    ("sallyport-ledger", "verify_speed"),
    ("sallyport-policy", "speed"),
    ("sallyport-recording", "seal_speed"),
    ("sallyport-server", "api"),
    ("sallyport-server", "portal"),
    ("sallyport-server", "revocation"),
    ("sallyport-store", "append_speed"),
    ("sallyport-store", "failover"),
    ("sallyport-vault", "constant_time"),
    ("sallyport-vault", "rates"),
];
/// `bench`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what has this in its name, such as `api`, `ssh` or `ssh_echo`
    only: Option<String>,
    /// Directory with the scripts that measure SSH sessions against the direct connection
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// How long `ssh_crowd` holds its 1,000 idle and 300 active sessions, in seconds
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
}

/// Runs the examples, and the scripts where they are given.
pub(crate) fn bench(args: &Args) -> Result<()> {
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let examples: Vec<_> = EXAMPLES.iter().filter(|example| wanted(example.1)).collect();
    let runs: Vec<_> = ssh::RUNS.iter().filter(|run| wanted(run.name)).collect();
    let (crowd, sizes, asleep) = (wanted("ssh_crowd"), wanted("ssh_sizes"), wanted("ssh_asleep"));
    if examples.is_empty() && !crowd && !sizes && !asleep && (runs.is_empty() || args.scripts.is_none()) {
        bail!(
            "nothing to measure: no example has that in its name, and `--scripts` names the directory that measures SSH"
        );
    }
    if !examples.is_empty() {
        components::ensure_for_bench(args.yes)?;
        build()?;
    }
    for (package, example) in examples {
        let name = format!("{}-{example}", package.trim_start_matches("sallyport-"));
        eprintln!("Measuring {name}");
        let mut command = run::cargo();
        command
            .args(["run", "--release", "--quiet", "--package", package, "--example", example])
            .stderr(Stdio::inherit());
        let output = command.output()?;
        if !output.status.success() {
            bail!("{name} failed");
        }
        write(&name, &figures(&String::from_utf8(output.stdout)?)?)?;
    }
    if let Some(scripts) = args.scripts.as_ref().filter(|_| !runs.is_empty()) {
        ssh::against_direct(scripts, &runs, args.yes)?;
    }
    if sizes {
        ssh::sizes(args.yes)?;
    }
    if asleep {
        asleep::asleep(args.yes)?;
    }
    if crowd {
        ssh::crowd(args.seconds, args.yes)?;
    }
    Ok(())
}

/// Builds the program, which some examples run.
fn build() -> Result<()> {
    portal::build()?;
    let built = run::attached(run::cargo().args(["build", "--release", "--quiet", "--package", "sallyport-server"]))?;
    anyhow::ensure!(built.success(), "sallyport does not build");
    Ok(())
}

/// One JSON value, or one a line.
fn figures(text: &str) -> Result<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let values: Result<Vec<Value>, _> = lines.map(serde_json::from_str).collect();
    Ok(Value::Array(values.context("the measurement printed no JSON")?))
}

/// Writes figures with commit and date under docs/measures.
pub(crate) fn write(name: &str, figures: &Value) -> Result<()> {
    let said = |program: &str, words: &[&str]| -> Result<String> {
        let output = Command::new(program).args(words).current_dir(run::root()).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = !said("git", &["status", "--porcelain", "--", "crates"])?.is_empty();
    let result = json!({
        "name": name,
        "commit": if changed { format!("{commit}+changes") } else { commit },
        "date": said("date", &["-u", "+%F"])?,
        "cores": std::thread::available_parallelism()?.get(),
        "figures": figures,
    });
    let directory = run::root().join("docs/measures");
    std::fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}.json"));
    std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&result)?))?;
    eprintln!("  docs/measures/{name}.json");
    Ok(())
}
