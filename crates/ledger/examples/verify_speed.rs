//! Prints how many entries a second are replayed, proved and appended, as JSON: `cargo run --release --example verify_speed`.

use sallyport_ledger::{Appender, Checkpoint, Entry, Replayer, leaf_hash, proof};
use sallyport_model::{EntryId, Env, SessionId, Timestamp};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

const ENTRIES: u32 = 200_000;

fn sample(env: &Env, n: u32) -> Entry {
    Entry {
        id: EntryId::new(env),
        at: Timestamp(i64::from(n)),
        node: "node-1".into(),
        actor: "anna".into(),
        action: "channel.opened".into(),
        object: "root@web-1".into(),
        session: Some(SessionId::new(env)),
        facts: BTreeMap::from([
            ("from".into(), "192.0.2.7".into()),
            ("kind".into(), "shell".into()),
            ("policy".into(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328".into()),
            ("reason".into(), "the disk of the web server is full".into()),
        ]),
    }
}

fn rate(count: u32, since: Instant) -> f64 {
    (f64::from(count) / since.elapsed().as_secs_f64()).round()
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
fn main() -> Result<(), Box<dyn Error>> {
    let env = Env::system();
    let entries = (0..ENTRIES).map(|n| sample(&env, n).encode()).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = entries.iter().map(Vec::len).sum();
    let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();

    let (mut appender, mut tiles) = (Appender::new(), BTreeMap::new());
    let start = Instant::now();
    for batch in leaves.chunks(256) {
        tiles.extend(appender.append(batch).tiles.into_iter().map(|tile| (tile.id, tile.bytes)));
    }
    let append = rate(ENTRIES, start);

    let checkpoint = Checkpoint::new("example", appender.size(), appender.root());
    let mut replayer = Replayer::new([checkpoint]);
    let start = Instant::now();
    for (entry, leaf) in entries.iter().zip(&leaves) {
        replayer.push(entry, Some(leaf))?;
    }
    replayer.finish()?;
    let replay = rate(ENTRIES, start);

    let start = Instant::now();
    for index in (0..u64::from(ENTRIES)).step_by(20) {
        proof::prove_inclusion(index, appender.size(), &tiles)?;
    }
    let prove = rate(ENTRIES / 20, start);
    println!(
        "{{\"entries\":{ENTRIES},\"bytes_per_entry\":{},\"append_per_s\":{append},\"replay_per_s\":{replay},\"prove_per_s\":{prove}}}",
        bytes / entries.len()
    );
    Ok(())
}
