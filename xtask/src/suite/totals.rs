//! What a test run says of itself, read line by line.

use std::fmt::Write as _;

/// Sums over runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Totals {
    /// Tests that passed.
    pub(super) passed: u64,
    /// Tests that failed.
    pub(super) failed: u64,
}

impl Totals {
    /// Adds another run.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Reads a run.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Sums so far.
    pub(super) totals: Totals,
    /// Names of tests that failed.
    pub(super) failures: Vec<String>,
    binary: String,
}

impl Reader {
    /// Takes a line; gives a line of progress when a binary is done.
    pub(super) fn line(&mut self, line: &str) -> Option<String> {
        let line = line.trim();
        if let Some(binary) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ").map(|_| line)) {
            self.binary = short(binary);
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let passed = before(result, " passed").unwrap_or(0);
            let failed = before(result, " failed").unwrap_or(0);
            self.totals.add(&Totals { passed, failed });
            if passed + failed == 0 {
                return None;
            }
            let time = result.split("finished in ").nth(1).unwrap_or_default();
            let mut told = format!("  {:<44} {passed:>5} passed", self.binary);
            if failed > 0 {
                let _ = write!(told, ", {failed} FAILED");
            }
            let _ = write!(told, "  {time}");
            return Some(told);
        }
        None
    }
}

/// `unittests src/lib.rs (target/debug/deps/sallyport_model-0123)` as `sallyport_model src/lib.rs`.
fn short(binary: &str) -> String {
    let Some((what, path)) = binary.split_once(" (") else { return binary.to_owned() };
    let name = path.trim_end_matches(')').rsplit('/').next().unwrap_or_default();
    let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
    format!("{name} {}", what.trim_start_matches("unittests "))
}

/// The number in front of a word.
fn before(text: &str, word: &str) -> Option<u64> {
    text.split(word).next().filter(|head| head.len() < text.len())?.rsplit(' ').next()?.parse().ok()
}

/// The parts of a log that say what went wrong: from a failure or an error to the end of its binary's
/// run, and not endlessly.
pub(super) fn worth_reading(log: &str) -> String {
    let mut telling = false;
    let mut lines = Vec::new();
    for line in log.lines() {
        telling |= line.starts_with("---- ") || line.starts_with("error");
        telling &= !line.starts_with("test result: ");
        if telling && !line.ends_with("... ok") {
            lines.push(line);
        }
    }
    lines.truncate(200);
    lines.join("\n")
}
