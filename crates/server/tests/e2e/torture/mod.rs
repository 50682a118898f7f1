//! The product on its worst day: clients go on while processes die, disks fill, clocks step and networks part.
//!
//! `cargo xtask torture` runs it at length; the suite runs each fault once.
#![expect(clippy::print_stdout, reason = "progress and figures are for the person who waits for them")]

mod clients;
mod evidence;
mod fault;
mod house;
mod run;

use house::Store;
use run::{Settings, run};
use std::path::PathBuf;
use std::time::Duration;

/// The seed of the short slice.
const SEED: u64 = 7;

fn short(store: Store, only: Option<&str>) {
    let settings = Settings {
        store,
        seed: SEED,
        length: Duration::ZERO,
        round: Duration::ZERO,
        only: only.map(str::to_owned),
        each_once: true,
        keep: None,
    };
    let outcome = run(settings);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    let tally = &outcome.tally;
    assert!(tally.acknowledged > 20 && tally.effects > 1 && tally.heads > 5, "too little was done: {tally:?}");
}

#[test]
fn each_fault_once_and_nothing_is_lost_doubled_or_without_evidence() {
    short(Store::Sqlite, None);
}

#[test]
fn what_a_database_server_suffers_once_loses_nothing_either() {
    short(Store::Postgres, Some("kill-postgres,stop-postgres,database"));
}

#[test]
#[ignore = "takes as long as it is told: `cargo xtask torture`"]
fn at_length() {
    let said = |name: &str| setting(name).filter(|value| !value.is_empty());
    let number = |name: &str| said(name).map(|value| value.parse::<u64>().unwrap());
    let seed = number("TORTURE_SEED").unwrap();
    let settings = Settings {
        store: if said("TORTURE_STORE").as_deref() == Some("postgres") { Store::Postgres } else { Store::Sqlite },
        seed,
        length: Duration::from_secs(number("TORTURE_SECONDS").unwrap()),
        round: Duration::from_secs(60),
        only: said("TORTURE_ONLY"),
        each_once: said("TORTURE_EACH_ONCE").is_some(),
        keep: said("TORTURE_KEEP").map(PathBuf::from),
    };
    let outcome = run(settings);
    let figures = serde_json::to_string_pretty(&outcome.figures(seed)).unwrap();
    println!("{figures}");
    if let Some(path) = said("TORTURE_FIGURES") {
        std::fs::write(path, figures).unwrap();
    }
    assert!(outcome.violations.is_empty(), "{} violations under the seed {seed}", outcome.violations.len());
}

#[expect(clippy::disallowed_methods, reason = "the one test that is told what to do")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
