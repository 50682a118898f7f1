//! What works and may go wrong all the same: the clock, swap, the key beside the lock, too few ways to open the vault.

use super::{Finding, fine, risk, wrong};
use crate::config::Config;
use crate::edge::expiry;
use sallyport_control::{CERTIFICATE, CERTIFICATE_DOCUMENT, CertificateBody};
use sallyport_model::way::Exceptions;
use sallyport_model::{Env, TargetName, Timestamp};
use sallyport_store::{DocId, Document, Error as StoreError, Offline};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// Targets that are looked at, at most.
const TARGETS: u32 = 100_000;
/// An exception that ends within this time is told of.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);
/// What says that a service keeps the clock: left by systemd-timesyncd, chrony, ntpsec and openntpd while they run.
const KEEPERS: [&str; 6] = [
    "/run/systemd/timesync/synchronized",
    "/run/chrony/chronyd.pid",
    "/run/chronyd.pid",
    "/run/ntpd.pid",
    "/run/ntpd/ntpd.pid",
    "/run/openntpd.pid",
];

pub(super) fn of_host(config: &Config) -> Vec<Finding> {
    let mut findings = vec![clock(), swap(Path::new("/proc/swaps"))];
    findings.extend(beside(config));
    findings.extend(slots(config));
    findings.extend(exceptions(config));
    findings.push(gateway(config));
    findings
}

/// Where SSH clients are told to connect to.
fn gateway(config: &Config) -> Finding {
    match config.gateway() {
        Err(why) => wrong(why, "set `[ssh] public` right"),
        Ok(gateway) if config.gateway_is_nameless() => risk(
            format!("SSH clients are told to connect to {gateway}, which on their hosts is another"),
            "set `public_url`, or `[ssh] public`, to the name by which they reach this host",
        ),
        Ok(gateway) => fine(format!("SSH clients are told to connect to {gateway}")),
    }
}

fn clock() -> Finding {
    match KEEPERS.iter().any(|path| Path::new(path).exists()) {
        true => fine("a service keeps this host's clock"),
        false => risk(
            "nothing seems to keep this host's clock, and every grant, session and token ends by it",
            "install chrony, unless the machine around this one keeps it",
        ),
    }
}

fn swap(list: &Path) -> Finding {
    // The first line is the head of the table.
    let areas = std::fs::read_to_string(list).map_or(0, |text| text.lines().skip(1).count());
    match areas {
        0 => fine("this host has no swap"),
        _ => risk(
            "this host swaps, and memory of the server may hold secrets",
            "encrypt the swap, turn it off, or run the packaged service, which keeps out of it",
        ),
    }
}

/// The key file and what it opens, in one place.
fn beside(config: &Config) -> Option<Finding> {
    let beside = !config.seal.manual
        && config.seal.pkcs11.is_none()
        && config.store.url.is_none()
        && config.key_file().is_ok_and(|file| file.path().starts_with(&config.data));
    beside.then(|| {
        risk(
            "the vault's key file lies beside the database, so that a copy of the data directory has both",
            "keep it elsewhere: `[seal] credential` (systemd, TPM), `[seal.pkcs11]`, or `key_file` on another disk",
        )
    })
}

/// Documents behind an id, as they lie in the database; nothing where there is none.
fn documents(config: &Config, behind: &str, most: u32) -> Option<Result<Vec<(DocId, Document)>, StoreError>> {
    let place = config.is_founded().then(|| config.place().ok())??;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    Some(runtime.block_on(async {
        let mut store = Offline::open(&place).await?;
        let found = store.documents(behind, most).await;
        store.close().await;
        found
    }))
}

/// The part of a target that counts here.
#[derive(Deserialize)]
struct Excepted {
    name: TargetName,
    exceptions: Option<Exceptions>,
}

/// Targets that old algorithms are spoken with. Read as they lie there: the server verifies them.
fn exceptions(config: &Config) -> Option<Finding> {
    const PREFIX: &str = "tgt_";
    let found = documents(config, PREFIX, TARGETS)?.ok()?;
    let targets = found.iter().filter(|(id, _)| id.as_str().starts_with(PREFIX));
    let excepted = targets.filter_map(|(_, document)| serde_json::from_slice::<Excepted>(&document.body).ok());
    let mut lines: Vec<_> =
        excepted.filter_map(|target| target.exceptions.map(|exceptions| (exceptions.until, target.name))).collect();
    lines.sort();
    told(&lines, Env::system().now())
}

