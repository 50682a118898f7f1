//! Commands that tests run: fed, ended, and read.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs a command with these lines of input. One that fails before it reads has closed its end.
pub(crate) fn feed(mut command: Command, lines: &str) -> Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let _ = writeln!(child.stdin.take().context("no stdin")?, "{lines}");
    Ok(child.wait_with_output()?)
}

pub(crate) fn success(args: &[&str], output: Output) -> Result<String> {
    let (code, out, err) = outcome(output);
    ensure!(code == 0, "`{}` ended with {code}: {err}{out}", args.join(" "));
    Ok(out)
}

/// Exit code, standard output and standard error of a process.
#[must_use]
pub fn outcome(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

pub(crate) fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value.get(name).and_then(Value::as_str).with_context(|| format!("no `{name}` in {value}"))?.to_owned())
}

/// Parses a command's output.
///
/// # Errors
/// When it is no JSON.
pub fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| text.to_owned())
}

/// A port of the loopback that nobody listens on, and that no client is given: below those that the system hands out, so
/// that a server which is stopped finds it free when it comes back.
///
/// # Errors
/// When none of a hundred is free.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..100 {
        let next = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + next % 12_000)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}
