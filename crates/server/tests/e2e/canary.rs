//! The canary scan: a thousand secrets are stored, used, replaced, mistyped and killed over, and none leaves a trace.

use crate::backup::{backed_up, identity};
use crate::binary;
use reqwest::Method;
use sallyport_testkit::canary::{Canaries, canary, encodings};
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{PASSWORD, Product, json, outcome, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::{Value, json as value};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;

const ACCOUNTS: usize = 100;
const STORED: usize = 1000;
const TYPED: usize = 20;
const MISPLACED: usize = 20;

/// The API, by hand: bodies as they come.
/// How much of a stream of events is read.
const STREAM: std::time::Duration = std::time::Duration::from_secs(2);

struct Api {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
}

impl Api {
    fn of(product: &Product) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: reqwest::Client::new(), url: product.url().to_owned() }
    }

    fn send(&self, method: Method, path: &str, token: &str, body: Option<String>) -> Option<(u16, Vec<u8>)> {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        let request = request.timeout(std::time::Duration::from_secs(20));
        let request = body.into_iter().fold(request, |r, body| r.header("content-type", "application/json").body(body));
        self.runtime.block_on(async {
            let mut response = request.send().await.ok()?;
            let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
            let endless = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
            let (status, until) = (response.status().as_u16(), tokio::time::Instant::now() + STREAM);
            let mut said = Vec::new();
            loop {
                let chunk = response.chunk();
                // Of what never ends, its beginning is read.
                let chunk =
                    if endless { tokio::time::timeout_at(until, chunk).await.unwrap_or(Ok(None)) } else { chunk.await };
                match chunk.ok()? {
                    Some(bytes) => said.extend_from_slice(&bytes),
                    None => return Some((status, said)),
                }
            }
        })
    }
}

fn accounts(product: &Product) {
    let path = product.at("checkout/inventory.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for n in 0..ACCOUNTS {
        text.push_str(&format!("[[target.account]]\nname = \"c{n}\"\nclass = \"standard\"\n"));
    }
    fs::write(&path, text).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
}

/// Ten versions for each account, with control killed in between: what was not acknowledged is sent again.
fn store(product: &Product, api: &Api, canaries: &mut Canaries, secrets: &[String]) {
    for (n, secret) in secrets.iter().enumerate() {
        if n == 300 {
            product.kill("control").unwrap();
        }
        if n == 500 {
            product.ok(&["vault", "rotate-epoch"]).unwrap();
        }
        let body = value!({ "account": format!("c{}@web-1", n % ACCOUNTS), "password": secret }).to_string();
        let put = || api.send(Method::POST, "/api/v1/vault/secrets", product.token(), Some(body.clone()));
        let stored = wait_for("the secret to be stored", 30, || {
            let (status, said) = put()?;
            canaries.bytes("answer to a stored secret", &said);
            (status == 200).then_some(())
        });
        stored.unwrap();
    }
}

