//! Prints how many durable changes and entries a second one node writes, as JSON:
//! `cargo run --release --example append_speed [DIRECTORY]`. The directory decides which disk is measured.

use sallyport_ledger::Signer;
use sallyport_model::{ClusterId, EntryId, Env, Secret};
use sallyport_store::{Change, Connected, DocId, Draft, Follower, NodeKeys, Put, Store};
use sallyport_vault::{KeyFile, NewSlot, Vault};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WRITERS: u32 = 256;
const EACH: u32 = 200;

type Failure = Box<dyn Error + Send + Sync>;

async fn open(env: &Env, path: &Path) -> Result<Store, Failure> {
    let file = KeyFile::generate(env);
    let slot = NewSlot::KeyFile { key: &file, label: "measurement", offline: false };
    let (vault, ..) = Vault::create(env, ClusterId::new(env), &[slot], true)?;
    let signer = Signer::new("sallyport/measurement", &Secret::new(vec![7; 32]))?;
    let keys = NodeKeys { signer, origin: "sallyport/measurement".into(), node: "node-1".into() };
    let follower: Follower = Arc::new(|_, _| {});
    let connected = Connected::open(path, true).await?;
    Ok(connected.start(env.clone(), vault.document_key(), keys, follower).await?.0)
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

/// Changes a second, and the median and 99th percentile of a writer's wait in milliseconds.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
async fn measure(env: &Env, store: &Store, documents: bool) -> Result<(f64, f64, f64), Failure> {
    let start = Instant::now();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (env, store) = (env.clone(), store.clone());
        writers.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            for was in 0..EACH {
                let mut change = Change::entry(draft(&env));
                if documents {
                    let body = format!("{{\"writer\":{writer},\"text\":\"{}\"}}", "x".repeat(400));
                    let id = DocId::new(format!("doc_{writer}"));
                    change = change.put(Put { id, was: was.into(), kind: "thing", schema: 1, body: body.into_bytes() });
                }
                let asked = Instant::now();
                store.commit(change).await?;
                waits.push(asked.elapsed());
            }
            Ok::<_, sallyport_store::Error>(waits)
        }));
    }
    let mut waits: Vec<Duration> = Vec::new();
    for writer in writers {
        waits.extend(writer.await??);
    }
    let total = start.elapsed();
    waits.sort_unstable();
    let millis = |part: usize| waits.get(waits.len() * part / 100).map_or(0.0, |d| d.as_secs_f64() * 1000.0);
    Ok(((f64::from(WRITERS * EACH) / total.as_secs_f64()).round(), millis(50), millis(99)))
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let env = Env::system();
    let directory = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into()))?;
    let store = open(&env, &directory.path().join("measurement.db")).await?;
    let (entries, entries_p50, entries_p99) = measure(&env, &store, false).await?;
    let (changes, changes_p50, changes_p99) = measure(&env, &store, true).await?;
    store.close().await;
    println!(
        "{{\"writers\": {WRITERS}, \"entries_per_second\": {entries}, \"entries_p50_ms\": {entries_p50:.2}, \
         \"entries_p99_ms\": {entries_p99:.2}, \"changes_per_second\": {changes}, \"changes_p50_ms\": {changes_p50:.2}, \
         \"changes_p99_ms\": {changes_p99:.2}}}"
    );
    Ok(())
}
