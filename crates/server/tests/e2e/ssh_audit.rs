//! What ssh-audit says of the gateway, as a server to people's clients and as a client of targets.

use crate::schema::tool;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{free_port, outcome, wait_for};
use serde_json::json;
use std::process::{Command, Stdio};

/// The lines that find fault, without those that stand for a client that has nothing against quantum computers yet.
fn faults(text: &str) -> Vec<&str> {
    let old = |line: &str| line.starts_with("(kex) curve25519-sha256") && line.contains("post-quantum");
    let fault = |line: &&str| (line.contains("[fail]") || line.contains("[warn]")) && !old(line);
    text.lines().filter(fault).collect()
}

fn offers_against_quantum_computers(out: &str, err: &str) {
    for method in ["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"] {
        assert!(out.lines().any(|line| line.split_whitespace().nth(1) == Some(method)), "{method}: {out}{err}");
    }
}

#[test]
fn the_gateway_is_without_fault_as_a_server() {
    let product = crate::product();
    let mut audit = Command::new(tool("ssh-audit"));
    audit.args(["-n", "-b", "--skip-rate-test", "-p", &product.ssh_port().to_string(), "127.0.0.1"]);
    let (_, out, err) = outcome(audit.output().unwrap());
    offers_against_quantum_computers(&out, &err);
    assert!(faults(&out).is_empty(), "{out}");
}

#[test]
fn the_gateway_is_without_fault_as_a_client() {
    let product = crate::product();
    let port = free_port().unwrap();
    let mut audit = Command::new(tool("ssh-audit"));
    audit.args(["-c", "-n", "-b", "-t", "30", "-p", &port.to_string()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut audit = audit.spawn().unwrap();
    let api = Api::new(&product, product.token());
    // It says nothing as a server: it looks at what the client offers, hangs up, and is done.
    wait_for("the auditor to see a client", 20, || {
        let _ = api.post("/targets/probe", &json!({"host": "127.0.0.1", "port": port}));
        audit.try_wait().unwrap()
    })
    .unwrap();
    let (_, out, err) = outcome(audit.wait_with_output().unwrap());
    offers_against_quantum_computers(&out, &err);
    assert!(faults(&out).is_empty(), "{out}");
}
