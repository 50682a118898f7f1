//! The only crate that knows SQL: documents, working set, batcher, migrations.
//!
//! A write is data: a [`Change`] names the versions it expects, the names that must be free, the documents it puts
//! and deletes, and the one ledger entry that says why. One batcher applies many changes in one
//! transaction and signs the new head. There is no other way to write.
//!
//! A read never asks SQL: decisions see the [`WorkingSet`], documents that were verified against
//! their MAC and the state root when the store was opened. What other nodes write is verified before it is taken in.

mod batch;
mod batcher;
mod change;
mod effects;
mod examine;
mod fill;
mod marks;
mod mirror;
mod news;
mod nodes;
mod offline;
mod open;
mod place;
mod read;
mod rows;
mod sql;
mod state;
mod working;

pub use change::{Change, Claim, Committed, DocId, Draft, Error, Put};
pub use examine::{Examined, Finding, Healing};
pub use fill::{Filled, Filling};
pub use marks::Mark;
pub use nodes::Nodes;
pub use offline::Offline;
pub use open::{Connected, Follower, HeadReport, NodeKeys, Store};
pub use place::{Place, Server};
pub use read::{EntryRow, Filter, TileSet};
pub use state::{StateTree, leaf};
pub use working::{Document, WorkingSet};

#[cfg(test)]
mod tests;
