//! The data directory of a stopped node, or an exported ledger: every entry, every tile, and the outside of every recording.

use super::said::{Said, Sayings};
use super::{LedgerSource, Report};
use crate::{Fail, output};
use aws_lc_rs::digest;
use sallyport_ledger::replay::Summary;
use sallyport_ledger::{
    Appender, Checkpoint, Entry, Hash, KeySet, Replayer, Tile, TileId, VOUCHED, Verifier, leaf_hash,
};
use sallyport_model::SessionId;
use sallyport_recording::container::{self, Ending};
use sallyport_recording::verify::End;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

/// Entries read at once: those of one tile.
const PAGE: u32 = 256;
/// Width of a tile that never changes any more.
const FULL: u16 = 256;

/// Verifies a data directory. Whatever the database says of itself is not believed, except where no key is trusted:
/// then the key in the founding entry shows consistency.
pub(super) fn check(path: &Path, source: &mut dyn LedgerSource, trust: Option<&Verifier>) -> Result<Report, Fail> {
    let (mut report, sayings) = ledger(source, trust)?;
    let Recordings { whole, open, expired, lost, unbegun } = recordings(&path.join("recordings"), &sayings)?;
    report.what = format!("the data directory {}", path.display());
    report.recordings = whole;
    report
        .checked
        .insert(1, format!("{whole} recordings from outside: header, chain, anchors and end against the ledger"));
    if expired > 0 {
        report.checked.push(format!("{expired} recordings went by the rule of retention, each by an entry"));
    }
    if lost > 0 {
        report
            .checked
            .push(format!("{lost} sessions of which the ledger says that nothing was recorded before a crash"));
    }
    if unbegun > 0 {
        report
            .checked
            .push(format!("{unbegun} recordings without content, of sessions that a crash kept from beginning"));
    }
    if open > 0 {
        report.unchecked.push(format!(
            "recordings of sessions that the ledger does not close, {open} in number: start the node, it recovers them"
        ));
    }
    report.unchecked.push("what is inside the recordings: export a bundle, it carries the key".to_owned());
    report.unchecked.push("documents and secrets: the node checks them when it starts".to_owned());
    Ok(set_back(report))
}

/// Verifies a ledger that was exported: the same without documents and recordings.
pub(super) fn check_ledger(
    path: &Path,
    source: &mut dyn LedgerSource,
    trust: Option<&Verifier>,
) -> Result<Report, Fail> {
    let (mut report, sayings) = ledger(source, trust)?;
    report.what = format!("the exported ledger {}", path.display());
    let count = sayings.0.len();
    report.unchecked.push(format!("the recordings of {count} sessions: the node of each exports its bundle"));
    Ok(set_back(report))
}

fn set_back(mut report: Report) -> Report {
    report
        .unchecked
        .push("that the ledger was not set back as a whole: compare its checkpoint with one kept elsewhere".to_owned());
    report
}

/// Verifies every entry and tile under one key of the ledger, and those that it leads to.
fn ledger(source: &mut dyn LedgerSource, trust: Option<&Verifier>) -> Result<(Report, Sayings), Fail> {
    let founding = founding(source)?;
    let key = match trust {
        Some(key) => key.clone(),
        None => Verifier::parse(founding.fact("ledger_key")).map_err(|e| Fail::failed(format!("entry 0: {e}")))?,
    };
    let note = source.head()?;
    // Its signature comes last: who may sign is in the entries.
    let claimed = Checkpoint::claimed(&note).map_err(Fail::failed)?;
    let (summary, sayings, signers) = Walk::new(source, claimed).walk()?;
    let signers = signers.of(&key);
    let checkpoint = Checkpoint::open(&note, key.name(), &signers.iter().collect::<Vec<_>>()).map_err(Fail::failed)?;
    let size = checkpoint.size;
    let mut report = Report::of(&key, trust.is_some(), size);
    report.entries = summary.size;
    report.checked = vec![format!("all {size} entries and all tiles against the signed checkpoint")];
    if signers.len() > 1 || !signers.contains(&key) {
        report.checked.push(format!(
            "who signed it: one of {} nodes whose keys the ledger leads to from the trusted one",
            signers.len()
        ));
    }
    if summary.regressions > 0 {
        let times = summary.regressions;
        report
            .checked
            .push(format!("the node's clock went back {times} times, at first at entries {:?}", summary.regressed));
    }
    Ok((report, sayings))
}

