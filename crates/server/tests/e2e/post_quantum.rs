//! Policy that demands a post-quantum exchange of keys: stock clients of before, one that makes it, targets, and the portal.

use crate::terminal::token;
use crate::tls::dial;
use sallyport_ssh_transport::link::{Bounds, Link, Said};
use sallyport_ssh_transport::wire::Put as _;
use sallyport_ssh_transport::{Leg, SERVICE_ACCEPT, SERVICE_REQUEST, Settings, Transport, auth, key};
use sallyport_testkit::browser::Browser;
use sallyport_testkit::product::{Product, outcome};
use sallyport_testkit::sshd::ACCOUNT;
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

/// What a client of ours is told that speaks nothing but post-quantum methods: what its command wrote, to either stream.
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

fn who_exchanged_keys_by_less_than_policy_demands_is_told_what_does(product: &mut Product) {
    let stock = |product: &Product, methods: &str| {
        let mut ssh = product.ssh("ada");
        outcome(ssh.args(["-o", &format!("KexAlgorithms={methods}"), "echo reached"]).output().unwrap())
    };
    demand(product, "client");
    for methods in ["+curve25519-sha256", "curve25519-sha256@libssh.org"] {
        let (code, out, err) = stock(product, methods);
        assert!(code == 3 && out.is_empty(), "{code} {out} {err}");
        let spoke = format!("of the client's leg, which spoke `{}`", methods.trim_start_matches('+'));
        assert!(err.contains(&spoke) && err.contains("`mlkem768x25519-sha256`, such as that of OpenSSH 9.9"), "{err}");
    }
    assert_eq!(ours(product, "echo reached"), "reached\n", "{}", product.log());
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert!(session["exchanges"].to_string().contains("client: mlkem768x25519-sha256"), "{session}");
    let told = product.ok(&["ledger", "list", "--actions", "session.denied"]).unwrap();
    assert!(told.contains("which spoke `curve25519-sha256`"), "{told}");
    let why = product.ok(&["why", &format!("ada+{ACCOUNT}@web-1"), "connect"]).unwrap();
    assert!(why.contains("post_quantum") && why.contains("client"), "{why}");
    let mut browser = Browser::terminal(product, &token(product, "ada"), "web-1", ACCOUNT).unwrap();
    let closed = browser.until_told("closed").unwrap();
    assert!(closed.to_string().contains("came through the portal or the API"), "{closed}");

    // Debian's server speaks none: of both legs it is the target's that is told of.
    demand(product, "both");
    let told = ours(product, "echo reached");
    assert!(told.contains("the target did not agree with us") && told.contains("OpenSSH 9.9"), "{told}");
}
