//! Taking out what is not proven, and putting back what is: one transaction, with the entries that say so.

use super::{Examined, Finding};
use crate::change::{DocId, Error};
use crate::effects::{Effect, FACT};
use crate::open::Connected;
use crate::place::Conn;
use crate::sql::{self, NewEntry};
use crate::state::leaf;
use crate::working::Document;
use sallyport_ledger::{Entry, Tile, leaf_hash};
use sallyport_model::{EntryId, Env};
use sallyport_vault::DocumentKey;
use std::collections::BTreeMap;

/// Effects in one entry: as many as fit its bound.
const EFFECTS: usize = 40;
/// Findings that one entry names; the ledger is no list of what an attacker may want to write there.
const NAMED: usize = 20;

/// What is to be done about what was found.
pub struct Healing<'a> {
    /// Time and chance.
    pub env: &'a Env,
    /// Key of the documents.
    pub key: &'a DocumentKey,
    /// Who does it.
    pub actor: &'a str,
    /// Documents without which nothing runs: they are put back or nothing is done.
    pub needed: &'a [&'a str],
    /// Another database, such as a backup: what it holds is taken where the ledger proves it, and nowhere else.
    pub from: Option<Connected>,
}

impl Connected {
    /// Puts back what the other database has and the ledger proves, takes out everything else that is not proven,
    /// and writes what was done as the next entries. Either all of it, or nothing.
    ///
    /// # Errors
    /// When the ledger itself is damaged, or a needed document cannot be put back.
    pub async fn heal(&mut self, examined: Examined, healing: Healing<'_>) -> Result<Vec<Finding>, Error> {
        let Examined { findings, damaged, rows, mut missing, surplus, columns, tiles, foreign, log } = examined;
        let Some(log) = log.filter(|_| damaged.is_none()) else {
            let why = damaged.unwrap_or_default();
            return Err(Error::Head(format!(
                "{why}. Nothing can be proven by it: put a backup of the database in its place"
            )));
        };
        let back = put_back(&mut missing, healing.from, healing.key).await?;
        if let Some(id) = missing.keys().find(|id| healing.needed.contains(&id.as_str())) {
            return Err(Error::State {
                index: log.size(),
                what: format!(
                    "`{id}` was altered and nothing runs without it: `sallyport quarantine restore --from FILE` takes it from a backup"
                ),
            });
        }
        let action = if back.is_empty() { "quarantine.accepted" } else { "quarantine.restored" };
        let gone: Vec<_> =
            missing.iter().map(|(id, old)| Effect { id: id.clone(), old: Some(*old), new: None }).collect();
        let mut new = Vec::new();
        let chunks: Vec<&[Effect]> = if gone.is_empty() { vec![&[]] } else { gone.chunks(EFFECTS).collect() };
        for effects in chunks {
            let index = log.size().saturating_add(u64::try_from(new.len()).unwrap_or(u64::MAX));
            let mut facts = told(&findings, back.len(), missing.len());
            if !effects.is_empty() {
                facts.insert(FACT.into(), effects.iter().map(Effect::text).collect::<Vec<_>>().join(" "));
            }
            let entry = Entry {
                id: EntryId::new(healing.env),
                at: healing.env.now(),
                node: log.keys.node.clone(),
                actor: healing.actor.to_owned(),
                action: action.into(),
                object: "database".into(),
                session: None,
                facts,
            };
            new.push(NewEntry::of(entry, index)?);
        }
        let mut appender = log.appender.clone();
        let growth = appender.append(&new.iter().map(|entry| leaf_hash(&entry.body)).collect::<Vec<_>>());
        let note = log.note(&growth)?;
        let new: Vec<&NewEntry> = new.iter().collect();
        let mut conn = Conn::Sqlite(super::file(&mut self.session)?);
        let found = sql::begin_write(&mut conn).await?;
        let written = async {
            if found.map(|(size, _)| size) != Some(log.size()) {
                return Err(Error::Head("somebody else has written to it meanwhile: is a server running?".into()));
            }
            take_out(&mut conn, &foreign, &surplus, &rows).await?;
            set_right(&mut conn, &columns, &tiles).await?;
            let back: Vec<_> = back.iter().map(|(id, document)| (id, 0, document)).collect();
            if !back.is_empty() {
                sql::put_documents(&mut conn, &back).await?;
            }
            sql::insert_entries(&mut conn, &new).await?;
            sql::set_tiles(&mut conn, &growth.tiles).await?;
            sql::set_head(&mut conn, growth.size, &note).await?;
            sql::commit(&mut conn, growth.size).await
        };
        if let Err(error) = written.await {
            let _ = sql::rollback(&mut Conn::Sqlite(super::file(&mut self.session)?)).await;
            return Err(error);
        }
        Ok(findings)
    }
}

