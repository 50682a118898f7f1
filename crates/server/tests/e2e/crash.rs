//! kill -9 of control and of the gateway: what must go on, and what must be attested.

use sallyport_testkit::product::{Product, json, wait_for};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

on_both!(
    control_is_killed_under_20_sessions_and_none_drops,
    what_was_acknowledged_survives_every_kill_of_control,
    a_killed_gateway_leaves_orphans_that_are_closed_and_attested_as_truncated,
    a_restart_in_good_order_closes_sessions_and_keeps_everything,
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
