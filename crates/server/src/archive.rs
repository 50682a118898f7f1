//! The ledger as a file: of a data directory, or exported from any store, lent to `verify`.

use crate::config::Config;
use crate::logs::say;
use clap::Args;
use sallyport_cli::{Fail, LedgerSource};
use sallyport_ledger::TileId;
use sallyport_store::{Offline, Place};
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// `export-ledger`
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The file to write; `sallyport verify` reads it
    file: PathBuf,
}

/// Writes the ledger of this node's store into a file of its own, also while nodes write to it. Nothing of it is secret
/// from whoever reads the database, and nothing is verified here.
pub(crate) fn export(args: &Export, path: Option<&Path>) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let place = config.place()?;
    let size = runtime()?.block_on(async { Offline::open(&place).await?.copy_to(&args.file).await }).map_err(fail)?;
    say(&format!(
        "{size} entries are in {}. `sallyport verify` checks them with the ledger's public key.",
        args.file.display()
    ));
    Ok(())
}

struct Archive {
    runtime: Runtime,
    offline: Offline,
}

fn runtime() -> Result<Runtime, Fail> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fail::failed)
}

fn fail(error: sallyport_store::Error) -> Fail {
    Fail::new(error.kind(), error.to_string())
}

/// Opens a database file. Called on a thread that may block.
pub(crate) fn open(file: &Path) -> Result<Box<dyn LedgerSource>, Fail> {
    let runtime = runtime()?;
    let offline = runtime.block_on(Offline::open(&Place::file(file))).map_err(fail)?;
    Ok(Box::new(Archive { runtime, offline }))
}

impl LedgerSource for Archive {
    fn entries(&mut self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Fail> {
        self.runtime.block_on(self.offline.bodies(from, limit)).map_err(fail)
    }

    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Fail> {
        self.runtime.block_on(self.offline.tile(id)).map_err(fail)
    }

    fn head(&mut self) -> Result<String, Fail> {
        self.runtime.block_on(self.offline.head()).map_err(fail)
    }
}
