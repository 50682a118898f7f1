//! A ledger for the tests of this crate.

use crate::tree::{Hash, empty_root, leaf_hash, node_hash, split};
use crate::{Appender, Entry, Signer, TileId};
use sallyport_model::{Env, Secret, SessionId, Timestamp};
use std::collections::BTreeMap;

pub(crate) const ORIGIN: &str = "sallyport.example/ledger";

pub(crate) fn entry_bytes(n: usize) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

pub(crate) fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&entry_bytes(n))).collect()
}

/// The definition of RFC 6962 section 2.1, word for word.
pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let middle = usize::try_from(split(u64::try_from(leaves.len()).unwrap())).unwrap();
            node_hash(&naive_root(&leaves[..middle]), &naive_root(&leaves[middle..]))
        }
    }
}

/// All tiles that a tree which grew by batches ever had.
pub(crate) fn grown(leaves: &[Hash], batch: usize) -> (Appender, BTreeMap<TileId, Vec<u8>>) {
    let (mut appender, mut tiles) = (Appender::new(), BTreeMap::new());
    for batch in leaves.chunks(batch) {
        tiles.extend(appender.append(batch).tiles.into_iter().map(|tile| (tile.id, tile.bytes)));
    }
    (appender, tiles)
}

pub(crate) fn signer(seed: u8) -> Signer {
    Signer::new(ORIGIN, &Secret::new(vec![seed; 32])).unwrap()
}

/// An entry as the product writes them.
pub(crate) fn entry(env: &Env, at: i64, action: &str, session: Option<SessionId>) -> Entry {
    Entry {
        id: sallyport_model::EntryId::new(env),
        at: Timestamp(at),
        node: "node-1".into(),
        actor: "anna".into(),
        action: action.into(),
        object: "root@web-1".into(),
        session,
        facts: BTreeMap::from([("from".into(), "192.0.2.7".into()), ("reason".into(), "disk full".into())]),
    }
}
