//! placeholder
pub(crate) fn bench(_: &Args) -> anyhow::Result<()> { Ok(()) }
/// `bench`
#[derive(clap::Args)]
pub(crate) struct Args {}
