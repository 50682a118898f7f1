//! Prints what the API carries, as JSON: `cargo run --release --example api`, with `sallyport` built beside it and `wrk`
//! installed. Reads of a list with authorisation, sign-ins with password and app, and the memory of control at rest, with
//! a hundred targets. Load and server share the cores.

use anyhow::{Context as _, Result, ensure};
use reqwest::header::{AUTHORIZATION, COOKIE, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method};
use sallyport_testkit::product::{Product, json};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use totp_rs::{Builder, Secret, Totp};

const TARGETS: u32 = 100;
const PEOPLE: u8 = 64;
/// People who sign in at the same time.
const AT_ONCE: usize = 8;
/// How long a load lasts, and on how many connections.
const SECONDS: &str = "10";
const CONNECTIONS: &str = "32";
const WORDS: &str = "four quiet words here";

/// Applies a hundred targets more.
fn furnish(product: &Product) -> Result<()> {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut text = String::new();
    for number in 0..TARGETS {
        write!(
            text,
            "[[target]]\nname = \"host-{number}\"\nhost = \"192.0.2.1\"\nport = 22\ntier = 1\nenvironment = \"demo\"\n\
             tags = [\"web\"]\nhost_keys = [\"{key}\"]\n[[target.account]]\nname = \"deploy\"\nclass = \"standard\"\n"
        )?;
    }
    std::fs::write(product.at("checkout/more.toml"), text)?;
    product.ok(&["apply", &product.at("checkout").display().to_string()]).map(drop)
}

/// Memory of control, in MiB.
fn memory(product: &Product) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", product.pid("control")?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// What `wrk` measures of one path: requests a second, and latencies as it writes them.
fn load(product: &Product, path: &str) -> Result<Value> {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", CONNECTIONS, "--duration", SECONDS, "--latency"]);
    wrk.args(["--header", &format!("Authorization: Bearer {}", product.token())]);
    let output = wrk.arg(format!("{}/api/v1{path}", product.url())).output().context("install wrk")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success() && !text.contains("Non-2xx"), "{path}: {text}");
    let told = |begin: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(begin));
        line.map(|rest| rest.trim_start_matches(':').trim().to_owned()).with_context(|| text.clone())
    };
    let rate = told("Requests/sec")?.parse::<f64>()?.round();
    Ok(json!({ "path": path, "per_second": rate, "p50": told("50%")?, "p99": told("99%")? }))
}

/// Somebody with a password, an app and an address of their own: tries are counted by address, too.
struct Person {
    client: Client,
    handle: String,
    app: Totp,
}

/// A call of a browser; the body and the cookie that came.
async fn call(client: &Client, product: &Product, path: &str, body: Value, cookie: &str) -> Result<(Value, String)> {
    let asked = client.request(Method::POST, format!("{}/api/v1{path}", product.url())).json(&body);
    let asked = asked.header(ORIGIN, product.url()).header(COOKIE, cookie);
    let answer = asked.send().await?;
    let set = answer.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
    let cookie = set.and_then(|text| text.split(';').next()).unwrap_or(cookie).to_owned();
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{path}: {status} {text}");
    Ok((serde_json::from_str(&text).unwrap_or_default(), cookie))
}

async fn enrol(product: &Product, number: u8) -> Result<Person> {
    let client = Client::builder().local_address(IpAddr::from([127, 0, 2, number])).build()?;
    let handle = format!("person-{number}");
    let asked = client.post(format!("{}/api/v1/users", product.url()));
    let asked = asked.header(AUTHORIZATION, format!("Bearer {}", product.token()));
    let made: Value = asked.json(&json!({ "handle": handle, "groups": [] })).send().await?.json().await?;
    let link = made.get("link").and_then(Value::as_str).with_context(|| made.to_string())?;
    let token = link.rsplit('/').next().context("no token")?;
    let (_, cookie) = call(&client, product, "/enroll", json!({ "token": token, "password": WORDS }), "").await?;
    let (new, cookie) = call(&client, product, "/me/totp/begin", json!({}), &cookie).await?;
    let secret = new.get("secret").and_then(Value::as_str).context("no secret")?;
    let secret = Secret::try_from_base32(secret).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let app = Builder::new().with_secret(secret).with_account_name("x").with_issuer(Some("x")).build();
    let app = app.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let code = app.generate_current().to_string();
    call(&client, product, "/me/totp", json!({ "code": code, "label": "phone" }), &cookie).await?;
    Ok(Person { client, handle, app })
}

async fn sign_in(product: &Product, Person { client, handle, app }: &Person) -> Result<()> {
    let first = json!({ "handle": handle, "password": WORDS });
    let (_, cookie) = call(client, product, "/sign-in", first, "").await?;
    let code = json!({ "code": app.generate_current().to_string() });
    let (done, _) = call(client, product, "/sign-in/totp", code, &cookie).await?;
    ensure!(done.get("state").is_some_and(|state| state == "in"), "{done}");
    Ok(())
}

/// Sign-ins a second, with so many people at once.
#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
async fn sign_ins(product: &Product) -> Result<f64> {
    let mut people = Vec::new();
    for number in 1..=PEOPLE {
        people.push(enrol(product, number).await?);
    }
    // The codes of these thirty seconds are used: the next ones are good, and all of them fit into one step or the next.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    tokio::time::sleep(Duration::from_secs(31_u64.saturating_sub(now.as_secs() % 30))).await;
    let start = Instant::now();
    let crowd = people.chunks(people.len().div_ceil(AT_ONCE)).map(|some| async move {
        for person in some {
            sign_in(product, person).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    futures_util::future::try_join_all(crowd).await?;
    Ok(f64::from(PEOPLE) / start.elapsed().as_secs_f64())
}

#[expect(clippy::print_stdout, reason = "the figures are what this example is for")]
fn main() -> Result<()> {
    let own = std::env::current_exe()?;
    let binary: PathBuf =
        own.parent().and_then(|examples| examples.parent()).context("no directory")?.join("sallyport");
    ensure!(binary.is_file(), "build it first: cargo build --release --package sallyport-server");
    let mut product = Product::start(&binary)?;
    furnish(&product)?;
    product.stop()?;
    product.serve()?;
    json(&product.ok(&["status", "--output", "json"])?)?;
    let at_rest = memory(&product)?;
    let reads = ["/status", "/targets?limit=50", "/targets/host-7", "/reach"].map(|path| load(&product, path));
    let reads = reads.into_iter().collect::<Result<Vec<_>>>()?;
    let after = memory(&product)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let per_second = runtime.block_on(sign_ins(&product))?;
    let figures = json!({
        "targets": TARGETS + 1,
        "control_at_rest_mib": at_rest,
        "control_after_reads_mib": after,
        "connections": CONNECTIONS,
        "reads": reads,
        "sign_ins_per_second": (per_second * 10.0).round() / 10.0,
    });
    println!("{figures}");
    Ok(())
}
