//! Every statement. Placeholders are `$n` and types are portable: SQLite and PostgreSQL run the same texts.

mod schema;
pub(crate) mod session;

pub(crate) use schema::{TABLES, known, migrate, migrate_inside};
pub(crate) use session::set_up;

use crate::change::{DocId, Error};
use crate::place::Conn;
use crate::read::Filter;
use crate::rows::{Column, Rows};
use crate::working::Document;
use sallyport_ledger::{Entry, Tile, TileId};
use sqlx::{AssertSqlSafe, Row as _};

/// Runs the same text on whichever database it is.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            Conn::Sqlite($c) => {
                let $c = &mut **$c;
                $body
            }
            Conn::Postgres($c) => {
                let $c = &mut **$c;
                $body
            }
        }
    };
}

pub(crate) use on;

/// Nodes tell each other here that the ledger has grown.
pub(crate) const CHANNEL: &str = "sallyport";
/// Whoever writes holds this advisory lock, "Sallypor" as a number, until its transaction ends.
const LOCK: i64 = 0x5361_6c6c_7970_6f72;
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

impl NewEntry {
    /// The row of an entry at an index: its columns say what its body says.
    pub(crate) fn of(entry: Entry, index: u64) -> Result<Self, Error> {
        let body = entry.encode().map_err(|e| Error::Entry(e.to_string()))?;
        Ok(Self {
            index,
            id: entry.id.to_string(),
            at: entry.at.0,
            actor: entry.actor,
            action: entry.action,
            object: entry.object,
            session: entry.session.map(|s| s.to_string()),
            body,
        })
    }
}

pub(crate) fn signed(value: u64) -> Result<i64, Error> {
    i64::try_from(value).map_err(|_| Error::Sql(format!("{value} does not fit a BIGINT")))
}

pub(crate) fn unsigned(value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|_| Error::Sql(format!("{value} is negative where only counts are stored")))
}

/// Begins a transaction that writes: nobody else writes until it ends. Answers the head that it found.
pub(crate) async fn begin_write(conn: &mut Conn<'_>) -> Result<Option<(u64, String)>, Error> {
    if let Conn::Postgres(conn) = conn {
        // One round trip. The head is read after the lock is had, so it is the newest.
        let text = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}); SELECT size, note FROM head WHERE one = 1");
        let rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut **conn).await?;
        let row = rows.get(1);
        return row.map(|row| Ok((unsigned(row.try_get(0)?)?, row.try_get(1)?))).transpose();
    }
    on!(conn, c => sqlx::query("BEGIN IMMEDIATE").execute(c).await.map(drop)?);
    head(conn).await
}

/// Begins a transaction that sees one state of everything.
pub(crate) async fn begin_read(conn: &mut Conn<'_>) -> Result<(), Error> {
    match conn {
        Conn::Sqlite(conn) => sqlx::query("BEGIN").execute(&mut **conn).await.map(drop)?,
        Conn::Postgres(conn) => {
            let text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            sqlx::query(text).execute(&mut **conn).await.map(drop)?;
        }
    }
    Ok(())
}

/// Lets the transaction that has begun wait for files between its statements, on a server that would end it.
pub(crate) async fn wait_for_files(conn: &mut Conn<'_>) -> Result<(), Error> {
    if let Conn::Postgres(conn) = conn {
        let text = "SET LOCAL idle_in_transaction_session_timeout = 0";
        sqlx::query(text).execute(&mut **conn).await.map(drop)?;
    }
    Ok(())
}

/// Makes what was written durable, and tells other nodes how far the ledger goes now.
pub(crate) async fn commit(conn: &mut Conn<'_>, size: u64) -> Result<(), Error> {
    match conn {
        Conn::Sqlite(conn) => sqlx::query("COMMIT").execute(&mut **conn).await.map(drop)?,
        Conn::Postgres(conn) => {
            let text = format!("NOTIFY {CHANNEL}, '{size}'; COMMIT");
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **conn).await.map(drop)?;
        }
    }
    Ok(())
}

/// Ends the journal mode that keeps a log beside a database file, so that the file can be handed on alone.
pub(crate) async fn settle(conn: &mut Conn<'_>) -> Result<(), Error> {
    if let Conn::Sqlite(conn) = conn {
        sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut **conn).await?;
    }
    Ok(())
}

pub(crate) async fn rollback(conn: &mut Conn<'_>) -> Result<(), Error> {
    on!(conn, c => sqlx::query("ROLLBACK").execute(c).await.map(drop)?);
    Ok(())
}

