//! Making all tables anew where their definition was altered, and writing into them what is proven.

use super::rows;
use crate::change::{DocId, Error};
use crate::mirror::Log;
use crate::place::Conn;
use crate::sql::{self, NewEntry, on};
use crate::working::Document;
use sallyport_ledger::{Appender, Entry, Tile, leaf_hash};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;

/// Entries that are written at once.
const PAGE: u32 = 512;

/// The table that keeps the entries as they were found, until the transaction ends.
const fn found(conn: &Conn<'_>) -> &'static str {
    match conn {
        Conn::Sqlite(_) => "temp.found_entries",
        Conn::Postgres(_) => "pg_temp.found_entries",
    }
}

/// One statement that answers nothing.
pub(super) async fn run(conn: &mut Conn<'_>, statement: &str) -> Result<(), Error> {
    let statement = AssertSqlSafe(statement.to_owned());
    on!(conn, c => sqlx::query(statement).execute(c).await.map(drop)?);
    Ok(())
}

/// Puts tables as we make them in the place of what is there, with these documents and the entries of this ledger.
/// The head is for the caller to write, in the same transaction.
pub(super) async fn make(conn: &mut Conn<'_>, log: &Log, documents: &[(DocId, Document)]) -> Result<(), Error> {
    let found = found(conn);
    run(conn, &format!("CREATE TABLE {found} AS SELECT * FROM entries")).await?;
    for question in [occupants(conn), strays(conn)] {
        let statements: Vec<String> = on!(conn, c => sqlx::query_scalar(AssertSqlSafe(question)).fetch_all(c).await?);
        for statement in statements {
            run(conn, &statement).await?;
        }
    }
    sql::migrate_inside(conn).await?;
    let documents: Vec<_> = documents.iter().map(|(id, document)| (id, 0, document)).collect();
    sql::put_documents(conn, &documents).await?;
    entries(conn, found, log).await?;
    run(conn, &format!("DROP TABLE {found}")).await
}

/// Writes the entries again, as their bodies say, and the tiles that they make.
async fn entries(conn: &mut Conn<'_>, found: &str, log: &Log) -> Result<(), Error> {
    let mut appender = Appender::new();
    let mut tiles: BTreeMap<(u8, u64), Tile> = BTreeMap::new();
    while appender.size() < log.size() {
        let page = rows::entries(conn, found, sql::signed(appender.size())?, PAGE).await?;
        let (mut new, mut leaves, mut next) = (Vec::with_capacity(page.len()), Vec::new(), appender.size());
        for row in page {
            // One that is there twice comes once; examining has found both to be the same.
            if next < log.size() && u64::try_from(row.index) == Ok(next) {
                leaves.push(leaf_hash(&row.body));
                let entry = Entry::decode(&row.body).map_err(|e| Error::Head(format!("entry {next}: {e}")))?;
                new.push(NewEntry::of(entry, next)?);
                next = next.saturating_add(1);
            }
        }
        if leaves.is_empty() {
            return Err(Error::Head(format!("entry {next} is missing")));
        }
        sql::insert_entries(conn, &new.iter().collect::<Vec<_>>()).await?;
        let grown = appender.append(&leaves).tiles;
        tiles.extend(grown.into_iter().map(|tile| ((tile.id.level, tile.id.index), tile)));
    }
    if appender.root() != log.root() {
        return Err(Error::Head("its entries are not the signed ones any more: examine it again".into()));
    }
    sql::set_tiles(conn, &tiles.into_values().collect::<Vec<_>>()).await
}

/// Asks for the statements that remove whatever has the name of a table of ours.
fn occupants(conn: &Conn<'_>) -> String {
    let names = sql::TABLES.map(|name| format!("'{name}'")).join(", ");
    match conn {
        Conn::Sqlite(_) => format!(
            "SELECT 'DROP ' || type || ' \"' || name || '\"' FROM sqlite_master
             WHERE type IN ('table', 'view') AND name COLLATE NOCASE IN ({names})"
        ),
        Conn::Postgres(_) => format!(
            "SELECT CASE relkind WHEN 'v' THEN 'DROP VIEW ' WHEN 'm' THEN 'DROP MATERIALIZED VIEW '
                WHEN 'f' THEN 'DROP FOREIGN TABLE ' ELSE 'DROP TABLE ' END || 'public.' || relname::TEXT || ' CASCADE'
             FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname IN ({names})"
        ),
    }
}

/// Asks for the statements that free the names of our indexes: a table of ours that was renamed keeps them.
fn strays(conn: &Conn<'_>) -> String {
    match conn {
        Conn::Sqlite(_) => "SELECT 'DROP INDEX \"' || name || '\"' FROM sqlite_master
            WHERE type = 'index' AND name IN ('entries_action', 'entries_session')"
            .to_owned(),
        Conn::Postgres(_) => format!(
            "SELECT format('ALTER INDEX %s RENAME TO %I', oid::regclass, 'found_' || oid::TEXT)
             FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('i', 'I')
                AND relname::TEXT ~ '^({})_'",
            sql::TABLES.join("|")
        ),
    }
}
