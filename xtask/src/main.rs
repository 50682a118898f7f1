//! Developer commands: demo, test, mutants, torture, tidy, deny, bench, dev, portal, fuzz, package.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool speaks on the terminal")]
#![expect(clippy::disallowed_methods, reason = "a developer's tool reads clock and environment of the machine")]

mod bench;
mod components;
mod demo;
mod deny;
mod dev;
mod fixture;
mod fuzz;
mod package;
mod portal;
mod python;
mod run;
mod shots;
mod suite;
mod tidy;
mod torture;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Developer commands of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check and every test, and close with one line of totals
    Test(suite::Args),
    /// Break the gateway's guards one at a time, and see that the conformance suite of a protocol finds it
    Mutants(suite::MutantArgs),
    /// Put the product through its worst day, at length: kills, full disks, partitions, and what must hold all the same
    Torture(torture::Args),
    /// Check the rules of the house
    Tidy(tidy::Args),
    /// Check bans, licences and sources of dependencies
    Deny,
    /// Show the product: a real sshd, a policy, a recorded session, a verified bundle
    Demo(demo::Args),
    /// Run the product on the demo's sample data, for work on it
    Dev(dev::Args),
    /// Build the web client, which the program carries
    Portal(portal::Args),
    /// Take the pictures of the portal again
    Shots(shots::Args),
    /// Make the data directories of this release under testdata, for later ones to open
    Fixture(fixture::Args),
    /// Measure, and write the figures under docs/measures
    Bench(bench::Args),
    /// Fuzz the parsers of the trusted core, guided by coverage
    Fuzz(fuzz::Args),
    /// Build the program in release and pack it for Debian
    Package,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(args) => suite::test(&args),
        Command::Mutants(args) => suite::mutants(&args),
        Command::Torture(args) => torture::torture(&args),
        Command::Tidy(args) => tidy::tidy(&args),
        Command::Deny => deny::deny(),
        Command::Demo(args) => demo::demo(&args),
        Command::Dev(args) => dev::dev(&args),
        Command::Portal(args) => portal::portal(&args),
        Command::Shots(args) => shots::shots(&args),
        Command::Fixture(args) => fixture::fixture(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Fuzz(args) => fuzz::fuzz(&args),
        Command::Package => package::package(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
