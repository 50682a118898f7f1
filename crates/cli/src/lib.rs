//! Commands, over wire only; offline verify and play.
//!
//! Output for people is aligned and plain; `--output json` prints one JSON value on standard
//! output. Exit codes: 0 ok, 1 failed, 2 usage, 3 denied, 4 needs approval, 5 sealed, 6 not found
//! or not allowed to know.

mod account;
mod certificate;
mod certificates;
mod client;
mod command;
mod fail;
mod import;
mod inventory;
mod join;
mod ledger;
mod node;
mod output;
mod play;
mod recordings;
mod rules;
mod sessions;
mod sign_in;
mod space;
mod ssh;
mod trust;
mod vault;
mod verify;

pub use account::seconds;
pub use command::{Command, Common, EVERYWHERE};
pub use fail::Fail;
pub use output::{Format, line, progress};
pub use verify::{LedgerSource, OpenLedger, Sayings};

use client::Client;
use output::Output;
use std::path::PathBuf;

/// What the program's surroundings give: only `server` reads them.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Directory of this user's settings, such as `~/.config/sallyport`.
    pub settings: PathBuf,
    /// Whether an ssh-agent is there (`SSH_AUTH_SOCK`).
    pub agent: bool,
    /// Opens the ledger of a data directory, for `verify`: this crate knows no database.
    pub ledger: Option<OpenLedger>,
}

/// Prints what ssh_config needs, so that plain `ssh web-1` goes through the gateway.
///
/// # Errors
/// When the server is not reached, or does not know the caller.
pub async fn ssh_config(common: &Common, surroundings: &Surroundings) -> Result<(), Fail> {
    ssh::config(&Client::open(common, surroundings)?, surroundings, Output::new(common.output)).await
}

/// Prints the lines of a known_hosts file by which gateways are known.
///
/// # Errors
/// When the server is not reached, or does not know the caller.
pub async fn known_hosts(common: &Common, surroundings: &Surroundings) -> Result<(), Fail> {
    ssh::known_hosts(&Client::open(common, surroundings)?, Output::new(common.output)).await
}

/// Runs one command.
///
/// # Errors
/// A [`Fail`] with its exit code and what to do.
pub async fn run(command: Command, common: &Common, surroundings: &Surroundings) -> Result<(), Fail> {
    let out = Output::new(common.output);
    let client = || Client::open(common, surroundings);
    match command {
        Command::Login(args) => account::login(args, common, surroundings, out).await,
        Command::Trust(args) => trust::trust(args, client()?, surroundings, out).await,
        Command::Token(args) => account::token(args, &client()?, out).await,
        Command::Status => account::status(&client()?, out).await,
        Command::Ls(args) => inventory::ls(args, &client()?, out).await,
        Command::Plan(args) => inventory::plan(args, &client()?, out, false).await,
        Command::Apply(args) => inventory::plan(args, &client()?, out, true).await,
        Command::Import(args) => import::import(args, out).await,
        Command::Why(args) => inventory::why(args, &client()?, out).await,
        Command::Ssh(args) => ssh::ssh(args, &client()?, surroundings).await,
        Command::Sessions(args) => sessions::run(args, &client()?, out).await,
        Command::Watch(args) => sessions::watch(args, &client()?).await,
        Command::Kill(args) => sessions::kill(args, &client()?, out).await,
        Command::Recordings(args) => recordings::list(args, &client()?, out).await,
        Command::Play(args) => play::play(args, client, out).await,
        Command::Export(args) => play::export(args, &client()?, out).await,
        Command::Files(args) => play::files(args, &client()?, out).await,
        Command::Certificates(command) => certificates::run(command, &client()?, out).await,
        Command::Vault(command) => vault::run(command, &client()?, out).await,
        Command::Rules(command) => rules::run(command, &client()?, out).await,
        Command::Node(command) => node::run(command, &client()?, out).await,
        Command::Ledger(command) => ledger::run(command, &client()?, out).await,
        Command::Space => space::space(&client()?, out).await,
        Command::Verify(args) => {
            let ledger = surroundings.ledger;
            // Long and blocking; and a source may wait for its database on this runtime.
            tokio::task::spawn_blocking(move || verify::verify(&args, ledger, out)).await.map_err(Fail::failed)?
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
