//! `shots`: pictures of the portal for the book, taken from the whole product by the stories of its tests.

use crate::{components, portal, run, suite};
use anyhow::{Result, ensure};

/// `shots`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install missing components without asking
    #[arg(long)]
    yes: bool,
}

/// Plays the stories and keeps their pictures under `docs/shots`.
pub(crate) fn shots(args: &Args) -> Result<()> {
    components::ensure_for_tests(args.yes)?;
    portal::build()?;
    let place = run::root().join("docs/shots");
    std::fs::create_dir_all(&place)?;
    let mut cargo = run::cargo();
    cargo
        .args(["test", "--workspace", "--test", "e2e", "--", "portal::every_", "portal::a_session", "nodes::a_session"])
        .env("SALLYPORT_SHOTS", &place);
    ensure!(
        run::attached(suite::linting(&mut cargo)?)?.success(),
        "a story failed: what is under docs/shots is not whole"
    );
    Ok(())
}
