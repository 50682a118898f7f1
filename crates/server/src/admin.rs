//! `admin`: for whoever has the host: the last administrator is lost, or a link to sign in with is.

use crate::config::Config;
use crate::host::{Answer, Ask};
use crate::logs::say;
use crate::slot::Slot;
use crate::{control, host, parent};
use clap::{Args, Subcommand};
use sallyport_cli::{Fail, Format, seconds};
use sallyport_control::Recover;
use sallyport_model::{Handle, Kind};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// `admin`
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Lend the rights of an administrator, for hours, where nobody has them any more
    Recover(Arguments),
    /// Make a link by which a user sets a password and a factor with a browser, good once within an hour
    Link(Link),
}

/// `admin link`
#[derive(Args, Debug)]
pub(crate) struct Link {
    /// For whom
    handle: String,
    #[command(flatten)]
    slot: Slot,
}

/// `admin recover`
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Who gets them; made where there is nobody of this handle
    handle: String,
    /// How long, at most 8h
    #[arg(long, default_value = "1h")]
    ttl: String,
    /// Also where an administrator can still sign in
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    slot: Slot,
}

pub(crate) fn run(command: &Admin, path: Option<&Path>, format: Format) -> Result<(), Fail> {
    let config = Config::load(path)?;
    match command {
        Admin::Recover(args) => recover(args, &config, format),
        Admin::Link(args) => link(args, &config, format),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Fail> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Fail::failed)
}

/// Through the running server, or by opening the vault of a stopped one.
fn link(args: &Link, config: &Config, format: Format) -> Result<(), Fail> {
    let handle: Handle = args.handle.parse().map_err(Fail::usage)?;
    let (url, expires) = runtime()?.block_on(async {
        if host::is_running(config) {
            return match host::ask(config, &Ask::Link(handle.clone())).await? {
                Answer::Link(url, expires) => Ok((url, expires)),
                _ => Err(Fail::failed("the server has answered something else: is it of this version?")),
            };
        }
        let _lock = parent::lock(config)?;
        let control = control::host(config)?;
        args.slot.unseal(config, &control).await?;
        let made = control.link_on_host(&handle).await;
        control.close().await;
        let made = made.map_err(|e| Fail::new(e.kind(), e.to_string()))?;
        Ok((made.url.expose().clone(), made.expires.to_string()))
    })?;
    let mut out = std::io::stdout().lock();
    let written = match format {
        Format::Json => {
            writeln!(out, "{}", serde_json::json!({ "handle": args.handle, "link": url, "expires": expires }))
        }
        Format::Text => writeln!(
            out,
            "Link for {} (good once, until {expires}; what they signed in with before is gone then):\n\n    {url}",
            args.handle
        ),
    };
    written.map_err(Fail::failed)
}

fn recover(args: &Arguments, config: &Config, format: Format) -> Result<(), Fail> {
    let recover = Recover {
        handle: args.handle.parse().map_err(Fail::usage)?,
        life: Duration::from_secs(seconds(&args.ttl)?.into()),
        force: args.force,
    };
    if host::is_running(config) {
        return Err(Fail::new(
            Kind::Conflict,
            "the server runs: ask an administrator, or stop it first, since this opens the vault with a seal slot of yours",
        ));
    }
    let token = runtime()?.block_on(async {
        let _lock = parent::lock(config)?;
        let control = control::host(config)?;
        args.slot.unseal(config, &control).await?;
        let token = control.recover_admin(&recover).await;
        control.close().await;
        token.map_err(|e| Fail::new(e.kind(), e.to_string()))
    })?;
    let mut out = std::io::stdout().lock();
    let written = match format {
        Format::Json => writeln!(
            out,
            "{}",
            serde_json::json!({ "handle": token.handle.to_string(), "until": token.expires.to_string(), "token": token.text.expose() })
        ),
        Format::Text => writeln!(
            out,
            "Token of {} (an administrator until {}; shown once):\n\n    {}",
            token.handle,
            token.expires,
            token.text.expose()
        ),
    };
    written.map_err(Fail::failed)?;
    say(
        "\nThe ledger says so, and `sallyport status` until then. Start the server, sign in, and apply who is to be an administrator.",
    );
    Ok(())
}
