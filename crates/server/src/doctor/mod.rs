//! `doctor`: checks a deployment and says what to do.

mod risks;

use crate::config::Config;
use crate::edge::{Authority, Tls, expiry};
use crate::private::Private;
use sallyport_cli::{Fail, Format};
use sallyport_model::Kind;
use sallyport_store::Offline;
use serde::Serialize;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

/// How long the server may take to say how it is.
const ANSWER: Duration = Duration::from_secs(5);

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// As it should be.
    Ok,
    /// It works, and something that may happen is not provided for.
    Risk,
    /// It does not work, or is open to others.
    Wrong,
}

/// One finding.
#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    what: String,
    /// What to do; empty where nothing is to be done.
    advice: String,
}

fn fine(what: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, what: what.into(), advice: String::new() }
}

fn wrong(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { level: Level::Wrong, what: what.into(), advice: advice.into() }
}

fn risk(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { level: Level::Risk, what: what.into(), advice: advice.into() }
}

pub(crate) fn doctor(path: Option<&Path>, format: Format) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let running = std::os::unix::net::UnixStream::connect(config.socket()).is_ok();
    let mut findings = vec![fine("the configuration is readable")];
    findings.push(directory(&config));
    findings.push(certificate(&config));
    findings.extend(server(&config));
    match config.key_file() {
        Ok(file) => findings.push(private(&file, "the vault's key file")),
        Err(fail) => findings.push(wrong("the vault's key file is nowhere", fail.message)),
    }
    findings.push(private(&Private::file(config.data.join("keys/ledger.key")), "the ledger's key"));
    if let Some(pin) = config.seal.pkcs11.as_ref().and_then(|token| token.pin_file.clone()) {
        findings.push(private(&Private::file(pin), "the token's PIN"));
    }
    findings.extend(risks::of_host(&config));
    findings.extend(crate::traces::probe(&config.traces).map(collector));
    findings.push(if running {
        fine("a server is running")
    } else {
        wrong("no server is running", "start it with `sallyport serve`")
    });
    if running {
        findings.extend(told(&config));
        let objects = crate::quarantine::kept(&config).into_iter().map(|line| {
            wrong(
                format!("in quarantine: {line}"),
                "`sallyport quarantine restore --from BACKUP`, or `accept`, with the server stopped",
            )
        });
        findings.extend(objects);
    } else {
        findings.extend(config.anchors.iter().filter_map(|a| a.file.as_deref()).map(anchor_file));
        findings.push(port(config.api.listen, "the API"));
        findings.push(port(config.ssh.listen, "SSH"));
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (bad, risks) = (count(Level::Wrong), count(Level::Risk));
    let mut out = std::io::stdout().lock();
    let written = match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&findings).map_err(Fail::failed)?),
        Format::Text => findings.iter().try_for_each(|finding| line(&mut out, finding)).and_then(|()| match risks {
            0 => Ok(()),
            n => writeln!(out, "Risks: {n}. All of it works; these are what may still happen."),
        }),
    };
    written.map_err(Fail::failed)?;
    if bad == 0 { Ok(()) } else { Err(Fail::new(Kind::Failed, format!("{bad} findings need attention"))) }
}

fn line(out: &mut impl std::io::Write, Finding { level, what, advice }: &Finding) -> std::io::Result<()> {
    match level {
        Level::Ok => writeln!(out, "ok     {what}"),
        Level::Risk => writeln!(out, "risk   {what}: {advice}"),
        Level::Wrong => writeln!(out, "WRONG  {what}: {advice}"),
    }
}

