//! Logins over SSH that their owner allows in a browser.

use crate::browser::Browser;
use reqwest::Method;
use sallyport_testkit::product::{Product, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use sallyport_testkit::terminal::Terminal;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

on_both!(
    a_login_is_allowed_in_a_real_browser_and_another_refused,
    a_login_counts_what_the_browser_has_shown_and_leads_where_it_said,
);

fn stock(program: &str, product: &Product, login: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-p", &product.ssh_port().to_string(), "-F", "none", "-o", "StrictHostKeyChecking=no"]);
    command.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "PubkeyAuthentication=no"]);
    command.args(["-o", "NumberOfPasswordPrompts=1", "-l", login, "127.0.0.1"]);
    command
}

/// A stock client that has come to its code: it, and the code.
fn shown(product: &Product, login: &str) -> (Terminal, String) {
    let mut command = stock("ssh", product, login);
    command.args(["-tt", "-o", "PreferredAuthentications=keyboard-interactive"]);
    let mut terminal = Terminal::run(&command).unwrap();
    terminal.until_shown("Enter alone to sign in with a browser: ").unwrap();
    terminal.type_in("\r").unwrap();
    terminal.until_shown("then press Enter here").unwrap();
    let text = terminal.shown().replace("\r\n", "");
    let (_, behind) = text.rsplit_once("/link and enter ").unwrap();
    (terminal, behind.get(..9).unwrap().to_owned())
}

fn ada() -> String {
    format!("ada+{ACCOUNT}@web-1")
}

fn a_login_is_allowed_in_a_real_browser_and_another_refused(product: &mut Product) {
    let (mut allowed, code) = shown(product, &ada());
    let (mut refused, second) = shown(product, &ada());
    let facts = json!({ "allow": code, "refuse": second, "wants": format!("{ACCOUNT}@web-1") });
    // One presses Enter before anybody has answered, the other behind it.
    refused.type_in("\r").unwrap();
    refused.until_shown("Waiting until it is allowed in the browser").unwrap();
    crate::portal::play(product, "link", &["ada", "bob"], &facts);
    allowed.type_in("\r").unwrap();
    allowed.until_shown("$ ").unwrap();
    allowed.type_in("echo in-$((40+2))\r").unwrap();
    allowed.until_shown("in-42").unwrap();
    allowed.type_in("exit\r").unwrap();
    assert_eq!(allowed.ended().unwrap(), 0);
    refused.until_shown("it was refused in the browser").unwrap();
    assert_ne!(refused.ended().unwrap(), 0);
    let told = product.ok(&["ledger", "list", "--limit", "200"]).unwrap();
    for sentence in [
        format!("a login as ada from 127.0.0.1, to {ACCOUNT}@web-1 waits to be allowed in a browser"),
        format!("ada allowed in a browser a login from 127.0.0.1, to {ACCOUNT}@web-1"),
        format!("ada refused in a browser a login from 127.0.0.1, to {ACCOUNT}@web-1"),
        format!("ada logged in from 127.0.0.1, to {ACCOUNT}@web-1, as allowed in a browser by passkey"),
    ] {
        assert!(told.contains(&sentence), "{sentence}: {told}");
    }
}

fn a_login_counts_what_the_browser_has_shown_and_leads_where_it_said(product: &mut Product) {
    let mut browser = Browser::of(product);
    browser.enrol(&crate::sign_in::link(product, "ada")).unwrap();
    // A policy that asks for what no password and no key shows over SSH.
    let forbid = "forbid (principal, action == Action::\"connect\", resource) unless { \
        context.factors.contains(\"totp\") && context.met.contains(\"step-up\") };";
    product.write_checkout(forbid).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    let (mut ssh, code) = shown(product, &ada());
    ssh.type_in("\r").unwrap();
    let look = browser.ok(Method::POST, "/api/v1/me/login-codes/look", Some(&json!({ "code": code.to_lowercase() })));
    assert_eq!((&look["wants"], &look["from"]), (&json!(format!("{ACCOUNT}@web-1")), &json!("127.0.0.1")), "{look}");
    assert_eq!(look["same_address"], true);
    assert!(look["client"].as_str().unwrap().starts_with("SSH-2.0-OpenSSH"), "{look}");
    browser.ok(Method::POST, "/api/v1/me/login-codes/allow", Some(&json!({ "code": code })));
    assert_ne!(browser.post("/api/v1/me/login-codes/allow", &json!({ "code": code })).status, 204, "twice");
    ssh.until_shown("$ ").unwrap();
    ssh.type_in("exit\r").unwrap();
    ssh.ended().unwrap();
    let metrics = browser.get("/metrics").body;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("sallyport_sign_ins_total{factor=\"browser\",outcome=\"accepted\"} 1"), "{metrics}");
    // Clients that only try passwords are answered; and nobody waits whose handle nobody has.
    let empty = product.at("empty");
    std::fs::write(&empty, "#!/bin/sh\necho\n").unwrap();
    std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut only = stock("ssh", product, &ada());
    only.args(["-o", "PreferredAuthentications=password"]).env("SSH_ASKPASS", &empty);
    only.env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "none").stdin(Stdio::null());
    let output = only.arg("true").output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("Permission denied"));
    let (_stranger, code) = shown(product, &format!("nobody-here+{ACCOUNT}@web-1"));
    assert_eq!(browser.post("/api/v1/me/login-codes/look", &json!({ "code": code })).status, 404);
}

