//! Every statement. Placeholders are `$n`, types are the portable ones, so that PostgreSQL can run them too.

use crate::change::{DocId, Error};
use crate::working::Document;
use sallyport_ledger::{Tile, TileId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};
use std::path::Path;
use std::time::Duration;

/// Schema that this program writes.
pub(crate) const SCHEMA: i64 = 1;

/// Additive statements, one list per schema version.
const MIGRATIONS: &[&[&str]] = &[&[
    "CREATE TABLE documents (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, schema BIGINT NOT NULL, version BIGINT NOT NULL,
        body BLOB NOT NULL, mac BLOB NOT NULL)",
    "CREATE TABLE entries (
        idx BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE, at BIGINT NOT NULL, actor TEXT NOT NULL,
        action TEXT NOT NULL, object TEXT NOT NULL, session TEXT, body BLOB NOT NULL)",
    "CREATE INDEX entries_action ON entries (action, idx)",
    "CREATE INDEX entries_session ON entries (session, idx) WHERE session IS NOT NULL",
    "CREATE TABLE tiles (level BIGINT NOT NULL, idx BIGINT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (level, idx))",
    "CREATE TABLE head (one BIGINT PRIMARY KEY CHECK (one = 1), size BIGINT NOT NULL, note TEXT NOT NULL)",
]];

/// One row of `entries`, about to be written.
pub(crate) struct NewEntry {
    pub(crate) index: u64,
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) object: String,
    pub(crate) session: Option<String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn signed(value: u64) -> Result<i64, Error> {
    i64::try_from(value).map_err(|_| Error::Sql(format!("{value} does not fit a BIGINT")))
}

pub(crate) fn unsigned(value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|_| Error::Sql(format!("{value} is negative where only counts are stored")))
}

pub(crate) fn options(path: &Path, create: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(64)
}

/// Brings the schema up to date. A newer one is refused.
pub(crate) async fn migrate(conn: &mut SqliteConnection) -> Result<(), Error> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
        .execute(&mut *tx)
        .await?;
    let found = known(&mut tx).await?;
    let done = usize::try_from(found).unwrap_or(0);
    for statement in MIGRATIONS.iter().skip(done).flat_map(|step| step.iter()) {
        sqlx::query(*statement).execute(&mut *tx).await?;
    }
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(SCHEMA)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The schema that is stored, 0 for none; a newer one than ours is refused.
pub(crate) async fn known(conn: &mut SqliteConnection) -> Result<i64, Error> {
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'schema'").fetch_optional(conn).await?;
    let found: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    if found > SCHEMA { Err(Error::TooNew { found, known: SCHEMA }) } else { Ok(found) }
}

/// Size and signed note of the head, where there is one.
pub(crate) async fn head(conn: &mut SqliteConnection) -> Result<Option<(u64, String)>, Error> {
    let row = sqlx::query("SELECT size, note FROM head WHERE one = 1").fetch_optional(conn).await?;
    row.map(|row| Ok((unsigned(row.try_get(0)?)?, row.try_get(1)?))).transpose()
}

pub(crate) async fn set_head(tx: &mut Transaction<'_, Sqlite>, size: u64, note: &str) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO head (one, size, note) VALUES (1, $1, $2)
         ON CONFLICT (one) DO UPDATE SET size = excluded.size, note = excluded.note",
    )
    .bind(signed(size)?)
    .bind(note)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(crate) async fn insert_entries(tx: &mut Transaction<'_, Sqlite>, entries: &[&NewEntry]) -> Result<(), Error> {
    for chunk in entries.chunks(128) {
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(
            "INSERT INTO entries (idx, id, at, actor, action, object, session, body) ",
        );
        let mut bad = None;
        query.push_values(chunk, |mut row, entry| {
            let index = signed(entry.index).unwrap_or_else(|e| {
                bad = Some(e);
                -1
            });
            row.push_bind(index)
                .push_bind(entry.id.as_str())
                .push_bind(entry.at)
                .push_bind(entry.actor.as_str())
                .push_bind(entry.action.as_str())
                .push_bind(entry.object.as_str())
                .push_bind(entry.session.as_deref())
                .push_bind(entry.body.as_slice());
        });
        if let Some(bad) = bad {
            return Err(bad);
        }
        let written = query.build().execute(&mut **tx).await?.rows_affected();
        affected(written, chunk.len(), "entries")?;
    }
    Ok(())
}

fn affected(rows: u64, wanted: usize, what: &str) -> Result<(), Error> {
    if usize::try_from(rows) == Ok(wanted) {
        Ok(())
    } else {
        Err(Error::Head(format!("a write to {what} touched {rows} rows where {wanted} were due")))
    }
}

