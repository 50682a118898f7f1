//! What is left when all is quiet: the ledger from its database, the target's own files, the recordings.

use super::clients::{Api, Notes};
use super::house::House;
use anyhow::Context as _;
use sallyport_ledger::{Checkpoint, Entry, Frontier, Note, Verifier, leaf_hash};
use sallyport_recording::WhatRef;
use sallyport_recording::event::events;
use sallyport_testkit::history::{Effect, Ending, Fact, Hash, Head, History, Recorded};
use sallyport_testkit::product::wait_for;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

/// What was gathered earlier and does not change any more.
#[derive(Default)]
pub(super) struct Known {
    recorded: HashMap<String, Recorded>,
}

impl Known {
    /// Some sessions whose recordings end in either way: node and session.
    pub(super) fn samples(&self, most: usize, ledger: &[Fact]) -> Vec<(String, String)> {
        let ends = |session: &str| self.recorded.get(session).map(|found| found.ending);
        let opened = || ledger.iter().filter(|fact| fact.action == "session.opened");
        let of = |ending| {
            opened()
                .filter_map(move |fact| Some((fact.node.clone(), fact.session.clone()?)))
                .filter(move |(_, session)| ends(session) == Some(ending))
                .take(most)
        };
        of(Ending::Truncated).chain(of(Ending::Complete)).collect()
    }
}

/// The bodies of all entries, in order, straight from the database.
fn bodies(house: &House) -> Vec<(u64, Vec<u8>)> {
    let query = "SELECT idx, body FROM entries ORDER BY idx";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = house.database();
    let index = |value: i64| u64::try_from(value).unwrap();
    runtime.block_on(async {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
            let mut conn = options.connect().await.unwrap();
            let rows = sqlx::query(query).fetch_all(&mut conn).await.unwrap();
            rows.iter().map(|row| (index(row.get(0)), row.get(1))).collect()
        } else {
            let mut conn = sqlx::PgConnection::connect(&url).await.unwrap();
            let rows = sqlx::query(query).fetch_all(&mut conn).await.unwrap();
            rows.iter().map(|row| (index(row.get(0)), row.get(1))).collect()
        }
    })
}

/// Everything that is known of the run so far.
pub(super) fn gather(house: &House, notes: &Notes, known: &mut Known) -> History {
    let rows = bodies(house);
    let heads = heads(house, notes);
    let wanted: BTreeSet<u64> = heads.iter().map(|head| head.size).collect();
    let mut frontier = Frontier::new();
    let (mut roots, mut ledger) = (BTreeMap::<u64, Hash>::new(), Vec::with_capacity(rows.len()));
    for (expected, (index, body)) in rows.iter().enumerate() {
        assert_eq!(u64::try_from(expected).unwrap(), *index, "the ledger has a gap");
        frontier.push(leaf_hash(body));
        if wanted.contains(&frontier.size()) {
            roots.insert(frontier.size(), frontier.root());
        }
        ledger.push(fact(&Entry::decode(body).unwrap()));
    }
    let target = &house.nodes[0].product.target;
    let effects = fs::read_to_string(target.scratch().unwrap().join("effects")).unwrap_or_default();
    let effects = effects.lines().filter_map(|line| {
        let (mark, at) = line.split_once(" begin ")?;
        Some(Effect { mark: mark.to_owned(), at: at.parse().ok()? })
    });
    let logins = target.log().lines().filter(|line| line.contains("Accepted password for ")).count();
    let recorded = recordings(house, &ledger, known);
    History {
        asked: notes.asked.clone(),
        effects: effects.collect(),
        logins,
        seen: notes.seen.clone(),
        recorded,
        ledger,
        heads,
        roots,
        clock_ahead: 0,
        deaths: vec![],
    }
}

fn fact(entry: &Entry) -> Fact {
    Fact {
        id: entry.id.to_string(),
        at: entry.at.0,
        node: entry.node.clone(),
        action: entry.action.clone(),
        object: entry.object.clone(),
        session: entry.session.map(|session| session.to_string()),
        facts: entry.facts.clone(),
    }
}

/// Checkpoints that carry the signature of a node. Half a note is a file that is being replaced, and says nothing.
fn heads(house: &House, notes: &Notes) -> Vec<Head> {
    let keys: Vec<Verifier> = house
        .nodes
        .iter()
        .map(|node| Verifier::parse(fs::read_to_string(node.trust()).unwrap().trim()).unwrap())
        .collect();
    let trust: Vec<&Verifier> = keys.iter().collect();
    let open = |(note, seen): (&String, &String)| {
        let note = Note::parse(note).ok()?;
        let text = note.verify(&trust).with_context(|| format!("{seen} showed a checkpoint of somebody else")).unwrap();
        let checkpoint = Checkpoint::parse(text).unwrap();
        Some(Head { size: checkpoint.size, root: checkpoint.root, seen: seen.clone() })
    };
    notes.heads.iter().filter_map(open).collect()
}

/// The recording of every session that ended, as the auditor gets it from the node that has it.
fn recordings(house: &House, ledger: &[Fact], known: &mut Known) -> Vec<Recorded> {
    let apis: HashMap<&str, Api> = house.nodes.iter().map(|node| (node.name, Api::new(node.product.url()))).collect();
    let nodes: HashMap<&str, &str> = ledger
        .iter()
        .filter(|fact| fact.action == "session.opened")
        .filter_map(|fact| Some((fact.session.as_deref()?, fact.node.as_str())))
        .collect();
    for fact in ledger.iter().filter(|fact| fact.action == "session.closed") {
        let Some(session) = fact.session.as_deref().filter(|session| !known.recorded.contains_key(*session)) else {
            continue;
        };
        if fact.fact("segments") == "0"
            && fact.fact("complete") == "false"
            && fact.fact("chain").bytes().all(|b| b == b'0')
        {
            continue;
        }
        let Some(api) = nodes.get(session).and_then(|node| apis.get(node)) else { continue };
        // The file may come behind its last entry; that it never comes is a violation, which the judge finds.
        let found = wait_for("the recording", 10, || {
            let (ending, body) = api.recording(&house.auditor, session)?;
            let ending = match ending.as_str() {
                "complete" => Ending::Complete,
                "truncated" => Ending::Truncated,
                _ => return None,
            };
            read(session, ending, &body)
        });
        if let Ok(found) = found {
            known.recorded.insert(session.to_owned(), found);
        }
    }
    known.recorded.values().cloned().collect()
}

/// `u32` length and bytes of the header, then events.
fn read(session: &str, ending: Ending, body: &[u8]) -> Option<Recorded> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let bytes = rest.get(usize::try_from(u32::from_be_bytes(*length)).ok()?..)?;
    let mut output = Vec::new();
    for event in events(bytes) {
        if let WhatRef::Output(bytes) = event.ok()?.what {
            output.extend_from_slice(bytes);
        }
    }
    let mut lines = BTreeMap::<String, (u64, i64)>::new();
    for line in String::from_utf8_lossy(&output).lines() {
        let mut words = line.split(' ');
        let (Some(mark), Some(number), Some(at)) = (words.next(), words.next(), words.next()) else { continue };
        let its = lines.entry(mark.to_owned()).or_default();
        if number.parse() == Ok(its.0 + 1) && at.len() == 16 {
            *its = (its.0 + 1, at.parse().ok()?);
        }
    }
    Some(Recorded { session: session.to_owned(), ending, lines })
}
