//! Rows as they are, whatever somebody else made of them: types are looked at, not believed.

use crate::change::{DocId, Error};
use crate::place::Conn;
use crate::rows::{Column, Rows};
use crate::sql::{NewEntry, on};
use crate::working::Document;
use sqlx::{AssertSqlSafe, Row as _};

/// A row of `documents`.
pub(super) struct DocumentRow {
    /// Where it is, for [`remove`]; empty where that was not asked for.
    pub(super) address: String,
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

/// Names of a row on PostgreSQL: its place, and the transaction that wrote it there.
const ROW: &str = "ctid::TEXT || ' ' || xmin::TEXT";

/// Every row of `documents`, with its address where the table is one that we make.
pub(super) async fn documents(conn: &mut Conn<'_>, addressed: bool) -> Result<Vec<DocumentRow>, Error> {
    let (address, bytes, from, typed) = match conn {
        Conn::Sqlite(_) => (
            "CAST(rowid AS TEXT)",
            "BLOB",
            "documents",
            "CASE WHEN typeof(id) = 'text' AND typeof(kind) = 'text' AND typeof(schema) = 'integer'
                AND typeof(version) = 'integer' THEN 1 ELSE 0 END",
        ),
        // A child's rows are the child's, which is a finding of its own; but in place of a table they may be all there are.
        Conn::Postgres(_) if addressed => (ROW, "BYTEA", "ONLY public.documents", "1"),
        Conn::Postgres(_) => (ROW, "BYTEA", "public.documents", "1"),
    };
    let address = if addressed { address } else { "''" };
    let text = format!(
        "SELECT {address}, CAST(id AS TEXT), CAST(kind AS TEXT), CAST(schema AS BIGINT), CAST(version AS BIGINT),
            CAST(body AS {bytes}), CAST(mac AS {bytes}), CAST({typed} AS BIGINT)
         FROM {from} ORDER BY id"
    );
    Ok(on!(conn, c => {
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(c).await?;
        let rows = rows.into_iter().map(|row| {
            let text = |at: usize| row.try_get::<Option<String>, _>(at).ok().flatten().unwrap_or_default();
            let number = |at: usize| row.try_get::<Option<i64>, _>(at).ok().flatten();
            let bytes = |at: usize| row.try_get::<Option<Vec<u8>>, _>(at).ok().flatten().unwrap_or_default();
            let numbers = (number(3), number(4), number(7) == Some(1));
            document(text(0), (text(1), text(2)), numbers, (bytes(5), bytes(6)))
        });
        rows.collect()
    }))
}

fn document(
    address: String,
    (id, kind): (String, String),
    (schema, version, typed): (Option<i64>, Option<i64>, bool),
    (body, mac): (Vec<u8>, Vec<u8>),
) -> DocumentRow {
    let numbers = (schema.map(u32::try_from), version.map(u64::try_from), mac.try_into());
    let document = match numbers {
        (Some(Ok(schema)), Some(Ok(version)), Ok(mac)) if typed => {
            Ok(Document { kind: kind.as_str().into(), schema, version, body: body.into(), mac })
        }
        _ => Err("it was altered: its columns hold what none of ours holds"),
    };
    DocumentRow { address, id: DocId::new(id), kind, document }
}

/// Rows of `entries`, or of a table like it, from this index on.
pub(super) async fn entries(conn: &mut Conn<'_>, table: &str, from: i64, limit: u32) -> Result<Vec<EntryRow>, Error> {
    let bytes = if matches!(conn, Conn::Postgres(_)) { "BYTEA" } else { "BLOB" };
    let text = format!(
        "SELECT CAST(idx AS BIGINT), CAST(id AS TEXT), CAST(at AS BIGINT), CAST(actor AS TEXT), CAST(action AS TEXT),
            CAST(object AS TEXT), CAST(session AS TEXT), CAST(body AS {bytes})
         FROM {table} WHERE idx >= $1 ORDER BY idx LIMIT $2"
    );
    on!(conn, c => {
        let rows = sqlx::query(AssertSqlSafe(text)).bind(from).bind(i64::from(limit)).fetch_all(c).await?;
        let rows = rows.into_iter().map(|row| {
            let text = |at: usize| row.try_get::<Option<String>, _>(at).ok().flatten();
            Ok(EntryRow {
                index: row.try_get(0)?,
                id: text(1),
                at: row.try_get(2).unwrap_or(i64::MIN),
                columns: [text(3), text(4), text(5), text(6)],
                body: row.try_get(7).unwrap_or_default(),
            })
        });
        rows.collect()
    })
}

/// Removes the rows of `documents` that are at these addresses, and no other.
pub(super) async fn remove(conn: &mut Conn<'_>, addresses: &[String]) -> Result<(), Error> {
    let text = match conn {
        Conn::Sqlite(_) => "DELETE FROM documents WHERE rowid IN (SELECT CAST(address AS BIGINT) FROM r)".to_owned(),
        Conn::Postgres(_) => format!("DELETE FROM ONLY documents WHERE {ROW} IN (SELECT address FROM r)"),
    };
    let rows = Rows::new().with("address", Column::Text(addresses.iter().map(String::as_str).collect()));
    let removed = rows.execute(conn, &text).await?;
    if usize::try_from(removed) == Ok(addresses.len()) {
        Ok(())
    } else {
        Err(Error::Head("somebody else has written to its documents meanwhile: examine it again".into()))
    }
}

/// Removes these rows of `entries`.
pub(super) async fn remove_entries(conn: &mut Conn<'_>, indexes: &[i64]) -> Result<(), Error> {
    let rows = Rows::new().with("found", Column::Int(indexes.to_vec()));
    rows.execute(conn, "DELETE FROM entries WHERE idx IN (SELECT found FROM r)").await.map(drop)
}
