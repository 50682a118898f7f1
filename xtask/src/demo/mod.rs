//! placeholder
pub(crate) fn demo(_: &Args) -> anyhow::Result<()> { Ok(()) }
/// `demo`
#[derive(clap::Args)]
pub(crate) struct Args {}
