//! Certificates from an ACME directory: ordered, proven, shown, renewed; and what happens where there are none.

mod pebble;

use anyhow::Context as _;
use pebble::{Directory, Memory, NAME, wait};
use reqwest::{Certificate, Client};
use sallyport_testkit::product::{Product, wait_for};
use serde_json::Value;
use std::fs;
use std::process::Child;

/// A server that runs until this goes.
struct Running(Child);

impl Running {
    fn of(product: &Product) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(product.at("log")).unwrap();
        Self(product.local_command(&["serve"]).stderr(log).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// What the API answers to whoever trusts this authority and asks by name; the certificate that it showed.
fn ask(product: &Product, known: &Certificate, path: &str) -> reqwest::Result<(Value, Vec<u8>)> {
    let port = crate::tls::port(product);
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let client = Client::builder().tls_certs_only([known.clone()]).tls_info(true).resolve(NAME, here).build()?;
    let asked = client.get(format!("https://{NAME}:{port}/api/v1{path}")).bearer_auth(product.token());
    wait(async {
        let answer = asked.send().await?.error_for_status()?;
        let shown = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec();
        Ok((answer.json().await?, shown))
    })
}

/// Sentences and facts of these entries, newest first.
fn entries(product: &Product, known: &Certificate, action: &str) -> Vec<Value> {
    let (page, _) = ask(product, known, &format!("/ledger/entries?actions=certificate.{action}")).unwrap();
    page["items"].as_array().unwrap().clone()
}

/// Waits for what comes of a running server, be it at the second try, and shows its log where it does not come.
fn coming<T>(product: &Product, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_for(what, 150, probe).with_context(|| product.log()).unwrap()
}

fn stopped(mut product: Product) -> Product {
    product.stop().unwrap();
    product
}

#[test]
fn a_certificate_is_ordered_shown_and_renewed_in_time() {
    ordered_shown_and_renewed(Memory::None);
}

#[test]
fn a_name_that_the_directory_still_believes_is_not_proven_again() {
    ordered_shown_and_renewed(Memory::Long);
}

fn ordered_shown_and_renewed(memory: Memory) {
    let product = stopped(crate::product());
    let mut directory = Directory::away();
    directory.start_with(crate::tls::port(&product), 18, memory);
    directory.serve(&product);
    let server = Running::of(&product);
    let issuer = directory.issuer();
    let shown = || ask(&product, &issuer, "/status").ok().map(|(_, shown)| shown);
    let first = coming(&product, "a certificate of the directory", shown);
    let (code, out, err) = product.run_local(&["doctor"]).unwrap();
    assert!(out.contains("the API's certificate from https://localhost:"), "{code} {out}{err}");
    let again = || shown().filter(|now| *now != first);
    coming(&product, "the next certificate, with the first one still good", again);

    assert_eq!(entries(&product, &issuer, "failed"), Vec::<Value>::new(), "{}", product.log());
    assert_eq!(entries(&product, &issuer, "account").len(), 1, "one account for all orders");
    assert_eq!(entries(&product, &issuer, "ordered").len(), 2);
    let issued = entries(&product, &issuer, "issued");
    assert!(issued[0]["sentence"].as_str().unwrap().contains(NAME), "{issued:?}");

    // The vault has it: a host that is installed anew shows it without an order.
    drop(server);
    let file = product.data().join("keys/tls-acme.pem");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("PRIVATE KEY") && text.contains("BEGIN CERTIFICATE"));
    fs::remove_file(&file).unwrap();
    let _server = Running::of(&product);
    wait_for("the file", 30, || fs::read_to_string(&file).ok().filter(|now| *now == text)).unwrap();
}

/// The authority that the product made for itself.
fn own(product: &Product) -> Option<Certificate> {
    Certificate::from_pem(&fs::read(product.data().join("keys/tls-ca.pem")).ok()?).ok()
}

#[test]
fn a_directory_that_is_away_or_refuses_leaves_the_service_up() {
    let product = stopped(crate::product());
    let mut directory = Directory::away();
    directory.serve(&product);
    let _server = Running::of(&product);
    let served = || own(&product).filter(|own| ask(&product, own, "/status").is_ok());
    let known = coming(&product, "the API under its own authority", served);
    let failed = || entries(&product, &known, "failed").into_iter().next();
    let first = coming(&product, "a failed order", failed);
    assert!(first["facts"]["why"].as_str().unwrap().contains("is not reached"), "{first}");
    let (_, out, _) = product.run_local(&["doctor"]).unwrap();
    assert!(out.contains("WRONG  no certificate from") && out.contains("not reached"), "{out}");

    // It is back, and looks where nobody shows the proof.
    directory.start(1, 60);
    let refused = || failed().filter(|entry| entry["facts"]["why"].as_str().unwrap().contains("directory refused"));
    let entry = coming(&product, "a refused order", refused);
    assert!(entry["facts"]["why"].as_str().unwrap().contains("port 443"), "{entry}");
    assert!(ask(&product, &known, "/status").is_ok(), "served on under its own authority");
    assert!(ask(&product, &directory.issuer(), "/status").is_err());
}

#[test]
fn nodes_share_one_certificate_and_each_of_them_can_prove_the_name() {
    let one = crate::product_on_server();
    let two = stopped(one.join("node-2").unwrap());
    let one = stopped(one);
    let mut directory = Directory::away();
    directory.serve(&one);
    directory.serve(&two);
    let _servers = [Running::of(&one), Running::of(&two)];
    // The directory asks the second node, whichever has ordered: so it is there once both of them are.
    for node in [&one, &two] {
        coming(node, "the API", || crate::tls::dial(crate::tls::port(node)).ok());
    }
    directory.start(crate::tls::port(&two), 3600);
    let issuer = directory.issuer();
    let shown = |product: &Product| coming(product, "the certificate", || ask(product, &issuer, "/status").ok()).1;
    assert_eq!(shown(&one), shown(&two));
    assert_eq!(entries(&one, &issuer, "issued").len(), 1);
}
