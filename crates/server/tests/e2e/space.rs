//! Space for recordings: a quota, a full disk, and what goes by the rule of retention.

use crate::backup::Small;
use crate::freeze::{Echo, pulse};
use crate::product;
use sallyport_testkit::product::{Product, json, outcome, wait_for};
use std::fs;

fn level(product: &Product, wanted: &str) {
    wait_for(&format!("the level `{wanted}`"), 20, || product.status().ok().filter(|s| s["space"] == wanted)).unwrap();
}

/// A session whose recording does not compress: so many bytes of noise.
fn noisy(product: &Product, bytes: usize) {
    let command = format!("head -c {bytes} /dev/urandom");
    let output = product.ssh("ada").arg(command).output().unwrap();
    assert_eq!(output.stdout.len(), bytes, "{}", product.log());
    product.idle().unwrap();
}

#[test]
fn sessions_are_refused_before_the_quota_is_full_and_begin_again_when_there_is_room() {
    let mut product = product();
    product.stop().unwrap();
    product.configure("[space]\nquota = \"1MiB\"\n").unwrap();
    product.serve().unwrap();
    noisy(&product, 880_000);
    level(&product, "refuse");
    let (code, _, err) = outcome(product.ssh("ada").arg("true").output().unwrap());
    assert!(code != 0 && err.contains("recordings take 8") && err.contains("sallyport space"), "{code} {err}");
    let denied = product.ok(&["ledger", "list", "--actions", "session.denied"]).unwrap();
    assert!(denied.contains("% of their room"), "{denied}");
    let said = product.ok(&["ledger", "list", "--actions", "space.level"]).unwrap();
    assert!(said.contains("% of their room on node-1: new sessions are refused"), "{said}");
    let shown = product.ok(&["space"]).unwrap();
    assert!(shown.contains("of 1.0 MiB (8") && shown.contains("NEW SESSIONS ARE REFUSED"), "{shown}");
    let space = json(&product.ok(&["space", "--output", "json"]).unwrap()).unwrap();
    assert!(space["per_day"].as_u64().unwrap() >= 880_000 && space["days_to_refuse"] == 0, "{space}");
    let (code, doctor, _) = product.run_local(&["doctor"]).unwrap();
    assert!(code == 1 && doctor.contains("new sessions are refused"), "{doctor}");

    // An auditor takes the recordings elsewhere: there is room again.
    fs::rename(product.data().join("recordings"), product.at("taken")).unwrap();
    fs::create_dir(product.data().join("recordings")).unwrap();
    level(&product, "fine");
    assert_eq!(outcome(product.ssh("ada").arg("echo on").output().unwrap()).1, "on\n");
}

#[test]
fn a_disk_that_fills_is_noticed_before_it_is_full() {
    let mut product = product();
    product.stop().unwrap();
    let small = Small::mount(&product.data().join("recordings"), "1m");
    product.serve().unwrap();
    level(&product, "fine");
    noisy(&product, 700_000);
    let mut echo = Echo::begin(&product);
    assert_eq!(echo.say("before").as_deref(), Some("before"));
    // Something else takes the rest but a little: the room is what recordings have and could still get.
    let room = json(&product.ok(&["space", "--output", "json"]).unwrap()).unwrap()["room"].as_u64().unwrap();
    fs::write(product.data().join("recordings/else"), vec![0; 250_000]).unwrap();
    level(&product, "refuse");
    assert!(room > 1_000_000, "{room}");
    assert_ne!(outcome(product.ssh("ada").arg("true").output().unwrap()).0, 0);
    fs::write(product.data().join("recordings/else"), vec![0; 310_000]).unwrap();
    level(&product, "freeze");
    pulse(&product, "full");
    assert_eq!(echo.say("frozen"), None, "a session goes on without room for its recording");
    assert!(product.ok(&["status"]).unwrap().contains("sessions are FROZEN"), "people are told");
    fs::remove_file(product.data().join("recordings/else")).unwrap();
    level(&product, "fine");
    // The session that ran meanwhile stood still, and goes on where it was.
    assert_eq!(echo.late(), "frozen");
    echo.end();
    product.idle().unwrap();
    product.stop().unwrap();
    drop(small);
}

#[test]
fn what_is_over_its_time_goes_by_the_rule_and_evidence_stays_verifiable() {
    let mut product = product();
    noisy(&product, 1000);
    let session = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let bundle = product.at("kept.spb").display().to_string();
    product.as_carol(&["export", &session, &bundle]).unwrap();
    product.stop().unwrap();
    let recordings = || fs::read_dir(product.data().join("recordings")).unwrap().count();
    assert_eq!(recordings(), 1);
    // The target is of tier 1: the time of others says nothing about its recordings.
    product.configure("[space.keep]\ntier0 = \"1s\"\n").unwrap();
    let data = product.data();
    let config = fs::read_to_string(product.at("sallyport.toml")).unwrap();
    product.serve().unwrap();
    product.ok(&["space"]).unwrap();
    noisy(&product, 2000);
    product.stop().unwrap();
    assert_eq!(fs::read_dir(data.join("recordings")).unwrap().count(), 2, "nothing goes without a rule of its tier");
    fs::write(product.at("sallyport.toml"), config.replace("tier0", "tier1")).unwrap();
    product.serve().unwrap();
    let left = || fs::read_dir(data.join("recordings")).unwrap().count();
    let gone = wait_for("both recordings to go", 20, || (left() == 0).then_some(()));
    assert!(gone.is_ok(), "{} {}", product.ok(&["space"]).unwrap(), product.log());
    let said = product.ok(&["ledger", "list", "--actions", "recording.expired"]).unwrap();
    assert!(said.contains("expired by rule, tier 1: 1 s") && said.lines().count() == 2, "{said}");
    for args in [&["play", &session][..], &["export", &session, &product.at("no.spb").display().to_string()]] {
        let error = product.as_carol(args).err().unwrap().to_string();
        assert!(error.contains("expired by rule (tier 1: 1 s)"), "{error}");
    }
    // What was exported before proves itself as ever, and so does the data directory without it.
    let trust = data.join("ledger.pub").display().to_string();
    product.ok(&["verify", &bundle, "--trust", &trust]).unwrap();
    product.stop().unwrap();
    let report = product.ok(&["verify", &data.display().to_string(), "--trust", &trust]).unwrap();
    assert!(report.contains("2 recordings went by the rule of retention"), "{report}");
}

#[test]
fn wrong_rules_are_named() {
    let product = product();
    for (lines, word) in [
        ("[space]\nquota = \"10\"\n", "is no size"),
        ("[space]\nquota = \"0MiB\"\n", "is no size"),
        ("[space.keep]\ntier1 = \"soon\"\n", "is no duration"),
        ("[space.keep]\ntier3 = \"90d\"\n", "tier3"),
        ("[backup]\nrecipients = [\"somebody\"]\n", "no age recipient"),
    ] {
        let text = fs::read_to_string(product.at("sallyport.toml")).unwrap();
        let path = product.at("wrong.toml");
        fs::write(&path, format!("{text}{lines}")).unwrap();
        let (code, _, err) = product.run(&["--config", &path.display().to_string(), "doctor"]).unwrap();
        assert!(code == 2 && err.contains(word), "{lines}: {code} {err}");
    }
}