/// What entries say of the keys of nodes.
#[derive(Default)]
struct Signers {
    /// Notes by which nodes vouch for each other.
    notes: Vec<String>,
    /// Keys of nodes that were removed.
    gone: BTreeSet<String>,
}

impl Signers {
    fn take(&mut self, entry: &Entry) {
        match entry.action.as_str() {
            VOUCHED => self.notes.push(entry.fact("note").to_owned()),
            "node.removed" => drop(self.gone.insert(entry.fact("ledger_key").to_owned())),
            "node.joined" => drop(self.gone.remove(entry.fact("ledger_key"))),
            _ => {}
        }
    }

    /// The keys that may sign the head: those that the trusted one leads to, without those of nodes that were removed.
    fn of(&self, trust: &Verifier) -> Vec<Verifier> {
        let mut keys = KeySet::reach(&self.notes, trust);
        keys.retain(|key| !self.gone.contains(&key.to_string()));
        keys
    }
}

fn founding(source: &mut dyn LedgerSource) -> Result<Entry, Fail> {
    let first = source.entries(0, 1)?.into_iter().next().filter(|(index, _)| *index == 0);
    let (_, bytes) = first.ok_or_else(|| Fail::failed("entry 0 is missing"))?;
    let entry = Entry::decode(&bytes).map_err(|e| Fail::failed(format!("entry 0: {e}")))?;
    if entry.action == "system.founded" {
        Ok(entry)
    } else {
        Err(Fail::failed("entry 0 does not found an installation"))
    }
}

/// Reads the ledger from its beginning and builds its tree again.
struct Walk<'a> {
    source: &'a mut dyn LedgerSource,
    size: u64,
    replayer: Replayer,
    appender: Appender,
    /// Per level, the tile that is not full yet.
    partial: BTreeMap<u8, Tile>,
    sayings: Sayings,
    signers: Signers,
}

impl<'a> Walk<'a> {
    fn new(source: &'a mut dyn LedgerSource, checkpoint: Checkpoint) -> Self {
        Self {
            source,
            size: checkpoint.size,
            replayer: Replayer::new([checkpoint]),
            appender: Appender::new(),
            partial: BTreeMap::new(),
            sayings: Sayings::default(),
            signers: Signers::default(),
        }
    }

    fn walk(mut self) -> Result<(Summary, Sayings, Signers), Fail> {
        let mut at = 0;
        while at < self.size {
            output::progress(&format!("{at} of {} entries", self.size));
            at = self.page(at)?;
        }
        if let Some((index, _)) = self.source.entries(self.size, 1)?.first() {
            return Err(Fail::failed(format!("entry {index} is behind the signed end of the ledger at {}", self.size)));
        }
        for tile in std::mem::take(&mut self.partial).into_values() {
            self.compare(&tile)?;
        }
        Ok((self.replayer.finish().map_err(Fail::failed)?, self.sayings, self.signers))
    }

    /// Takes the entries of one tile, and gives the index after them.
    fn page(&mut self, from: u64) -> Result<u64, Fail> {
        let rows = self.source.entries(from, PAGE)?;
        let hashes = TileId::covering(0, from, self.size).map_or(Ok(Vec::new()), |id| self.source.tile(id))?;
        let mut at = from;
        let mut leaves: Vec<Hash> = Vec::with_capacity(rows.len());
        for hash in hashes.as_chunks::<32>().0 {
            let (_, bytes) = rows
                .get(leaves.len())
                .filter(|(index, _)| *index == at)
                .ok_or_else(|| Fail::failed(format!("entry {at} is missing")))?;
            let entry = self.replayer.push(bytes, Some(hash)).map_err(Fail::failed)?;
            self.sayings.take(at, &entry)?;
            self.signers.take(&entry);
            leaves.push(leaf_hash(bytes));
            at += 1;
        }
        if at == from {
            return Err(Fail::failed(format!("the tile with entry {from} is missing")));
        }
        for tile in self.appender.append(&leaves).tiles {
            if tile.id.width == FULL {
                self.partial.remove(&tile.id.level);
                self.compare(&tile)?;
            } else {
                self.partial.insert(tile.id.level, tile);
            }
        }
        Ok(at)
    }

    /// Compares a tile with the stored one, from which proofs are made.
    fn compare(&mut self, tile: &Tile) -> Result<(), Fail> {
        // Those of the leaves were compared hash by hash.
        if tile.id.level == 0 || self.source.tile(tile.id)? == tile.bytes {
            return Ok(());
        }
        Err(Fail::failed(format!("{} was altered: it is not what the entries give", tile.id)))
    }
}