/// Secrets where none belongs: every answer is searched.
fn misplace(product: &Product, api: &Api, canaries: &mut Canaries, secrets: &[String]) {
    let mut secrets = secrets.iter();
    let mut next = || secrets.next().unwrap().clone();
    let asks = [
        ("/api/v1/vault/secrets", value!({ "account": "nobody@web-1", "password": next() })),
        ("/api/v1/vault/secrets", value!({ "account": "c0@web-1", "password": next(), "generate": "password" })),
        ("/api/v1/vault/secrets", value!({ "account": "c0@web-1", "password": [next()] })),
        ("/api/v1/vault/secrets", value!({ "account": "c0@web-1", "ssh_key": next() })),
        ("/api/v1/vault/secrets", value!({ "account": "c0@web-1", "password": { "text": next() } })),
        ("/api/v1/vault/unseal", value!({ "passphrase": next() })),
        ("/api/v1/vault/unseal", value!({ "key_file": next() })),
        ("/api/v1/vault/unseal", value!({ "share": next() })),
        ("/api/v1/vault/unseal", value!({ "pkcs11": next() })),
        ("/api/v1/vault/unseal/cancel", value!({ "share": next() })),
        ("/api/v1/vault/slots/confirm", value!({ "share": next() })),
        ("/api/v1/vault/slots", value!({ "label": "x", "kind": "passphrase", "passphrase": [next()] })),
    ];
    for (path, ask) in asks {
        let text = ask.to_string();
        for body in [text.clone(), text.trim_end_matches('}').to_owned(), format!("{text}x")] {
            let (status, said) = api.send(Method::POST, path, product.token(), Some(body)).unwrap();
            assert!(status >= 400, "{path} {text}: {status}");
            canaries.bytes(&format!("the refusal of {path}"), &said);
        }
    }
    let (status, said) = api.send(Method::GET, "/api/v1/me", next().get(..16).unwrap(), None).unwrap();
    assert_eq!(status, 401);
    canaries.bytes("the refusal of a token", &said);
    for args in
        [&["vault", "put", "nobody@web-1", "--password-stdin"][..], &["vault", "slot", "confirm", "--share-stdin"]]
    {
        let error = product.stdin(args, &next()).err().unwrap().to_string();
        canaries.bytes("what the command line says", error.as_bytes());
    }
    let mut guess = product.local_command(&["rollback", "show", "--passphrase-stdin"]);
    let mut child = guess.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", next()).unwrap();
    let (_, out, err) = outcome(child.wait_with_output().unwrap());
    canaries.bytes("what a command on the host says", format!("{out}{err}").as_bytes());
    // While the vault is sealed, what is typed wrong is kept for the ledger.
    product.ok(&["vault", "seal"]).unwrap();
    let error = product.stdin(&["vault", "unseal", "--passphrase-stdin"], &next()).err().unwrap().to_string();
    canaries.bytes("the refusal of a passphrase", error.as_bytes());
    product
        .ok(&["vault", "unseal", "--key-file", &product.data().join("keys/vault.key").display().to_string()])
        .unwrap();
    product.ready().unwrap();
}

/// Sessions that use what is stored, and one into which secrets are typed while its gateway dies.
fn use_them(product: &Product, typed: &[String]) -> [String; 2] {
    let plain = || outcome(product.ssh("ada").arg("echo plain").output().ok()?).1.contains("plain").then_some(());
    wait_for("a session", 20, plain).unwrap();
    product.idle().unwrap();
    let first = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    // The target does not know these accounts: the credential is lent, sent, and refused there.
    assert_ne!(outcome(product.ssh_at("ada", "ada+c0@web-1").arg("id").output().unwrap()).0, 0);
    assert_ne!(outcome(product.ssh_at("bob", &format!("bob+{ACCOUNT}@web-1")).arg("id").output().unwrap()).0, 0);
    let mut child = product.ssh("ada").arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for secret in typed {
        writeln!(input, "{secret}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), secret);
    }
    product.kill("gateway").unwrap();
    child.wait().unwrap();
    product.ready().unwrap();
    product.idle().unwrap();
    [first, product.newest_session().unwrap()["id"].as_str().unwrap().to_owned()]
}

/// Every answer that the API has, for the administrator and for the auditor.
fn read_everything(api: &Api, canaries: &mut Canaries, tokens: [&str; 2], session: &str) -> usize {
    let (_, document) = api.send(Method::GET, "/api/v1/openapi.json", tokens[0], None).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let mut read = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_none() {
            continue;
        }
        let path = path.replace("{id}", session);
        let path = if path.ends_with("/why") { format!("{path}?address=ada%2Bc0@web-1&action=connect") } else { path };
        let path = if path.ends_with("/entries") { format!("{path}?limit=1000") } else { path };
        for token in tokens {
            let (status, said) = api.send(Method::GET, &path, token, None).unwrap();
            assert!(status < 500, "{path}: {status}");
            canaries.bytes(&format!("GET {path}"), &said);
            read += usize::from(status == 200);
        }
    }
    read
}

fn clean(canaries: &mut Canaries, what: &str, places: usize) {
    let (traces, searched) = canaries.take();
    assert!(traces.is_empty(), "{what}: {traces:#?}");
    assert!(searched.places >= places && searched.bytes > 0, "{what}: {searched:?}");
}

