//! Company in running sessions: peers who are let in by their user, observers, and sessions that must be observed.

use crate::terminal::token;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sallyport_testkit::browser::Browser;
use sallyport_testkit::faults::process::signal;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{Product, json, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use sallyport_testkit::terminal::Terminal;
use serde_json::{Value, json as value};
use std::process::Stdio;
use std::time::Duration;

on_both!(
    a_peer_asks_is_let_in_types_and_is_sent_away_and_each_key_has_its_name,
    who_is_not_let_in_sees_and_types_nothing,
    a_terminal_of_ones_own_joins_a_session_over_ssh,
    rules_bind_a_peer_as_they_bind_the_user,
    a_session_that_must_be_observed_waits_pauses_and_goes_on,
    a_session_that_nobody_observes_in_time_ends_untouched,
);

/// `pat` may join what `ops` do; further lines of policy.
pub(crate) fn permit(product: &Product, policy: &str) {
    let join = "permit (principal in Group::\"helpers\", action == Action::\"session.join\", resource);\n";
    product.write_checkout(&format!("{join}{policy}")).unwrap();
    let inventory = product.at("checkout/inventory.toml");
    let text = std::fs::read_to_string(&inventory).unwrap();
    let pat = "[[identity]]\nhandle = \"pat\"\ngroups = [\"helpers\", \"sallyport:auditor\"]\n";
    std::fs::write(&inventory, format!("{pat}{text}")).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
}

/// Whoever answers has read the question, and types nothing else: a key in the middle of others is none.
pub(crate) fn calm() {
    sallyport_testkit::waiting::nap(Duration::from_millis(900));
}

fn open(product: &Product) -> (Browser, String) {
    let mut browser = Browser::terminal(product, &token(product, "ada"), "web-1", ACCOUNT).unwrap();
    let opened = browser.until_told("opened").unwrap();
    (browser, opened["session"].as_str().unwrap().to_owned())
}

fn join(product: &Product, who: &str, session: &str) -> Browser {
    Browser::connect(product, &token(product, who), &format!("/sessions/{session}/join")).unwrap().unwrap()
}

fn watch(product: &Product, who: &str, session: &str) -> Browser {
    Browser::connect(product, &token(product, who), &format!("/sessions/{session}/watch?format=terminal"))
        .unwrap()
        .unwrap()
}

fn row(product: &Product, session: &str) -> Value {
    let rows = json(&product.ok(&["sessions", "--output", "json"]).unwrap()).unwrap();
    rows["items"].as_array().unwrap().iter().find(|row| row["id"] == session).unwrap().clone()
}

fn entries(product: &Product, actions: &str) -> String {
    product.ok(&["ledger", "list", "--actions", actions, "--limit", "200"]).unwrap()
}

fn a_peer_asks_is_let_in_types_and_is_sent_away_and_each_key_has_its_name(product: &mut Product) {
    permit(product, "");
    let (mut ada, session) = open(product);
    ada.until_shown("$ ").unwrap();
    ada.type_in("echo before-$((40+2))\r").unwrap();
    ada.until_shown("before-42").unwrap();
    let mut pat = join(product, "pat", &session);
    let asked = ada.until_told("asked").unwrap();
    assert!(asked.as_str().unwrap().contains("pat (security staff) asks to join"), "{asked}");
    // What is typed before the answer goes nowhere.
    pat.type_in("echo too-early\r").unwrap();
    calm();
    ada.type_in("y").unwrap();
    let company = ada.until_told("company").unwrap();
    assert_eq!((&company[0]["handle"], &company[0]["part"]), (&value!("pat"), &value!("peer")));
    assert_eq!(ada.until_told("asked").unwrap(), Value::Null);
    pat.until_told("company").unwrap();
    // They see at once what stands there.
    pat.until_shown("before-42").unwrap();
    pat.type_in("echo by-peer-$((40+3))\r").unwrap();
    assert!(!ada.shown_to("by-peer-43").unwrap().contains("too-early"));
    pat.until_shown("by-peer-43").unwrap();
    ada.type_in("echo by-user-$((40+4))\r").unwrap();
    pat.until_shown("by-user-44").unwrap();
    let guest = row(product, &session)["guests"][0].clone();
    assert_eq!(guest["part"], "peer");
    // The user sends the peer away.
    let path = format!("/sessions/{session}/guests/{}", guest["id"].as_str().unwrap());
    Api::new(product, &token(product, "ada")).delete(&path).is(204);
    assert_eq!(pat.until_told("closed").unwrap()["reason"], "dismissed");
    let _ = Api::new(product, &token(product, "ada")).delete(&path).is(404);
    ada.type_in("exit\r").unwrap();
    ada.until_told("closed").unwrap();
    product.idle().unwrap();
    // Who typed what stands in the recording, and who came and went in the ledger.
    let marks = product.as_carol(&["play", &session, "--index"]).unwrap();
    let (joined, typed) = (marks.find("pat (peer)"), marks.find("typist"));
    assert!(joined.is_some() && joined < typed, "{marks}");
    let told = entries(product, "session.join_asked,session.joined,session.left,session.guest_dismissed");
    for sentence in [
        format!("pat asked to join the session {session} of ada"),
        format!("pat is with the session {session} of ada on {ACCOUNT}@web-1 as a peer: the user agreed"),
        format!("pat has left the session {session} of ada on {ACCOUNT}@web-1 as a peer"),
        format!("ada sent pat away from the session {session}"),
    ] {
        assert!(told.contains(&sentence), "{sentence}: {told}");
    }
}

fn who_is_not_let_in_sees_and_types_nothing(product: &mut Product) {
    permit(product, "");
    let (mut ada, session) = open(product);
    ada.until_shown("$ ").unwrap();
    let path = format!("/sessions/{session}/join");
    for who in ["bob", "carol"] {
        let refused = Browser::connect(product, &token(product, who), &path).unwrap().err().unwrap();
        assert_eq!(refused.status, 403, "{who}: {}", refused.body);
    }
    let own = Browser::connect(product, &token(product, "ada"), &path).unwrap().err().unwrap();
    assert_eq!(own.status, 403, "{}", own.body);
    // The user says no.
    let mut pat = join(product, "pat", &session);
    ada.until_told("asked").unwrap();
    calm();
    ada.type_in("x").unwrap();
    calm();
    ada.type_in("n").unwrap();
    let closed = pat.until_told("closed").unwrap();
    assert_eq!((closed["reason"].as_str(), closed["text"].as_str()), (Some("denied"), Some("the user said no")));
    assert_eq!(pat.shown(), "");
    // And so does their silence.
    let mut pat = join(product, "pat", &session);
    let closed = pat.until_told("closed").unwrap();
    assert_eq!(
        (closed["reason"].as_str(), closed["text"].as_str()),
        (Some("denied"), Some("the user did not answer in time"))
    );
    // Whoever does not wait for the answer is not let in by it.
    let mut pat = join(product, "pat", &session);
    pat.until_told("notice").unwrap();
    // Before: that nobody asks any more, and the next question, twice.
    for _ in 0..2 {
        assert_eq!(ada.until_told("asked").unwrap(), Value::Null);
        assert!(ada.until_told("asked").unwrap().is_string());
    }
    pat.leave().unwrap();
    assert_eq!(ada.until_told("asked").unwrap(), Value::Null);
    ada.type_in("echo mine-$((40+2))\r").unwrap();
    let shown = ada.shown_to("mine-42").unwrap();
    assert!(!shown.contains("xn") && !shown.contains("$ x"), "an answer went to the target: {shown}");
    ada.leave().unwrap();
    product.idle().unwrap();
    let told = entries(product, "session.join_refused,session.joined");
    assert!(told.contains("the user said no") && told.contains("they did not wait"), "{told}");
    assert!(!told.contains("is with"), "{told}");
}

fn a_terminal_of_ones_own_joins_a_session_over_ssh(product: &mut Product) {
    permit(product, "");
    let mut ada = Terminal::run(product.ssh("ada").arg("-tt")).unwrap();
    ada.until_shown("$ ").unwrap();
    ada.type_in("echo before-$((40+2))\r").unwrap();
    ada.until_shown("before-42").unwrap();
    let session = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let mut command = product.command(&["watch", "--join", &session]);
    command.env("SALLYPORT_TOKEN", token(product, "pat"));
    let mut pat = Terminal::run(&command).unwrap();
    ada.until_shown("pat (security staff) asks to join this session and to type in it: y to allow, n to refuse")
        .unwrap();
    calm();
    ada.type_in("y").unwrap();
    ada.until_shown("pat (security staff) is in this session and may type").unwrap();
    pat.until_shown("You are in").unwrap();
    pat.until_shown("before-42").unwrap();
    pat.type_in("echo peer-$((40+3))\r").unwrap();
    ada.until_shown("peer-43").unwrap();
    pat.until_shown("peer-43").unwrap();
    let listed = product.ok(&["sessions", "--live"]).unwrap();
    assert!(listed.contains("live, with pat"), "{listed}");
    pat.type_in("\x1d").unwrap();
    pat.until_shown("You have left the session.").unwrap();
    assert_eq!(pat.ended().unwrap(), 0);
    ada.until_shown("pat has left this session").unwrap();
    // Whoever is not let in is told why, with an exit code.
    let mut pat = Terminal::run(&command).unwrap();
    ada.until_shown("asks to join").unwrap();
    calm();
    ada.type_in("n").unwrap();
    pat.until_shown("the user said no").unwrap();
    assert_ne!(pat.ended().unwrap(), 0);
    ada.type_in("exit\r").unwrap();
    assert_eq!(ada.ended().unwrap(), 0);
    product.idle().unwrap();
}

fn rules_bind_a_peer_as_they_bind_the_user(product: &mut Product) {
    let rules = "@limit @commands(\"high-risk\") @join(\"notified\") permit (principal, action in [Action::\"connect\", Action::\"channel\"], resource);\n";
    permit(product, rules);
    let (mut ada, session) = open(product);
    ada.until_shown("$ ").unwrap();
    let mut pat = join(product, "pat", &session);
    // Told, and not asked: policy says so.
    pat.until_told("company").unwrap();
    let told = ada.until_told("notice").unwrap();
    assert!(told["text"].as_str().unwrap().contains("pat (security staff) is in this session and may type"), "{told}");
    pat.type_in("echo allowed-$((40+2))\r").unwrap();
    pat.until_shown("allowed-42").unwrap();
    pat.type_in("rm -rf /\r").unwrap();
    let refused = ada.until_told("notice").unwrap();
    let text = refused["text"].as_str().unwrap();
    assert!(text.starts_with("pat was told: ") && text.contains("wipe-system"), "{refused}");
    // So is whoever typed it.
    let mut notices = std::iter::from_fn(|| pat.until_told("notice").ok());
    let told = notices.find(|told| told.to_string().contains("wipe-system")).unwrap();
    assert_eq!(format!("pat was told: {}", told["text"].as_str().unwrap()), text);
    pat.leave().unwrap();
    ada.leave().unwrap();
    product.idle().unwrap();
    let blocked = entries(product, "command.blocked");
    assert!(blocked.contains("rm -rf /"), "{blocked}");
}

/// Every session must be observed.
pub(crate) const FOUR_EYES: &str = "@limit @four_eyes permit (principal, action == Action::\"connect\", resource);\n";

fn a_session_that_must_be_observed_waits_pauses_and_goes_on(product: &mut Product) {
    permit(product, FOUR_EYES);
    let before = product.target.log().lines().count();
    let (mut ada, session) = open(product);
    let why = ada.until_told("paused").unwrap();
    assert!(why.as_str().unwrap().contains("waiting for an observer"), "{why}");
    assert_eq!(row(product, &session)["waits"], true);
    let listed = product.ok(&["sessions", "--live"]).unwrap();
    assert!(listed.contains("waits for an observer"), "{listed}");
    let (_, doctor, _) = product.run_local(&["doctor"]).unwrap();
    assert!(doctor.contains("risk   1 session waits for an observer: `sallyport sessions --live`"), "{doctor}");
    let figures = crate::metrics::figures(product);
    assert!(figures.contains("sallyport_sessions_waiting 1\n"), "{figures}");
    assert_eq!(product.target.log().lines().count(), before, "the target saw a connection before anybody looked on");
    let mut carol = watch(product, "carol", &session);
    assert_eq!(ada.until_told("paused").unwrap(), Value::Null);
    let company = ada.until_told("company").unwrap();
    assert_eq!((&company[0]["handle"], &company[0]["part"]), (&value!("carol"), &value!("observer")));
    ada.until_shown("$ ").unwrap();
    ada.type_in("echo seen-$((40+2))\r").unwrap();
    carol.until_shown("seen-42").unwrap();
    // A second observer keeps it going; with the last one it pauses by itself.
    let pat = watch(product, "pat", &session);
    wait_for("both", 15, || (row(product, &session)["guests"].as_array().unwrap().len() == 2).then_some(())).unwrap();
    carol.vanish().unwrap();
    wait_for("one", 15, || (row(product, &session)["guests"].as_array().unwrap().len() == 1).then_some(())).unwrap();
    ada.type_in("echo still-$((40+3))\r").unwrap();
    ada.until_shown("still-43").unwrap();
    pat.vanish().unwrap();
    assert!(ada.until_told("paused").unwrap().as_str().unwrap().contains("waiting for an observer"));
    ada.type_in("echo later-$((40+4))\r").unwrap();
    assert_eq!(row(product, &session)["waits"], true);
    let mut carol = watch(product, "carol", &session);
    assert_eq!(ada.until_told("paused").unwrap(), Value::Null);
    ada.until_shown("later-44").unwrap();
    carol.until_shown("later-44").unwrap();
    // An observer whose way to the session dies is none: control is theirs, and nothing is let through on trust.
    product.kill("control").unwrap();
    product.ready().unwrap();
    wait_for("the wait", 15, || (row(product, &session)["waits"] == true).then_some(())).unwrap();
    product.ok(&["kill", &session]).unwrap();
    product.idle().unwrap();
    let told = entries(product, "session.waits,session.observed,session.left");
    for sentence in [
        format!("the session {session} of ada waits for an observer"),
        format!("the session {session} goes on, observed by carol"),
        format!("carol has left the session {session} of ada"),
    ] {
        assert!(told.contains(&sentence), "{sentence}: {told}");
    }
}

fn a_session_that_nobody_observes_in_time_ends_untouched(product: &mut Product) {
    permit(product, &FOUR_EYES.replace("@four_eyes", "@four_eyes @hold(\"3s\")"));
    let before = product.target.log().lines().count();
    // The stock client waits too, and reads why.
    let mut person = Terminal::run(&product.ssh("ada")).unwrap();
    person.until_shown("waiting for an observer").unwrap();
    person.until_shown("no observer came in time").unwrap();
    assert_ne!(person.ended().unwrap(), 0);
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!((&session["reason"], &session["note"]), (&value!("unobserved"), &value!("no observer came in time")));
    assert_eq!(product.target.log().lines().count(), before, "the target saw a connection");
}

#[test]
fn whoever_has_fallen_silent_observes_nothing() {
    let product = &crate::product();
    permit(product, FOUR_EYES);
    let (mut ada, session) = open(product);
    ada.until_told("paused").unwrap();
    let mut command = product.command(&["watch", &session]);
    command
        .env("SALLYPORT_TOKEN", token(product, "pat"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut watching = command.spawn().unwrap();
    ada.until_shown("$ ").unwrap();
    let watcher = Pid::from_raw(i32::try_from(watching.id()).unwrap());
    // Stopped, it keeps its connection: only its silence says that nobody looks on.
    signal(watcher, Signal::SIGSTOP).unwrap();
    let held = std::iter::from_fn(|| ada.until_told("paused").ok()).find(|why| !why.is_null()).unwrap();
    assert!(held.as_str().unwrap().contains("waiting for an observer"), "{held}");
    signal(watcher, Signal::SIGCONT).unwrap();
    // It is told, and does not believe that it looks on.
    assert!(!watching.wait().unwrap().success());
    ada.leave().unwrap();
    product.idle().unwrap();
    let left = entries(product, "session.left");
    assert!(left.contains("pat has left the session"), "{left}");
}