/// Size and signed note of the head, where there is one.
pub(crate) async fn head(conn: &mut Conn<'_>) -> Result<Option<(u64, String)>, Error> {
    let text = "SELECT size, note FROM head WHERE one = 1";
    let row: Option<(i64, String)> = on!(conn, c => sqlx::query_as(text).fetch_optional(c).await?);
    row.map(|(size, note)| Ok((unsigned(size)?, note))).transpose()
}

/// Replaces the head that was found after the lock was had, and no other: one that somebody else has put there meanwhile
/// is not written over unseen.
pub(crate) async fn set_head(conn: &mut Conn<'_>, size: u64, note: &str, was: &str) -> Result<(), Error> {
    let text = "INSERT INTO head (one, size, note) VALUES (1, $1, $2)
        ON CONFLICT (one) DO UPDATE SET size = excluded.size, note = excluded.note WHERE head.note = $3";
    let size = signed(size)?;
    let rows = on!(conn, c => sqlx::query(text).bind(size).bind(note).bind(was).execute(c).await?.rows_affected());
    affected(rows, 1, "head")
}

pub(crate) async fn insert_entries(conn: &mut Conn<'_>, entries: &[&NewEntry]) -> Result<(), Error> {
    let indexes = entries.iter().map(|e| signed(e.index)).collect::<Result<_, _>>()?;
    let rows = Rows::new()
        .with("idx", Column::Int(indexes))
        .with("id", Column::Text(entries.iter().map(|e| e.id.as_str()).collect()))
        .with("at", Column::Int(entries.iter().map(|e| e.at).collect()))
        .with("actor", Column::Text(entries.iter().map(|e| e.actor.as_str()).collect()))
        .with("action", Column::Text(entries.iter().map(|e| e.action.as_str()).collect()))
        .with("object", Column::Text(entries.iter().map(|e| e.object.as_str()).collect()))
        .with("session", Column::Maybe(entries.iter().map(|e| e.session.as_deref()).collect()))
        .with("body", Column::Bytes(entries.iter().map(|e| e.body.as_slice()).collect()));
    let text = "INSERT INTO entries (idx, id, at, actor, action, object, session, body)
        SELECT idx, id, at, actor, action, object, session, body FROM r";
    let written = rows.execute(conn, text).await;
    if let (Err(Error::Sql(said)), Some(first)) = (&written, entries.first())
        && (said.contains("entries_pkey") || said.contains("entries.idx"))
    {
        return Err(Error::Head(format!("an entry that nobody signed is in the way at {} or behind", first.index)));
    }
    affected(written?, entries.len(), "entries")
}

fn affected(rows: u64, wanted: usize, what: &str) -> Result<(), Error> {
    if usize::try_from(rows) == Ok(wanted) {
        Ok(())
    } else {
        Err(Error::Head(format!("a write to {what} touched {rows} rows where {wanted} were due")))
    }
}

pub(crate) async fn set_tiles(conn: &mut Conn<'_>, tiles: &[Tile]) -> Result<(), Error> {
    let indexes = tiles.iter().map(|t| signed(t.id.index)).collect::<Result<_, _>>()?;
    let rows = Rows::new()
        .with("level", Column::Int(tiles.iter().map(|t| t.id.level.into()).collect()))
        .with("idx", Column::Int(indexes))
        .with("data", Column::Bytes(tiles.iter().map(|t| t.bytes.as_slice()).collect()));
    let text = "INSERT INTO tiles (level, idx, data) SELECT level, idx, data FROM r WHERE true
        ON CONFLICT (level, idx) DO UPDATE SET data = excluded.data";
    affected(rows.execute(conn, text).await?, tiles.len(), "tiles")
}

/// The hashes of a tile. A tile that has grown since still begins with them.
pub(crate) async fn tile(conn: &mut Conn<'_>, id: TileId) -> Result<Vec<u8>, Error> {
    let text = "SELECT data FROM tiles WHERE level = $1 AND idx = $2";
    let (level, index) = (i64::from(id.level), signed(id.index)?);
    let found: Option<Vec<u8>> =
        on!(conn, c => sqlx::query_scalar(text).bind(level).bind(index).fetch_optional(c).await?);
    let mut data = found.unwrap_or_default();
    data.truncate(id.length());
    if data.len() == id.length() { Ok(data) } else { Err(Error::Head(format!("tile {id} is missing or too short"))) }
}

/// A document to be written, over the version that was there.
pub(crate) type Written<'a> = (&'a DocId, u64, &'a Document);

