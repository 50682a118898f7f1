//! `bench ssh`: sessions through the gateway beside the direct connection and a jump host, as the table of the book.

use crate::demo::{self, Children, Place, Story};
use crate::{components, python, run};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One run of a script.
pub(super) struct Run {
    /// The name of its results.
    pub(super) name: &'static str,
    script: &'static str,
    arguments: &'static [&'static str],
    /// Whether the script takes one end point alone: ours.
    alone: bool,
    /// Whether the product's data, and so its evidence, lies on a RAM disk.
    memory: bool,
    /// Whether the exchange of keys is the one that OpenSSH 9.0 to 9.8 choose by themselves, and not the fastest.
    hybrid: bool,
}

/// How an end point names its exchange of keys: as `Story::ends` says it, and post-quantum.
const FAST: &str = "kex=curve25519-sha256";
const HYBRID: &str = "kex=sntrup761x25519-sha512@openssh.com";

/// Each script takes `--ep` for an end point, the first being the baseline, and `--json` for a file that results are appended to.
pub(super) const RUNS: [Run; 11] = [
    Run { name: "ssh_setup", script: "ssh_setup.py", arguments: &[], alone: false, memory: false, hybrid: false },
    Run {
        name: "ssh_setup_memory",
        script: "ssh_setup.py",
        arguments: &["--rounds", "1"],
        alone: false,
        memory: true,
        hybrid: false,
    },
    Run {
        name: "ssh_setup_hybrid",
        script: "ssh_setup.py",
        arguments: &["--rounds", "1"],
        alone: false,
        memory: false,
        hybrid: true,
    },
    Run { name: "ssh_echo", script: "ssh_echo.py", arguments: &[], alone: false, memory: false, hybrid: false },
    Run {
        name: "ssh_bulk",
        script: "ssh_bulk.py",
        arguments: &["--modes", "down,up,duplex", "--mib", "512", "--rounds", "5"],
        alone: false,
        memory: false,
        hybrid: false,
    },
    Run {
        name: "ssh_files",
        script: "ssh_bulk.py",
        arguments: &["--modes", "sftp-get,sftp-put,scp-get,scp-put,scpO-get,scpO-put", "--mib", "256", "--rounds", "5"],
        alone: false,
        memory: false,
        hybrid: false,
    },
    Run {
        name: "ssh_text",
        script: "ssh_bulk.py",
        arguments: &["--modes", "ptydown", "--mib", "96", "--rounds", "5"],
        alone: false,
        memory: false,
        hybrid: false,
    },
    Run { name: "ssh_flood", script: "ssh_flood_type.py", arguments: &[], alone: false, memory: false, hybrid: false },
    Run {
        name: "ssh_stalls",
        script: "ssh_bulk.py",
        arguments: &["--modes", "duplex,sftp-get", "--mib", "128", "--rounds", "30"],
        alone: true,
        memory: false,
        hybrid: false,
    },
    Run {
        name: "ssh_typing",
        script: "ssh_flood_type.py",
        arguments: &["--mib", "32", "--rounds", "30"],
        alone: true,
        memory: false,
        hybrid: false,
    },
    Run {
        name: "ssh_idle",
        script: "ssh_idle_mem.py",
        arguments: &["--steps", "100,500,1000"],
        alone: true,
        memory: false,
        hybrid: false,
    },
];

/// A row of the table: what is measured, which record of which run says it (`run/test`), the field, and the goal.
struct Row {
    what: &'static str,
    test: &'static str,
    field: &'static str,
    goal: &'static str,
}

const fn row(what: &'static str, test: &'static str, field: &'static str, goal: &'static str) -> Row {
    Row { what, test, field, goal }
}

