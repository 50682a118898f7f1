//! What a client of OpenSSH knows becomes a target that works.

use crate::product;
use sallyport_testkit::product::{PASSWORD, outcome};
use sallyport_testkit::sshd::ACCOUNT;
use std::fs;

#[test]
fn a_host_that_a_client_knows_becomes_a_target_that_works() {
    let product = product();
    let port = product.target.address().port();
    let config = format!("Host Box-7\n  HostName 127.0.0.1\n  Port {port}\n  User {ACCOUNT}\n");
    fs::write(product.at("config"), config).unwrap();
    fs::write(product.at("known"), format!("[127.0.0.1]:{port} {}\n", product.target.host_key().unwrap())).unwrap();
    let at = |name: &str| product.at(name).display().to_string();
    let (config, known, into) = (at("config"), at("known"), at("checkout/imported.toml"));
    let args = ["import", "--ssh-config", &config, "--known-hosts", &known, "--tag", "web", "--environment", "demo"];
    let shown = product.ok(&args).unwrap();
    assert!(shown.contains("box-7") && shown.contains("Nothing is written"), "{shown}");
    let written = product.ok(&[&args[..], &["--into", &into]].concat()).unwrap();
    assert!(written.contains("run `sallyport plan`"), "{written}");
    let plan = product.ok(&["plan", &at("checkout")]).unwrap();
    assert!(plan.contains("+ target") && plan.contains("box-7"), "{plan}");
    product.ok(&["apply", &at("checkout")]).unwrap();
    product.stdin(&["vault", "put", &format!("{ACCOUNT}@box-7"), "--password-stdin"], PASSWORD).unwrap();
    let session = product.ssh_at("ada", &format!("{ACCOUNT}@box-7")).arg("echo reached").output().unwrap();
    assert_eq!(outcome(session).1, "reached\n");
}
