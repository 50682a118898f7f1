//! While the server runs: decisions read what was verified, and whatever is found in the way of the next commit ends in quarantine.

use super::attack_both;
use super::house::{House, Kind};
use crate::binary;
use sallyport_testkit::product::{Product, json, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

attack_both!(
    a_redirected_target_never_receives_a_credential,
    a_forged_head_or_entry_between_batches_ends_in_quarantine_and_a_revoked_session_stays_so,
);

/// An entry behind the newest one, which nobody signed.
const FORGED_ENTRY: &str =
    "INSERT INTO entries SELECT idx + 1, 'ent_forged', at, 'mallory', action, object, session, body
    FROM entries ORDER BY idx DESC LIMIT 1";
/// The head under another name.
const FORGED_HEAD: &str = "UPDATE head SET note = replace(note, 'sallyport', 'sallyp0rt')";

/// Listens where a redirected target would be; counts who comes.
fn trap() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, seen)
}

fn quarantined(product: &Product) -> u64 {
    let found = |status: serde_json::Value| status["quarantined"].as_u64().filter(|found| *found > 0);
    wait_for("the quarantine", 30, || product.status().ok().and_then(found)).unwrap()
}

fn a_redirected_target_never_receives_a_credential(kind: Kind) {
    let mut house = House::running(kind);
    let (port, seen) = trap();
    let real = house.product.target.address().port();
    let body = kind.bytes(&format!("replace({}, '\"port\":{real}', '\"port\":{port}')", kind.text()));
    house.sql(&format!("UPDATE documents SET body = {body} WHERE kind = 'target'"));
    let body = house.one(&format!("SELECT {} FROM documents WHERE kind = 'target'", kind.text()));
    assert!(body.contains(&port.to_string()));
    let product = &mut house.product;
    // While it runs, decisions read what was verified at start: the session goes where it always went.
    let out = product.ssh("ada").arg("echo still-here").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "still-here\n");
    product.kill("control").unwrap();
    assert_eq!(quarantined(product), 1);
    assert!(!product.ssh("ada").arg("true").status().unwrap().success());
    let (code, _, err) = product.run(&["ls"]).unwrap();
    assert!(code != 0 && err.contains("in quarantine"), "{err}");
    let (code, doctor, _) = product.run_local(&["doctor"]).unwrap();
    assert!(code == 1 && doctor.contains("in quarantine: target tgt_"), "{doctor}");
    let (_, shown, _) = product.run_local(&["quarantine", "show"]).unwrap();
    assert!(shown.contains("target tgt_"), "of a running node: {shown}");
    assert!(product.ok(&["status"]).unwrap().contains("IN QUARANTINE, 1 findings"));

    product.stop().unwrap();
    product.local(&["quarantine", "accept"]).unwrap();
    product.serve().unwrap();
    let said = product.ok(&["ledger", "list", "--actions", "quarantine.accepted"]).unwrap();
    assert!(said.contains("host healed the database: 1 findings") && said.contains("target tgt_"), "{said}");
    // The target is gone with what pointed elsewhere; the files bring it back, as they are in Git.
    assert!(!product.ssh("ada").arg("true").status().unwrap().success());
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 0, "somebody came to where the target was redirected to");
}

fn a_forged_head_or_entry_between_batches_ends_in_quarantine_and_a_revoked_session_stays_so(kind: Kind) {
    let mut house = House::running(kind);
    // A session, and its document as it was while it lived.
    let mut child = house.product.ssh("ada").arg("sleep 60").spawn().unwrap();
    wait_for("a live session", 10, || house.product.status().ok().filter(|s| s["sessions"] == 1)).unwrap();
    let row = house.row_of(house.product.database().unwrap_or("data"), "session", true);
    let id = house.product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    house.product.ok(&["kill", &id, "--reason", "drill"]).unwrap();
    wait_for("the end of the client", 10, || child.try_wait().unwrap()).unwrap();
    house.product.idle().unwrap();
    house.sql(&row);
    assert_eq!(house.product.status().unwrap()["sessions"], 0, "what is written beside it is not seen");
    // An entry that nobody signed: the next commit finds it in its way, and the process is replaced.
    house.sql(FORGED_ENTRY);
    let product = &mut house.product;
    assert_ne!(product.run(&["token"]).unwrap().0, 0, "acknowledged over an entry that nobody signed");
    assert_eq!(quarantined(product), 2);
    let (_, shown, _) = product.run_local(&["quarantine", "show", "--output", "json"]).unwrap();
    let findings = json(&shown).unwrap();
    let kinds: Vec<_> = findings.as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["entry", "session"], "{findings}");
    assert!(shown.contains("deleted by an entry of the ledger, and put back"), "{shown}");
    product.stop().unwrap();
    product.local(&["quarantine", "accept"]).unwrap();
    product.serve().unwrap();
    assert_eq!(product.status().unwrap()["sessions"], 0);
    assert!(product.ssh("ada").arg("true").status().unwrap().success());

    // A head that another key signed, written while the server runs.
    house.sql(FORGED_HEAD);
    let product = &house.product;
    let (code, ..) = product.run(&["token"]).unwrap();
    assert_ne!(code, 0, "nothing is acknowledged over a head that is not ours");
    quarantined(product);
    let output =
        Command::new(binary()).arg("--config").arg(product.at("sallyport.toml")).arg("doctor").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("in quarantine: ledger head"));
    assert!(product.ssh_at("ada", &format!("ada+{ACCOUNT}@web-1")).arg("true").status().is_ok_and(|s| !s.success()));
}

#[test]
fn two_nodes_meet_forgeries_between_their_batches_and_one_of_them_heals_for_both() {
    let mut house = House::running(Kind::Server);
    let mut two = house.product.join("node-2").unwrap();
    for node in [&house.product, &two, &house.product, &two] {
        node.ok(&["token", "carol"]).unwrap();
    }
    // Somebody gives themselves a role while both run: neither sees it.
    let body = Kind::Server.bytes("replace(convert_from(body, 'UTF8'), '\"ops\"', '\"sallyport:admin\"')");
    house.sql(&format!("UPDATE documents SET body = {body} WHERE kind = 'identity'"));
    house.sql(FORGED_ENTRY);
    for node in [&house.product, &two] {
        let (code, ..) = node.run(&["token", "carol"]).unwrap();
        assert_ne!(code, 0, "acknowledged over an entry that nobody signed");
        quarantined(node);
    }
    house.product.stop().unwrap();
    two.stop().unwrap();
    let (_, shown, _) = two.run_local(&["quarantine", "show"]).unwrap();
    assert!(shown.contains("nobody signed it") && shown.contains("identity idn_"), "{shown}");
    two.local(&["quarantine", "accept"]).unwrap();
    house.product.serve().unwrap();
    two.serve().unwrap();
    // What is gone stays gone on both, and the ledger says who took it out.
    for node in [&house.product, &two] {
        let said = node.ok(&["ledger", "list", "--actions", "quarantine.accepted"]).unwrap();
        assert!(said.contains("host healed the database"), "{said}");
        assert!(!node.ssh("ada").arg("true").status().unwrap().success());
    }

    // A head between batches: the node that has nothing to write finds it by following.
    house.sql(FORGED_HEAD);
    quarantined(&house.product);
    quarantined(&two);
}
