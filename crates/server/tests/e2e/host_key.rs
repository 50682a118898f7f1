//! The host key that clients know: one for all nodes, and the same one on a host that is installed anew.

use crate::{product, product_on_server};
use sallyport_testkit::product::{Product, json, outcome, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// What the server tells ada, who has no right but to her target.
fn told(product: &Product, args: &[&str]) -> String {
    let token = json(&product.ok(&["token", "ada", "--output", "json"]).unwrap()).unwrap();
    let mut command = product.command(args);
    let (code, out, err) = outcome(command.env("SALLYPORT_TOKEN", token["token"].as_str().unwrap()).output().unwrap());
    assert_eq!(code, 0, "{err}");
    out
}

/// The stock client with ada's key, which believes what this file says and nothing else.
fn strict(product: &Product, known: &Path, args: &[&str]) -> (i32, String, String) {
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]);
    ssh.arg("-o").arg(format!("UserKnownHostsFile={}", known.display())).args(["-o", "IdentitiesOnly=yes", "-i"]);
    outcome(ssh.arg(product.at("ada")).args(args).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn what_config_prints_leads_the_stock_client_to_a_gateway_that_listens_everywhere() {
    let mut product = product();
    let (config, known, plain) = (product.at("ssh.conf"), product.at("known"), product.at("plain"));
    let (port, key) = (product.ssh_port().to_string(), shown(&product));
    for (public, host) in [(None, "localhost"), (Some("127.0.0.1"), "127.0.0.1")] {
        product.stop().unwrap();
        product.surround("SALLYPORT__SSH__LISTEN", Path::new(&format!("0.0.0.0:{port}")));
        if let Some(public) = public {
            product.surround("SALLYPORT__SSH__PUBLIC", Path::new(public));
        }
        product.serve().unwrap();
        let blocks = told(&product, &["config", "ssh"]);
        assert!(blocks.contains(&format!("\n  HostName {host}\n  Port {port}\n")), "{blocks}");
        let lines = told(&product, &["config", "known-hosts"]);
        let place = format!("[{host}]:{port}");
        assert!(lines.contains(&format!("\nsallyport,{place} ssh-ed25519 {key}\n")), "{lines}");
        fs::write(&config, &blocks).unwrap();
        // The authority is believed by the name of the gateway, as soon as that has its certificate; and so is the key alone.
        let authority = lines.lines().filter(|line| line.starts_with("@cert-authority sallyport,localhost"));
        fs::write(&known, authority.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        fs::write(&plain, format!("{}\n", lines.lines().last().unwrap())).unwrap();
        let login = format!("ada+{ACCOUNT}@web-1@{host}");
        let certified = || {
            let (code, out, _) = strict(&product, &known, &["-F", "none", "-p", &port, &login, "echo here"]);
            (code == 0).then_some(out)
        };
        assert_eq!(wait_for("a gateway that is known", 20, certified).unwrap(), "here\n");
        for known in [&known, &plain] {
            let (code, out, err) =
                strict(&product, known, &["-F", &config.display().to_string(), "web-1", "echo there"]);
            assert_eq!((code, out.as_str()), (0, "there\n"), "{err}");
        }
        let (code, out, err) = strict(&product, &plain, &["-F", "none", "-p", &port, &login, "echo here"]);
        assert_eq!((code, out.as_str()), (0, "here\n"), "{err}");
        // What staff see of the authorities has the same lines.
        let cas = product.ok(&["vault", "ca"]).unwrap();
        assert!(!cas.contains("@cert-authority *") && cas.contains(lines.lines().last().unwrap()), "{cas}");
        let (_, doctor, _) = product.run_local(&["doctor"]).unwrap();
        assert!(
            public.is_none() || doctor.contains(&format!("SSH clients are told to connect to 127.0.0.1:{port}")),
            "{doctor}"
        );
    }
}
