//! Entries, Merkle tree, checkpoints, proofs, offline verifier.
//!
//! The ledger is a transparency log in the formats of C2SP (tlog-tiles, tlog-checkpoint, signed-note, tlog-proof)
//! over the Merkle tree of RFC 6962. This crate turns bytes into bytes: where tiles and entries are stored is for
//! its callers, who hand them in.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod checkpoint;
pub mod cosign;
pub mod entry;
pub mod keys;
pub mod note;
pub mod proof;
pub mod replay;
#[cfg(test)]
mod testing;
pub mod tiles;
pub mod tree;
pub mod witness;

pub use bundle::Bundle;
pub use checkpoint::Checkpoint;
pub use cosign::{Cosigner, WitnessKey};
pub use entry::Entry;
pub use keys::{KeySet, Signer, VOUCHED, Verifier};
pub use note::Note;
pub use proof::Hashes;
pub use replay::Replayer;
pub use tiles::{Appender, Tile, TileId};
pub use tree::{Frontier, Hash, leaf_hash, node_hash};
