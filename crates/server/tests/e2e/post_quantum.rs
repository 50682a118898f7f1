//! Policy that demands a post-quantum exchange of keys: stock clients and targets that make one or do not, and the portal.

use crate::terminal::token;
use crate::tls::dial;
use sallyport_ssh_transport::link::{Bounds, Link, Said};
use sallyport_ssh_transport::wire::Put as _;
use sallyport_ssh_transport::{Leg, SERVICE_ACCEPT, SERVICE_REQUEST, Settings, Transport, auth, key};
use sallyport_testkit::browser::Browser;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{PASSWORD, Product, outcome};
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use serde_json::json;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

on_both!(who_exchanged_keys_by_less_than_policy_demands_is_told_what_does);

fn demand(product: &Product, legs: &str) {
    let limit =
        format!("@limit @post_quantum(\"{legs}\") permit (principal, action == Action::\"connect\", resource);\n");
    product.write_checkout(&limit).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
}

/// The gateway's host key, as its clients see it.
fn host_key(product: &Product) -> Vec<u8> {
    let port = product.ssh_port().to_string();
    let scanned = Command::new("ssh-keyscan").args(["-t", "ed25519", "-p", &port, "127.0.0.1"]).output().unwrap();
    let text = String::from_utf8(scanned.stdout).unwrap();
    let (_, text) = text.split_once("ssh-ed25519 ").unwrap();
    key::parse(&format!("ssh-ed25519 {}", text.trim())).unwrap()
}

/// What a client of ours is told that speaks ML-KEM first, as OpenSSH does from 9.9 on: what its command wrote, to either stream.
fn ours(product: &Product, command: &str) -> String {
    let random = Arc::new(|bytes: &mut [u8]| sallyport_model::Env::system().fill(bytes));
    let settings = Settings::client(vec![host_key(product)], random).post_quantum();
    let (token, port) = (token(product, "ada"), product.ssh_port());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let stream = dial(port).unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let mut leg = Leg::new(stream, Transport::new(Arc::new(settings)).unwrap());
        leg.send(|out| {
            out.byte(SERVICE_REQUEST);
            out.string(b"ssh-userauth");
        })
        .unwrap();
        assert_eq!(leg.receive().await.unwrap()[0], SERVICE_ACCEPT);
        leg.send(|out| auth::with_password(out, &format!("ada+{ACCOUNT}@web-1"), token.as_bytes())).unwrap();
        assert_eq!(leg.receive().await.unwrap()[0], auth::SUCCESS);
        assert_eq!(leg.transport().algorithms().unwrap().method.name(), "mlkem768x25519-sha256");
        leg.authenticated();
        let (link, _arrivals, driver) =
            Link::start(leg, Bounds { channels: 4, quiet: Duration::from_secs(30), patience: 2 });
        let driver = tokio::spawn(driver.run());
        let (mut read, write) = link.open("session", bytes::Bytes::new()).await.unwrap();
        let mut asked = Vec::new();
        asked.string(command.as_bytes());
        write.request("exec", true, asked.into()).unwrap();
        let mut shown = Vec::new();
        loop {
            match read.next().await {
                Said::Data(bytes) | Said::Extended(_, bytes) => shown.extend_from_slice(&bytes),
                Said::Close => break,
                _ => {}
            }
        }
        link.disconnect(11, "done");
        driver.await.unwrap();
        String::from_utf8(shown).unwrap()
    })
}

/// What the stock client does that speaks these methods alone, or what it speaks by itself.
fn stock(product: &Product, target: &str, methods: Option<&str>) -> (i32, String, String) {
    let mut ssh = product.ssh_at("ada", &format!("ada+{ACCOUNT}@{target}"));
    if let Some(methods) = methods {
        ssh.args(["-o", &format!("KexAlgorithms={methods}")]);
    }
    outcome(ssh.arg("echo reached").output().unwrap())
}

/// What was spoken in the last session.
fn spoken(product: &mut Product) -> String {
    product.idle().unwrap();
    product.newest_session().unwrap()["exchanges"].to_string()
}

fn who_exchanged_keys_by_less_than_policy_demands_is_told_what_does(product: &mut Product) {
    const PRIME: &str = "sntrup761x25519-sha512";
    demand(product, "client");
    for methods in ["curve25519-sha256", "curve25519-sha256@libssh.org"] {
        let (code, out, err) = stock(product, "web-1", Some(methods));
        assert!(code == 3 && out.is_empty(), "{code} {out} {err}");
        let spoke = format!("of the client's leg, which spoke `{methods}`");
        assert!(err.contains(&spoke) && err.contains(PRIME) && err.contains("OpenSSH 9.0"), "{err}");
    }
    let early = format!("{PRIME}@openssh.com");
    assert_eq!(stock(product, "web-1", Some(&early)), (0, "reached\n".into(), String::new()), "{}", product.log());
    let told = spoken(product);
    assert!(told.contains(&format!("client: {early}")), "{told}");
    assert_eq!(ours(product, "echo reached"), "reached\n", "{}", product.log());
    let told = spoken(product);
    assert!(told.contains("client: mlkem768x25519-sha256"), "{told}");
    let told = product.ok(&["ledger", "list", "--actions", "session.denied"]).unwrap();
    assert!(told.contains("which spoke `curve25519-sha256`"), "{told}");
    let why = product.ok(&["why", &format!("ada+{ACCOUNT}@web-1"), "connect"]).unwrap();
    assert!(why.contains("post_quantum") && why.contains("client"), "{why}");
    let mut browser = Browser::terminal(product, &token(product, "ada"), "web-1", ACCOUNT).unwrap();
    let closed = browser.until_told("closed").unwrap();
    assert!(closed.to_string().contains("came through the portal or the API"), "{closed}");

    demand(product, "both");
    assert_eq!(stock(product, "web-1", None), (0, "reached\n".into(), String::new()), "{}", product.log());
    let told = spoken(product);
    assert_eq!(told.matches(PRIME).count() + told.matches("mlkem768x25519-sha256").count(), 2, "{told}");
    let classic = Sshd::with(PASSWORD, "KexAlgorithms curve25519-sha256\n").unwrap();
    Api::new(product, product.token())
        .post(
            "/targets",
            &json!({
                "name": "classic", "host": "127.0.0.1", "port": classic.address().port(), "environment": "demo", "tier": 1,
                "tags": ["web"], "host_keys": [classic.host_key().unwrap()], "credential": {"password": PASSWORD},
                "account": {"name": ACCOUNT, "class": "standard"},
            }),
        )
        .is(201);
    let (code, out, told) = stock(product, "classic", None);
    assert!(code != 0 && out.is_empty(), "{code} {out}");
    assert!(told.contains("the target did not agree with us") && told.contains("OpenSSH 9.0"), "{told}");
}
