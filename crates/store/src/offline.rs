//! The ledger of a stopped node, read for an auditor: nothing is verified here, and nothing is written.

use crate::change::Error;
use crate::place::{Place, Session};
use crate::sql;
use sallyport_ledger::TileId;

/// An open database that nobody writes.
pub struct Offline(Session);

impl Offline {
    /// Opens the database for reading. On a server all reads see the state of this moment.
    ///
    /// # Errors
    /// When it cannot be read or was written by a newer version.
    pub async fn open(place: &Place) -> Result<Self, Error> {
        let mut session = place.connect_to_read().await?;
        sql::begin_read(&mut session.conn()).await?;
        sql::known(&mut session.conn()).await?;
        Ok(Self(session))
    }

    /// Bodies of the entries from `from` on, with their index.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bodies(&mut self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        sql::bodies(&mut self.0.conn(), from, limit).await
    }

    /// The bytes of a tile.
    ///
    /// # Errors
    /// When it is missing or too short.
    pub async fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Error> {
        sql::tile(&mut self.0.conn(), id).await
    }

    /// The signed head.
    ///
    /// # Errors
    /// When there is none.
    pub async fn head(&mut self) -> Result<String, Error> {
        let head = sql::head(&mut self.0.conn()).await?;
        head.map(|(_, note)| note).ok_or_else(|| Error::Head("there is no signed head".into()))
    }
}