/// Writes documents: new ones where no version was there, else over exactly that version.
pub(crate) async fn put_documents(conn: &mut Conn<'_>, documents: &[Written<'_>]) -> Result<(), Error> {
    let (new, old): (Vec<_>, Vec<_>) = documents.iter().copied().partition(|(_, was, _)| *was == 0);
    let insert = "INSERT INTO documents (id, kind, schema, version, body, mac)
        SELECT id, kind, schema, version, body, mac FROM r";
    let update =
        "UPDATE documents SET kind = r.kind, schema = r.schema, version = r.version, body = r.body, mac = r.mac
        FROM r WHERE documents.id = r.id AND documents.version = r.was";
    for (some, text) in [(new, insert), (old, update)] {
        let versions = some.iter().map(|(_, _, d)| signed(d.version)).collect::<Result<_, _>>()?;
        let earlier = some.iter().map(|(_, was, _)| signed(*was)).collect::<Result<_, _>>()?;
        let rows = Rows::new()
            .with("id", Column::Text(some.iter().map(|(id, _, _)| id.as_str()).collect()))
            .with("was", Column::Int(earlier))
            .with("kind", Column::Text(some.iter().map(|(_, _, d)| &*d.kind).collect()))
            .with("schema", Column::Int(some.iter().map(|(_, _, d)| d.schema.into()).collect()))
            .with("version", Column::Int(versions))
            .with("body", Column::Bytes(some.iter().map(|(_, _, d)| &*d.body).collect()))
            .with("mac", Column::Bytes(some.iter().map(|(_, _, d)| d.mac.as_slice()).collect()));
        affected(rows.execute(conn, text).await?, some.len(), "documents")?;
    }
    Ok(())
}

pub(crate) async fn delete_documents(conn: &mut Conn<'_>, documents: &[(&DocId, u64)]) -> Result<(), Error> {
    let versions = documents.iter().map(|(_, was)| signed(*was)).collect::<Result<_, _>>()?;
    let rows = Rows::new()
        .with("id", Column::Text(documents.iter().map(|(id, _)| id.as_str()).collect()))
        .with("was", Column::Int(versions));
    let text = "DELETE FROM documents WHERE (id, version) IN (SELECT id, was FROM r)";
    affected(rows.execute(conn, text).await?, documents.len(), "documents")
}

/// Id, kind, schema, version, body, MAC.
pub(crate) type DocumentRow = (String, String, i64, i64, Vec<u8>, Vec<u8>);

fn document((id, kind, schema, version, body, mac): DocumentRow) -> Result<(DocId, Document), Error> {
    let document = Document {
        kind: kind.into(),
        schema: u32::try_from(schema).map_err(|_| Error::Forged(id.clone()))?,
        version: unsigned(version)?,
        body: body.into(),
        mac: mac.try_into().map_err(|_| Error::Forged(id.clone()))?,
    };
    Ok((DocId::new(id), document))
}

/// Every document, unverified; or those of one kind.
pub(crate) async fn documents(conn: &mut Conn<'_>, kind: Option<&str>) -> Result<Vec<(DocId, Document)>, Error> {
    let text = "SELECT id, kind, schema, version, body, mac FROM documents WHERE $1 IS NULL OR kind = $1";
    let rows: Vec<DocumentRow> = on!(conn, c => sqlx::query_as(text).bind(kind).fetch_all(c).await?);
    rows.into_iter().map(document).collect()
}

/// At most `limit` documents, unverified, in order of their ids from the one behind `after` on.
pub(crate) async fn documents_behind(
    conn: &mut Conn<'_>,
    after: &str,
    limit: u32,
) -> Result<Vec<(DocId, Document)>, Error> {
    let text = "SELECT id, kind, schema, version, body, mac FROM documents WHERE id > $1 ORDER BY id LIMIT $2";
    let rows: Vec<DocumentRow> =
        on!(conn, c => sqlx::query_as(text).bind(after).bind(i64::from(limit)).fetch_all(c).await?);
    rows.into_iter().map(document).collect()
}

/// The documents with these ids, unverified, as far as they are there.
pub(crate) async fn documents_of(conn: &mut Conn<'_>, ids: &[&DocId]) -> Result<Vec<(DocId, Document)>, Error> {
    let rows = Rows::new().with("wanted", Column::Text(ids.iter().map(|id| id.as_str()).collect()));
    let text = "SELECT id, kind, schema, version, body, mac FROM documents WHERE id IN (SELECT wanted FROM r)";
    rows.fetch(conn, text).await?.into_iter().map(document).collect()
}