/// Documents of the other database that are just those which the ledger proves; takes them off the list.
async fn put_back(
    missing: &mut BTreeMap<DocId, crate::state::Hash>,
    from: Option<Connected>,
    key: &DocumentKey,
) -> Result<Vec<(DocId, Document)>, Error> {
    let Some(mut from) = from else { return Ok(Vec::new()) };
    let mut back = Vec::new();
    for row in super::rows::documents(super::file(&mut from.session)?).await? {
        let Ok(document) = row.document else { continue };
        let proven = missing.get(&row.id) == Some(&leaf(&row.id, document.version, &document.mac));
        let sealed = key.check(
            &document.kind,
            document.schema,
            row.id.as_str(),
            document.version,
            &document.body,
            &document.mac,
        );
        if proven && sealed {
            missing.remove(&row.id);
            back.push((row.id, document));
        }
    }
    Ok(back)
}

fn told(findings: &[Finding], back: usize, out: usize) -> BTreeMap<String, String> {
    let clean = |text: &str| text.chars().take(80).collect::<String>();
    let mut named: Vec<_> = findings
        .iter()
        .take(NAMED)
        .map(|f| format!("{} {}: {}", clean(&f.kind), clean(&f.id), clean(&f.what)))
        .collect();
    if findings.len() > NAMED {
        named.push(format!("and {} more", findings.len() - NAMED));
    }
    BTreeMap::from([
        ("found".to_owned(), findings.len().to_string()),
        ("put_back".to_owned(), back.to_string()),
        ("taken_out".to_owned(), out.to_string()),
        ("what".to_owned(), named.join("; ")),
    ])
}

/// Removes what nobody signed.
async fn take_out(
    conn: &mut Conn<'_>,
    foreign: &[(String, String)],
    surplus: &[i64],
    rows: &[i64],
) -> Result<(), Error> {
    for (kind, name) in foreign {
        // Names cannot be bound; quoted, with quotes doubled, one cannot end early.
        let word = if kind == "trigger" { "TRIGGER" } else { "VIEW" };
        execute(conn, &format!("DROP {word} \"{}\"", name.replace('"', "\"\"")), None).await?;
    }
    for index in surplus {
        execute(conn, "DELETE FROM entries WHERE idx = $1", Some(*index)).await?;
    }
    for rowid in rows {
        execute(conn, "DELETE FROM documents WHERE rowid = $1", Some(*rowid)).await?;
    }
    Ok(())
}

/// Writes anew what follows from the signed entries: their index columns, and the tiles.
async fn set_right(conn: &mut Conn<'_>, columns: &[NewEntry], tiles: &[Tile]) -> Result<(), Error> {
    for entry in columns {
        execute(conn, "DELETE FROM entries WHERE idx = $1", Some(sql::signed(entry.index)?)).await?;
    }
    if !columns.is_empty() {
        sql::insert_entries(conn, &columns.iter().collect::<Vec<_>>()).await?;
    }
    if !tiles.is_empty() {
        sql::set_tiles(conn, tiles).await?;
    }
    Ok(())
}

/// One statement on a database file.
async fn execute(conn: &mut Conn<'_>, statement: &str, value: Option<i64>) -> Result<(), Error> {
    let Conn::Sqlite(conn) = conn else { return Ok(()) };
    let query = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
    let query = if let Some(value) = value { query.bind(value) } else { query };
    query.execute(&mut **conn).await?;
    Ok(())
}