fn scan(mut product: Product, database: Option<&Path>) {
    // What the programs of the house put aside goes where it is searched.
    let temporary = product.at("tmp");
    fs::create_dir(&temporary).unwrap();
    product.stop().unwrap();
    product.surround("TMPDIR", &temporary);
    product.serve().unwrap();
    let mut secrets: Vec<String> = (0..STORED + TYPED + MISPLACED).map(|_| canary().unwrap()).collect();
    let typed = secrets.split_off(STORED);
    let (typed, misplaced) = typed.split_at(TYPED);
    let all = [&secrets[..], typed, misplaced, &[PASSWORD.to_owned()]].concat();
    let mut canaries = Canaries::new(&all).unwrap();
    let api = Api::of(&product);

    accounts(&product);
    store(&product, &api, &mut canaries, &secrets);
    clean(&mut canaries, "answers to stored secrets", STORED);
    let [plain, into] = use_them(&product, typed);
    misplace(&product, &api, &mut canaries, misplaced);
    clean(&mut canaries, "refusals", 30);
    product.ok(&["vault", "rotate-root"]).unwrap();
    let auditor = json(&product.ok(&["token", "carol", "--output", "json"]).unwrap()).unwrap();
    let tokens = [product.token(), auditor["token"].as_str().unwrap()];
    let read = read_everything(&api, &mut canaries, tokens, &plain);
    assert!(read > 20, "{read} answers");
    clean(&mut canaries, "answers of the API", read);
    for pid in [product.parent().unwrap(), product.pid("control").unwrap(), product.pid("gateway").unwrap()] {
        canaries.process(pid).unwrap();
    }
    clean(&mut canaries, "processes", 9);

    let (identity, recipient) = identity(&product, "identity");
    let file = backed_up(&product, &recipient);
    for running in [true, false] {
        if !running {
            product.stop().unwrap();
        }
        canaries.tree(&product.at("")).unwrap();
        database.into_iter().for_each(|directory| canaries.tree(directory).unwrap());
        clean(&mut canaries, "files", 15);
    }
    let keys = age::IdentityFile::from_file(identity).unwrap().into_identities().unwrap();
    let opened = age::Decryptor::new_buffered(BufReader::new(fs::File::open(&file).unwrap())).unwrap();
    let inside = opened.decrypt(keys.iter().map(|key| -> &dyn age::Identity { &**key })).unwrap();
    canaries.stream("the backup, opened", inside).unwrap();
    clean(&mut canaries, "the backup, opened", 1);

    // The search can fail: what was typed is where it must be, and each encoding is found where it is planted.
    product.serve().unwrap();
    let shown = product.as_carol(&["play", &into]).unwrap();
    canaries.bytes("what was typed, replayed", shown.as_bytes());
    let (traces, _) = canaries.take();
    let found = |n: usize| traces.iter().any(|trace| trace.secret == STORED + n && trace.encoding == "raw");
    assert!((0..TYPED).all(found), "{traces:?}");
    assert!(traces.iter().all(|trace| (STORED..STORED + TYPED).contains(&trace.secret)), "{traces:?}");
    for (encoding, bytes) in encodings(&secrets[7]) {
        let planted = product.data().join("journal/planted");
        fs::write(&planted, [b"before ", &bytes[..], b" behind"].concat()).unwrap();
        canaries.tree(&product.data().join("journal")).unwrap();
        fs::remove_file(&planted).unwrap();
        let (traces, _) = canaries.take();
        assert!(traces.iter().any(|trace| trace.secret == 7 && trace.encoding == encoding), "{encoding}: {traces:?}");
    }
}

#[test]
fn no_secret_leaves_a_trace_with_the_store_in_a_file() {
    scan(Product::start(binary()).unwrap(), None);
}

#[test]
fn no_secret_leaves_a_trace_with_the_store_on_postgresql() {
    let server = Postgres::start().unwrap();
    scan(Product::start_on(binary(), &server).unwrap(), Some(server.directory()));
}
