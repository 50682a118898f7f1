//! What in a database is not what this installation wrote, object by object, by what the ledger proves of each.

mod heal;
mod rows;

pub use heal::Healing;

use crate::change::{DocId, Error};
use crate::effects::effects;
use crate::mirror::{Log, open_head};
use crate::nodes::Nodes;
use crate::open::{Connected, NodeKeys, check_leaf, load_log};
use crate::place::{Conn, Session};
use crate::read::TileSet;
use crate::sql::{self, NewEntry};
use crate::state::{Hash, leaf};
use crate::working::{Document, WorkingSet};
use sallyport_ledger::{Appender, Checkpoint, Entry, Tile, leaf_hash};
use sallyport_vault::DocumentKey;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;
use std::fmt;

/// Entries read at once.
const PAGE: u32 = 1024;
/// Findings that are listed one by one; what is more is counted.
const MOST: usize = 1000;

/// Something that is not as this installation wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Kind of document, or `entry`, `ledger`, `tile`, `trigger`, `view`.
    pub kind: String,
    /// Which.
    pub id: String,
    /// What differs.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.id, self.what)
    }
}

/// What is wrong, and what can be done about each part of it.
#[derive(Default)]
pub struct Examined {
    findings: Vec<Finding>,
    /// Why nothing in here can be healed: the ledger itself is damaged, and proves nothing.
    damaged: Option<String>,
    /// Rows of documents that are not proven.
    rows: Vec<i64>,
    /// Documents that the ledger proves and the database does not hold: the leaf that each had.
    missing: BTreeMap<DocId, Hash>,
    /// Rows of `entries` that are behind the signed head, or of no index at all.
    surplus: Vec<i64>,
    /// Rows of `entries` whose index columns say something else than their bodies.
    columns: Vec<NewEntry>,
    /// Tiles as the entries make them, where others are stored.
    tiles: Vec<Tile>,
    /// Triggers and views.
    foreign: Vec<(String, String)>,
    log: Option<Log>,
}

impl Examined {
    /// What is wrong; empty where nothing is.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn find(&mut self, kind: impl Into<String>, id: impl fmt::Display, what: impl Into<String>) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { kind: kind.into(), id: id.to_string(), what: what.into() });
        }
    }
}

impl Connected {
    /// Whether [`Connected::examine`] can name objects here: it knows database files alone.
    #[must_use]
    pub const fn is_examinable(&self) -> bool {
        matches!(self.session, Session::Sqlite(_))
    }

    /// Reads everything, believes nothing, and says of each object that is not proven what is wrong with it.
    ///
    /// # Errors
    /// When the database cannot be read at all, or is no file.
    pub async fn examine(&mut self, key: &DocumentKey, keys: NodeKeys) -> Result<Examined, Error> {
        let conn = file(&mut self.session)?;
        let mut examined = Examined::default();
        for (kind, name) in rows::foreign(conn).await? {
            examined.find(&kind, &name, "Sallyport makes none: somebody else put it here");
            examined.foreign.push((kind, name));
        }
        // Who may sign is in a sealed document; where it was altered, this node's own key is what is left.
        let listed = rows::documents(conn).await?.into_iter().find(|row| row.id == Nodes::id());
        let nodes = listed
            .and_then(|row| row.document.ok().map(|document| (row.id, document)))
            .filter(|(id, document)| judge(id, document, key, None).is_none())
            .and_then(|row| Nodes::of(&WorkingSet::build(vec![row], 0)).ok())
            .map_or_else(Nodes::default, |(nodes, _)| nodes);
        let expected = match signed(conn, &keys, &nodes).await {
            Ok(head) => examined.ledger(conn, &head, keys, nodes).await?,
            Err(error) => {
                examined.find("ledger", "head", error.to_string());
                examined.damaged = Some("the signed head does not hold".into());
                None
            }
        };
        examined.documents(conn, key, expected.as_ref()).await?;
        Ok(examined)
    }
}

/// The connection of a database file.
fn file(session: &mut Session) -> Result<&mut SqliteConnection, Error> {
    match session {
        Session::Sqlite(conn) => Ok(conn),
        Session::Postgres(_) => Err(Error::Place(
            "objects are examined and healed in a database file only: on PostgreSQL put a backup in its place".into(),
        )),
    }
}

/// Triggers and views of a database file.
pub(crate) async fn foreign(session: &mut Session) -> Result<Vec<(String, String)>, Error> {
    match session {
        Session::Sqlite(conn) => rows::foreign(conn).await,
        Session::Postgres(_) => Ok(Vec::new()),
    }
}

/// The head as a node of this ledger signed it.
async fn signed(conn: &mut SqliteConnection, keys: &NodeKeys, nodes: &Nodes) -> Result<Checkpoint, Error> {
    let head = sql::head(&mut Conn::Sqlite(conn)).await?;
    let (size, note) = head.ok_or_else(|| Error::Head("there is no signed head".into()))?;
    open_head(keys, nodes, size, &note)
}

/// What replaying the entries gives.
#[derive(Default)]
struct Replay {
    appender: Appender,
    /// The leaf of every document, as the entries left it.
    expected: BTreeMap<DocId, Hash>,
    tiles: BTreeMap<(u8, u64), Tile>,
}

