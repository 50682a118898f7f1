//! Prints how many durable changes and entries a second are written to a file, and to a PostgreSQL server by
//! one node and by three, as JSON: `cargo run --release --example append_speed [DIRECTORY]`. The directory
//! decides which disk the file is on; the server's data is under the directory for temporary files.

use sallyport_ledger::Signer;
use sallyport_model::{ClusterId, EntryId, Env, Secret};
use sallyport_store::{Change, Connected, DocId, Draft, Error, Follower, NodeKeys, Nodes, Place, Put, Store};
use sallyport_testkit::postgres::{PASSWORD, Postgres};
use sallyport_vault::{DocumentKey, KeyFile, NewSlot, Opener, Vault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Writers that wait for their answers, over all nodes.
const WRITERS: u32 = 256;
/// What each of them writes.
const EACH: u32 = 100;
/// How long a steady load lasts, in seconds.
const STEADY: u32 = 5;
const ORIGIN: &str = "sallyport/measurement";

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn document_key(env: &Env) -> Result<DocumentKey, Failure> {
    let file = KeyFile::generate(env);
    let slot = NewSlot { label: "measurement", offline: false, opener: Opener::KeyFile(&file) };
    Ok(Vault::create(env, ClusterId::new(env), &[slot], true)?.0.document_key())
}

/// Opens the store as its node number `node`, which lists itself.
async fn open(env: &Env, place: &Place, key: &DocumentKey, node: u8) -> Result<Store, Failure> {
    let signer = Signer::new(ORIGIN, &Secret::new(vec![node; 32]))?;
    let verifier = signer.verifier().clone();
    let name = format!("node-{node}");
    let keys = NodeKeys { signer, origin: ORIGIN.into(), node: name.clone(), joining: true };
    let follower: Follower = Arc::new(|_, _| {});
    let connected = Connected::open(place, true).await?;
    let (store, _) = connected.start(env.clone(), key.clone(), keys, follower).await?;
    let (nodes, was) = store.working(Nodes::of)?;
    store.commit(Change::entry(draft(env)).put(nodes.with(&name, &verifier)?.put(was))).await?;
    Ok(store)
}

fn draft(env: &Env) -> Draft {
    let fact = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    Draft {
        id: EntryId::new(env),
        actor: "ada".into(),
        action: "channel.opened",
        object: "ops@web-1".into(),
        session: None,
        facts: BTreeMap::from([fact("channel", "channel:shell"), fact("detail", ""), fact("from", "192.0.2.7")]),
    }
}

fn document(id: String, was: u64) -> Put {
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(400));
    Put { id: DocId::new(id), was, kind: "thing", schema: 1, body: body.into_bytes() }
}

/// Median and 99th percentile, in milliseconds.
fn percentiles(mut waits: Vec<Duration>) -> (f64, f64) {
    waits.sort_unstable();
    let millis = |part: usize| waits.get(waits.len() * part / 100).map_or(0.0, |d| d.as_secs_f64() * 1000.0);
    (millis(50), millis(99))
}

/// Writers that never pause: what is written a second, and how long each waits.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
async fn saturated(env: &Env, stores: &[Store], documents: bool) -> Result<String, Failure> {
    let start = Instant::now();
    let mut writers = Vec::new();
    for (writer, store) in (0..WRITERS).zip(stores.iter().cycle()) {
        let (env, store) = (env.clone(), store.clone());
        writers.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            for was in 0..EACH {
                let mut change = Change::entry(draft(&env));
                if documents {
                    change = change.put(document(format!("doc_{writer}"), was.into()));
                }
                let asked = Instant::now();
                store.commit(change).await?;
                waits.push(asked.elapsed());
            }
            Ok::<_, Error>(waits)
        }));
    }
    let mut waits = Vec::new();
    for writer in writers {
        waits.extend(writer.await??);
    }
    let rate = (f64::from(WRITERS * EACH) / start.elapsed().as_secs_f64()).round();
    let (p50, p99) = percentiles(waits);
    Ok(format!("{{\"per_second\": {rate}, \"p50_ms\": {p50:.2}, \"p99_ms\": {p99:.2}}}"))
}

/// Changes that come at a steady rate, whether or not earlier ones were answered.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
async fn steady(env: &Env, stores: &[Store], rate: u32) -> Result<String, Failure> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut asked = Vec::new();
    for (number, store) in (0..rate * STEADY).zip(stores.iter().cycle()) {
        ticks.tick().await;
        let change = Change::entry(draft(env)).put(document(format!("steady_{number}"), 0));
        let store = store.clone();
        asked.push(tokio::spawn(async move {
            let start = Instant::now();
            store.commit(change).await.map(|_| start.elapsed())
        }));
    }
    let mut waits = Vec::new();
    for one in asked {
        waits.push(one.await??);
    }
    let (p50, p99) = percentiles(waits);
    Ok(format!("{{\"per_second\": {rate}, \"p50_ms\": {p50:.2}, \"p99_ms\": {p99:.2}}}"))
}

async fn measure(env: &Env, place: &Place, nodes: u8, rate: u32) -> Result<String, Failure> {
    let key = document_key(env)?;
    let mut stores = Vec::new();
    for node in 1..=nodes {
        stores.push(open(env, place, &key, node).await?);
    }
    let entries = saturated(env, &stores, false).await?;
    let changes = saturated(env, &stores, true).await?;
    let steady = steady(env, &stores, rate).await?;
    for store in stores {
        store.close().await;
    }
    Ok(format!("{{\"nodes\": {nodes}, \"entries\": {entries}, \"changes\": {changes}, \"steady_changes\": {steady}}}"))
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let env = Env::system();
    let directory = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into()))?;
    let file = measure(&env, &Place::file(&directory.path().join("measurement.db")), 1, 2000).await?;
    let server = Postgres::start_durable()?;
    let at = || -> Result<Place, Failure> {
        Ok(Place::server(&server.database()?, Some(&Secret::new(PASSWORD.to_owned())))?)
    };
    let one = measure(&env, &at()?, 1, 2000).await?;
    let three = measure(&env, &at()?, 3, 1500).await?;
    println!("{{\"writers\": {WRITERS}, \"sqlite\": {file}, \"postgresql\": [{one}, {three}]}}");
    Ok(())
}