/// Index of the entry with this id, where it was committed.
pub(crate) async fn entry_index(conn: &mut Conn<'_>, id: &str) -> Result<Option<u64>, Error> {
    let text = "SELECT idx FROM entries WHERE id = $1";
    let found: Option<i64> = on!(conn, c => sqlx::query_scalar(text).bind(id).fetch_optional(c).await?);
    found.map(unsigned).transpose()
}

/// An entry's index and body.
pub(crate) type BodyRow = (u64, Vec<u8>);

fn bodies_of(rows: Vec<(i64, Vec<u8>)>) -> Result<Vec<BodyRow>, Error> {
    rows.into_iter().map(|(index, body)| Ok((unsigned(index)?, body))).collect()
}

/// Bodies of the entries from `from` on, at most `limit`.
pub(crate) async fn bodies(conn: &mut Conn<'_>, from: u64, limit: u32) -> Result<Vec<BodyRow>, Error> {
    let text = "SELECT idx, body FROM entries WHERE idx >= $1 ORDER BY idx LIMIT $2";
    let (from, limit) = (signed(from)?, i64::from(limit));
    bodies_of(on!(conn, c => sqlx::query_as(text).bind(from).bind(limit).fetch_all(c).await?))
}

/// Index of the newest entry with this action.
pub(crate) async fn newest(conn: &mut Conn<'_>, action: &str) -> Result<Option<u64>, Error> {
    let text = "SELECT idx FROM entries WHERE action = $1 ORDER BY idx DESC LIMIT 1";
    let found: Option<i64> = on!(conn, c => sqlx::query_scalar(text).bind(action).fetch_optional(c).await?);
    found.map(unsigned).transpose()
}

/// The entries that a filter lets through.
pub(crate) async fn filtered(conn: &mut Conn<'_>, filter: &Filter) -> Result<Vec<BodyRow>, Error> {
    let mut texts: Vec<String> = filter.actions.clone();
    let mut text = String::from("SELECT idx, body FROM entries WHERE idx >= $1 AND idx < $2");
    if !texts.is_empty() {
        let list = (3..).take(texts.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!(" AND action IN ({list})"));
    }
    let session = filter.session.map(|session| session.to_string());
    for (column, wanted) in [("session", session), ("actor", filter.actor.clone())] {
        if let Some(wanted) = wanted {
            texts.push(wanted);
            text.push_str(&format!(" AND {column} = ${}", texts.len() + 2));
        }
    }
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    text.push_str(&format!(" ORDER BY idx {order} LIMIT {}", filter.limit));
    let (from, before) = (signed(filter.from)?, filter.before.map_or(Ok(i64::MAX), signed)?);
    bodies_of(on!(conn, c => {
        let mut query = sqlx::query_as(AssertSqlSafe(text)).bind(from).bind(before);
        for text in &texts {
            query = query.bind(text);
        }
        query.fetch_all(c).await?
    }))
}

/// Count and time of a mark.
pub(crate) async fn mark(conn: &mut Conn<'_>, name: &str) -> Result<Option<(i64, i64)>, Error> {
    let text = "SELECT count, at FROM marks WHERE name = $1";
    Ok(on!(conn, c => sqlx::query_as(text).bind(name).fetch_optional(c).await?))
}

/// Sets a mark, if it is still as it was seen; whether it was.
pub(crate) async fn set_mark(
    conn: &mut Conn<'_>,
    name: &str,
    was: Option<(i64, i64)>,
    (count, at): (i64, i64),
) -> Result<bool, Error> {
    let rows = match was {
        None => {
            let text = "INSERT INTO marks (name, count, at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
            on!(conn, c => sqlx::query(text).bind(name).bind(count).bind(at).execute(c).await?.rows_affected())
        }
        Some((old, since)) => {
            let text = "UPDATE marks SET count = $2, at = $3 WHERE name = $1 AND count = $4 AND at = $5";
            on!(conn, c => sqlx::query(text).bind(name).bind(count).bind(at).bind(old).bind(since).execute(c).await?.rows_affected())
        }
    };
    Ok(rows == 1)
}

/// Forgets a mark.
pub(crate) async fn forget_mark(conn: &mut Conn<'_>, name: &str) -> Result<(), Error> {
    let text = "DELETE FROM marks WHERE name = $1";
    on!(conn, c => sqlx::query(text).bind(name).execute(c).await.map(drop)?);
    Ok(())
}

/// Forgets the marks that were set before a time.
pub(crate) async fn forget_marks_before(conn: &mut Conn<'_>, at: i64) -> Result<(), Error> {
    let text = "DELETE FROM marks WHERE at < $1";
    on!(conn, c => sqlx::query(text).bind(at).execute(c).await.map(drop)?);
    Ok(())
}
