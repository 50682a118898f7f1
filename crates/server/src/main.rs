//! main.rs, config, wiring of parent, control and gateway.
//!
//! One binary is everything: the parent that `serve` starts, its two children, and every command.

mod admin;
mod anchors;
mod archive;
mod backup;
mod config;
mod control;
mod doctor;
mod edge;
mod gateway;
mod host;
mod init;
mod logs;
mod nodes;
mod parent;
mod private;
mod quarantine;
mod role;
mod rollback;
mod slot;
mod traces;
mod witness;

use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Privileged access: inventory, policy, broker, record, review.
#[derive(Parser)]
#[command(name = "sallyport", version, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    common: sallyport_cli::Common,
    /// Configuration file
    #[arg(long, global = true, env = "SALLYPORT_CONFIG", value_name = "FILE", help_heading = sallyport_cli::EVERYWHERE)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: control and gateway, under one parent
    Serve(role::Serve),
    /// Make an installation in an empty data directory
    Init(init::Init),
    /// Check this deployment and say what to do
    Doctor,
    /// Configuration: of this server, and of the ssh client of this machine
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write a backup that only its recipients can open, also while the server runs
    Backup(backup::Backup),
    /// Make this blank host the installation of a backup, after all of it was verified
    Restore(backup::Restore),
    /// On the host: recover when the last administrator is lost, make enrolment links
    #[command(subcommand)]
    Admin(admin::Admin),
    /// A ledger that is older than its anchors: show, accept
    #[command(subcommand)]
    Rollback(rollback::Rollback),
    /// A database that somebody else has altered: show, accept, restore
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Write the ledger of this node's store into a file that `verify` reads
    ExportLedger(archive::Export),
    /// A witness for ledgers: make its key, serve
    #[command(subcommand)]
    Witness(witness::Command),
    /// Print a completion script for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Remote(sallyport_cli::Command),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every setting with its default, its variable and what it does
    Reference,
    /// Print blocks for ~/.ssh/config, so that `ssh web-1`, scp, git and editors go through the gateway
    Ssh,
    /// Print lines for ~/.ssh/known_hosts, by which any SSH client knows the gateways
    KnownHosts,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = match cli.command {
        Some(Command::Serve(args)) => role::serve(&args, cli.config.as_deref()),
        Some(Command::Init(args)) => init::init(&args, cli.config.as_deref(), cli.common.output),
        Some(Command::Doctor) => doctor::doctor(cli.config.as_deref(), cli.common.output),
        Some(Command::Config(ConfigCommand::Ssh)) => remote(Asked::SshConfig, &cli.common),
        Some(Command::Config(ConfigCommand::KnownHosts)) => remote(Asked::KnownHosts, &cli.common),
        Some(Command::Config(ConfigCommand::Reference)) => config::print_reference(cli.common.output),
        Some(Command::Backup(args)) => backup::backup(&args, cli.config.as_deref(), cli.common.output),
        Some(Command::Restore(args)) => backup::restore(&args, cli.config.as_deref(), cli.common.output),
        Some(Command::Admin(command)) => admin::run(&command, cli.config.as_deref(), cli.common.output),
        Some(Command::Rollback(command)) => rollback::run(&command, cli.config.as_deref()),
        Some(Command::Quarantine(command)) => quarantine::run(&command, cli.config.as_deref(), cli.common.output),
        Some(Command::ExportLedger(args)) => archive::export(&args, cli.config.as_deref()),
        Some(Command::Witness(command)) => witness::run(&command, cli.config.as_deref()),
        Some(Command::Completion { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "sallyport", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Remote(command)) => remote(Asked::Command(command), &cli.common),
        None => remote(Asked::Command(sallyport_cli::Command::Status), &cli.common),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            logs::say(&format!("sallyport: {fail}"));
            ExitCode::from(fail.code())
        }
    }
}

/// What a server is asked for.
enum Asked {
    Command(sallyport_cli::Command),
    SshConfig,
    KnownHosts,
}

/// A command that speaks to a server.
fn remote(asked: Asked, common: &sallyport_cli::Common) -> Result<(), sallyport_cli::Fail> {
    let surroundings = sallyport_cli::Surroundings {
        settings: config::user_settings(),
        agent: config::ssh_agent(),
        ledger: Some(archive::open),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(sallyport_cli::Fail::failed)?;
    match asked {
        Asked::Command(command) => runtime.block_on(sallyport_cli::run(command, common, &surroundings)),
        Asked::SshConfig => runtime.block_on(sallyport_cli::ssh_config(common, &surroundings)),
        Asked::KnownHosts => runtime.block_on(sallyport_cli::known_hosts(common, &surroundings)),
    }
}

#[cfg(test)]
mod tests;