/// What a client has shown, with the lines whole that it has folded: plink marks those that go on with `>`.
fn unfolded(terminal: &Terminal) -> String {
    terminal.shown().replace("\r\r\n", "\r\n").replace("\r\n> ", "")
}

/// What a client has shown is words, line by line: nothing that a terminal would obey, and no mark of how it was packed.
fn reads_well(client: &str, terminal: &Terminal, sentences: &[&str]) {
    let shown = unfolded(terminal);
    let odd = shown.chars().find(|c| c.is_control() && !matches!(c, '\r' | '\n'));
    assert_eq!(odd, None, "{client} shows {shown:?}");
    for sentence in sentences {
        assert_eq!(shown.matches(sentence).count(), 1, "{client} shows {sentence:?} not once in {shown}");
    }
}

/// The code that stands behind the page's address.
fn code_in(text: &str) -> String {
    let (_, behind) = text.rsplit_once("/link and enter ").unwrap();
    behind.chars().take(9).collect()
}

#[test]
fn putty_and_paramiko_show_the_code_readably_and_go_on_once_it_is_allowed() {
    let product = crate::product();
    let mut browser = Browser::of(&product);
    browser.enrol(&crate::sign_in::link(&product, "ada")).unwrap();
    let allow = |browser: &mut Browser, code: &str| {
        browser.ok(Method::POST, "/api/v1/me/login-codes/allow", Some(&json!({ "code": code })));
    };
    let page = product.url().replace("127.0.0.1", "localhost");
    let home = product.at("putty");
    std::fs::create_dir(&home).unwrap();

    let mut plink = Command::new("plink");
    plink.env("HOME", &home).args(["-ssh", "-P", &product.ssh_port().to_string(), "-l", &ada(), "127.0.0.1"]);
    let mut plink = Terminal::run(&plink).unwrap();
    plink.until_shown("(y/n").unwrap();
    plink.type_in("n\r").unwrap();
    plink.until_shown("Enter alone to sign in with a browser: ").unwrap();
    plink.type_in("\r").unwrap();
    let asked = || unfolded(&plink).ends_with("then press Enter here (or type your password): ").then_some(());
    let waited = wait_for("the code", 20, asked);
    assert!(waited.is_ok(), "{:?}", plink.shown());
    let code = code_in(&unfolded(&plink));
    // Somebody presses Enter before the answer, and is told that it waits.
    plink.type_in("\r").unwrap();
    plink.until_shown("Waiting until it is allowed in the browser; Ctrl-C to leave.").unwrap();
    allow(&mut browser, &code);
    plink.until_shown("Press Return to begin session").unwrap();
    let asked = format!("Sign in at {page}/link and enter {code}, then press Enter here");
    reads_well("plink", &plink, &[&asked, "Waiting until it is allowed in the browser"]);
    plink.type_in("\r").unwrap();
    plink.until_shown("$ ").unwrap();
    plink.type_in("echo in-$((40+2)); exit\r").unwrap();
    plink.until_shown("in-42").unwrap();
    assert_eq!(plink.ended().unwrap(), 0);

    let mut paramiko = Command::new("/usr/bin/python3");
    paramiko.env("PORT", product.ssh_port().to_string()).env("TARGET_USER", ada());
    let mut paramiko = Terminal::run(paramiko.args(["-c", include_str!("pending/paramiko.py")])).unwrap();
    paramiko.until_shown("Enter alone to sign in with a browser:").unwrap();
    paramiko.type_in("\r").unwrap();
    paramiko.until_shown("then press Enter here (or type your password):").unwrap();
    let code = code_in(&paramiko.shown());
    paramiko.type_in("\r").unwrap();
    paramiko.until_shown("Waiting until it is allowed in the browser; Ctrl-C to leave.").unwrap();
    allow(&mut browser, &code);
    paramiko.until_shown("in-42").unwrap();
    let asked = format!("Sign in at {page}/link and enter {code}, then press Enter here");
    reads_well("paramiko", &paramiko, &[&asked, "Waiting until it is allowed in the browser"]);
    assert_eq!(paramiko.ended().unwrap(), 0);
}

#[test]
fn a_login_at_one_node_is_allowed_at_another() {
    let one = Product::start_on(crate::binary(), crate::on_server()).unwrap();
    let two = one.join("node-2").unwrap();
    let mut browser = Browser::of(&two);
    browser.enrol(&crate::sign_in::link(&two, "ada")).unwrap();
    let (mut ssh, code) = shown(&one, &ada());
    ssh.type_in("\r").unwrap();
    let known = || two.ok(&["ledger", "list", "--actions", "login.pending"]).ok()?.contains("as ada").then_some(());
    wait_for("the other node to know of it", 20, known).unwrap();
    browser.ok(Method::POST, "/api/v1/me/login-codes/allow", Some(&json!({ "code": code })));
    ssh.until_shown("$ ").unwrap();
    ssh.type_in("exit\r").unwrap();
    ssh.ended().unwrap();
}
