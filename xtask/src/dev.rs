//! placeholder
pub(crate) fn dev(_: &Args) -> anyhow::Result<()> { Ok(()) }
/// `dev`
#[derive(clap::Args)]
pub(crate) struct Args {}
