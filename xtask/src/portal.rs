//! `portal`: the web client, built from its locked packages, and only when something of it has changed.

use crate::{components, run};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long each of npm's steps may take.
const LIMIT: Duration = Duration::from_secs(600);

/// `portal`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install missing components without asking
    #[arg(long)]
    yes: bool,
}

/// Builds `portal/dist`.
pub(crate) fn portal(args: &Args) -> Result<()> {
    components::ensure_for_portal(args.yes)?;
    build()
}

/// Where the client's sources are.
pub(crate) fn home() -> PathBuf {
    run::root().join("portal")
}

/// npm, in the client's folder.
pub(crate) fn npm(words: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(home()).args(words).env("NO_COLOR", "1").env("CI", "1");
    command
}

/// Installs the locked packages, makes the API's types, checks all code against them and builds; nothing of it where
/// nothing has changed since.
pub(crate) fn build() -> Result<()> {
    let (packages, sources) = (digest(&[home().join("package-lock.json")])?, digest(&sources()?)?);
    let installed = home().join("node_modules/.sallyport");
    if !says(&installed, packages) {
        eprintln!("Installing the portal's packages");
        run::succeed(&mut npm(&["ci", "--no-audit", "--no-fund"]), "", LIMIT)?;
        std::fs::write(&installed, packages.to_string())?;
    }
    let built = run::root().join("target/portal.built");
    if !says(&built, sources) || !home().join("dist/index.html").is_file() {
        eprintln!("Building the portal");
        run::succeed(&mut npm(&["run", "build"]), "", LIMIT)?;
        std::fs::create_dir_all(run::root().join("target"))?;
        std::fs::write(&built, sources.to_string())?;
    }
    Ok(())
}

fn says(file: &Path, digest: u64) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text == digest.to_string())
}

/// Every file that the build reads.
fn sources() -> Result<Vec<PathBuf>> {
    let mut files = vec![run::root().join("crates/api/src/tests/openapi.json")];
    let mut folders = vec![home()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let generated =
                ["node_modules", "dist", "tests", "schema.d.ts"].iter().any(|name| entry.file_name() == *name);
            match entry.file_type()?.is_dir() {
                _ if generated => {}
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    Ok(files)
}

/// Names and contents, in an order of their own.
fn digest(files: &[PathBuf]) -> Result<u64> {
    let mut contents = BTreeMap::new();
    for file in files {
        contents.insert(file, std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    Ok(hasher.finish())
}
