//! Staff and running sessions: a line to their user, a pause, and how an end is told; by API and command, on both stores.

use crate::terminal::token;
use sallyport_testkit::browser::Browser;
use sallyport_testkit::http::Api;
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{Product, json, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::{Value, json as value};

on_both!(
    a_message_is_shown_as_from_staff_and_is_an_entry,
    a_pause_holds_both_directions_and_everybody_sees_it,
    what_staff_say_and_do_needs_its_right_and_makes_sense,
);

fn opened(product: &Product) -> (Browser, String) {
    let mut browser = Browser::terminal(product, &token(product, "ada"), "web-1", ACCOUNT).unwrap();
    let opened = browser.until_told("opened").unwrap();
    browser.until_shown("$ ").unwrap();
    (browser, opened["session"].as_str().unwrap().to_owned())
}

fn row(product: &Product, session: &str) -> Value {
    let rows = json(&product.ok(&["sessions", "--output", "json"]).unwrap()).unwrap();
    rows["items"].as_array().unwrap().iter().find(|row| row["id"] == session).unwrap().clone()
}

fn a_message_is_shown_as_from_staff_and_is_an_entry(product: &mut Product) {
    let (mut browser, session) = opened(product);
    product.ok(&["sessions", "message", &session, "save your work"]).unwrap();
    let told = browser.until_told("notice").unwrap();
    assert_eq!(told["text"], "message from security staff (admin): save your work");
    // What is said while nobody sits there is found by whoever comes back: here, since their way to it died.
    product.kill("control").unwrap();
    assert!(browser.until_shown("anything more").is_err(), "the websocket was control's");
    product.ready().unwrap();
    let away = format!("/terminal?session={session}&cols=80&rows=24");
    Api::new(product, product.token())
        .post(&format!("/sessions/{session}/message"), &value!({"text": "and log out"}))
        .is(204);
    let ada = token(product, "ada");
    let mut browser =
        wait_for("the session again", 15, || Browser::connect(product, &ada, &away).ok().and_then(Result::ok)).unwrap();
    assert_eq!(browser.until_told("notice").unwrap()["text"], "message from security staff (admin): and log out");
    browser.leave().unwrap();
    product.idle().unwrap();
    let entries = product.ok(&["ledger", "list", "--actions", "session.messaged"]).unwrap();
    for said in ["save your work", "and log out"] {
        assert!(entries.contains(&format!("admin said to ada in the session {session}: {said}")), "{entries}");
    }
}

fn a_pause_holds_both_directions_and_everybody_sees_it(product: &mut Product) {
    let (mut browser, session) = opened(product);
    let ticks = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo tick-$i; done; read x; echo got-$x";
    browser.type_in(&format!("{ticks}\r")).unwrap();
    browser.until_shown("tick-100\r").unwrap();
    product.ok(&["sessions", "pause", &session, "--reason", "a look at it"]).unwrap();
    let why = browser.until_told("paused").unwrap();
    assert!(why.as_str().unwrap().contains("paused by security staff (admin): a look at it"), "{why}");
    assert_eq!(row(product, &session)["paused"]["by"], "admin");
    assert_eq!(row(product, &session)["paused"]["reason"], "a look at it");
    let listed = product.ok(&["sessions", "--live"]).unwrap();
    assert!(listed.contains("paused by admin"), "{listed}");
    // A second pause is refused, and so is one who paused going away: it does not go on by itself.
    assert!(product.ok(&["sessions", "pause", &session]).is_err());
    // A browser that comes back meanwhile learns why nothing moves.
    browser.vanish().unwrap();
    let (ada, away) = (token(product, "ada"), format!("/terminal?session={session}&cols=80&rows=24"));
    let mut browser =
        wait_for("the session again", 15, || Browser::connect(product, &ada, &away).ok().and_then(Result::ok)).unwrap();
    assert!(browser.until_told("paused").unwrap().as_str().unwrap().contains("a look at it"));
    browser.type_in("typed\r").unwrap();
    product.ok(&["sessions", "resume", &session]).unwrap();
    assert_eq!(browser.until_told("paused").unwrap(), Value::Null);
    // As it was written, or as the screen that it came to.
    browser.until_shown("tick-40000").unwrap();
    browser.until_shown("got-typed").unwrap();
    assert_eq!(row(product, &session)["paused"], Value::Null);
    // A kill ends a paused session at once, and says who did it everywhere.
    product.ok(&["sessions", "pause", &session]).unwrap();
    browser.until_told("paused").unwrap();
    product.ok(&["kill", &session, "--reason", "drill"]).unwrap();
    let closed = browser.until_told("closed").unwrap();
    assert_eq!((closed["reason"].as_str(), closed["text"].as_str()), (Some("kill"), Some("ended by admin: drill")));
    product.idle().unwrap();
    let ended = row(product, &session);
    assert_eq!((&ended["reason"], &ended["note"]), (&value!("kill"), &value!("ended by admin: drill")));
    let entries =
        product.ok(&["ledger", "list", "--actions", "session.paused,session.resumed,session.closed"]).unwrap();
    for sentence in [
        format!("admin paused the session {session}: a look at it"),
        format!("admin let the session {session} go on, which had been paused by admin"),
        "ended: kill, ended by admin: drill".to_owned(),
    ] {
        assert!(entries.contains(&sentence), "{sentence}: {entries}");
    }
}

fn what_staff_say_and_do_needs_its_right_and_makes_sense(product: &mut Product) {
    let (browser, session) = opened(product);
    let (ada, admin) = (Api::new(product, &token(product, "ada")), Api::new(product, product.token()));
    let path = |what: &str| format!("/sessions/{session}/{what}");
    for (what, body) in
        [("message", value!({"text": "hello"})), ("pause", value!({"reason": ""})), ("resume", value!({}))]
    {
        let refused = ada.post(&path(what), &body).is(403);
        assert!(refused["detail"].as_str().unwrap().contains("session."), "{refused}");
    }
    let long = "x".repeat(501);
    for text in ["", "  ", "two\nlines", "\u{1b}[2Jgone", &long] {
        let refused = admin.post(&path("message"), &value!({ "text": text })).is(400);
        assert!(refused["detail"].as_str().unwrap().contains("message"), "{refused}");
    }
    let refused = admin.post(&path("resume"), &value!({})).is(409);
    assert!(refused["detail"].as_str().unwrap().contains("not paused"), "{refused}");
    let nobody = format!("/sessions/ses_{}/message", "0".repeat(32));
    let _ = admin.post(&nobody, &value!({"text": "hello"})).is(404);
    browser.leave().unwrap();
    product.idle().unwrap();
    let entries =
        product.ok(&["ledger", "list", "--actions", "session.messaged,session.paused,session.resumed"]).unwrap();
    assert_eq!(entries.trim(), "", "what is refused is no entry: {entries}");
}

#[test]
fn staff_steer_a_session_that_runs_through_another_node() {
    let server = Postgres::start().unwrap();
    let one = Product::start_on(crate::binary(), &server).unwrap();
    let two = one.join("node-2").unwrap();
    let (mut browser, session) = opened(&one);
    two.ok(&["sessions", "message", &session, "from afar"]).unwrap();
    assert!(browser.until_told("notice").unwrap()["text"].as_str().unwrap().contains("from afar"));
    two.ok(&["sessions", "pause", &session]).unwrap();
    assert!(browser.until_told("paused").unwrap().as_str().unwrap().contains("paused by security staff"));
    one.ok(&["sessions", "resume", &session]).unwrap();
    assert_eq!(browser.until_told("paused").unwrap(), Value::Null);
    browser.leave().unwrap();
    one.idle().unwrap();
}
