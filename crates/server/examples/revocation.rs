//! Prints how long it takes from a kill or a change of policy on one node to the last byte that a client on another node
//! gets, as JSON: `cargo run --release --example revocation [RUNS]`, with `sallyport` built beside it. Two nodes on one
//! PostgreSQL, an OpenSSH target that writes without a pause, and the stock client. The time begins before the
//! command is started, so that its own start is in it.

use anyhow::{Context as _, Result, ensure};
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{Product, json, wait_for};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A client that reads what the target writes all the time.
struct Client {
    child: Child,
    /// When the last byte came, once it has ended.
    last: Receiver<Option<Instant>>,
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
fn client(product: &Product) -> Result<Client> {
    let mut command = product.ssh("ada");
    command.arg("while :; do echo x; sleep 0.005; done").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut output = child.stdout.take().context("no output")?;
    let mut first = [0];
    output.read_exact(&mut first).with_context(|| product.log())?;
    let (told, last) = channel();
    std::thread::spawn(move || {
        let (mut bytes, mut at) = ([0; 4096], None);
        while let Ok(1..) = output.read(&mut bytes) {
            at = Some(Instant::now());
        }
        let _ = told.send(at);
    });
    Ok(Client { child, last })
}

/// Milliseconds from an act on one node to the last byte on the other.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
fn until_silence(mut client: Client, act: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    act()?;
    let last = client.last.recv_timeout(Duration::from_secs(30)).context("the session goes on")?;
    client.child.wait()?;
    let last = last.context("nothing came")?;
    Ok(last.saturating_duration_since(start).as_secs_f64() * 1000.0)
}

fn live(product: &Product) -> Result<String> {
    let listed = || {
        let page = json(&product.ok(&["sessions", "--live", "--output", "json"]).ok()?).ok()?;
        Some(page.pointer("/items/0/id")?.as_str()?.to_owned())
    };
    wait_for("the session", 10, listed)
}

fn figures(mut waits: Vec<f64>) -> String {
    waits.sort_by(f64::total_cmp);
    let at = |part: usize| waits.get((waits.len() * part / 100).min(waits.len().saturating_sub(1))).copied();
    let (p50, p99, most) = (at(50), at(99), waits.last());
    format!(
        "{{\"runs\": {}, \"p50_ms\": {:.1}, \"p99_ms\": {:.1}, \"max_ms\": {:.1}}}",
        waits.len(),
        p50.unwrap_or_default(),
        p99.unwrap_or_default(),
        most.copied().unwrap_or_default()
    )
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
fn main() -> Result<()> {
    let runs: usize = std::env::args().nth(1).map_or(Ok(120), |text| text.parse())?;
    let own = std::env::current_exe()?;
    let binary: PathBuf =
        own.parent().and_then(|examples| examples.parent()).context("no directory")?.join("sallyport");
    ensure!(binary.is_file(), "build it first: cargo build --release --package sallyport-server");
    let server = Postgres::start_durable()?;
    let one = Product::start_on(&binary, &server)?;
    let two = one.join("node-2")?;
    let checkout = one.at("checkout").display().to_string();
    let (mut kills, mut policies) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let session = client(&two)?;
        let id = live(&one)?;
        kills.push(until_silence(session, || one.ok(&["kill", &id, "--reason", "measurement"]).map(drop))?);
        two.idle()?;

        let session = client(&two)?;
        live(&one)?;
        std::fs::write(one.at("checkout/ops.cedar"), "// nothing is permitted any more\n")?;
        policies.push(until_silence(session, || one.ok(&["apply", &checkout]).map(drop))?);
        two.idle()?;
        one.write_checkout("")?;
        one.ok(&["apply", &checkout])?;
        // The other node permits again once it has followed.
        wait_for("the policy on the other node", 10, || {
            two.ssh("ada").arg("true").stderr(Stdio::null()).status().ok().filter(|status| status.success())
        })?;
        two.idle()?;
    }
    println!("{{\"nodes\": 2, \"kill\": {}, \"policy\": {}}}", figures(kills), figures(policies));
    Ok(())
}
