//! Processes: killed, stopped and continued by their id, with everything below them where that is wanted.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs;

/// Sends a signal. A process that is gone already is no error.
///
/// # Errors
/// When the system refuses it.
pub fn signal(pid: Pid, signal: Signal) -> Result<()> {
    match signal::kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{signal} to {pid}")),
    }
}

/// Stops a process and everything below it: it holds its sockets and its locks, and does nothing.
///
/// # Errors
/// When the system refuses it.
pub fn stop(pid: Pid) -> Result<()> {
    signal(pid, Signal::SIGSTOP)?;
    below(pid)?.into_iter().try_for_each(|pid| signal(pid, Signal::SIGSTOP))
}

/// Lets it go on.
///
/// # Errors
/// When the system refuses it.
pub fn go_on(pid: Pid) -> Result<()> {
    below(pid)?.into_iter().try_for_each(|pid| signal(pid, Signal::SIGCONT))?;
    signal(pid, Signal::SIGCONT)
}

/// Whether a process runs; one that only waits to be collected does not.
#[must_use]
pub fn runs(pid: Pid) -> bool {
    state(pid).is_some_and(|(state, _)| state != "Z")
}

/// Every process below this one, at any depth.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn below(pid: Pid) -> Result<Vec<Pid>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(number) = entry?.file_name().to_string_lossy().parse() else { continue };
        let child = Pid::from_raw(number);
        if let Some((_, above)) = state(child) {
            parents.push((child, above));
        }
    }
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(at) = open.pop() {
        for (child, _) in parents.iter().filter(|(_, above)| *above == at) {
            found.push(*child);
            open.push(*child);
        }
    }
    Ok(found)
}

/// State and parent (proc_pid_stat(5), fields 3 and 4).
fn state(pid: Pid) -> Option<(String, Pid)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, Pid::from_raw(fields.next()?.parse().ok()?)))
}
