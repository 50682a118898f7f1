//! `fixture`: what this release leaves behind, kept so that every later one shows that it goes on from it.

use crate::{components, run};
use anyhow::{Result, ensure};

/// `fixture`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
}

/// Runs the one test that makes it: an installation on each database, which has lived and was stopped.
pub(crate) fn fixture(args: &Args) -> Result<()> {
    components::ensure(args.yes)?;
    let mut cargo = run::cargo();
    cargo.args(["test", "--workspace", "--test", "e2e", "--", "--ignored", "make_the_fixture_of_this_release"]);
    ensure!(cargo.status()?.success(), "the fixture was not made; what is above says why");
    eprintln!(
        "testdata/releases/{} is made anew. Commit it once, with the release; then raise the version, so that the next one \
         gets a directory of its own. What was released is never made again: it is what that release wrote.",
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}
