//! `quarantine`: what in the database is not ours, shown and healed on the host, with a seal slot.

use crate::config::Config;
use crate::slot::Slot;
use crate::{control, parent};
use clap::{Args, Subcommand};
use sallyport_cli::{Fail, Format};
use sallyport_control::{Control, Finding, Heal, durable};
use sallyport_model::Kind;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Longest list of findings that is read, in bytes.
const MAX_LIST: usize = 4 << 20;

/// `quarantine`
#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// Examine every object of this stopped node's database; of a running node, what its start found
    Show(Slot),
    /// Take out what is not proven; nothing unproven is ever believed
    Accept(Slot),
    /// Put back what a backup holds and the ledger proves, and take out the rest
    Restore(Restore),
}

/// `quarantine restore`
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The `sallyport.db` of a backup, of any age; or the URL of a database that a dump was restored into
    #[arg(long, value_name = "FILE|URL")]
    from: String,
    #[command(flatten)]
    slot: Slot,
}

/// A finding, as it is kept beside the database and printed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    kind: String,
    id: String,
    what: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The ids come from whoever altered the database: they steer no terminal.
        let clean = |text: &str| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
        write!(f, "{} {}: {}", clean(&self.kind), clean(&self.id), clean(&self.what))
    }
}

fn lines(findings: &[Finding]) -> Vec<Line> {
    let line = |f: &Finding| Line { kind: f.kind.clone(), id: f.id.clone(), what: f.what.clone() };
    findings.iter().map(line).collect()
}

fn list(config: &Config) -> PathBuf {
    config.data.join("run/quarantine.json")
}

/// Keeps what a start found for whoever has the data directory, or takes it away where nothing is wrong.
pub(crate) fn keep(config: &Config, control: &Control) -> Result<(), Fail> {
    let path = list(config);
    match control.quarantine() {
        Some(findings) => {
            for line in lines(&findings) {
                tracing::error!("In quarantine: {line}");
            }
            let text = serde_json::to_vec(&lines(&findings)).map_err(Fail::failed)?;
            durable::replace(&path, &text).map_err(Fail::failed)
        }
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fail::failed(error)),
            _ => Ok(()),
        },
    }
}

/// What the running server found when it started.
pub(crate) fn kept(config: &Config) -> Vec<Line> {
    let bytes = durable::read(&list(config), MAX_LIST).ok().flatten().unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

pub(crate) fn run(command: &Quarantine, path: Option<&Path>, format: Format) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let lock = match (parent::lock(&config), command) {
        (Err(_), Quarantine::Show(_)) if config.socket().exists() => return told(&kept(&config), format),
        (lock, _) => lock?,
    };
    let (slot, heal) = match command {
        Quarantine::Show(slot) => (slot, Heal::Show),
        Quarantine::Accept(slot) => (slot, Heal::Accept),
        Quarantine::Restore(args) => (&args.slot, Heal::Restore(config.place_of(&args.from)?)),
    };
    let control = control::host(&config)?.healing(heal);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.map_err(Fail::failed)?.block_on(async {
        slot.unseal(&config, &control).await?;
        control.close().await;
        Ok(())
    });
    drop(lock);
    match (control.quarantine(), command) {
        (Some(findings), Quarantine::Show(_)) => {
            if findings.is_empty() {
                crate::logs::say("Every object is as this installation wrote it: there is nothing to heal.");
            }
            told(&lines(&findings), format)
        }
        _ => outcome.and_then(|()| {
            keep(&config, &control)?;
            crate::logs::say(
                "Healed. The ledger says in its next entry what was found and what became of it; start the server.",
            );
            Ok(())
        }),
    }
}

fn told(lines: &[Line], format: Format) -> Result<(), Fail> {
    let mut out = std::io::stdout().lock();
    let written = match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(lines).map_err(Fail::failed)?),
        Format::Text => lines.iter().try_for_each(|line| writeln!(out, "{line}")),
    };
    written.map_err(Fail::failed)?;
    if lines.is_empty() {
        return Ok(());
    }
    Err(Fail::new(
        Kind::Failed,
        format!(
            "{} objects are not what this installation wrote. `sallyport quarantine restore --from BACKUP` puts back what a \
             backup holds and the ledger proves; `sallyport quarantine accept` takes out what is not proven",
            lines.len()
        ),
    ))
}
