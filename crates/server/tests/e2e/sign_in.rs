//! A person signs in with a browser; another site's page makes it do nothing.

use crate::browser::{Browser, WORDS};
use reqwest::Method;
use sallyport_testkit::browser::Browser as Websocket;
use sallyport_testkit::product::{Product, json};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::json;

on_both!(
    a_person_enrols_signs_in_acts_and_signs_out,
    a_person_signs_in_over_ssh_with_password_and_code,
    a_policy_asks_for_a_code_behind_a_key,
    a_terminal_ends_with_the_browser_that_it_is_in,
);

pub(crate) fn link(product: &Product, handle: &str) -> String {
    let made = product.local(&["admin", "link", handle, "--output", "json"]).unwrap();
    json(&made).unwrap()["link"].as_str().unwrap().to_owned()
}

fn a_person_enrols_signs_in_acts_and_signs_out(product: &mut Product) {
    let mut admin = Browser::of(product);
    let link = link(product, "admin");
    let owner = admin.ok(Method::POST, "/api/v1/enroll/begin", Some(&json!({ "token": link.rsplit('/').next() })));
    assert_eq!(owner["handle"], "admin");
    admin.enrol(&link).unwrap();
    let me = admin.ok(Method::GET, "/api/v1/me", None);
    assert_eq!((me["state"].as_str(), me["handle"].as_str()), (Some("in"), Some("admin")));
    assert!(me["rights"].as_array().unwrap().contains(&json!("identity.write")), "{me}");
    assert_eq!(me["factors"][0]["kind"], "totp");

    // What is asked for by cookie is what a token would be given.
    let listed = admin.ok(Method::GET, "/api/v1/sessions", None);
    assert!(listed["items"].is_array());
    let made = admin.ok(Method::POST, "/api/v1/users", Some(&json!({ "handle": "eve", "groups": ["sallyport:user"] })));
    let mut eve = Browser::of(product);
    eve.enrol(made["link"].as_str().unwrap()).unwrap();
    assert_eq!(eve.get("/api/v1/users").status, 403);
    assert_eq!(eve.ok(Method::GET, "/api/v1/me", None)["rights"], json!([]));

    // A second sign-in: the password alone is not enough, and a factor that is stale is asked for again.
    let mut second = Browser::of(product);
    let begun = second.ok(Method::POST, "/api/v1/sign-in", Some(&json!({ "handle": "eve", "password": WORDS })));
    assert_eq!(begun, json!({ "state": "factor", "methods": ["totp"] }));
    assert_eq!(second.get("/api/v1/sessions").status, 401);
    assert_eq!(second.ok(Method::GET, "/api/v1/me", None)["state"], "factor");
    let codes = eve.ok(Method::POST, "/api/v1/me/recovery-codes", Some(&json!({})));
    let done = second.ok(Method::POST, "/api/v1/sign-in/recovery", Some(&json!({ "code": codes["codes"][0] })));
    assert_eq!(done["state"], "in");
    let devices = second.ok(Method::GET, "/api/v1/me/devices", None);
    assert_eq!(devices["items"].as_array().unwrap().len(), 2);
    let other = devices["items"].as_array().unwrap().iter().find(|device| device["current"] == false).unwrap();
    second.ok(Method::DELETE, &format!("/api/v1/me/devices/{}", other["id"].as_str().unwrap()), None);
    assert_eq!(eve.get("/api/v1/me").status, 401, "ended at once");

    admin.ok(Method::POST, "/api/v1/users/eve/disable", None);
    assert_eq!(second.get("/api/v1/me").status, 401, "a disabled user is out at once");
    admin.ok(Method::POST, "/api/v1/sign-out", None);
    assert_eq!(admin.get("/api/v1/me").status, 401);

    let entries = product.ok(&["ledger", "list", "--output", "json"]).unwrap();
    for action in ["link.made", "link.used", "factor.added", "device.signed_in", "device.ended", "user.disabled"] {
        assert!(entries.contains(action), "{action} is missing");
    }
}