fn told(lines: &[(Timestamp, TargetName)], now: Timestamp) -> Option<Finding> {
    if lines.is_empty() {
        return None;
    }
    let line = |(until, name): &(Timestamp, TargetName)| {
        let ended = if *until <= now { "ended" } else { "until" };
        format!("{name} {ended} {until}")
    };
    let shown: Vec<_> = lines.iter().take(10).map(line).collect();
    let more = if lines.len() > shown.len() { ", ..." } else { "" };
    let soon = lines.iter().filter(|(until, _)| *until <= now.plus(SOON)).count();
    let what = format!(
        "old algorithms are spoken by exception with {} targets ({}{more}); {soon} of these exceptions end within 30 days or have ended",
        lines.len(),
        shown.join(", ")
    );
    Some(risk(
        what,
        "update their SSH servers, then take the exceptions back; sessions are refused where one has ended",
    ))
}

/// The part of a slot that counts here.
#[derive(Deserialize)]
struct Slot {
    offline: bool,
}

/// Whether the vault can still be opened when this host is gone. Read as it lies there: the server verifies it.
fn slots(config: &Config) -> Option<Finding> {
    const PREFIX: &str = "slt_";
    let found = documents(config, PREFIX, 64)?;
    let found = match found {
        Ok(found) => found,
        // Whether there is a server to ask is another finding.
        Err(_) if config.store.url.is_some() => return None,
        Err(error) => {
            return Some(wrong(format!("the database cannot be read: {error}"), "look at its owner and disk"));
        }
    };
    let slot = |(id, document): &(DocId, Document)| {
        id.as_str().starts_with(PREFIX).then(|| serde_json::from_slice::<Slot>(&document.body).ok())?
    };
    let slots: Vec<Slot> = found.iter().filter_map(slot).collect();
    let offline = slots.iter().filter(|slot| slot.offline).count();
    Some(match (slots.len(), offline) {
        (0 | 1, _) | (_, 0) => risk(
            format!("the vault has {} ways to open it, {offline} of them away from this host", slots.len()),
            "`sallyport vault slot add --offline`: two at least, one of them offline",
        ),
        (all, offline) => fine(format!("the vault has {all} ways to open it, {offline} of them offline")),
    })
}

/// What is known of orders at an ACME directory. Read as it lies there: the server verifies it.
fn orders(config: &Config) -> Option<CertificateBody> {
    // The one that comes next behind this is the one.
    let before = CERTIFICATE_DOCUMENT.strip_suffix('e')?;
    let found = documents(config, before, 1)?;
    let (id, document) = found.ok()?.into_iter().next()?;
    (id.as_str() == CERTIFICATE_DOCUMENT).then(|| serde_json::from_slice(&document.body).ok())?
}

/// The certificate that a directory is to issue, and what came of the last order.
pub(super) fn issued(config: &Config, directory: &str) -> Finding {
    let known = orders(config).unwrap_or_default();
    let failure = match known.next {
        Some(next) if known.failed > 0 => {
            Some(format!("{} (order {} in a row; the next at {next})", known.detail, known.failed))
        }
        _ => None,
    };
    let advice = "see that the directory is reached from here, and port 443 of `public_url` leads to this server";
    match (expiry(&config.data.join(CERTIFICATE)), failure) {
        (Ok(days), Some(failure)) if days >= 0 => {
            risk(format!("the API's certificate is good for {days} days, and its renewal failed: {failure}"), advice)
        }
        (Ok(days), None) if days >= 0 => {
            fine(format!("the API's certificate from {directory} is good for {days} days"))
        }
        (_, Some(failure)) => wrong(
            format!("no certificate from {directory}, so the API shows one of its own authority: {failure}"),
            advice,
        ),
        (_, None) => risk(
            format!("no certificate from {directory} yet, so the API shows one of its own authority"),
            "start the server and open the vault: it orders one then",
        ),
    }
}

#[cfg(test)]
mod tests;
