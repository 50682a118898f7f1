//! Prints how long changes are refused when the primary of PostgreSQL is killed under load and its standby is promoted, and
//! how many acknowledged ones were lost or doubled, as JSON: `cargo run --release --example failover`. The time begins with
//! the kill and ends with the first change that the new primary has; who promotes, and after how long, is another
//! matter: here it is at once.

use sallyport_ledger::Signer;
use sallyport_model::{ClusterId, EntryId, Env, Secret};
use sallyport_store::{Change, Connected, DocId, Draft, Error, Filter, Follower, NodeKeys, Nodes, Place, Put, Store};
use sallyport_testkit::postgres::{PASSWORD, Postgres};
use sallyport_vault::{DocumentKey, KeyFile, NewSlot, Opener, Vault};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often the drill is run, each time with new servers.
const RUNS: usize = 5;
/// Nodes, and writers of each.
const NODES: u8 = 2;
const WRITERS: u8 = 8;
/// Changes that are acknowledged before the kill, and after the promotion.
const LOAD: usize = 2000;
const ORIGIN: &str = "sallyport/measurement";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What writers were told, and when.
#[derive(Default)]
struct Told {
    written: Vec<(EntryId, Option<Instant>)>,
    refused: Vec<EntryId>,
    unknown: usize,
}

fn document_key(env: &Env) -> Result<DocumentKey, Failure> {
    let file = KeyFile::generate(env);
    let slot = NewSlot { label: "measurement", offline: false, opener: Opener::KeyFile(&file) };
    Ok(Vault::create(env, ClusterId::new(env), &[slot], true)?.0.document_key())
}

fn change(env: &Env, id: &str, was: u64) -> Change {
    let draft = Draft {
        id: EntryId::new(env),
        actor: "ada".into(),
        action: "test.done",
        object: id.into(),
        session: None,
        facts: BTreeMap::new(),
    };
    Change::entry(draft).put(Put { id: DocId::new(id), was, kind: "thing", schema: 1, body: b"{}".to_vec() })
}

/// Opens the store as its node number `node`, which lists itself.
async fn open(env: &Env, place: &Place, key: &DocumentKey, node: u8) -> Result<Store, Failure> {
    let signer = Signer::new(ORIGIN, &Secret::new(vec![node; 32]))?;
    let (verifier, name) = (signer.verifier().clone(), format!("node-{node}"));
    let keys = NodeKeys { signer, origin: ORIGIN.into(), node: name.clone(), joining: true };
    let follower: Follower = Arc::new(|_, _| {});
    let (store, _) = Connected::open(place, true).await?.start(env.clone(), key.clone(), keys, follower).await?;
    let (nodes, was) = store.working(Nodes::of)?;
    let mut listing = change(env, "nodes", 0);
    listing.put = vec![nodes.with(&name, &verifier)?.put(was)];
    store.commit(listing).await?;
    Ok(store)
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
async fn write(env: Env, store: Store, id: String, told: Arc<Mutex<Told>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let was = store.working(|set| set.version(&DocId::new(&id)));
        let change = change(&env, &id, was);
        let entry = change.entry.id;
        let outcome = store.commit(change).await;
        let refused = outcome.is_err();
        if let Ok(mut told) = told.lock() {
            match outcome {
                Ok(_) => told.written.push((entry, Some(Instant::now()))),
                Err(Error::Unknown(_)) => told.unknown += 1,
                Err(_) => told.refused.push(entry),
            }
        }
        if refused {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn until(told: &Mutex<Told>, reached: impl Fn(&Told) -> bool) -> Result<(), Failure> {
    for _ in 0..12_000 {
        if told.lock().is_ok_and(|told| reached(&told)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("a minute was not enough".into())
}

/// One drill: seconds of refusal, acknowledged changes, those that are lost, doubled, and of unknown outcome.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
async fn drill(env: &Env) -> Result<(f64, usize, usize, usize, usize), Failure> {
    let mut primary = Postgres::start()?;
    let url = primary.database()?;
    let standby = primary.standby()?;
    let url = primary.url_with(&standby, url.rsplit('/').next().unwrap_or_default());
    let place = Place::server(&url, Some(&Secret::new(PASSWORD.to_owned())))?;
    let key = document_key(env)?;
    let (told, stop) = (Arc::new(Mutex::new(Told::default())), Arc::new(AtomicBool::new(false)));
    let (mut stores, mut writers) = (Vec::new(), Vec::new());
    for node in 1..=NODES {
        let store = open(env, &place, &key, node).await?;
        for writer in 0..WRITERS {
            let id = format!("doc-{node}-{writer}");
            writers.push(tokio::spawn(write(env.clone(), store.clone(), id, told.clone(), stop.clone())));
        }
        stores.push(store);
    }
    until(&told, |told| told.written.len() > LOAD).await?;
    let killed = Instant::now();
    primary.crash()?;
    let dead = Instant::now();
    standby.promote()?;
    let after = |told: &Told| told.written.iter().filter(|(_, at)| at.is_some_and(|at| at > dead)).count();
    until(&told, |told| after(told) > LOAD).await?;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await?;
    }
    let store = stores.first().ok_or("no node")?;
    let mut found: HashMap<EntryId, usize> = HashMap::new();
    for row in store.entries(&Filter { limit: 1_000_000, ..Filter::default() }).await? {
        *found.entry(row.entry.id).or_default() += 1;
    }
    for store in stores {
        store.close().await;
    }
    let told = told.lock().map_err(|_| "a writer has panicked")?;
    let first = told.written.iter().filter_map(|(_, at)| at.filter(|at| *at > dead)).min().ok_or("nothing after")?;
    let count = |wanted: fn(usize) -> bool| {
        told.written.iter().filter(|(id, _)| wanted(found.get(id).copied().unwrap_or(0))).count()
    };
    let written_though_refused = told.refused.iter().filter(|id| found.contains_key(id)).count();
    let doubled = count(|times| times > 1) + written_though_refused;
    Ok(((first - killed).as_secs_f64(), told.written.len(), count(|times| times == 0), doubled, told.unknown))
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let env = Env::system();
    let (mut seconds, mut all) = (Vec::new(), [0_usize; 4]);
    for _ in 0..RUNS {
        let (refused, acknowledged, lost, doubled, unknown) = drill(&env).await?;
        seconds.push((refused * 1000.0).round() / 1000.0);
        for (sum, value) in all.iter_mut().zip([acknowledged, lost, doubled, unknown]) {
            *sum += value;
        }
    }
    seconds.sort_by(f64::total_cmp);
    let [acknowledged, lost, doubled, unknown] = all;
    println!(
        "{{\"runs\": {RUNS}, \"nodes\": {NODES}, \"seconds_of_refusal\": {seconds:?}, \"acknowledged\": {acknowledged}, \
         \"lost\": {lost}, \"doubled\": {doubled}, \"unknown\": {unknown}}}"
    );
    Ok(())
}
