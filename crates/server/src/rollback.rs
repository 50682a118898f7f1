//! `rollback`: a ledger that is older than its anchors, shown and accepted on the host, with a seal slot.

use crate::config::Config;
use crate::logs::say;
use crate::slot::Slot;
use crate::{control, parent};
use clap::{Args, Subcommand};
use sallyport_cli::Fail;
use std::path::Path;

/// `rollback`
#[derive(Debug, Subcommand)]
pub(crate) enum Rollback {
    /// Compare the ledger of this stopped node with its anchors
    Show(Slot),
    /// Go on from an older ledger; the entry that says so is its next one
    Accept(Accept),
}

/// `rollback accept`
#[derive(Args, Debug)]
pub(crate) struct Accept {
    /// Entries of the ledger that is to be accepted, as the refusal says
    #[arg(long)]
    size: u64,
    /// Its root, as the refusal says
    #[arg(long)]
    root: String,
    #[command(flatten)]
    slot: Slot,
}

pub(crate) fn run(command: &Rollback, path: Option<&Path>) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(Fail::failed)?.block_on(async {
        let _lock = parent::lock(&config)?;
        match command {
            // No ledger has this size: so it either stands, or says against what it does not.
            Rollback::Show(slot) => {
                slot.unseal(&config, &control::host(&config)?.accepting_rollback(u64::MAX, "")).await
            }
            Rollback::Accept(args) => {
                let control = control::host(&config)?.accepting_rollback(args.size, &args.root);
                args.slot.unseal(&config, &control).await?;
                control.close().await;
                say("Accepted. The ledger says so in its next entry; witnesses that saw the newer one go on refusing.");
                Ok(())
            }
        }
    })
}