const ROWS: [Row; 28] = [
    row("set-up, median, ratio", "ssh_setup/ssh_setup_latency", "p50_ratio", "<= 1.15"),
    row("the same, evidence on a RAM disk", "ssh_setup_memory/ssh_setup_latency", "p50_ratio", "<= 1.08"),
    row("the same, sntrup761 with X25519, ratio", "ssh_setup_hybrid/ssh_setup_latency", "p50_ratio", ""),
    row("the same, gateway CPU per session, ms", "ssh_setup_hybrid/ssh_setup_latency", "gw_cpu_ms_per_session", ""),
    row("set-ups a second, 8 at once, ratio", "ssh_setup/ssh_setup_rate_p8", "ratio", ">= 0.80"),
    row("gateway CPU per session, ms", "ssh_setup/ssh_setup_latency", "gw_cpu_ms_per_session", "<= 15"),
    row("echo added, median, ms", "ssh_echo/ssh_echo", "added_p50_ms", "<= 0.25"),
    row("echo, 99th percentile, ms", "ssh_echo/ssh_echo", "p99_ms", "direct + 0.8"),
    row("download, ratio", "ssh_bulk/bulk_down", "ratio", ">= 0.75"),
    row("the same, gateway CPU s/GB", "ssh_bulk/bulk_down", "gw_cpu_s_per_GB", "<= 2.0"),
    row("upload, ratio", "ssh_bulk/bulk_up", "ratio", ">= 0.60"),
    row("the same, gateway CPU s/GB", "ssh_bulk/bulk_up", "gw_cpu_s_per_GB", "<= 2.0"),
    row("both ways at once, ratio", "ssh_bulk/bulk_duplex", "ratio", "no stall"),
    row("sftp get, ratio", "ssh_files/bulk_sftp-get", "ratio", ">= 0.75"),
    row("sftp put, ratio", "ssh_files/bulk_sftp-put", "ratio", ""),
    row("scp get, ratio", "ssh_files/bulk_scp-get", "ratio", ""),
    row("scp put, ratio", "ssh_files/bulk_scp-put", "ratio", ">= 0.70"),
    row("scp -O get, ratio", "ssh_files/bulk_scpO-get", "ratio", ""),
    row("scp -O put, ratio", "ssh_files/bulk_scpO-put", "ratio", ">= 0.70"),
    row("text to a terminal, ratio", "ssh_text/bulk_ptydown", "ratio", ">= 0.90"),
    row("the same, gateway CPU s/GB", "ssh_text/bulk_ptydown", "gw_cpu_s_per_GB", "<= 5"),
    row("typing into a flood, ratio", "ssh_flood/ssh_flood_type", "ratio", "no stall"),
    row("typing into a flood, stalls", "ssh_flood/ssh_flood_type", "stalls", "0"),
    row("both ways at once, 30 times, stalls", "ssh_stalls/bulk_duplex", "stalls", "0"),
    row("sftp get, 30 times, stalls", "ssh_stalls/bulk_sftp-get", "stalls", "0"),
    row("typing into a flood, 30 times, stalls", "ssh_typing/ssh_flood_type", "stalls", "0"),
    row("KiB per idle session with a terminal", "ssh_idle/ssh_idle_mem", "d_pss_per_session", "<= 120"),
    row("KiB after they are closed", "ssh_idle/ssh_idle_mem_after_close", "pss_kib", ""),
];

/// A crowd of sessions, most of them idle, held for ten minutes.
const CROWD: &str = include_str!("crowd.py");
const IDLE: u32 = 1000;
const ACTIVE: u32 = 300;

/// Holds a crowd through the gateway and keeps what it saw; `seconds` is how long.
pub(super) fn crowd(seconds: u32, yes: bool) -> Result<()> {
    let (place, mut children, ends) = begin(yes, false)?;
    let server = children.pid("sallyport")?;
    let ours = ends.last().context("there is no end point")?;
    let script = place.home.join("crowd.py");
    std::fs::write(&script, CROWD)?;
    eprintln!("Holding {IDLE} idle and {ACTIVE} active sessions for {seconds} s");
    let mut command = python();
    command.arg(&script).args([of(ours, "port")?, of(ours, "user")?, of(ours, "key")?]);
    command.args([IDLE, ACTIVE, seconds].map(|number| number.to_string())).arg(server.to_string());
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    children.stop();
    anyhow::ensure!(output.status.success(), "the crowd failed");
    let figures = super::figures(&String::from_utf8(output.stdout)?)?;
    super::write("ssh_crowd", &figures)?;
    println!("{figures:#}");
    let none = |name: &str| figures.get(name).and_then(Value::as_u64) == Some(0);
    anyhow::ensure!(none("not_opened") && none("died") && none("lost"), "sessions of the crowd were lost");
    Ok(())
}

/// Bytes of each sort of text that a terminal shows for `ssh_sizes`.
const TEXT: u64 = 256 << 20;

/// What recordings of text take on the disk, for each byte of it.
pub(super) fn sizes(yes: bool) -> Result<()> {
    let (place, mut children, ends) = begin(yes, false)?;
    let ours = ends.last().context("there is no end point")?;
    let mut figures = Vec::new();
    // Documents of the distribution, and names of files: neither is one line again and again.
    let sorts = [("documents", "cat /usr/share/doc/*/copyright"), ("file names", "find / -xdev -ls 2>/dev/null")];
    for (sort, text) in sorts {
        eprintln!("Recording {sort}");
        let before = size(&place.data().join("recordings"))?;
        let mut command = Command::new(run::find("ssh").context("ssh is missing: install the OpenSSH client")?);
        command.args(["-F", "none", "-tt", "-i", of(ours, "key")?, "-p", of(ours, "port")?, "-l", of(ours, "user")?]);
        let options =
            ["IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"];
        command.args(options.iter().flat_map(|option| ["-o", option])).arg(of(ours, "host")?);
        // Whose output is gone at the end is the shell itself, by its own `echo`, and not only what it runs.
        command.arg(format!("while :; do {text}; echo; done | head -c {TEXT}"));
        let output = command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::inherit()).output()?;
        anyhow::ensure!(output.status.success(), "the session failed");
        let shown = u64::try_from(output.stdout.len())?;
        let kept = settled(&place.data().join("recordings"))?.saturating_sub(before);
        let ratio = f64::from(u32::try_from(kept.saturating_mul(1000) / shown.max(1))?) / 1000.0;
        figures.push(serde_json::json!({ "text": sort, "shown": shown, "kept": kept, "ratio": ratio }));
    }
    children.stop();
    let figures = Value::Array(figures);
    println!("{figures:#}");
    super::write("ssh_sizes", &figures)
}

