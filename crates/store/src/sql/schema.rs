//! Tables: what they are, and how a database comes to have them.

use super::{LOCK, on, rollback};
use crate::change::Error;
use crate::place::Conn;
use sqlx::AssertSqlSafe;

/// Our tables.
pub(crate) const TABLES: [&str; 6] = ["documents", "entries", "tiles", "head", "meta", "marks"];
/// Schema that this program writes.
pub(crate) const SCHEMA: i64 = 3;
/// Additive statements, one list per schema version. `BLOB` is spelled `BYTEA` on PostgreSQL.
const MIGRATIONS: &[&[&str]] = &[
    &[
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
    ],
    &["CREATE TABLE marks (name TEXT PRIMARY KEY, count BIGINT NOT NULL, at BIGINT NOT NULL)"],
    &["CREATE INDEX entries_actor ON entries (actor, action, idx)"],
];

/// Brings the schema up to date, one node at a time. A newer one is refused.
pub(crate) async fn migrate(conn: &mut Conn<'_>) -> Result<(), Error> {
    match conn {
        Conn::Sqlite(conn) => sqlx::query("BEGIN IMMEDIATE").execute(&mut **conn).await.map(drop)?,
        Conn::Postgres(conn) => {
            let text = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})");
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **conn).await.map(drop)?;
        }
    }
    let done = migrate_inside(conn).await;
    if done.is_err() {
        let _ = rollback(conn).await;
        return done;
    }
    on!(conn, c => sqlx::query("COMMIT").execute(c).await.map(drop)?);
    Ok(())
}

/// What [`migrate`] does, inside a transaction of the caller's.
pub(crate) async fn migrate_inside(conn: &mut Conn<'_>) -> Result<(), Error> {
    let meta = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)";
    on!(conn, c => sqlx::query(meta).execute(c).await.map(drop)?);
    let found = known(conn).await?;
    if found == SCHEMA {
        return Ok(());
    }
    let done = usize::try_from(found).unwrap_or(0);
    let bytes = if matches!(conn, Conn::Postgres(_)) { "BYTEA" } else { "BLOB" };
    for statement in MIGRATIONS.iter().skip(done).flat_map(|step| step.iter()) {
        let statement = AssertSqlSafe(statement.replace("BLOB", bytes));
        on!(conn, c => sqlx::query(statement).execute(c).await.map(drop)?);
    }
    let set =
        "INSERT INTO meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    on!(conn, c => sqlx::query(set).bind(SCHEMA).execute(c).await.map(drop)?);
    Ok(())
}

/// The schema that is stored, 0 for none; a newer one than ours is refused.
pub(crate) async fn known(conn: &mut Conn<'_>) -> Result<i64, Error> {
    let text = "SELECT value FROM meta WHERE name = 'schema'";
    let found: Option<i64> = on!(conn, c => sqlx::query_scalar(text).fetch_optional(c).await?);
    let found = found.unwrap_or(0);
    if found > SCHEMA { Err(Error::TooNew { found, known: SCHEMA }) } else { Ok(found) }
}
