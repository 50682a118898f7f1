//! Filling an empty database with what another one held: verified as a whole before anything of it is durable.

use crate::change::{DocId, Error};
use crate::examine::Finding;
use crate::nodes::Nodes;
use crate::open::{Connected, HeadReport, NodeKeys, verified};
use crate::sql::{self, NewEntry, Written};
use crate::working::Document;
use sallyport_ledger::{Appender, Entry, leaf_hash};
use sallyport_vault::DocumentKey;

/// A database that is being filled, within one transaction. Dropped, it is empty again.
///
/// Only bodies come in: index columns are made anew from the entries, and the tiles from their hashes. So what the
/// signed head says is compared with what was computed here, and nothing else of the other database is taken over.
pub struct Filling {
    connected: Connected,
    appender: Appender,
}

/// What a filled database proved to be.
#[derive(Clone, Debug)]
pub struct Filled {
    /// Its size.
    pub report: HeadReport,
    /// Whose keys sign its ledger.
    pub nodes: Nodes,
}

impl Connected {
    /// Begins to fill this database.
    ///
    /// # Errors
    /// When it is not empty.
    pub async fn fill(mut self) -> Result<Filling, Error> {
        if let Some(Finding { kind, id, what }) = self.structure().await?.into_iter().next() {
            return Err(Error::Place(format!("the database has a {kind} `{id}` ({what}): name an empty one")));
        }
        let conn = &mut self.session.conn();
        let head = sql::begin_write(conn).await?;
        if head.is_some() || !sql::documents_behind(conn, "", 1).await?.is_empty() {
            return Err(Error::Place("the database holds an installation already: name an empty one".into()));
        }
        sql::wait_for_files(conn).await?;
        Ok(Filling { connected: self, appender: Appender::new() })
    }
}

impl Filling {
    /// Takes documents in, as they were stored.
    ///
    /// # Errors
    /// When one is there already, or the database fails.
    pub async fn documents(&mut self, documents: &[(DocId, Document)]) -> Result<(), Error> {
        let new: Vec<Written<'_>> = documents.iter().map(|(id, document)| (id, 0, document)).collect();
        sql::put_documents(&mut self.connected.session.conn(), &new).await
    }

    /// Takes the next entries in, as they were stored.
    ///
    /// # Errors
    /// When one cannot be read, or the database fails.
    pub async fn entries(&mut self, bodies: &[Vec<u8>]) -> Result<(), Error> {
        let from = self.appender.size();
        let row = |(index, body): (u64, &Vec<u8>)| {
            let entry = Entry::decode(body).map_err(|e| Error::Head(format!("entry {index}: {e}")))?;
            NewEntry::of(entry, index)
        };
        let rows = (from..).zip(bodies).map(row).collect::<Result<Vec<_>, _>>()?;
        let conn = &mut self.connected.session.conn();
        sql::insert_entries(conn, &rows.iter().collect::<Vec<_>>()).await?;
        let leaves: Vec<_> = bodies.iter().map(|body| leaf_hash(body)).collect();
        sql::set_tiles(conn, &self.appender.append(&leaves).tiles).await
    }

    /// Sets the signed head, after the last entry.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn head(&mut self, note: &str) -> Result<(), Error> {
        sql::set_head(&mut self.connected.session.conn(), self.appender.size(), note, "").await
    }

    /// The database, for what the vault needs to open; nothing of it is proven before [`Filling::check`].
    pub const fn connected(&mut self) -> &mut Connected {
        &mut self.connected
    }

    /// Verifies everything that came in, as a start does: the head, every document, the state root.
    ///
    /// # Errors
    /// The first thing that is not what an installation wrote.
    pub async fn check(&mut self, key: &DocumentKey, keys: NodeKeys) -> Result<Filled, Error> {
        let (log, _, working) = verified(&mut self.connected.session.conn(), key, keys).await?;
        let report = HeadReport { size: log.size(), documents: working.len() };
        Ok(Filled { report, nodes: Nodes::of(&working)?.0 })
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When the database fails; then it is empty still.
    pub async fn commit(mut self) -> Result<(), Error> {
        let size = self.appender.size();
        sql::commit(&mut self.connected.session.conn(), size).await?;
        self.connected.session.close().await;
        Ok(())
    }
}