pub(crate) async fn set_tile(tx: &mut Transaction<'_, Sqlite>, tile: &Tile) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO tiles (level, idx, data) VALUES ($1, $2, $3)
         ON CONFLICT (level, idx) DO UPDATE SET data = excluded.data",
    )
    .bind(i64::from(tile.id.level))
    .bind(signed(tile.id.index)?)
    .bind(tile.bytes.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The hashes of a tile. A tile that has grown since still begins with them.
pub(crate) async fn tile(conn: &mut SqliteConnection, id: TileId) -> Result<Vec<u8>, Error> {
    let row = sqlx::query("SELECT data FROM tiles WHERE level = $1 AND idx = $2")
        .bind(i64::from(id.level))
        .bind(signed(id.index)?)
        .fetch_optional(conn)
        .await?;
    let mut data: Vec<u8> = row.map_or(Ok(Vec::new()), |row| row.try_get(0))?;
    data.truncate(id.length());
    if data.len() == id.length() { Ok(data) } else { Err(Error::Head(format!("tile {id} is missing or too short"))) }
}

pub(crate) async fn put_document(
    tx: &mut Transaction<'_, Sqlite>,
    id: &DocId,
    was: u64,
    document: &Document,
) -> Result<(), Error> {
    let rows = if was == 0 {
        sqlx::query("INSERT INTO documents (id, kind, schema, version, body, mac) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id.as_str())
            .bind(&*document.kind)
            .bind(i64::from(document.schema))
            .bind(signed(document.version)?)
            .bind(&*document.body)
            .bind(document.mac.as_slice())
            .execute(&mut **tx)
            .await?
    } else {
        sqlx::query(
            "UPDATE documents SET kind = $2, schema = $3, version = $4, body = $5, mac = $6 WHERE id = $1 AND version = $7",
        )
        .bind(id.as_str())
        .bind(&*document.kind)
        .bind(i64::from(document.schema))
        .bind(signed(document.version)?)
        .bind(&*document.body)
        .bind(document.mac.as_slice())
        .bind(signed(was)?)
        .execute(&mut **tx)
        .await?
    };
    affected(rows.rows_affected(), 1, "documents")
}

pub(crate) async fn delete_document(tx: &mut Transaction<'_, Sqlite>, id: &DocId, was: u64) -> Result<(), Error> {
    let rows = sqlx::query("DELETE FROM documents WHERE id = $1 AND version = $2")
        .bind(id.as_str())
        .bind(signed(was)?)
        .execute(&mut **tx)
        .await?;
    affected(rows.rows_affected(), 1, "documents")
}

/// Every document, unverified; or those of one kind.
pub(crate) async fn documents(
    conn: &mut SqliteConnection,
    kind: Option<&str>,
) -> Result<Vec<(DocId, Document)>, Error> {
    let rows = sqlx::query("SELECT id, kind, schema, version, body, mac FROM documents WHERE $1 IS NULL OR kind = $1")
        .bind(kind)
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|row| {
            let id: String = row.try_get(0)?;
            let mac: Vec<u8> = row.try_get(5)?;
            let document = Document {
                kind: row.try_get::<String, _>(1)?.into(),
                schema: u32::try_from(row.try_get::<i64, _>(2)?).map_err(|_| Error::Forged(id.clone()))?,
                version: unsigned(row.try_get(3)?)?,
                body: row.try_get::<Vec<u8>, _>(4)?.into(),
                mac: mac.try_into().map_err(|_| Error::Forged(id.clone()))?,
            };
            Ok((DocId::new(id), document))
        })
        .collect()
}

/// Index of the entry with this id, where it was committed.
pub(crate) async fn entry_index(conn: &mut SqliteConnection, id: &str) -> Result<Option<u64>, Error> {
    let row = sqlx::query("SELECT idx FROM entries WHERE id = $1").bind(id).fetch_optional(conn).await?;
    row.map(|row| unsigned(row.try_get(0)?)).transpose()
}

/// Bodies of the entries from `from` on, at most `limit`.
pub(crate) async fn bodies(conn: &mut SqliteConnection, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let rows = sqlx::query("SELECT idx, body FROM entries WHERE idx >= $1 ORDER BY idx LIMIT $2")
        .bind(signed(from)?)
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| Ok((unsigned(row.try_get(0)?)?, row.try_get(1)?))).collect()
}

/// Index of the newest entry with this action.
pub(crate) async fn newest(conn: &mut SqliteConnection, action: &str) -> Result<Option<u64>, Error> {
    let row = sqlx::query("SELECT idx FROM entries WHERE action = $1 ORDER BY idx DESC LIMIT 1")
        .bind(action)
        .fetch_optional(conn)
        .await?;
    row.map(|row| unsigned(row.try_get(0)?)).transpose()
}
