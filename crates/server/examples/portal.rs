//! Prints what a first visit of the portal loads and when it can be used, how long a search among many targets takes in the
//! browser, and how smoothly a wall of sessions is drawn, as JSON: `cargo run --release --example portal [TARGETS]`, with `sallyport` built beside it and
//! `portal/dist` built before. SQLite, Debian's Chromium, loopback.

use anyhow::{Context as _, Result, ensure};
use sallyport_testkit::product::{Product, json};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many targets one apply brings: the body of a call is bounded.
const BATCH: usize = 20_000;
/// Running sessions on the wall.
const TILES: usize = 200;

fn main() -> Result<()> {
    let targets: usize = std::env::args().nth(1).map_or(Ok(50_000), |text| text.parse())?;
    let here = std::env::current_exe()?;
    let binary = here.ancestors().nth(2).context("no folder of examples")?.join("sallyport");
    let product = Product::start(&binary)?;
    for first in (0..targets).step_by(BATCH) {
        let mut text = String::new();
        for number in first..targets.min(first + BATCH) {
            write!(
                text,
                "[[target]]\nname = \"t-{number}\"\nhost = \"127.0.0.1\"\nenvironment = \"demo\"\ntier = 1\n\
                 tags = [\"web\"]\n[[target.account]]\nname = \"ops\"\nclass = \"standard\"\n"
            )?;
        }
        // An apply without policies would leave none.
        std::fs::create_dir_all(product.at("many"))?;
        std::fs::copy(product.at("checkout/ops.cedar"), product.at("many/ops.cedar"))?;
        std::fs::write(product.at("many/inventory.toml"), text)?;
        product.ok(&["apply", &product.at("many").display().to_string()])?;
    }
    let mut told = measured(&product, "figures", "ada", json!({ "targets": targets + 1 }))?;
    let wall = measured(&product, "wall", "carol", json!({ "tiles": TILES }))?;
    told.as_object_mut().context("no figures")?.insert("wall".into(), wall);
    print(&serde_json::to_string(&told)?);
    Ok(())
}

/// What a story of the portal measures, told by the browser of this person.
fn measured(product: &Product, story: &str, who: &str, mut facts: Value) -> Result<Value> {
    let link = json(&product.local(&["admin", "link", who, "--output", "json"])?)?;
    let known = facts.as_object_mut().context("no facts")?;
    known.insert("url".into(), product.url().replace("127.0.0.1", "localhost").into());
    known.insert("links".into(), json!({ who: link.get("link") }));
    let play = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../portal/tests/play.mjs");
    let mut node = Command::new("node").arg(play).arg(story).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    node.stdin.take().context("no input")?.write_all(facts.to_string().as_bytes())?;
    let output = node.wait_with_output()?;
    ensure!(output.status.success(), "the browser could not be measured: see above, and {}", product.log());
    json(&String::from_utf8(output.stdout)?)
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print(text: &str) {
    println!("{}", text.trim());
}
