//! `torture`: faults at length against the real program, and full sizes of what the suite runs small.

use crate::{bench, components, run, suite};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `torture`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long faults go on at each database, in minutes; quiet and judgement come on top
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Repeat the schedule of an earlier run; one by chance where absent
    #[arg(long)]
    seed: Option<u64>,
    /// One database alone
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// Faults or families of them (`disk-full`, `kill,target`), or `mobility`: every swap of sealed bytes
    #[arg(long, value_name = "FAULT")]
    only: Option<String>,
    /// Each fault once, however long that takes
    #[arg(long)]
    each_once: bool,
    /// Write the figures under docs/measures
    #[arg(long)]
    record: bool,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
}

/// A database.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Store {
    /// One node, its ledger in a file.
    Sqlite,
    /// Two nodes on one PostgreSQL.
    Postgres,
}

impl Store {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// How much longer than its faults a run may take: to build the house, to come to rest each round, to be judged.
const REST: u64 = 4;

/// Runs it.
pub(crate) fn torture(args: &Args) -> Result<()> {
    ensure!(run::is_root(), "this mounts file systems and switches accounts: run it as root");
    components::ensure_for_tests(args.yes)?;
    run::catch_signals()?;
    eprintln!("Building the program and its tests (the first time takes some minutes)");
    if args.only.as_deref() == Some("mobility") {
        return mobility(args.record);
    }
    let by_chance = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = args.seed.unwrap_or_else(by_chance);
    let stores = args.store.map_or_else(|| vec![Store::Sqlite, Store::Postgres], |store| vec![store]);
    let mut wrong = Vec::new();
    for store in stores {
        println!("{}: seed {seed}, {} minutes", store.name(), args.minutes);
        let place = run::root().join(format!("target/torture/{}-{seed}", store.name()));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place)?;
        if let Err(error) = one(args, store, seed, &place) {
            run::go_on()?;
            eprintln!("xtask: {}: {error:#}", store.name());
            wrong.push(store.name());
        }
        let figures = place.join("figures.json");
        if let Ok(text) = std::fs::read_to_string(&figures) {
            let figures: Value = serde_json::from_str(&text)?;
            print!("{}", table(&figures));
            if args.record {
                bench::write(&format!("torture-{}", store.name()), &figures)?;
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "what must hold did not, or was not judged, on {}: repeat it with `--seed {seed}`; logs and data are under target/torture",
        wrong.join(" and ")
    )
}

/// One run: the long test of the suite's own binary, told by its environment what to do.
fn one(args: &Args, store: Store, seed: u64, place: &Path) -> Result<()> {
    let seconds = args.minutes.saturating_mul(60);
    let mut command = run::cargo();
    suite::linting(&mut command)?;
    command.args(["test", "--workspace", "--quiet", "--test", "e2e", "--", "--ignored", "--exact", "--nocapture"]);
    command
        .arg("torture::at_length")
        .env("TORTURE_STORE", store.name())
        .env("TORTURE_SEED", seed.to_string())
        .env("TORTURE_SECONDS", seconds.to_string())
        .env("TORTURE_ONLY", args.only.as_deref().unwrap_or_default())
        .env("TORTURE_EACH_ONCE", if args.each_once { "yes" } else { "" })
        .env("TORTURE_KEEP", place.join("kept"))
        .env("TORTURE_FIGURES", place.join("figures.json"));
    let limit = Duration::from_secs(seconds.saturating_mul(REST).saturating_add(1800));
    run::shown(&mut command, &place.join("log"), limit)
}

/// The figures as a table for people.
fn table(figures: &Value) -> String {
    let number = |name: &str| figures.get(name).and_then(Value::as_i64).unwrap_or_default();
    let mut text = String::new();
    let mut line = |name: &str, value: i64| text.push_str(&format!("  {name:<44} {value:>8}\n"));
    for (fault, times) in figures.get("faults").and_then(Value::as_object).into_iter().flatten() {
        line(fault, times.as_i64().unwrap_or_default());
    }
    for (name, key) in [
        ("faults in all", "faults_in_all"),
        ("servers started again by their supervisor", "servers_started_again"),
        ("changes acknowledged", "changes_acknowledged"),
        ("changes left open, and done all the same", "of_these_done"),
        ("entries", "entries"),
        ("checkpoints compared", "checkpoints_compared"),
        ("sessions opened", "sessions_opened"),
        ("commands on the target", "commands_on_the_target"),
        ("recordings complete", "recordings_complete"),
        ("recordings truncated, and saying so", "recordings_truncated"),
        ("longest loss of these, ms", "longest_loss_of_a_truncated_recording_ms"),
    ] {
        line(name, number(key));
    }
    let violations = figures.get("violations").and_then(Value::as_array).map_or(0, Vec::len);
    line("lost, doubled, or without evidence", i64::try_from(violations).unwrap_or(i64::MAX));
    text
}

/// Every swap of sealed bytes at full size: the ignored test of the vault's own binary.
fn mobility(record: bool) -> Result<()> {
    let place = run::root().join("target/torture/mobility");
    std::fs::create_dir_all(&place)?;
    let mut command = run::cargo();
    suite::linting(&mut command)?;
    command.args([
        "test",
        "--workspace",
        "--quiet",
        "--lib",
        "--",
        "--ignored",
        "--nocapture",
        "mobility_at_full_size",
    ]);
    let log = place.join("log");
    run::shown(&mut command, &log, Duration::from_secs(3600))
        .context("a swap was accepted, or the test did not run")?;
    let said = std::fs::read_to_string(&log)?;
    let figures = said.lines().find_map(|line| line.strip_prefix("mobility "));
    let figures: Value = serde_json::from_str(figures.context("the test did not say what it did")?)?;
    if record { bench::write("torture-mobility", &figures) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::table;
    use serde_json::json;

    #[test]
    fn the_table_names_every_fault_and_ends_with_the_violations() {
        let text = table(&json!({
            "faults": { "kill-control": 12, "disk-full": 3 },
            "changes_acknowledged": 4711,
            "violations": ["Lost: one"],
        }));
        let value = |name: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!((value("kill-control"), value("disk-full")), ("12".into(), "3".into()));
        assert_eq!((value("changes acknowledged"), value("lost, doubled")), ("4711".into(), "1".into()));
        assert!(text.ends_with("1\n"));
    }
}
