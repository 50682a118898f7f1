//! A database as it is at one moment, read beside whoever writes it: nothing is verified here, and nothing is written.

use crate::change::{DocId, Error};
use crate::open::Connected;
use crate::place::{Place, Session};
use crate::sql::{self, NewEntry};
use crate::working::Document;
use sallyport_ledger::{Appender, Entry, TileId, leaf_hash};
use std::path::Path;

/// Entries that are copied at once.
const PAGE: u32 = 512;

/// An open database that is only read.
pub struct Offline(Session);

impl Offline {
    /// Opens the database for reading. All reads see the state of one moment, whoever writes meanwhile.
    ///
    /// # Errors
    /// When it cannot be read or was written by a newer version.
    pub async fn open(place: &Place) -> Result<Self, Error> {
        let mut session = place.connect_to_read().await?;
        sql::begin_read(&mut session.conn()).await?;
        sql::known(&mut session.conn()).await?;
        Ok(Self(session))
    }

    /// At most `limit` documents, in order of their ids from the one behind `after` on; all are behind the empty text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn documents(&mut self, after: &str, limit: u32) -> Result<Vec<(DocId, Document)>, Error> {
        sql::documents_behind(&mut self.0.conn(), after, limit).await
    }

    /// Ends the reading, so that what it held in view can be tidied.
    pub async fn close(self) {
        self.0.close().await;
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

    /// Writes the ledger, and nothing else of the store, into a new database file, whichever database it is read from.
    /// Answers how many entries it has.
    ///
    /// # Errors
    /// When the file exists or cannot be written, or when an entry is missing or is none.
    pub async fn copy_to(&mut self, path: &Path) -> Result<u64, Error> {
        if path.exists() {
            return Err(Error::Place(format!("`{}` exists: name a new file", path.display())));
        }
        let head = sql::head(&mut self.0.conn()).await?;
        let (size, note) = head.ok_or_else(|| Error::Head("there is no signed head".into()))?;
        let mut target = Connected::open(&Place::file(path), true).await?.session;
        let mut appender = Appender::new();
        while appender.size() < size {
            let limit = u32::try_from(size - appender.size()).unwrap_or(u32::MAX).min(PAGE);
            let (mut new, mut leaves, mut next) = (Vec::new(), Vec::new(), appender.size());
            for (index, body) in self.bodies(next, limit).await? {
                if index != next {
                    break;
                }
                leaves.push(leaf_hash(&body));
                let entry = Entry::decode(&body).map_err(|e| Error::Head(format!("entry {index}: {e}")))?;
                new.push(NewEntry::of(entry, index)?);
                next += 1;
            }
            if new.is_empty() {
                return Err(Error::Head(format!("entry {next} is missing")));
            }
            let mut conn = target.conn();
            sql::begin_write(&mut conn).await?;
            sql::insert_entries(&mut conn, &new.iter().collect::<Vec<_>>()).await?;
            sql::set_tiles(&mut conn, &appender.append(&leaves).tiles).await?;
            sql::commit(&mut conn, next).await?;
        }
        let mut conn = target.conn();
        sql::begin_write(&mut conn).await?;
        sql::set_head(&mut conn, size, &note, "").await?;
        sql::commit(&mut conn, size).await?;
        // One file, without a log beside it.
        sql::settle(&mut conn).await?;
        target.close().await;
        Ok(size)
    }
}
