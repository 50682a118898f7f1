//! Processes of the demo: recorded by id and start time, and stopped in good order.

use crate::run;
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Running processes, the newest last.
pub(crate) struct Children {
    record: PathBuf,
    running: Vec<(String, Child)>,
}

impl Children {
    /// None yet; those that start are recorded in this file.
    pub(crate) fn new(record: PathBuf) -> Self {
        Self { record, running: Vec::new() }
    }

    /// Starts a process in a process group of its own, with its output in a log.
    pub(crate) fn start(&mut self, name: &str, command: &mut Command, log: &Path) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = run::pid_of(&child)?;
        let mut record = OpenOptions::new().create(true).append(true).open(&self.record)?;
        writeln!(record, "{pid} {} {name}", started(pid).unwrap_or_default())?;
        self.running.push((name.to_owned(), child));
        Ok(())
    }

    /// Process id of the newest of this name.
    pub(crate) fn pid(&self, name: &str) -> Result<i32> {
        let found = self.running.iter().rev().find(|(known, _)| known == name);
        run::pid_of(&found.with_context(|| format!("{name} does not run"))?.1)
    }

    /// Fails when one of them has died.
    pub(crate) fn alive(&mut self) -> Result<()> {
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!("{name} has ended ({status})");
            }
        }
        Ok(())
    }

    /// Stops them, the newest first, each with time to end well.
    pub(crate) fn stop(&mut self) {
        while let Some((name, mut child)) = self.running.pop() {
            let Ok(pid) = run::pid_of(&child) else { continue };
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            let start = Instant::now();
            while matches!(child.try_wait(), Ok(None)) {
                if start.elapsed() > PATIENCE {
                    eprintln!("{name} does not stop and is killed");
                    let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(&self.record);
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Stops what an earlier run left behind. A process is only ours when it started when we recorded.
pub(crate) fn clean(record: &Path) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(record) else { return Ok(()) };
    for line in text.lines().rev() {
        let mut words = line.split_whitespace();
        let (Some(pid), Some(start)) = (words.next().and_then(|p| p.parse().ok()), words.next()) else { continue };
        let ours = || started(pid).as_deref() == Some(start);
        if !ours() {
            continue;
        }
        kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("cannot stop process {pid}"))?;
        let begun = Instant::now();
        while ours() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        if ours() {
            kill(Pid::from_raw(-pid), Signal::SIGKILL)?;
        }
    }
    std::fs::remove_file(record)?;
    Ok(())
}

/// When a process started, in clock ticks since the machine did (proc_pid_stat(5), field 22); nothing
/// where it is gone or only waits to be collected.
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// Prints the end of each log, for a person who asks why it failed.
pub(crate) fn show_logs(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "log")) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if !text.trim().is_empty() {
            eprintln!("\n--- the last lines of {}\n{}", path.display(), run::last_lines(&text, 20));
        }
    }
}

/// Creates a file that only its owner reads.
pub(crate) fn private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
