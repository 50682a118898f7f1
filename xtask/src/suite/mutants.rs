//! Mutants: features of the gateway that break one case of the conformance suite each.

use super::totals::Reader;
use crate::run;
use anyhow::{Context as _, Result};
use std::process::Command;

const MANIFEST: &str = "crates/gateway/Cargo.toml";
const PREFIX: &str = "sabotage-";

/// A mutant of one case.
pub(super) struct Mutant {
    /// The case that must find it.
    pub(super) case: String,
}

/// Every mutant that the gateway's manifest names.
pub(super) fn all() -> Result<Vec<Mutant>> {
    let text = std::fs::read_to_string(run::root().join(MANIFEST)).context(MANIFEST)?;
    let manifest: toml::Table = text.parse().context(MANIFEST)?;
    let features = manifest.get("features").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let case = |name: &str| name.strip_prefix(PREFIX).map(str::to_owned);
    Ok(features.keys().filter_map(|name| case(name)).map(|case| Mutant { case }).collect())
}

impl Mutant {
    /// The run that must fail.
    pub(super) fn command(&self) -> Command {
        let mut command = run::cargo();
        let feature = format!("{PREFIX}{}", self.case);
        command.args([
            "test",
            "--package",
            "sallyport-gateway",
            "--lib",
            "--features",
            &feature,
            "--no-fail-fast",
            "conformance::",
        ]);
        command
    }

    /// Whether the tests of its case failed, and no other.
    pub(super) fn caught(&self, read: &Reader) -> bool {
        let own =
            |test: &String| test.rsplit("::").next().is_some_and(|name| name.split('_').any(|part| part == self.case));
        !read.failures.is_empty() && read.failures.iter().all(own)
    }
}
