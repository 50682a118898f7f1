//! What in a database is not what this installation wrote, object by object, by what the ledger proves of each.

mod anew;
mod heal;
mod rows;
mod structure;

pub use heal::Healing;

use crate::change::{DocId, Error};
use crate::effects::effects;
use crate::mirror::{Log, open_head};
use crate::nodes::Nodes;
use crate::open::{Connected, NodeKeys, check_leaf, load_log};
use crate::place::Conn;
use crate::read::TileSet;
use crate::sql::{self, NewEntry};
use crate::state::{Hash, leaf};
use crate::working::{Document, WorkingSet};
use sallyport_ledger::{Appender, Checkpoint, Entry, Tile, leaf_hash};
use sallyport_vault::DocumentKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use structure::Cure;

/// Entries read at once.
const PAGE: u32 = 1024;
/// Findings that are listed one by one; what is more is counted.
const MOST: usize = 1000;

/// Something that is not as this installation wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Kind of document, or `entry`, `ledger`, `tile`, `table`, or what stands on or beside the tables: `trigger`, `view`,
    /// and on PostgreSQL `rule`, `row policy`, `child table`, `function` and the like.
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
    /// Where the rows of documents are that are not proven.
    rows: Vec<String>,
    /// Documents that the ledger proves and the database does not hold: the leaf that each had.
    missing: BTreeMap<DocId, Hash>,
    /// Rows of `entries` that are behind the signed head, or of no index at all.
    surplus: Vec<i64>,
    /// Rows of `entries` whose index columns say something else than their bodies.
    columns: Vec<NewEntry>,
    /// Tiles as the entries make them, where others are stored.
    tiles: Vec<Tile>,
    /// Statements that take away what stands on or beside the tables.
    cures: Vec<String>,
    /// Statements that our role may not run.
    by_hand: Vec<String>,
    /// Whether the tables themselves are not ours: then they are made anew, and `proven` is written into them.
    anew: bool,
    proven: Vec<(DocId, Document)>,
    log: Option<Log>,
    keep: &'static [&'static str],
    kept: Vec<Entry>,
}

impl Examined {
    /// The entries of the actions that were asked for. Where the ledger is not damaged, they are the signed ones.
    #[must_use]
    pub fn kept(&self) -> &[Entry] {
        &self.kept
    }

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
    /// What about the tables themselves is not as we make it. Needs no key: it reads the database's catalog alone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn structure(&mut self) -> Result<Vec<Finding>, Error> {
        let odd = structure::odd(&mut self.session.conn()).await?;
        Ok(odd.into_iter().map(|odd| Finding { kind: odd.kind, id: odd.name, what: odd.what }).collect())
    }

    /// Reads everything, believes nothing, and says of each object that is not proven what is wrong with it. Keeps the
    /// entries of some actions for the caller.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub async fn examine(
        &mut self,
        key: &DocumentKey,
        keys: NodeKeys,
        keep: &'static [&'static str],
    ) -> Result<Examined, Error> {
        let mut examined = Examined { keep, ..Examined::default() };
        let mut conn = self.session.conn();
        for odd in structure::odd(&mut conn).await? {
            examined.find(odd.kind, odd.name, odd.what);
            match odd.cure {
                Cure::Run(statement) => examined.cures.push(statement),
                Cure::ByHand(statement) => examined.by_hand.push(statement),
                Cure::Anew => examined.anew = true,
            }
        }
        // One state of everything, also where other nodes write.
        sql::begin_read(&mut conn).await?;
        let read = examined.contents(&mut conn, key, keys).await;
        let _ = sql::rollback(&mut conn).await;
        match read {
            // That tables which are not ours cannot be read is part of what is wrong with them.
            Err(error) if !examined.findings.is_empty() && !matches!(error, Error::Lost(_)) => {
                examined.damaged.get_or_insert(format!("its tables cannot be read as they are: {error}"));
                Ok(examined)
            }
            other => other.map(|()| examined),
        }
    }
}