/// The same once nothing is added any more.
fn settled(directory: &Path) -> Result<u64> {
    let mut last = size(directory)?;
    loop {
        std::thread::sleep(std::time::Duration::from_secs(2));
        let now = size(directory)?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

/// Bytes of all files below a directory.
fn size(directory: &Path) -> Result<u64> {
    let mut sum = 0_u64;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let more = if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
        sum = sum.saturating_add(more);
    }
    Ok(sum)
}

fn python() -> Command {
    Command::new(run::root().join("target/python/bin/python3"))
}

/// A field of an end point, as the scripts take it.
pub(super) fn of<'a>(end: &'a str, name: &str) -> Result<&'a str> {
    let value = end.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.with_context(|| format!("the end point has no {name}"))
}

/// A product of its own in release, and the end points to measure.
pub(super) fn begin(yes: bool, memory: bool) -> Result<(Place, Children, Vec<String>)> {
    components::ensure(yes)?;
    python::ensure()?;
    run::catch_signals()?;
    demo::clean()?;
    super::build()?;
    let place = if memory { Place::make_with("release", in_memory()?)? } else { Place::make("release")? };
    let mut children = Children::new(demo::record());
    let story = Story::begin(&place, true, &mut children)?;
    let ends = story.ends(children.pid("sallyport")?)?;
    drop(story);
    Ok((place, children, ends))
}

/// An empty place on the machine's RAM disk.
fn in_memory() -> Result<PathBuf> {
    let place = PathBuf::from("/dev/shm/sallyport-bench");
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(place),
    }
}

/// Runs the scripts on products of their own, keeps the results, and prints the table.
pub(super) fn against_direct(scripts: &Path, runs: &[&Run], yes: bool) -> Result<()> {
    let scripts = scripts.canonicalize().with_context(|| format!("cannot find {}", scripts.display()))?;
    let mut records = Vec::new();
    for memory in [false, true] {
        let these: Vec<_> = runs.iter().filter(|run| run.memory == memory).collect();
        if these.is_empty() {
            continue;
        }
        let (place, mut children, ends) = begin(yes, memory)?;
        for wanted in these {
            run::go_on()?;
            eprintln!("Measuring {}", wanted.name);
            let results = place.home.join(format!("{}.json", wanted.name));
            let mut command = python();
            command
                .arg(scripts.join(wanted.script))
                .args(wanted.arguments)
                .arg("--json")
                .arg(&results)
                .current_dir(&place.home);
            for end in ends.iter().skip(if wanted.alone { ends.len() - 1 } else { 0 }) {
                let end = if wanted.hybrid { end.replace(FAST, HYBRID) } else { end.clone() };
                command.args(["--ep", &end]);
            }
            anyhow::ensure!(run::attached(&mut command)?.success(), "{} failed", wanted.script);
            let figures = super::figures(&std::fs::read_to_string(&results)?)?;
            super::write(wanted.name, &figures)?;
            // One line of results is no list.
            let lines = figures.as_array().map_or(std::slice::from_ref(&figures), Vec::as_slice);
            records.extend(lines.iter().map(|record| (wanted.name, record.clone())));
        }
        children.stop();
    }
    in_memory()?;
    print!("{}", table(&records));
    Ok(())
}

/// The rows that were measured, for direct, jump host and Sallyport.
fn table(records: &[(&str, Value)]) -> String {
    let mut text =
        String::from("\n| figure | direct | OpenSSH jump host | Sallyport | goal |\n|---|---|---|---|---|\n");
    for Row { what, test, field, goal } in &ROWS {
        let of = |end: &str| {
            let record = records.iter().rfind(|(run, record)| {
                let said = record.get("test").and_then(Value::as_str);
                test.split_once('/').is_some_and(|(of, name)| of == *run && said == Some(name))
                    && record.get("ep").is_some_and(|name| name == end)
            });
            record.and_then(|(_, record)| record.get(field).or_else(|| record.get("error"))).map(ToString::to_string)
        };
        let ends = ["direct", "jump", "sallyport"].map(of);
        if ends.iter().any(Option::is_some) {
            let [direct, jump, ours] = ends.map(Option::unwrap_or_default);
            text.push_str(&format!("| {what} | {direct} | {jump} | {ours} | {goal} |\n"));
        }
    }
    text
}
