//! The one build of the tests: linted while it compiles, so that dependencies are compiled once.
//!
//! clippy's driver is a whole compiler: as the wrapper of the workspace's crates it lints them and makes
//! the binaries that are then tested. What the build made also serves the documentation, which is
//! checked by rustdoc itself instead of by `cargo doc`, which would check every dependency anew.

use crate::run;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

/// Lints are errors here; clippy's driver splits this at the marker.
const LINTS: &str = "-Dwarnings__CLIPPY_HACKERY__";
/// The optimisation of dependencies in the profile `dev`; build scripts and macros have another.
const DEPENDENCY: &str = "1";

/// Makes every cargo command of the suite lint what it compiles of the workspace.
pub(crate) fn linting(command: &mut Command) -> Result<&mut Command> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("cannot run rustc")?;
    let driver = PathBuf::from(String::from_utf8(output.stdout)?.trim()).join("bin/clippy-driver");
    if !driver.is_file() {
        bail!("there is no {}: `rustup component add clippy` brings it", driver.display());
    }
    Ok(command.env("RUSTC_WORKSPACE_WRAPPER", driver).env("CLIPPY_ARGS", LINTS))
}

/// A library, as the build made it.
struct Library {
    file: String,
    features: Vec<String>,
}

/// What the build made: libraries by package.
pub(super) struct Built(HashMap<String, Library>);

impl Built {
    /// Reads what cargo said with `--message-format=json`.
    pub(super) fn read(said: &str) -> Result<Self> {
        let mut libraries: HashMap<String, Library> = HashMap::new();
        for line in said.lines().filter(|line| line.starts_with('{')) {
            let message: Value = serde_json::from_str(line)?;
            let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let kinds = words(message.pointer("/target/kind"));
            let library = kinds.iter().any(|kind| kind.ends_with("lib") || kind == "proc-macro");
            let own = text("/package_id").starts_with("path+");
            let host = !own && text("/profile/opt_level") != DEPENDENCY && !kinds.iter().any(|k| k == "proc-macro");
            let test = message.pointer("/profile/test") == Some(&Value::Bool(true));
            if text("/reason") != "compiler-artifact" || !library || host || test {
                continue;
            }
            let files = words(message.get("filenames"));
            let file = files.into_iter().find(|file| file.ends_with(".rlib") || file.ends_with(".so"));
            if let Some(file) = file {
                let features = words(message.get("features"));
                // Built a second time for macros and build scripts, a crate has what those need of it, which is less.
                let known = libraries.get(text("/package_id")).is_some_and(|l| l.features.len() >= features.len());
                if !known {
                    libraries.insert(text("/package_id").to_owned(), Library { file, features });
                }
            }
        }
        Ok(Self(libraries))
    }
}

/// Documents every library and program of the workspace; gives what rustdoc found wrong.
pub(super) fn documentation(built: &Built) -> Result<String> {
    let metadata = run::cargo()
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .output()?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout).context("cannot read cargo's metadata")?;
    let said = run::two_at_once(commands(&metadata, built)?, |mut command| match command.output() {
        Ok(output) if output.status.success() => String::new(),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("cannot run rustdoc: {error}\n"),
    });
    Ok(said.concat())
}

/// One rustdoc for each library and program of the workspace.
fn commands(metadata: &Value, built: &Built) -> Result<Vec<Command>> {
    let members = words(metadata.get("workspace_members"));
    let nodes: HashMap<&str, &Value> =
        list(metadata.pointer("/resolve/nodes")).filter_map(|node| Some((node.get("id")?.as_str()?, node))).collect();
    let mut commands = Vec::new();
    for package in list(metadata.get("packages")) {
        let id = package.get("id").and_then(Value::as_str).unwrap_or_default();
        if !members.iter().any(|member| member == id) {
            continue;
        }
        let node = nodes.get(id).with_context(|| format!("cargo does not resolve {id}"))?;
        for target in list(package.get("targets")) {
            let kinds = words(target.get("kind"));
            if kinds.iter().any(|kind| kind == "lib" || kind == "bin") {
                commands.push(command(package, target, node, built)?);
            }
        }
    }
    Ok(commands)
}

fn command(package: &Value, target: &Value, node: &Value, built: &Built) -> Result<Command> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = text(package, "id");
    let target_dir = run::root().join("target");
    let mut command = Command::new("rustdoc");
    command.current_dir(run::root()).arg(text(target, "src_path"));
    command.args(["--crate-name", &text(target, "name").replace('-', "_"), "--edition", &text(target, "edition")]);
    command.args(["-D", "warnings", "--document-private-items", "-o"]).arg(target_dir.join("doc"));
    command.args(["-L", &format!("dependency={}", target_dir.join("debug/deps").display())]);
    let version = text(package, "version");
    command.env("CARGO_PKG_VERSION", &version).env("CARGO_PKG_NAME", text(package, "name"));
    if let Some(directory) = PathBuf::from(text(package, "manifest_path")).parent() {
        command.env("CARGO_MANIFEST_DIR", directory);
    }
    if let Some(own) = built.0.get(&id) {
        for feature in &own.features {
            command.args(["--cfg", &format!("feature=\"{feature}\"")]);
        }
        let bin = words(target.get("kind")).iter().any(|kind| kind == "bin");
        if bin {
            command.args(["--extern", &format!("{}={}", text(package, "name").replace('-', "_"), own.file)]);
        }
    }
    for dependency in list(node.get("deps")) {
        let normal = list(dependency.get("dep_kinds")).any(|kind| kind.get("kind") == Some(&Value::Null));
        if normal && let Some(library) = built.0.get(&text(dependency, "pkg")) {
            command.args(["--extern", &format!("{}={}", text(dependency, "name"), library.file)]);
        }
    }
    Ok(command)
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn words(value: Option<&Value>) -> Vec<String> {
    list(value).filter_map(Value::as_str).map(str::to_owned).collect()
}