fn a_person_signs_in_over_ssh_with_password_and_code(product: &mut Product) {
    let mut ada = Browser::of(product);
    ada.enrol(&link(product, "ada")).unwrap();
    let codes = ada.ok(Method::POST, "/api/v1/me/recovery-codes", Some(&json!({})));
    let code = codes["codes"][0].as_str().unwrap().to_owned();
    let ssh = |password: &str, code: &str| {
        let asks = product.at("asks");
        let script = format!("#!/bin/sh\ncase \"$1\" in *Code*) echo '{code}';; *) echo '{password}';; esac\n");
        std::fs::write(&asks, script).unwrap();
        std::fs::set_permissions(&asks, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let status = product.status().unwrap();
        let port = status["ssh"].as_str().unwrap().rsplit(':').next().unwrap();
        let output = std::process::Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=ERROR",
            ])
            .args([
                "-o",
                "PreferredAuthentications=keyboard-interactive",
                "-o",
                "NumberOfPasswordPrompts=1",
                "-p",
                port,
            ])
            .env("SSH_ASKPASS", &asks)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("DISPLAY", "none")
            .args(["-l", &format!("ada+{ACCOUNT}@web-1"), "127.0.0.1", "echo in"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(ssh(WORDS, "000000"), "", "a wrong code");
    assert_eq!(ssh("some other words", &code), "", "a wrong password");
    assert_eq!(ssh(WORDS, &code), "in\n");
    assert_eq!(ssh(WORDS, &code), "", "a code counts once");
    let devices = ada.ok(Method::GET, "/api/v1/me/devices", None);
    let stays = devices["items"].as_array().unwrap().iter().filter(|device| device["state"] == "in");
    assert_eq!(stays.count(), 1, "what signed in over SSH is no device that stays");
    let entries = product.ok(&["ledger", "list", "--output", "json"]).unwrap();
    assert!(entries.contains("password and code"), "{entries}");
}

/// Where a policy wants a fresh second factor, a key counts in part, and the client is asked for the code in the same login.
fn a_policy_asks_for_a_code_behind_a_key(product: &mut Product) {
    let mut ada = Browser::of(product);
    ada.enrol(&link(product, "ada")).unwrap();
    let codes = ada.ok(Method::POST, "/api/v1/me/recovery-codes", Some(&json!({})));
    let code = codes["codes"][0].as_str().unwrap().to_owned();
    ada.ok(Method::POST, "/api/v1/sign-out", Some(&json!({})));
    let ssh = |code: &str| {
        let asks = product.at("asks");
        std::fs::write(&asks, format!("#!/bin/sh\necho '{code}'\n")).unwrap();
        std::fs::set_permissions(&asks, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = std::process::Command::new("ssh");
        command.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        command.args(["-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "NumberOfPasswordPrompts=1"]);
        command.args(["-o", "PreferredAuthentications=publickey,keyboard-interactive", "-i"]).arg(product.at("ada"));
        command.env("SSH_ASKPASS", &asks).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "none");
        command.args(["-p", &product.ssh_port().to_string(), "-l", &format!("ada+{ACCOUNT}@web-1"), "127.0.0.1"]);
        let output = command.arg("echo in").stdin(std::process::Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(ssh("000000"), "in\n", "a key is enough where no policy wants more");
    let forbid =
        "forbid (principal, action == Action::\"connect\", resource) unless { context.met.contains(\"step-up\") };";
    product.write_checkout(forbid).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    assert_eq!(ssh("000000"), "", "a key and a wrong code");
    assert_eq!(ssh(&code), "in\n");
    assert_eq!(ssh(&code), "", "a code counts once");
    let alone = product.ssh("ada").arg("echo in").output().unwrap();
    assert!(!alone.status.success() && alone.stdout.is_empty(), "a client that cannot be asked is not let in");
    let told = product.ok(&["ledger", "list", "--output", "json"]).unwrap();
    assert!(told.contains("ssh_key and code"), "{told}");
    let begun = product.ok(&["ledger", "list", "--actions", "device.begun"]).unwrap();
    assert!(begun.contains("ada proved an SSH key from 127.0.0.1; a second factor is due"), "{begun}");
}

fn a_terminal_ends_with_the_browser_that_it_is_in(product: &mut Product) {
    let mut ada = Browser::of(product);
    ada.enrol(&link(product, "ada")).unwrap();
    let cookie = ada.cookie.clone().unwrap();
    let path = format!("/terminal?target=web-1&account={ACCOUNT}&cols=80&rows=24");
    let mut terminal = Websocket::connect_with(product, ("cookie", &cookie), &path).unwrap().unwrap();
    terminal.until_told("opened").unwrap();
    ada.ok(Method::POST, "/api/v1/sign-out", Some(&json!({})));
    let closed = terminal.until_told("closed").unwrap();
    assert_eq!(closed["reason"], "signed_out", "{closed}");
    assert_eq!(Websocket::connect_with(product, ("cookie", &cookie), &path).unwrap().err().unwrap().status, 401);
}

#[test]
fn what_another_sites_page_makes_a_browser_do_is_refused() {
    let product = crate::product();
    let mut admin = Browser::of(&product);
    admin.enrol(&link(&product, "admin")).unwrap();
    let own = admin.origin.clone();
    let user = json!({ "handle": "mallory", "groups": [] });
    for origin in [None, Some("https://evil.example.org"), Some("null"), Some("http://127.0.0.1:9")] {
        admin.origin = origin.map(str::to_owned);
        let answer = admin.post("/api/v1/users", &user);
        assert_eq!(answer.status, 403, "{origin:?}: {answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains("page"), "{answer:?}");
        assert_eq!(admin.post("/api/v1/sign-in", &json!({ "handle": "admin", "password": WORDS })).status, 403);
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        assert_eq!(admin.ask(Method::GET, "/api/v1/me", None, &upgrade).status, 403, "a websocket, {origin:?}");
    }
    admin.origin = own;
    let cross = [("sec-fetch-site", "cross-site")];
    assert_eq!(admin.ask(Method::POST, "/api/v1/users", Some(&user), &cross).status, 403);
    assert_eq!(admin.ask(Method::POST, "/api/v1/users", Some(&user), &[]).status, 200);
}

#[test]
fn every_answer_says_what_a_browser_must_not_do_with_it() {
    let product = crate::product();
    let mut admin = Browser::of(&product);
    let token = link(&product, "admin");
    let body = json!({ "token": token.rsplit('/').next(), "password": WORDS });
    let answer = admin.post("/api/v1/enroll", &body);
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("sallyport=spd_"), "{set}");
    for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(set.contains(flag), "{set}");
    }
    for path in ["/api/v1/me", "/api/v1/no-such-path", "/metrics", "/api/v1/openapi.json", "/api/v1/users"] {
        let answer = admin.get(path);
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").contains("require-trusted-types-for 'script'"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(!answer.headers.contains_key("strict-transport-security"), "not without TLS");
    }
}

#[test]
fn a_write_that_is_repeated_under_its_key_is_done_once() {
    let product = crate::product();
    let mut admin = Browser::of(&product);
    admin.enrol(&link(&product, "admin")).unwrap();
    let key = [("idempotency-key", "the-first-of-today")];
    let user = json!({ "handle": "eve", "groups": [] });
    let first = admin.ask(Method::POST, "/api/v1/users", Some(&user), &key);
    let again = admin.ask(Method::POST, "/api/v1/users", Some(&user), &key);
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.body, again.body, "the link of the first time, which is shown once to whoever asked");
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let other = json!({ "handle": "mallory", "groups": [] });
    assert_eq!(admin.ask(Method::POST, "/api/v1/users", Some(&other), &key).status, 409);
    let made = product.ok(&["ledger", "list", "--actions", "user.created", "--output", "json"]).unwrap();
    assert_eq!(made.matches("user.created").count(), 1, "{made}");

    // Somebody else's key of the same text is another one, and without a key nothing is repeated.
    let bearer = format!("Bearer {}", product.token());
    let mut program = Browser::of(&product);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "the-first-of-today")];
    let ada = product.ok(&["token", "ada", "--output", "json"]).unwrap();
    let ada = format!("Bearer {}", json(&ada).unwrap()["token"].as_str().unwrap());
    let theirs = [("authorization", ada.as_str()), ("idempotency-key", "the-first-of-today")];
    assert_eq!(program.ask(Method::POST, "/api/v1/users", Some(&user), &headers).body, first.body, "the same identity");
    assert_eq!(program.ask(Method::POST, "/api/v1/users", Some(&user), &theirs).status, 403, "ada is somebody else");
    assert_eq!(admin.post("/api/v1/users", &user).status, 400, "the handle is taken");
}
