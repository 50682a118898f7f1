//! The host key that clients know: one for all nodes, and the same one on a host that is installed anew.

use crate::product_on_server;
use sallyport_testkit::product::{Product, wait_for};
use std::fs;
use std::process::Command;

on_both!(a_host_that_lost_its_files_shows_the_same_key);

fn shown(product: &Product) -> String {
    wait_for("the host key", 20, || {
        let mut scan = Command::new("ssh-keyscan");
        scan.args(["-t", "ed25519", "-p", &product.ssh_port().to_string(), "127.0.0.1"]);
        let text = String::from_utf8(scan.output().unwrap().stdout).unwrap();
        text.split_once("ssh-ed25519 ").map(|(_, key)| key.trim().to_owned())
    })
    .unwrap()
}

fn a_host_that_lost_its_files_shows_the_same_key(product: &mut Product) {
    let known = shown(product);
    let told = product.ok(&["ledger", "list", "--actions", "gateway.host_key"]).unwrap();
    assert!(told.contains(&known), "{known} in {told}");
    product.stop().unwrap();
    fs::remove_dir_all(product.data().join("gateway")).unwrap();
    product.serve().unwrap();
    assert_eq!(shown(product), known);
    assert!(product.ssh("ada").arg("true").status().unwrap().success());
}

#[test]
fn every_node_shows_the_same_key_and_one_that_had_another_gives_it_up() {
    let one = product_on_server();
    let mut two = one.join("node-2").unwrap();
    let known = shown(&one);
    assert_eq!(shown(&two), known);
    // A host with files of an earlier installation.
    two.stop().unwrap();
    fs::write(two.data().join("gateway/ssh_host_ed25519"), [7; 32]).unwrap();
    two.serve().unwrap();
    wait_for("the common key", 30, || (shown(&two) == known).then_some(())).unwrap();
    wait_for("a session", 20, || two.ssh("ada").arg("true").status().ok().filter(|s| s.success())).unwrap();
}
