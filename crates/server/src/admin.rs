//! `admin recover`: for whoever has the host and a seal slot, when no administrator is left.

use crate::config::Config;
use crate::logs::say;
use crate::slot::Slot;
use crate::{control, host, parent};
use clap::{Args, Subcommand};
use sallyport_cli::{Fail, Format, seconds};
use sallyport_control::Recover;
use sallyport_model::Kind;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// `admin`
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Lend the rights of an administrator, for hours, where nobody has them any more
    Recover(Arguments),
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
    let Admin::Recover(args) = command;
    let config = Config::load(path)?;
    let recover = Recover {
        handle: args.handle.parse().map_err(Fail::usage)?,
        life: Duration::from_secs(seconds(&args.ttl)?.into()),
        force: args.force,
    };
    if host::is_running(&config) {
        return Err(Fail::new(
            Kind::Conflict,
            "the server runs: ask an administrator, or stop it first, since this opens the vault with a seal slot of yours",
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let token = runtime.map_err(Fail::failed)?.block_on(async {
        let _lock = parent::lock(&config)?;
        let control = control::host(&config)?;
        args.slot.unseal(&config, &control).await?;
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