/// How the API proves itself.
fn certificate(config: &Config) -> Finding {
    let advice = "renew it, or set `[api] tls` right";
    if let Tls::Acme(acme) = &config.api.tls {
        return risks::issued(config, &acme.directory);
    }
    match (&config.api.tls, Authority::of(config)) {
        (Tls::Off, _) => fine("the API is plain http, on this host alone"),
        (Tls::Own | Tls::Acme(_), Some(own)) => {
            fine(format!("the API's certificate comes from its own authority, {}", own.fingerprint))
        }
        (Tls::Own | Tls::Acme(_), None) => fine("the API's own authority is made at first start"),
        (Tls::Files { cert, .. }, _) => match expiry(cert) {
            Err(why) => wrong(format!("the API's certificate `{}` cannot be used: {why}", cert.display()), advice),
            Ok(days) if days < 0 => wrong("the API's certificate is over its time", advice),
            Ok(days) if days < 21 => risk(format!("the API's certificate ends in {days} days"), advice),
            Ok(days) => fine(format!("the API's certificate is good for {days} days")),
        },
    }
}

/// Whether the database of `[store] url` lets us in and is fit for a store.
fn server(config: &Config) -> Option<Finding> {
    config.store.url.as_ref()?;
    let advice = "set `[store]` right, and look whether the server runs";
    let place = match config.place() {
        Ok(place) => place,
        Err(error) => return Some(wrong(error.to_string(), advice)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    Some(match runtime.block_on(Offline::open(&place)) {
        Ok(_) => fine(format!("{place} answers and is fit for a store")),
        Err(error) => wrong(error.to_string(), advice),
    })
}

fn directory(config: &Config) -> Finding {
    let data = &config.data;
    match std::fs::metadata(data) {
        Err(e) => wrong(format!("the data directory `{}` cannot be read: {e}", data.display()), "run `sallyport init`"),
        Ok(m) if m.permissions().mode() & 0o077 != 0 => wrong(
            format!("the data directory `{}` is open to other users", data.display()),
            format!("chmod 700 {}", data.display()),
        ),
        Ok(_) if !config.is_founded() => wrong("the data directory holds no installation", "run `sallyport init`"),
        Ok(_) => fine("the data directory is private and holds an installation"),
    }
}

fn private(file: &Private, what: &str) -> Finding {
    let path = file.path().display();
    match file.is_open() {
        Err(e) => wrong(format!("{what} `{path}` cannot be read: {e}"), "restore it from where you keep its copy"),
        Ok(true) => wrong(format!("{what} is readable by others"), format!("chmod 600 {path}")),
        Ok(false) => fine(format!("{what} is private")),
    }
}

/// What the running server says of itself: ledger, anchors, backups, recoveries, space.
fn told(config: &Config) -> Vec<Finding> {
    match status(config) {
        Err(why) => vec![wrong(format!("the server's API does not answer: {why}"), "look into its log")],
        Ok(status) => {
            let mut findings = vec![ledger(&status), anchors(config, &status), backup(config, &status), space(&status)];
            findings.extend(ssh_certificates(&status));
            findings.extend(unobserved(&status));
            findings.extend(status.recovery.map(|until| {
                wrong(
                    format!("the rights of an administrator are lent by a recovery on this host until {until}"),
                    "`sallyport ledger list --actions admin.recovered` says to whom; apply who is to be an administrator",
                )
            }));
            findings
        }
    }
}

fn anchors(config: &Config, status: &sallyport_wire::Status) -> Finding {
    if config.anchors.is_empty() {
        return risk(
            "nothing outside this host holds the ledger's head, so an old copy of its disk would pass for the present one",
            "add `[[anchors]]` to the configuration: a file on another disk, syslog, or a witness",
        );
    }
    if status.anchors_late == 0 {
        return fine(format!("none of {} anchors is late", status.anchors));
    }
    let refused = if status.frozen { ", and new sessions are refused" } else { "" };
    wrong(
        format!("{} of {} anchors are late{refused}", status.anchors_late, status.anchors),
        "`sallyport ledger anchors` says which and why",
    )
}

/// Whether the last backup is as young as it must be, where backups are asked for.
fn backup(config: &Config, status: &sallyport_wire::Status) -> Finding {
    let hours = config.backup.max_age_hours;
    let advice = "run `sallyport backup FILE`, and look why it was not run";
    match (&status.backup, config.backup.recipients.is_empty()) {
        (None, true) => risk(
            "no backup was made, and `[backup] recipients` asks for none",
            "name a recipient there, and run `sallyport backup FILE` every day",
        ),
        (None, false) => wrong("no backup was made", advice),
        (Some(at), _) if status.backup_age_hours.is_some_and(|age| age > hours.into()) => {
            wrong(format!("the last backup is of {at}, more than {hours} hours ago"), advice)
        }
        (Some(at), _) => fine(format!("the last backup is of {at}")),
    }
}

fn space(status: &sallyport_wire::Status) -> Finding {
    let advice = "`sallyport space` says what takes it and what goes next";
    match status.space.as_str() {
        "fine" => fine("recordings have room"),
        "refuse" => wrong("recordings take over 80 % of their room, and new sessions are refused", advice),
        _ => wrong("recordings take over 95 % of their room, and running sessions freeze", advice),
    }
}

/// Sessions that nothing crosses because nobody looks on.
fn unobserved(status: &sallyport_wire::Status) -> Option<Finding> {
    let what = match status.sessions_waiting {
        0 => return None,
        1 => "1 session waits for an observer".to_owned(),
        more => format!("{more} sessions wait for an observer"),
    };
    let advice =
        "`sallyport sessions --live` shows which: somebody who may watches (`sallyport watch SESSION`), or it ends";
    Some(risk(what, advice))
}

/// What is left undone about SSH certificates.
fn ssh_certificates(status: &sallyport_wire::Status) -> Vec<Finding> {
    let waiting = (status.ssh_cas_waiting > 0).then(|| {
        risk(
            format!("the next key of {} SSH authorities waits to be activated", status.ssh_cas_waiting),
            "`sallyport vault ca` shows it: tell whoever believes the authority, then `sallyport vault rotate-ca NAME activate`",
        )
    });
    let late = status.host_certificate_late.as_ref().map(|ends| {
        wrong(
            format!("the SSH certificate of this node's gateway ends at {ends} and was not renewed"),
            "the server's log says why; a restart tries again",
        )
    });
    waiting.into_iter().chain(late).collect()
}

fn ledger(status: &sallyport_wire::Status) -> Finding {
    match status.pulse.as_str() {
        "mute" if status.space == "freeze" => fine("the ledger takes entries"),
        "mute" => wrong(
            "the ledger takes no entries, so every session is frozen",
            "make room on the database's disk, or end who holds its lock; the server's log says more",
        ),
        "deaf" => wrong(
            "the server decides nothing: its vault is sealed or its database away",
            "`sallyport vault unseal`, or bring the database back; the server's log says which",
        ),
        _ => fine("the ledger takes entries"),
    }
}

fn status(config: &Config) -> Result<sallyport_wire::Status, Fail> {
    let scheme = if config.api.tls == Tls::Off { "http" } else { "https" };
    let url = format!("{scheme}://{}{}/status", config.api.listen, sallyport_wire::BASE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fail::failed)?;
    runtime.block_on(async {
        // It is asked at its own address, of which no certificate need speak, for what is told to everybody.
        let client = reqwest::Client::builder().timeout(ANSWER).tls_danger_accept_invalid_certs(true);
        let client = client.build().map_err(Fail::failed)?;
        client.get(url).send().await.map_err(Fail::failed)?.json().await.map_err(Fail::failed)
    })
}

/// Whether spans arrive.
fn collector(taken: Result<(), String>) -> Finding {
    match taken {
        Ok(()) => fine("the collector of traces takes spans"),
        Err(why) => {
            risk(format!("the collector of traces takes no spans: {why}"), "see to it, or correct `[traces] endpoint`")
        }
    }
}

fn anchor_file(path: &Path) -> Finding {
    let directory = path.parent().unwrap_or(path);
    if directory.is_dir() {
        fine(format!("the directory of the anchor `{}` is there", path.display()))
    } else {
        wrong(
            format!("the directory of the anchor `{}` is not there", path.display()),
            "mount it, or correct `file` of [[anchors]]",
        )
    }
}

fn port(address: SocketAddr, what: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => fine(format!("{address} is free for {what}")),
        Err(e) => {
            wrong(format!("{address} is not free for {what}: {e}"), "choose another `listen` or stop what uses it")
        }
    }
}

#[cfg(test)]
mod tests;
