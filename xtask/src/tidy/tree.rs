//! What rules look at: the tracked files and the packages.

use crate::run;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// One text file.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Path from the root, with `/`.
    pub(super) path: String,
    /// Text.
    pub(super) text: String,
}

impl File {
    /// Numbered lines, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Numbered lines of code: without whole-line comments.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether it is a test, or helps tests alone.
    pub(super) fn is_test(&self) -> bool {
        let development = ["crates/testkit/", "crates/e2e/", "fuzz/"].iter().any(|dir| self.path.starts_with(dir));
        development
            || ["/tests.rs", "/testing.rs", "/fixture.rs"].iter().any(|name| self.path.ends_with(name))
            || ["/tests/", "/conformance/", "/examples/", "/benches/"].iter().any(|dir| self.path.contains(dir))
    }
}

/// A package of the workspace.
#[derive(Clone, Debug, Default)]
pub(super) struct Package {
    /// Name, without `sallyport-`.
    pub(super) name: String,
    /// Folder from the root.
    pub(super) folder: String,
    /// Packages of the workspace that its product code imports.
    pub(super) imports: Vec<String>,
    /// Packages of the workspace that its tests import.
    pub(super) dev_imports: Vec<String>,
    /// Names of its test binaries: `lib`, `bin`, or the name of a file of `tests/`.
    pub(super) tests: Vec<String>,
}

/// The whole tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// Where it lies; empty in tests.
    pub(super) root: PathBuf,
    /// Tracked text files that still exist.
    pub(super) files: Vec<File>,
    /// Paths of the tracked files that are no text, such as pictures.
    pub(super) pictures: Vec<String>,
    /// Packages.
    pub(super) packages: Vec<Package>,
    /// Today as `YYYY-MM-DD`.
    pub(super) today: String,
}

impl Tree {
    /// Reads the workspace: files from the version control, packages from cargo.
    pub(super) fn read() -> Result<Self> {
        let root = run::root();
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .context("cannot run git: install it")?;
        let (mut files, mut pictures) = (Vec::new(), Vec::new());
        for path in String::from_utf8(listed.stdout)?.split('\0').filter(|path| !path.is_empty()) {
            // What is not text, or is deleted but not yet committed, has no lines to judge.
            if let Ok(text) = std::fs::read_to_string(root.join(path)) {
                files.push(File { path: path.to_owned(), text });
            } else if root.join(path).is_file() {
                pictures.push(path.to_owned());
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let output = run::cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).output()?;
        anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let folder = root.to_string_lossy().into_owned();
        let packages = array(&metadata, "packages").iter().map(|p| package(p, &folder)).collect();
        let today = Command::new("date").args(["-u", "+%F"]).output().context("cannot run date")?;
        Ok(Self { root, files, pictures, packages, today: String::from_utf8(today.stdout)?.trim().to_owned() })
    }

    /// Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// Rust files of the product, without tests.
    pub(super) fn product(&self) -> impl Iterator<Item = &File> {
        self.rust().filter(|file| file.path.starts_with("crates/") && !file.is_test())
    }

    /// A file's text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

/// The items of an array, none where it is absent.
pub(super) fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text, empty where it is absent.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn package(value: &Value, root: &str) -> Package {
    let short = |name: &str| name.strip_prefix("sallyport-").unwrap_or(name).to_owned();
    let manifest = text(value, "manifest_path");
    let folder = manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/');
    let ours = |dev: bool| {
        array(value, "dependencies")
            .iter()
            .filter(|d| text(d, "name").starts_with("sallyport-") && (text(d, "kind") == "dev") == dev)
            .map(|d| short(text(d, "name")))
            .collect()
    };
    let tests = array(value, "targets").iter().filter(|t| t.get("test").and_then(Value::as_bool) == Some(true));
    Package {
        name: short(text(value, "name")),
        folder: folder.strip_suffix("/Cargo.toml").unwrap_or(folder).to_owned(),
        imports: ours(false),
        dev_imports: ours(true),
        tests: tests
            .filter_map(|t| match array(t, "kind").first().and_then(Value::as_str) {
                Some("test") => Some(text(t, "name").to_owned()),
                Some(kind @ ("lib" | "bin")) => Some(kind.to_owned()),
                _ => None,
            })
            .collect(),
    }
}
