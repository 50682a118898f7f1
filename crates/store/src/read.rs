//! Listings over the ledger: index columns find rows, the signed bodies speak.

use crate::change::Error;
use crate::open::Store;
use crate::sql;
use sallyport_ledger::{Entry, Hashes, TileId};
use sallyport_model::SessionId;
use std::collections::HashMap;

/// Which entries to list; everything set must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only entries at or after this index.
    pub from: u64,
    /// Only entries before this index.
    pub before: Option<u64>,
    /// Only these actions; empty means any.
    pub actions: Vec<String>,
    /// Only entries of this session.
    pub session: Option<SessionId>,
    /// Only what this actor did, as entries spell it.
    pub actor: Option<String>,
    /// Newest first.
    pub newest_first: bool,
    /// At most this many.
    pub limit: u32,
}

/// A decoded entry and where it stands.
#[derive(Clone, Debug)]
pub struct EntryRow {
    /// Ledger index.
    pub index: u64,
    /// The entry, decoded from its signed body.
    pub entry: Entry,
    /// The body, as it was hashed.
    pub body: Vec<u8>,
}

impl Store {
    /// Entries that match a filter.
    ///
    /// # Errors
    /// When the database fails or a body is not decodable.
    pub async fn entries(&self, filter: &Filter) -> Result<Vec<EntryRow>, Error> {
        let mut reader = self.readers().acquire().await?;
        let rows = sql::filtered(&mut reader.conn(), filter).await?;
        rows.into_iter()
            .map(|(index, body)| {
                let entry = Entry::decode(&body).map_err(|e| Error::Head(format!("entry {index}: {e}")))?;
                Ok(EntryRow { index, entry, body })
            })
            .collect()
    }

    /// The bodies of `limit` entries from `from` on, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bodies(&self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let mut reader = self.readers().acquire().await?;
        sql::bodies(&mut reader.conn(), from, limit).await
    }

    /// The tiles with these names, for proofs.
    ///
    /// # Errors
    /// When the database fails or a tile is missing.
    pub async fn tiles(&self, ids: impl IntoIterator<Item = TileId>) -> Result<TileSet, Error> {
        let mut reader = self.readers().acquire().await?;
        let mut set = TileSet::default();
        for id in ids {
            let data = sql::tile(&mut reader.conn(), id).await?;
            set.0.insert(id, data);
        }
        Ok(set)
    }
}

/// Tiles that were read for a proof.
#[derive(Debug, Default)]
pub struct TileSet(pub(crate) HashMap<TileId, Vec<u8>>);

impl Hashes for TileSet {
    fn tile(&self, id: TileId) -> Option<&[u8]> {
        self.0.get(&id).map(Vec::as_slice)
    }
}
