//! kill -9 of control and of the gateway: what must go on, and what must be attested.

use sallyport_testkit::faults::{Role, Shim, process};
use sallyport_testkit::product::{Product, json, wait_for};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

on_both!(
    control_is_killed_under_20_sessions_and_none_drops,
    what_was_acknowledged_survives_every_kill_of_control,
    a_killed_gateway_leaves_orphans_that_are_closed_and_attested_as_truncated,
    a_restart_in_good_order_closes_sessions_and_keeps_everything,
    a_journal_that_fails_ends_its_gateway_and_the_next_one_saves_what_clients_saw,
    the_next_server_waits_for_what_a_killed_one_left_behind,
);

/// What is stored holds together: offline where it is a file, by the next start where it is on a server.
fn proven(product: &mut Product) {
    product.stop().unwrap();
    if product.on_server() {
        product.serve().unwrap();
    } else {
        let trust = product.data().join("ledger.pub").display().to_string();
        product.ok(&["verify", &product.data().display().to_string(), "--trust", &trust]).unwrap();
    }
}

fn control_is_killed_under_20_sessions_and_none_drops(product: &mut Product) {
    let mut sessions = Vec::new();
    for n in 0..20 {
        let mut child = product.ssh("ada").arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        writeln!(input, "before {n}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("before {n}\n"));
        sessions.push((child, input, output));
    }
    let entries = product.status().unwrap()["entries"].as_u64().unwrap();
    product.kill("control").unwrap();
    for (n, (_, input, output)) in sessions.iter_mut().enumerate() {
        writeln!(input, "during {n}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("during {n}\n"));
    }
    product.ready().unwrap();
    wait_for("the sessions to be known again", 10, || product.status().ok().filter(|s| s["sessions"] == 20)).unwrap();
    assert!(product.status().unwrap()["entries"].as_u64().unwrap() >= entries, "an acknowledged entry is lost");
    for (n, (mut child, mut input, mut output)) in sessions.into_iter().enumerate() {
        writeln!(input, "after {n}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("after {n}\n"));
        drop(input);
        assert!(child.wait().unwrap().success());
    }
    product.idle().unwrap();
    let page = json(&product.ok(&["sessions", "--output", "json"]).unwrap()).unwrap();
    assert!(page["items"].as_array().unwrap().iter().all(|s| s["complete"] == true), "{page}");
}

fn what_was_acknowledged_survives_every_kill_of_control(product: &mut Product) {
    let mut acknowledged = Vec::new();
    for round in 0..6_u64 {
        let pid = product.pid("control").unwrap();
        let killer = std::thread::spawn(move || {
            // Different moments of the writing below, the earliest during the first commit.
            wait_for("the moment", 1, {
                let mut polls = round * 3;
                move || {
                    polls.checked_sub(1).map_or(Some(()), |left| {
                        polls = left;
                        None
                    })
                }
            })
            .unwrap();
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        for _ in 0..40 {
            let Ok((0, out, _)) = product.run(&["token", "--output", "json"]) else { break };
            acknowledged.push(json(&out).unwrap()["token"].as_str().unwrap().to_owned());
        }
        killer.join().unwrap();
        product.ready().unwrap();
    }
    assert!(acknowledged.len() >= 5, "only {} writes were acknowledged", acknowledged.len());
    for token in &acknowledged {
        let mut whoami = product.command(&["status", "--output", "json"]);
        let out = whoami.env("SALLYPORT_TOKEN", token).output().unwrap();
        let said = json(&String::from_utf8(out.stdout).unwrap()).unwrap();
        assert_eq!(said[1]["handle"], "admin", "an acknowledged token is gone");
    }
    proven(product);
}

fn a_killed_gateway_leaves_orphans_that_are_closed_and_attested_as_truncated(product: &mut Product) {
    let mut child =
        product.ssh("ada").arg("echo seen-before-the-end; sleep 60").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "seen-before-the-end\n");
    product.kill("gateway").unwrap();
    wait_for("the end of the client", 10, || child.try_wait().unwrap()).unwrap();
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!(session["reason"], "orphan");
    assert_eq!(session["complete"], false);
    let id = session["id"].as_str().unwrap();
    let shown = wait_for("the recording", 10, || product.as_carol(&["play", id]).ok()).unwrap();
    assert!(shown.contains("seen-before-the-end"), "{shown}");
    let bundle = product.at("cut.spb").display().to_string();
    product.as_carol(&["export", id, &bundle]).unwrap();
    let trust = product.data().join("ledger.pub").display().to_string();
    let said = product.ok(&["verify", &bundle, "--trust", &trust]).unwrap();
    assert!(said.contains("truncat") || said.contains("cut"), "{said}");
    proven(product);
}

fn a_restart_in_good_order_closes_sessions_and_keeps_everything(product: &mut Product) {
    let mut child = product.ssh("ada").arg("sleep 60").spawn().unwrap();
    wait_for("a live session", 10, || product.status().ok().filter(|s| s["sessions"] == 1)).unwrap();
    product.stop().unwrap();
    wait_for("the end of the client", 10, || child.try_wait().unwrap()).unwrap();
    product.serve().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!((session["reason"].as_str(), session["complete"].as_bool()), (Some("shutdown"), Some(true)));
}

/// A session that has said its first word and goes on for a minute.
fn speaking(product: &Product, word: &str) -> Child {
    let mut child = product
        .ssh("ada")
        .arg(format!("echo {word}; sleep 60"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("{word}\n"), "{}", product.log());
    child
}

fn a_journal_that_fails_ends_its_gateway_and_the_next_one_saves_what_clients_saw(product: &mut Product) {
    product.stop().unwrap();
    let shim = Shim::build(&product.at("")).unwrap();
    for (name, path) in shim.environment() {
        product.surround(name, &path);
    }
    product.serve().unwrap();
    let mut child = speaking(product, "seen-before-the-disk-broke");
    shim.fail_syncs(Role::Gateway, true).unwrap();
    // Without an entry to sync nothing fails: another session brings one.
    let (code, ..) = sallyport_testkit::product::outcome(product.ssh("ada").arg("true").output().unwrap());
    assert_ne!(code, 0, "a session began without a durable recording");
    wait_for("the end of the client", 20, || child.try_wait().unwrap()).unwrap();
    assert!(product.log().contains("The journal has failed: a new gateway takes over"), "{}", product.log());
    shim.heal().unwrap();
    product.ready().unwrap();
    product.idle().unwrap();
    let page = json(&product.ok(&["sessions", "--output", "json"]).unwrap()).unwrap();
    let sessions = page["items"].as_array().unwrap();
    let first = sessions.last().unwrap();
    assert_eq!((first["reason"].as_str(), first["complete"].as_bool()), (Some("orphan"), Some(false)), "{page}");
    let id = first["id"].as_str().unwrap();
    let shown = wait_for("the recording", 10, || product.as_carol(&["play", id]).ok()).unwrap();
    assert!(shown.contains("seen-before-the-disk-broke"), "{shown}");
    proven(product);
}

fn the_next_server_waits_for_what_a_killed_one_left_behind(product: &mut Product) {
    let mut child = speaking(product, "on-the-old-server");
    let gateway = product.pid("gateway").unwrap();
    // Stopped, it is still there when the next server begins, however busy this machine is.
    process::stop(gateway).unwrap();
    product.crash().unwrap();
    product.supervise().unwrap();
    wait_for("the next server to wait", 20, || product.log().contains("An earlier server has died").then_some(()))
        .unwrap();
    assert_eq!(product.pid("gateway").unwrap(), gateway, "a second gateway was started beside the first");
    process::go_on(gateway).unwrap();
    product.ready().unwrap();
    assert!(!process::runs(gateway));
    wait_for("the end of the client", 20, || child.try_wait().unwrap()).unwrap();
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!(session["complete"], true, "the old gateway ended it in good order: {session}");
    proven(product);
}

/// As while a package manager replaces it.
#[test]
fn a_program_that_cannot_be_started_for_a_while_costs_no_evidence() {
    let place = tempfile::tempdir().unwrap();
    let binary = place.path().join("sallyport");
    std::fs::copy(crate::binary(), &binary).unwrap();
    let product = Product::start(&binary).unwrap();
    let mode = |mode| std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(mode)).unwrap();
    let mut child = speaking(&product, "seen-before-the-upgrade");
    mode(0o644);
    product.kill("gateway").unwrap();
    wait_for("an attempt", 20, || product.log().contains("Cannot start the gateway; trying again").then_some(()))
        .unwrap();
    mode(0o755);
    wait_for("the end of the client", 20, || child.try_wait().unwrap()).unwrap();
    product.ready().unwrap();
    product.idle().unwrap();
    let id = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let shown = wait_for("the recording", 10, || product.as_carol(&["play", &id]).ok()).unwrap();
    assert!(shown.contains("seen-before-the-upgrade"), "the parent had the tail: {shown}");
}