impl Examined {
    /// Replays the ledger up to its signed head: the leaf of every document. None where the entries are not the signed ones.
    async fn ledger(
        &mut self,
        conn: &mut SqliteConnection,
        head: &Checkpoint,
        keys: NodeKeys,
        nodes: Nodes,
    ) -> Result<Option<BTreeMap<DocId, Hash>>, Error> {
        let mut replay = Replay::default();
        let (mut next, mut from) = (0_u64, i64::MIN);
        loop {
            let page = rows::entries(conn, from, PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.index.saturating_add(1);
            let mut leaves = Vec::with_capacity(page.len());
            for row in page {
                let Some(index) = u64::try_from(row.index).ok().filter(|index| *index < head.size) else {
                    self.find("entry", row.index, "it is outside the signed ledger: nobody signed it");
                    self.surplus.push(row.index);
                    continue;
                };
                self.gone(next, index);
                next = index.saturating_add(1);
                leaves.push(leaf_hash(&row.body));
                self.entry(row, index, &mut replay.expected)?;
            }
            let tiles = replay.appender.append(&leaves).tiles;
            replay.tiles.extend(tiles.into_iter().map(|tile| ((tile.id.level, tile.id.index), tile)));
        }
        self.gone(next, head.size);
        if self.damaged.is_none() && replay.appender.root() != head.root {
            self.altered(conn, keys, nodes).await?;
            return Ok(None);
        }
        if self.damaged.is_some() {
            return Ok(None);
        }
        for tile in replay.tiles.into_values() {
            if sql::tile(&mut Conn::Sqlite(conn), tile.id).await.ok().as_deref() != Some(tile.bytes.as_slice()) {
                self.find("tile", tile.id, "it is not what the entries make");
                self.tiles.push(tile);
            }
        }
        self.log = Some(Log { keys, nodes, appender: replay.appender });
        Ok(Some(replay.expected))
    }

    /// Entries from one index to before the other are not there.
    fn gone(&mut self, from: u64, to: u64) {
        if from < to {
            self.damage(from, &format!("{} entries are gone from here on", to - from));
        }
    }

    /// Names the entries that are not the signed ones, where the tiles still tell.
    async fn altered(&mut self, conn: &mut SqliteConnection, keys: NodeKeys, nodes: Nodes) -> Result<(), Error> {
        self.damaged = Some("the entries are not the signed ones".into());
        let head = sql::head(&mut Conn::Sqlite(conn)).await?;
        let Ok((log, _)) = load_log(&mut Conn::Sqlite(conn), keys, nodes, head).await else {
            self.find("ledger", "entries", "they do not hash to the signed root, and the tiles do not tell which");
            return Ok(());
        };
        let (mut tiles, mut from) = (TileSet::default(), 0);
        loop {
            let page = rows::entries(conn, from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.index.saturating_add(1);
            for row in page {
                let index = sql::unsigned(row.index)?;
                if index < log.size()
                    && let Err(error) = check_leaf(&mut Conn::Sqlite(conn), &mut tiles, &log, index, &row.body).await
                {
                    self.damage(index, &error.to_string());
                }
            }
        }
    }

    fn damage(&mut self, index: u64, what: &str) {
        self.find("entry", index, what);
        self.damaged.get_or_insert_with(|| format!("entry {index} of the ledger: {what}"));
    }

    /// One entry: what it did to documents, and whether its index columns say what it says.
    fn entry(&mut self, row: rows::EntryRow, index: u64, expected: &mut BTreeMap<DocId, Hash>) -> Result<(), Error> {
        let Ok(entry) = Entry::decode(&row.body) else {
            self.damage(index, "its body is no entry");
            return Ok(());
        };
        for effect in effects(&entry, index)? {
            match effect.new {
                Some(leaf) => expected.insert(effect.id, leaf),
                None => expected.remove(&effect.id),
            };
        }
        let right = NewEntry::of(entry, index)?;
        if let Some(column) = row.differs(&right) {
            self.find("entry", index, format!("its index column `{column}` says something else than the signed entry"));
            self.columns.push(right);
        }
        Ok(())
    }

    /// Compares every document with the leaf that the ledger proves of it.
    async fn documents(
        &mut self,
        conn: &mut SqliteConnection,
        key: &DocumentKey,
        expected: Option<&BTreeMap<DocId, Hash>>,
    ) -> Result<(), Error> {
        let mut missing = expected.cloned().unwrap_or_default();
        for row in rows::documents(conn).await? {
            let wanted = expected.map(|expected| expected.get(&row.id).copied());
            let what = match &row.document {
                Err(what) => Some(*what),
                Ok(document) => judge(&row.id, document, key, wanted),
            };
            match what {
                None => drop(missing.remove(&row.id)),
                Some(what) => {
                    self.find(&*row.kind, &row.id, what);
                    self.rows.push(row.rowid);
                }
            }
        }
        let found: Vec<_> = missing.keys().cloned().collect();
        for id in found {
            let there = self.findings.iter().any(|finding| finding.id == id.as_str());
            if !there {
                self.find("document", &id, "the ledger proves it, and it is gone");
            }
        }
        self.missing = missing;
        Ok(())
    }
}

/// What is wrong with a document, if anything. `wanted` is absent where the ledger is damaged and proves nothing.
fn judge(id: &DocId, document: &Document, key: &DocumentKey, wanted: Option<Option<Hash>>) -> Option<&'static str> {
    let Document { kind, schema, version, body, mac } = document;
    if !key.check(kind, *schema, id.as_str(), *version, body, mac) {
        return Some(match wanted {
            Some(None) => "it was put here by somebody else: it carries no valid seal, and no entry speaks of it",
            _ => "it was altered: it does not carry a valid seal",
        });
    }
    match wanted? {
        Some(wanted) if wanted == leaf(id, *version, mac) => None,
        Some(_) => Some("it is another version than the ledger proves: an older one was put back"),
        None => Some("it was deleted by an entry of the ledger, and put back"),
    }
}
