//! `bench ssh_asleep`: a client that stops reading in the middle of a download, beside a neighbour at full speed.

use super::ssh::{begin, of};
use crate::run;
use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes that the sleeper has yet to read when it stops, and that the neighbour reads again and again.
const SIZE: u64 = 512 << 20;
/// How long the neighbour runs alone, and then beside the sleeper.
const ALONE: Duration = Duration::from_secs(20);
const ASLEEP: Duration = Duration::from_secs(60);

/// Measures it and keeps the figures.
pub(super) fn asleep(yes: bool) -> Result<()> {
    let (place, mut children, ends) = begin(yes, false)?;
    let ours = ends.last().context("there is no end point")?;
    let download = || -> Result<Child> {
        let mut command = Command::new(run::find("ssh").context("ssh is missing: install the OpenSSH client")?);
        command.args(["-F", "none", "-i", of(ours, "key")?, "-p", of(ours, "port")?, "-l", of(ours, "user")?]);
        let options =
            ["IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"];
        command.args(options.iter().flat_map(|option| ["-o", option])).arg(of(ours, "host")?);
        command.arg(format!("head -c {SIZE} /dev/zero"));
        Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?)
    };

    eprintln!("A download alone for {} s", ALONE.as_secs());
    let alone = speed(&download, ALONE)?;
    let server = children.pid("sallyport")?;
    let before = resident(server)?;

    let mut sleeper = download()?;
    let mut first = [0; 1 << 20];
    let stdout = sleeper.stdout.as_mut().context("the sleeper has no output")?;
    stdout.read_exact(&mut first)?;
    let pid = Pid::from_raw(run::pid_of(&sleeper)?);
    kill(pid, Signal::SIGSTOP)?;
    eprintln!("The same beside a client that is stopped for {} s", ASLEEP.as_secs());
    let beside = speed(&download, ASLEEP);
    let grown = resident(server)?.saturating_sub(before);
    kill(pid, Signal::SIGCONT)?;
    let beside = beside?;
    // Whoever slept lost nothing.
    let rest = read(&mut sleeper)?;
    let slept = rest.saturating_add(u64::try_from(first.len())?);
    children.stop();
    drop(place);
    let figures = serde_json::json!({
        "test": "asleep", "asleep_s": ASLEEP.as_secs(),
        "alone_mb_s": alone.round(), "beside_mb_s": beside.round(),
        "ratio": (beside / alone * 100.0).round() / 100.0,
        "grown_kib": grown, "lost_by_the_sleeper": SIZE.saturating_sub(slept),
    });
    println!("{figures:#}");
    super::write("ssh_asleep", &figures)?;
    ensure!(slept == SIZE, "the client that slept read {slept} of {SIZE} bytes");
    Ok(())
}

/// MB a second of one download after the other, for so long.
fn speed(download: &impl Fn() -> Result<Child>, time: Duration) -> Result<f64> {
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < time {
        run::go_on()?;
        ensure!(read(&mut download()?)? == SIZE, "a download is not whole");
        count = count.saturating_add(1);
    }
    let size = f64::from(u32::try_from(SIZE)?);
    Ok(size * f64::from(count) / 1e6 / began.elapsed().as_secs_f64())
}

/// Reads all that a child still says, and lets it end.
fn read(child: &mut Child) -> Result<u64> {
    let stdout = child.stdout.as_mut().context("the client has no output")?;
    let size = std::io::copy(stdout, &mut std::io::sink())?;
    ensure!(child.wait()?.success(), "a client failed");
    Ok(size)
}

/// KiB of memory of the product's processes, shared memory counted in parts.
fn resident(server: i32) -> Result<u64> {
    let mut known = vec![server];
    let mut sum = 0_u64;
    while let Some(pid) = known.pop() {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        known.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let pss =
            rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse::<u64>().ok());
        sum = sum.saturating_add(pss.context("a process does not say what it has")?);
    }
    Ok(sum)
}