/// How many recordings there are.
struct Recordings {
    /// Checked to their end.
    whole: u64,
    /// Of sessions without an end.
    open: u64,
    /// Went by the rule.
    expired: u64,
    /// Not there, and the ledger says so: their sessions were cut before anything of them was durable.
    lost: u64,
    /// Headers alone, of sessions that the ledger does not know: a crash came between the two.
    unbegun: u64,
}

/// Compares the files with what the ledger says, in both directions.
fn recordings(directory: &Path, sayings: &Sayings) -> Result<Recordings, Fail> {
    let mut count = Recordings { whole: 0, open: 0, expired: 0, lost: 0, unbegun: 0 };
    let mut known = HashSet::new();
    for (session, said) in &sayings.0 {
        let name = format!("{}.sprec", said.recording);
        let here = directory.join(&name).exists();
        if said.end.is_none() {
            count.open += 1;
        } else if said.expired && !here {
            count.expired += 1;
        } else {
            output::progress(&name);
            let read = std::fs::read(directory.join(&name));
            if said.end == Some(NOTHING) && read.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
                count.lost += 1;
                continue;
            }
            let bytes = read.map_err(|e| missing(*session, &name, &e))?;
            outside(&bytes, said).map_err(|fail| Fail::failed(format!("recordings/{name}: {fail}")))?;
            count.whole += 1;
        }
        known.insert(name);
    }
    let listed = std::fs::read_dir(directory).map_err(|e| Fail::failed(format!("cannot list recordings/: {e}")))?;
    for file in listed {
        let name = file.map_err(Fail::failed)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".sprec") && !known.contains(&name) {
            if empty(&directory.join(&name)) {
                count.unbegun += 1;
                continue;
            }
            return Err(Fail::failed(format!("recordings/{name} belongs to no session of the ledger")));
        }
    }
    Ok(count)
}

/// What the ledger says of a recording of which nothing was ever durable.
pub(super) const NOTHING: End = End { segments: 0, chain: [0; 32], complete: false };

/// Whether a recording holds nothing but its header, and says that it was cut.
fn empty(path: &Path) -> bool {
    let Ok(bytes) = std::fs::read(path) else { return false };
    container::parse(&bytes).is_ok_and(|found| {
        found.segments() == 0 && matches!(&found.ending, Ending::Truncated(record) if record.segments == 0)
    })
}

fn missing(session: SessionId, name: &str, error: &std::io::Error) -> Fail {
    Fail::failed(format!(
        "recordings/{name} of {session} cannot be read ({error}): start the node, which recovers its journal, or restore it"
    ))
}

/// Follows the chain of a container without its key.
pub(super) fn outside(bytes: &[u8], said: &Said) -> Result<(), Fail> {
    let container = container::parse(bytes).map_err(Fail::failed)?;
    if container.header.hash() != said.header || container.header.facts.recording != said.recording {
        return Err(Fail::failed("the header is not the one in the ledger"));
    }
    let mut chain = container.header.hash();
    let mut chains = vec![chain];
    for frame in container.frames() {
        chain = advance(&chain, frame);
        chains.push(chain);
    }
    let segments = container.segments();
    for (count, anchor) in &said.anchors {
        match usize::try_from(*count).ok().and_then(|count| chains.get(count)) {
            Some(chain) if chain == anchor => {}
            Some(_) => {
                return Err(Fail::failed(format!("after {count} segments it differs from its anchor in the ledger")));
            }
            None => {
                return Err(Fail::failed(format!(
                    "it has {segments} segments and the ledger says {count}: it was cut"
                )));
            }
        }
    }
    if said.end.is_none() {
        return Ok(());
    }
    let end = match &container.ending {
        Ending::Final => End { segments, chain, complete: true },
        Ending::Truncated(record) if record.segments == segments && record.chain == chain => {
            End { segments, chain: record.chain_after().map_err(Fail::failed)?, complete: false }
        }
        Ending::Truncated(_) => return Err(Fail::failed("the record of its truncation does not fit it")),
        Ending::Unfinished => return Err(Fail::failed(format!("it has no end after {segments} segments: it was cut"))),
    };
    if said.end == Some(end) { Ok(()) } else { Err(Fail::failed("it ends otherwise than the ledger says")) }
}

/// A step of the chain: SHA-256 over the hash before and the frame (see `sallyport_recording::segment`).
fn advance(chain: &Hash, frame: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(chain);
    context.update(frame);
    context.finish().as_ref().try_into().unwrap_or_default()
}
