//! Rows as they are, whatever somebody else made of them: types are looked at, not believed.

use crate::change::{DocId, Error};
use crate::sql::NewEntry;
use crate::working::Document;
use sqlx::{Row, SqliteConnection};

/// A row of `documents`.
pub(super) struct DocumentRow {
    pub(super) rowid: i64,
    pub(super) id: DocId,
    pub(super) kind: String,
    pub(super) document: Result<Document, &'static str>,
}

/// A row of `entries`.
pub(super) struct EntryRow {
    pub(super) index: i64,
    id: Option<String>,
    at: i64,
    columns: [Option<String>; 4],
    pub(super) body: Vec<u8>,
}

impl EntryRow {
    /// The first index column that differs from what the body says.
    pub(super) fn differs(&self, right: &NewEntry) -> Option<&'static str> {
        let [actor, action, object, session] = &self.columns;
        [
            ("id", self.id.as_deref() == Some(&right.id)),
            ("at", self.at == right.at),
            ("actor", actor.as_deref() == Some(&right.actor)),
            ("action", action.as_deref() == Some(&right.action)),
            ("object", object.as_deref() == Some(&right.object)),
            ("session", session.as_deref() == right.session.as_deref()),
        ]
        .into_iter()
        .find_map(|(name, same)| (!same).then_some(name))
    }
}

/// Triggers and views: kind and name. Sallyport makes none.
pub(super) async fn foreign(conn: &mut SqliteConnection) -> Result<Vec<(String, String)>, Error> {
    let rows = sqlx::query("SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name")
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Every row of `documents`.
pub(super) async fn documents(conn: &mut SqliteConnection) -> Result<Vec<DocumentRow>, Error> {
    let rows = sqlx::query(
        "SELECT rowid, CAST(id AS TEXT), CAST(kind AS TEXT), CAST(schema AS BIGINT), CAST(version AS BIGINT),
            CAST(body AS BLOB), CAST(mac AS BLOB),
            typeof(id) = 'text' AND typeof(kind) = 'text' AND typeof(schema) = 'integer'
            AND typeof(version) = 'integer'
         FROM documents ORDER BY id",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let text = |at: usize| row.try_get::<Option<String>, _>(at).ok().flatten().unwrap_or_default();
            let (id, kind) = (text(1), text(2));
            let number = |at: usize| row.try_get::<i64, _>(at).ok();
            let bytes = |at: usize| row.try_get::<Vec<u8>, _>(at).unwrap_or_default();
            let document = match (number(3).map(u32::try_from), number(4).map(u64::try_from), bytes(6).try_into()) {
                (Some(Ok(schema)), Some(Ok(version)), Ok(mac))
                    if row.try_get::<i64, _>(7).is_ok_and(|same| same == 1) =>
                {
                    Ok(Document { kind: kind.as_str().into(), schema, version, body: bytes(5).into(), mac })
                }
                _ => Err("it was altered: its columns hold what none of ours holds"),
            };
            Ok(DocumentRow { rowid: row.try_get(0)?, id: DocId::new(id), kind, document })
        })
        .collect()
}

/// Rows of `entries` from this index on.
pub(super) async fn entries(conn: &mut SqliteConnection, from: i64, limit: u32) -> Result<Vec<EntryRow>, Error> {
    let rows = sqlx::query(
        "SELECT CAST(idx AS BIGINT), CAST(id AS TEXT), CAST(at AS BIGINT), CAST(actor AS TEXT), CAST(action AS TEXT),
            CAST(object AS TEXT), CAST(session AS TEXT), CAST(body AS BLOB)
         FROM entries WHERE idx >= $1 ORDER BY idx LIMIT $2",
    )
    .bind(from)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let text = |at: usize| row.try_get::<Option<String>, _>(at).ok().flatten();
            Ok(EntryRow {
                index: row.try_get(0)?,
                id: text(1),
                at: row.try_get(2).unwrap_or(i64::MIN),
                columns: [text(3), text(4), text(5), text(6)],
                body: row.try_get(7).unwrap_or_default(),
            })
        })
        .collect()
}