impl Examined {
    async fn contents(&mut self, conn: &mut Conn<'_>, key: &DocumentKey, keys: NodeKeys) -> Result<(), Error> {
        let rows = rows::documents(conn, !self.anew).await?;
        // Who may sign is in a sealed document; where it was altered, this node's own key is what is left.
        let listed = rows.iter().find(|row| row.id == Nodes::id());
        let nodes = listed
            .and_then(|row| row.document.as_ref().ok().map(|document| (row.id.clone(), document.clone())))
            .filter(|(id, document)| judge(id, document, key, None).is_none())
            .and_then(|row| Nodes::of(&WorkingSet::build(vec![row], 0)).ok())
            .map_or_else(Nodes::default, |(nodes, _)| nodes);
        let expected = match signed(conn, &keys, &nodes).await {
            Ok(head) => self.ledger(conn, &head, keys, nodes).await?,
            Err(error @ (Error::Sql(_) | Error::Lost(_) | Error::Place(_))) => return Err(error),
            Err(error) => {
                self.find("ledger", "head", error.to_string());
                self.damaged = Some("the signed head does not hold".into());
                None
            }
        };
        self.documents(rows, key, expected.as_ref());
        Ok(())
    }
}

/// The head as a node of this ledger signed it.
async fn signed(conn: &mut Conn<'_>, keys: &NodeKeys, nodes: &Nodes) -> Result<Checkpoint, Error> {
    let head = sql::head(conn).await?;
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
        conn: &mut Conn<'_>,
        head: &Checkpoint,
        keys: NodeKeys,
        nodes: Nodes,
    ) -> Result<Option<BTreeMap<DocId, Hash>>, Error> {
        let mut replay = Replay::default();
        let (mut next, mut from, mut newest) = (0_u64, i64::MIN, None);
        loop {
            let page = rows::entries(conn, "entries", from, PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.index.saturating_add(1);
            let mut leaves = Vec::with_capacity(page.len());
            for row in page {
                let Some(index) = u64::try_from(row.index).ok().filter(|index| *index < head.size) else {
                    self.find("entry", row.index, "it is outside the signed ledger: nobody signed it");
                    self.surplus.push(row.index);
                    continue;
                };
                let hash = leaf_hash(&row.body);
                if index < next {
                    self.twice(index, newest == Some(hash));
                    continue;
                }
                self.gone(next, index);
                next = index.saturating_add(1);
                newest = Some(hash);
                leaves.push(hash);
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
        let tiles = if self.anew { BTreeMap::new() } else { replay.tiles };
        for tile in tiles.into_values() {
            if sql::tile(conn, tile.id).await.ok().as_deref() != Some(tile.bytes.as_slice()) {
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

    /// An index that two rows have. Where they are one entry it is enough that the tables are made anew.
    fn twice(&mut self, index: u64, same: bool) {
        if same {
            self.find("entry", index, "it is there twice");
        } else {
            self.damage(index, "there are two of it, and they are not the same");
        }
    }

    /// Names the entries that are not the signed ones, where the tiles still tell.
    async fn altered(&mut self, conn: &mut Conn<'_>, keys: NodeKeys, nodes: Nodes) -> Result<(), Error> {
        self.damaged = Some("the entries are not the signed ones".into());
        let head = sql::head(conn).await?;
        let Ok((log, _)) = load_log(conn, keys, nodes, head).await else {
            self.find("ledger", "entries", "they do not hash to the signed root, and the tiles do not tell which");
            return Ok(());
        };
        let (mut tiles, mut from) = (TileSet::default(), 0);
        loop {
            let page = rows::entries(conn, "entries", from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.index.saturating_add(1);
            for row in page {
                let index = sql::unsigned(row.index)?;
                if index < log.size()
                    && let Err(error) = check_leaf(conn, &mut tiles, &log, index, &row.body).await
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
        if self.keep.contains(&entry.action.as_str()) {
            self.kept.push(entry.clone());
        }
        let right = NewEntry::of(entry, index)?;
        if let Some(column) = row.differs(&right) {
            self.find("entry", index, format!("its index column `{column}` says something else than the signed entry"));
            self.columns.push(right);
        }
        Ok(())
    }

    /// Compares every document with the leaf that the ledger proves of it.
    fn documents(&mut self, rows: Vec<rows::DocumentRow>, key: &DocumentKey, expected: Option<&BTreeMap<DocId, Hash>>) {
        let mut missing = expected.cloned().unwrap_or_default();
        let mut seen = BTreeSet::new();
        for row in rows {
            let wanted = expected.map(|expected| expected.get(&row.id).copied());
            let what = match &row.document {
                Err(what) => Some(*what),
                Ok(document) => judge(&row.id, document, key, wanted),
            };
            match (what, row.document) {
                (None, Ok(document)) if seen.insert(row.id.clone()) => {
                    missing.remove(&row.id);
                    if self.anew {
                        self.proven.push((row.id, document));
                    }
                }
                (what, _) => {
                    self.find(&*row.kind, &row.id, what.unwrap_or("it is there twice"));
                    self.rows.push(row.address);
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
