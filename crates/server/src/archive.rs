//! The ledger of a data directory, lent to `verify`.

use sallyport_cli::{Fail, LedgerSource};
use sallyport_ledger::TileId;
use sallyport_store::{Offline, Place};
use std::path::Path;
use tokio::runtime::Runtime;

struct Archive {
    runtime: Runtime,
    offline: Offline,
}

fn fail(error: sallyport_store::Error) -> Fail {
    Fail::new(error.kind(), error.to_string())
}

/// Opens it. Called on a thread that may block.
pub(crate) fn open(data: &Path) -> Result<Box<dyn LedgerSource>, Fail> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fail::failed)?;
    let offline = runtime.block_on(Offline::open(&Place::file(&data.join("sallyport.db")))).map_err(fail)?;
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
