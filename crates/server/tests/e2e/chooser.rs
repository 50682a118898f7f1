//! A person who named no target chooses one: where they were lately stands in front, and only what is theirs to reach.

use crate::terminal::token;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{PASSWORD, Product, outcome, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use sallyport_testkit::terminal::{CTRL_C, Terminal};
use serde_json::json;

on_both!(those_where_somebody_was_lately_stand_first_and_the_rest_by_name);

/// The places on the screen as it was drawn last, and when somebody was there.
fn rows(terminal: &Terminal) -> Vec<(String, String)> {
    let shown = terminal.shown();
    let (_, screen) = shown.rsplit_once("\x1b[2J").unwrap_or_default();
    let plain =
        ["\x1b[7m", "\x1b[2m", "\x1b[1m", "\x1b[0m"].iter().fold(screen.to_owned(), |all, s| all.replace(s, ""));
    let row = |line: &str| {
        let (place, when) = line.get(2..)?.split_once(' ').unwrap_or((line.get(2..)?, ""));
        let target = place.strip_prefix(&format!("{ACCOUNT}@"))?;
        Some((target.to_owned(), when.trim().to_owned()))
    };
    plain.split("\r\n").skip(1).filter_map(row).collect()
}

/// The targets, once they are these; those with a time, and those without.
fn until(terminal: &Terminal, recent: &[&str], rest: &[&str]) {
    let wanted: Vec<(&str, bool)> =
        recent.iter().map(|name| (*name, true)).chain(rest.iter().map(|name| (*name, false))).collect();
    let as_wanted = || {
        let rows = rows(terminal);
        let found: Vec<_> = rows.iter().map(|(name, when)| (name.as_str(), !when.is_empty())).collect();
        (found == wanted).then_some(rows)
    };
    let waited = wait_for(&format!("{wanted:?}"), 20, as_wanted);
    assert!(waited.is_ok(), "{wanted:?}: {:?}", rows(terminal));
    let rows = waited.unwrap();
    for (name, when) in rows.iter().filter(|(_, when)| !when.is_empty()) {
        assert!(when == "just now" || when.ends_with(" min ago"), "{name}: {when}");
    }
}

fn those_where_somebody_was_lately_stand_first_and_the_rest_by_name(product: &mut Product) {
    let api = Api::new(product, product.token());
    let keys = json!([product.target.host_key().unwrap()]);
    for name in ["app-1", "db-1", "db-2", "db-3", "mail-1", "web-2"] {
        let tags = if name == "mail-1" { json!(["web", "mail"]) } else { json!(["web"]) };
        let target = json!({
            "name": name, "host": "127.0.0.1", "port": product.target.address().port(), "environment": "demo",
            "tier": 1, "tags": tags, "host_keys": keys, "account": {"name": ACCOUNT, "class": "standard"},
            "credential": {"password": PASSWORD},
        });
        api.post("/targets", &target).is(201);
    }
    let open = || {
        let mut ssh = product.ssh_at("ada", "ada");
        ssh.arg("-tt");
        let mut terminal = Terminal::run(&ssh).unwrap();
        terminal.until_shown("Ctrl-C: leave").unwrap();
        terminal
    };
    let mut first = open();
    until(&first, &[], &["app-1", "db-1", "db-2", "db-3", "mail-1", "web-1", "web-2"]);
    first.type_in(CTRL_C).unwrap();
    first.ended().unwrap();

    for target in ["app-1", "db-1", "db-2", "db-3", "mail-1", "web-2", "mail-1"] {
        let output = product.ssh_at("ada", &format!("ada+{ACCOUNT}@{target}")).arg("true").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut ssh = open();
    // A few of them: where they were longest ago stands among the rest.
    until(&ssh, &["mail-1", "web-2", "db-3", "db-2", "db-1"], &["app-1", "web-1"]);
    ssh.type_in("web-").unwrap();
    until(&ssh, &["web-2"], &["web-1"]);
    // The first one is chosen.
    ssh.type_in("\r").unwrap();
    ssh.until_shown("$ ").unwrap();
    ssh.type_in("exit\r").unwrap();
    assert_eq!(ssh.ended().unwrap(), 0);

    let ada = token(product, "ada");
    let lately = |token: &str| -> Vec<String> {
        let page = Api::new(product, token).get("/reach?recent=true").ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.iter().all(|row| row["used"].is_string()) && page["next"].is_null(), "{page}");
        items.iter().map(|row| row["target"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(lately(&ada), ["web-2", "mail-1", "db-3", "db-2", "db-1"]);
    let ls = || {
        let mut ls = product.command(&["ls", "--recent"]);
        outcome(ls.env("SALLYPORT_TOKEN", &ada).output().unwrap()).1
    };
    let said = ls();
    let lines: Vec<_> = said.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(lines[..2], [format!("{ACCOUNT}@web-2"), format!("{ACCOUNT}@mail-1")], "{said}");
    // Other people's sessions are not theirs, and what is out of reach is not shown for having been used.
    assert!(lately(&token(product, "carol")).is_empty());
    product
        .write_checkout("forbid (principal, action, resource is Account) when { resource.tags.contains(\"mail\") };")
        .unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    assert_eq!(lately(&ada), ["web-2", "db-3", "db-2", "db-1", "app-1"]);
    until(&open(), &["web-2", "db-3", "db-2", "db-1", "app-1"], &["web-1"]);
}
