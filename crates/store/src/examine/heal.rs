//! Taking out what is not proven, and putting back what is: one transaction, with the entries that say so.

use super::{Examined, Finding, anew, rows};
use crate::change::{DocId, Error};
use crate::effects::{Effect, FACT};
use crate::mirror::Log;
use crate::open::Connected;
use crate::place::Conn;
use crate::sql::{self, NewEntry};
use crate::state::leaf;
use crate::working::Document;
use sallyport_ledger::{Entry, leaf_hash};
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
    /// What stands behind it: the rule of a quorum, or `none`.
    pub quorum: &'a str,
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
        if let Some(by_hand) = examined.by_hand.first() {
            return Err(Error::Place(format!(
                "the role of this server may not put this right: an administrator of the database runs `{by_hand}`, then repeat this"
            )));
        }
        let mut examined = examined;
        let (log, mut missing) = (examined.log.take(), std::mem::take(&mut examined.missing));
        let Some(log) = log.filter(|_| examined.damaged.is_none()) else {
            let why = examined.damaged.unwrap_or_default();
            return Err(Error::Head(format!(
                "{why}. Nothing can be proven by it: put a backup of the database in its place"
            )));
        };
        let back = put_back(&mut missing, healing.from, healing.key).await?;
        if let Some(id) = missing.keys().find(|id| healing.needed.contains(&id.as_str())) {
            return Err(Error::State {
                index: log.size(),
                what: format!(
                    "`{id}` was altered and nothing runs without it: `sallyport quarantine restore --from BACKUP` takes it from a backup"
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
            let mut facts = told(&examined.findings, back.len(), missing.len());
            facts.insert("quorum".into(), healing.quorum.to_owned());
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
        let mut conn = self.session.conn();
        let written = async {
            let found = sql::begin_write(&mut conn).await?;
            let Some((_, was)) = found.filter(|(size, _)| *size == log.size()) else {
                return Err(Error::Head("somebody else has written to it meanwhile: is a server running?".into()));
            };
            examined.write(&mut conn, &log).await?;
            let back: Vec<_> = back.iter().map(|(id, document)| (id, 0, document)).collect();
            if !back.is_empty() {
                sql::put_documents(&mut conn, &back).await?;
            }
            sql::insert_entries(&mut conn, &new).await?;
            sql::set_tiles(&mut conn, &growth.tiles).await?;
            sql::set_head(&mut conn, growth.size, &note, &was).await?;
            sql::commit(&mut conn, growth.size).await
        };
        if let Err(error) = written.await {
            let _ = sql::rollback(&mut self.session.conn()).await;
            return Err(error);
        }
        Ok(examined.findings)
    }
}

impl Examined {
    /// Takes out what nobody signed, and writes anew what follows from the signed entries.
    async fn write(&self, conn: &mut Conn<'_>, log: &Log) -> Result<(), Error> {
        for statement in &self.cures {
            anew::run(conn, statement).await?;
        }
        if self.anew {
            return anew::make(conn, log, &self.proven).await;
        }
        rows::remove_entries(conn, &self.surplus).await?;
        rows::remove(conn, &self.rows).await?;
        let wrong = self.columns.iter().map(|entry| sql::signed(entry.index)).collect::<Result<Vec<_>, _>>()?;
        rows::remove_entries(conn, &wrong).await?;
        sql::insert_entries(conn, &self.columns.iter().collect::<Vec<_>>()).await?;
        sql::set_tiles(conn, &self.tiles).await
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
    for row in rows::documents(&mut from.session.conn(), false).await? {
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
