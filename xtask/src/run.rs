//! Programs that a command starts: quietly, with their output in a file, and never past Ctrl-C.

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo, as it started us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.current_dir(root()).env_remove("RUSTFLAGS").env("CARGO_TERM_COLOR", "never");
    if consent(false) {
        // A build server compiles once: what makes the next build faster is time lost there.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Whether questions are answered with yes: by `--yes`, or on a build server.
pub(crate) fn consent(yes: bool) -> bool {
    yes || std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1")
}

/// Where a program is, if it is on the path or in the system's directories.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

static STOP: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C and a termination signal only set a flag, which [`stopped`] reads. Programs
/// that we start have their own process group, so that they are stopped in good order.
///
/// Handlers, not a blocked mask: a mask would be inherited, and those programs could not be stopped.
pub(crate) fn catch_signals() -> Result<()> {
    let (ready, installed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let [mut interrupt, mut terminate, mut hangup] =
                [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
            let _ = ready.send(());
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                STOP.store(true, Ordering::SeqCst);
            }
            #[expect(unreachable_code, reason = "names the type of the errors above")]
            std::io::Result::Ok(())
        })
    });
    installed.recv().context("cannot listen for Ctrl-C")
}

/// Whether we were asked to stop.
pub(crate) fn stopped() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Fails once we were asked to stop.
pub(crate) fn go_on() -> Result<()> {
    if stopped() {
        bail!("stopped on request");
    }
    Ok(())
}

/// Waits until `ready` answers, without blocking Ctrl-C.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        go_on()?;
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("waited {} s for {what} in vain", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The name of a program, for messages.
pub(crate) fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let name = Path::new(command.get_program()).file_name().unwrap_or_else(|| OsStr::new("?"));
    words.skip(1).fold(name.to_string_lossy().into_owned(), |text, word| format!("{text} {}", word.to_string_lossy()))
}

/// Runs a program in a process group of its own, with `input` on its standard input, to its end or to
/// `limit`.
pub(crate) fn output(command: &mut Command, input: &str, limit: Duration) -> Result<Output> {
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;
    let named = name(command);
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{named}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has closed it: its own answer says more than ours.
        let _ = stdin.write_all(input.as_bytes());
    }
    let pid = pid_of(&child)?;
    let reader = std::thread::spawn(move || child.wait_with_output());
    let waited = wait_for(&format!("`{named}`"), limit, || Ok(reader.is_finished().then_some(())));
    if waited.is_err() {
        let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
    }
    let output = reader.join().map_err(|_| anyhow::anyhow!("cannot read what `{named}` says"))??;
    waited.map(|()| output)
}

/// As [`output`], and a failure is an error that carries what the program said.
pub(crate) fn succeed(command: &mut Command, input: &str, limit: Duration) -> Result<String> {
    let output = output(command, input, limit)?;
    if !output.status.success() {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`{}` failed ({}): {}", name(command), output.status, last_lines(&said, 12));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program in a process group of its own to its end or to `limit`, shows what it says as it says it, and keeps
/// that in a file. A failure is an error.
pub(crate) fn shown(command: &mut Command, log: &Path, limit: Duration) -> Result<()> {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::process::CommandExt as _;
    let named = name(command);
    let mut file = std::fs::File::create(log)?;
    let (reader, writer) = std::io::pipe()?;
    command.process_group(0).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start `{named}`"))?;
    // The program alone holds the other end, so that its lines end with it.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let pid = pid_of(&child)?;
    let copied = std::thread::spawn(move || -> std::io::Result<()> {
        for line in BufReader::new(reader).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            writeln!(file, "{line}")?;
            println!("{line}");
        }
        Ok(())
    });
    let status = wait_for(&format!("`{named}`"), limit, || Ok(child.try_wait()?));
    if status.is_err() {
        let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
        let _ = child.wait();
    }
    let status = status?;
    copied.join().map_err(|_| anyhow::anyhow!("cannot read what `{named}` says"))??;
    if status.success() { Ok(()) } else { bail!("`{named}` ended with {status}") }
}

/// Runs a program that owns the terminal.
pub(crate) fn attached(command: &mut Command) -> Result<ExitStatus> {
    let named = name(command);
    command.status().with_context(|| format!("cannot start `{named}`"))
}

/// Works on everything, two at a time; the results are in the order of what they come from.
pub(crate) fn two_at_once<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(items.into_iter().enumerate());
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((number, item)) = take() {
                    let result = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A process id, as the system's calls want it.
pub(crate) fn pid_of(child: &Child) -> Result<i32> {
    Ok(i32::try_from(child.id())?)
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

/// Seconds with one decimal.
pub(crate) fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
