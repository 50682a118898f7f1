//! Sessions of one node, watched, joined, taken up and given files from a browser at another.

use crate::company::permit;
use crate::terminal::token;
use crate::transfers::{Desk, FILES};
use nix::sys::signal::Signal;
use sallyport_testkit::browser::Browser;
use sallyport_testkit::faults::process;
use sallyport_testkit::http::Api;
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{Product, free_port, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::json;

/// Two nodes on one database, which reach each other.
fn pair(server: &Postgres) -> [Product; 2] {
    let mut one = Product::start_on(crate::binary(), server).unwrap();
    let mut two = one.join("node-2").unwrap();
    for node in [&mut one, &mut two] {
        node.stop().unwrap();
        node.configure(&format!("[nodes]\nlisten = \"127.0.0.1:{}\"\n", free_port().unwrap())).unwrap();
        node.serve().unwrap();
    }
    let known = || {
        let said = one.ok(&["ledger", "list", "--actions", "node.reachable"]).ok()?;
        ["node-1", "node-2"].iter().all(|node| said.contains(&format!("other nodes reach {node} at"))).then_some(())
    };
    wait_for("both to say where they are reached", 20, known).unwrap();
    [one, two]
}

fn watch(node: &Product, who: &str, session: &str) -> Browser {
    let path = format!("/sessions/{session}/watch?format=terminal");
    wait_for("the watch", 15, || Browser::connect(node, &token(node, who), &path).ok().and_then(Result::ok)).unwrap()
}

#[test]
fn a_session_is_watched_joined_taken_up_and_given_files_from_another_node() {
    let server = Postgres::start().unwrap();
    let [one, two] = pair(&server);
    permit(&one, FILES);
    let ada = token(&one, "ada");
    let mut browser = Browser::terminal(&one, &ada, "web-1", ACCOUNT).unwrap();
    let opened = browser.until_told("opened").unwrap();
    let session = opened["session"].as_str().unwrap();
    browser.until_shown("$ ").unwrap();
    browser.type_in("echo before-$((40+2))\r").unwrap();
    browser.until_shown("before-42").unwrap();
    // Watched: what stands there at once, then what happens. Who may not, may not there either.
    let mut watcher = watch(&two, "carol", session);
    watcher.until_shown("before-42").unwrap();
    let path = format!("/sessions/{session}/watch?format=terminal");
    assert_eq!(Browser::connect(&two, &token(&two, "ada"), &path).unwrap().err().unwrap().status, 403);
    browser.until_told("company").unwrap();
    browser.type_in("echo after-$((40+3))\r").unwrap();
    watcher.until_shown("after-43").unwrap();
    let wall = Api::new(&two, &token(&two, "carol"))
        .event("/live/screens", |_, screen| screen["lines"].to_string().contains("after-43"));
    assert_eq!(wall["session"], session);
    // Joined, with the user's consent.
    let joining = format!("/sessions/{session}/join");
    assert_eq!(Browser::connect(&two, &token(&two, "bob"), &joining).unwrap().err().unwrap().status, 403);
    let mut pat = Browser::connect(&two, &token(&two, "pat"), &joining).unwrap().unwrap();
    assert!(browser.until_told("asked").unwrap().as_str().unwrap().contains("pat (security staff)"));
    crate::company::calm();
    browser.type_in("y").unwrap();
    pat.until_told("company").unwrap();
    pat.type_in("echo by-peer-$((40+4))\r").unwrap();
    browser.until_shown("by-peer-44").unwrap();
    pat.until_shown("by-peer-44").unwrap();
    pat.leave().unwrap();
    // Taken up where the browser has come to meanwhile; the window that had it is told.
    let again = format!("/terminal?session={session}&cols=90&rows=30");
    let mut there = Browser::connect(&two, &ada, &again).unwrap().unwrap();
    assert_eq!(there.until_told("opened").unwrap(), opened);
    assert_eq!(browser.until_told("closed").unwrap()["reason"], "moved");
    there.until_shown("by-peer-44").unwrap();
    there.type_in("stty size\r").unwrap();
    there.until_shown("30 90").unwrap();
    assert_eq!(Browser::connect(&two, &token(&two, "bob"), &again).unwrap().err().unwrap().status, 404);
    // And its files.
    let place = one.target.scratch().unwrap();
    let desk = Desk { browser: Some(there), api: Api::new(&two, &ada), session: session.to_owned(), place };
    assert_eq!(desk.up(&desk.at("far"), b"from afar"), json!({ "size": 9 }));
    assert_eq!(desk.down(&desk.at("far")), b"from afar");
    // Who did what stands in the ledger, once, by their names.
    let told = two.ok(&["ledger", "list", "--actions", "session.watched,session.joined,screens.watched"]).unwrap();
    for line in [
        format!("carol watched the session {session}"),
        format!("carol is with the session {session} of ada on {ACCOUNT}@web-1 as an observer"),
        format!("pat is with the session {session} of ada on {ACCOUNT}@web-1 as a peer: the user agreed"),
    ] {
        assert_eq!(told.matches(&line).count(), 1, "{line}: {told}");
    }
    assert_eq!(told.lines().count(), 4, "{told}");
    // The session's end is told at both.
    one.ok(&["kill", session, "--reason", "drill"]).unwrap();
    assert_eq!(watcher.until_told("closed").unwrap()["reason"], "ended");
    one.idle().unwrap();
    pictures_come_again(&one, &two);
}

/// The wall at one node loses its line to the other, says so, and has it again without being asked anew.
fn pictures_come_again(one: &Product, two: &Product) {
    let mut browser = Browser::terminal(one, &token(one, "ada"), "web-1", ACCOUNT).unwrap();
    let opened = browser.until_told("opened").unwrap();
    browser.until_shown("$ ").unwrap();
    browser.type_in("echo stands-$((40+2))\r").unwrap();
    browser.until_shown("stands-42").unwrap();
    let [parent, control] = [one.parent().unwrap(), one.pid("control").unwrap()].map(nix::unistd::Pid::as_raw);
    crate::portal::play(two, "again", &["carol"], &json!({ "parent": parent, "control": control }));
    drop(browser);
    let session = opened["session"].as_str().unwrap();
    one.ok(&["kill", session, "--reason", "drill"]).unwrap();
    one.idle().unwrap();
}

#[test]
fn a_node_that_falls_silent_observes_nothing_and_a_stranger_is_not_answered() {
    let server = Postgres::start().unwrap();
    let [one, two] = pair(&server);
    permit(&one, crate::company::FOUR_EYES);
    let mut ada = Browser::terminal(&one, &token(&one, "ada"), "web-1", ACCOUNT).unwrap();
    let session = ada.until_told("opened").unwrap()["session"].as_str().unwrap().to_owned();
    ada.until_told("paused").unwrap();
    let watcher = watch(&two, "pat", &session);
    ada.until_shown("$ ").unwrap();
    // Stopped, its sockets are open: only its silence says that nobody looks on through it.
    process::signal(two.pid("control").unwrap(), Signal::SIGSTOP).unwrap();
    let why = std::iter::from_fn(|| ada.until_told("paused").ok()).find(|why| !why.is_null()).unwrap();
    assert!(why.as_str().unwrap().contains("waiting for an observer"), "{why}");
    process::signal(two.pid("control").unwrap(), Signal::SIGCONT).unwrap();
    drop(watcher);
    ada.leave().unwrap();
    one.idle().unwrap();
    // Without the certificate of a node nobody is let in.
    let config = std::fs::read_to_string(one.at("sallyport.toml")).unwrap();
    let address = config.lines().rev().find_map(|line| line.strip_prefix("listen = ")).unwrap().trim_matches('"');
    let strange = std::process::Command::new("openssl")
        .args(["s_client", "-connect", address, "-verify_quiet", "-ign_eof"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&strange.stderr).into_owned();
    assert!(said.contains("alert"), "a stranger was let in: {said}");
}
