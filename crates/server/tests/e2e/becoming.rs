//! Accounts that nobody logs in at: a logon account becomes them, and rows, entries and refusals name both.

use crate::terminal::token;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{PASSWORD, Product, outcome};
use sallyport_testkit::sshd::ACCOUNT;
use sallyport_testkit::sshd::accounts::{self, BECOME, BECOME_PASSWORD, FREE, SUDOER, SUDOER_PASSWORD};
use serde_json::json;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

on_both!(
    an_account_is_become_by_way_of_another_and_everything_names_both,
    ways_that_lead_nowhere_are_refused_with_what_to_do,
);

/// Writes and applies the target `web-2` with these accounts, each with the lines behind its name.
fn apply(product: &Product, accounts: &[(&str, &str)]) -> (i32, String, String) {
    let mut text = format!(
        "[[target]]\nname = \"web-2\"\nhost = \"127.0.0.1\"\nport = {}\nenvironment = \"demo\"\ntier = 1\n\
         tags = [\"web\"]\nhost_keys = [\"{}\"]\n",
        product.target.address().port(),
        product.target.host_key().unwrap()
    );
    for (name, lines) in accounts {
        text += &format!("[[target.account]]\nname = \"{name}\"\nclass = \"standard\"\n{lines}\n");
    }
    fs::write(product.at("checkout/ways.toml"), text).unwrap();
    product.run(&["apply", &product.at("checkout").display().to_string()]).unwrap()
}

fn store(product: &Product, account: &str, password: &str) {
    product.stdin(&["vault", "put", &format!("{account}@web-2"), "--password-stdin"], password).unwrap();
}

/// What `whoami` comes to for ada.
fn who(product: &Product, account: &str) -> (i32, String, String) {
    outcome(product.ssh_at("ada", &format!("ada+{account}@web-2")).arg("whoami").output().unwrap())
}

const BY_SU: &str = "through = { account = \"spt_free\", by = \"su\" }";
const BY_SUDO: &str = "through = { account = \"spt_sudo\", by = \"sudo\" }";

/// A product whose `web-2` has both ways.
fn prepared(product: &Product) {
    accounts::make().unwrap();
    let (code, out, err) = apply(product, &[(FREE, ""), (BECOME, BY_SU), (SUDOER, ""), ("root", BY_SUDO)]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("root@web-2") && out.contains("standard, through spt_sudo by sudo"), "{out}");
    for (account, password) in [(FREE, SUDOER_PASSWORD), (BECOME, BECOME_PASSWORD), (SUDOER, SUDOER_PASSWORD)] {
        store(product, account, password);
    }
}

/// Whether a text stands in any file below a directory.
fn written(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return written(&path, text);
        }
        path.is_file() && fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn an_account_is_become_by_way_of_another_and_everything_names_both(product: &mut Product) {
    prepared(product);
    let (api, carol) = (Api::new(product, product.token()), Api::new(product, &token(product, "carol")));
    for (account, way) in [(BECOME, "spt_free by su"), ("root", "spt_sudo by sudo")] {
        assert_eq!(who(product, account), (0, format!("{account}\n"), String::new()), "{}", product.target.log());
        product.idle().unwrap();
        let session = product.newest_session().unwrap();
        assert_eq!((&session["account"], &session["through"]), (&json!(account), &json!(way)), "{session}");
        let cast = carol.get(&format!("/recordings/{}/cast", session["id"].as_str().unwrap())).text();
        let title = format!("{account}@web-2, through {way} by ada over ssh");
        assert!(cast.lines().next().unwrap().contains(&title), "{cast}");
        let listed = carol.get("/recordings?limit=1").ok();
        assert_eq!(listed["items"][0]["through"], json!(way), "{listed}");
        assert_eq!(api.post("/targets/web-2/check", &json!({"account": account})).ok()["ok"], true);
    }
    let told = product.ok(&["ledger", "list", "--actions", "session.opened,credential.lent"]).unwrap();
    for sentence in [
        format!("ada opened a session on {BECOME}@web-2, through spt_free by su"),
        format!("the password of spt_free@web-2 was lent for ada's session on {BECOME}@web-2"),
        format!("the password of {BECOME}@web-2 was lent for ada's session, asked for by su"),
        "the password of spt_sudo@web-2 was lent for ada's session on root@web-2".to_owned(),
        "the password of spt_sudo@web-2 was lent for ada's session on root@web-2, asked for by sudo".to_owned(),
    ] {
        assert!(told.contains(&sentence), "{sentence}: {told}");
    }

    // Who is not become is told what to do, in the session, in its row, in an entry and in a check.
    store(product, BECOME, "not-the-password");
    let refused = format!("the target did not let `spt_free` become `{BECOME}`: check the password of `{BECOME}`");
    let (code, out, err) = who(product, BECOME);
    assert!(code != 0 && out.is_empty() && err.contains(&refused), "{code} {out} {err}");
    product.idle().unwrap();
    crate::metrics::stand_in_the_book(product);
    let session = product.newest_session().unwrap();
    assert_eq!(session["reason"], "dial_fail", "{session}");
    assert!(session["note"].as_str().unwrap().contains(&refused), "{session}");
    let told = product.ok(&["ledger", "list", "--actions", "channel.denied"]).unwrap();
    assert!(told.contains(&refused), "{told}");
    let checked = api.post("/targets/web-2/check", &json!({"account": BECOME})).ok();
    assert!(checked["ok"] == false && checked["detail"].as_str().unwrap().contains(&refused), "{checked}");

    // Once in the session, and once in the check.
    let figures = crate::metrics::figures(product);
    assert!(figures.contains("sallyport_becomings_failed_total{by=\"su\",reason=\"password\"} 2\n"), "{figures}");

    a_policy_knows_the_logon_account(product);
    a_session_ends_whose_way_changes(product, &api);
    for secret in [BECOME_PASSWORD, SUDOER_PASSWORD] {
        assert!(!written(&product.at(""), secret), "a password was written");
    }
}

fn a_policy_knows_the_logon_account(product: &Product) {
    let ada = Api::new(product, &token(product, "ada"));
    let states = || {
        let listed = ada.get("/reach?search=web-2").ok();
        let rows = listed["items"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["account"].as_str().unwrap(), row["state"].as_str().unwrap()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(states(), format!("root usable, {BECOME} usable, {FREE} usable, {SUDOER} usable"));
    let before = fs::read_to_string(product.at("checkout/ops.cedar")).unwrap();
    let forbids = "@id(\"never-by-way-of-that\")\nforbid (principal, action, resource is Account)\n\
                   when { resource has logon && resource.logon == \"spt_free\" };\n";
    fs::write(product.at("checkout/ops.cedar"), format!("{before}{forbids}")).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    assert_eq!(states(), format!("root usable, {FREE} usable, {SUDOER} usable"));
    assert_eq!(who(product, BECOME).0, 6);
    assert_eq!(who(product, "root").1, "root\n");
    fs::write(product.at("checkout/ops.cedar"), before).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
}

fn a_session_ends_whose_way_changes(product: &Product, api: &Api) {
    let mut ssh = product.ssh_at("ada", "ada+root@web-2");
    let mut child = ssh.arg("echo begun; sleep 60").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut begun = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"begun\n");
    let changed = json!({"class": "standard", "through": {"account": FREE, "by": "sudo"}});
    let told = api.put("/targets/web-2/accounts/root", &changed).ok();
    let accounts = told["accounts"].as_array().unwrap();
    let root = accounts.iter().find(|account| account["name"] == "root").unwrap();
    assert_eq!(root["through"], json!({"account": FREE, "by": "sudo"}));
    let (code, _, err) = outcome(child.wait_with_output().unwrap());
    assert!(code != 0 && err.contains("the account is now reached in another way"), "{code} {err}");
    let told = product.ok(&["ledger", "list", "--actions", "account.changed"]).unwrap();
    assert!(told.contains("changed the account root@web-2, which is now reached through spt_free by sudo"), "{told}");
}

fn ways_that_lead_nowhere_are_refused_with_what_to_do(product: &mut Product) {
    let through = |account: &str| format!("through = {{ account = \"{account}\", by = \"su\" }}");
    for (lines, why) in [
        (through("app"), "an account is not its own logon account"),
        (through("nobody"), "its logon account is not on this target"),
        (through("chain"), "its logon account is itself reached through another one"),
        (format!("{}\ncertificate = {{}}", through(ACCOUNT)), "write it at the logon account"),
        ("through = { account = \"spt_ops\", by = \"doas\" }".to_owned(), "unknown variant `doas`"),
        ("through = { account = \"spt_ops\" }".to_owned(), "missing field `by`"),
    ] {
        let accounts = [(ACCOUNT, String::new()), ("chain", through(ACCOUNT)), ("app", lines)];
        let accounts: Vec<_> = accounts.iter().map(|(name, lines)| (*name, lines.as_str())).collect();
        let (code, out, err) = apply(product, &accounts);
        assert!(code == 2 && err.contains(why), "{why}: {code} {out} {err}");
    }
    let api = Api::new(product, product.token());
    api.get("/targets/web-2").is(404);
    let (code, _, err) = apply(product, &[(ACCOUNT, ""), ("app", &through(ACCOUNT))]);
    assert_eq!(code, 0, "{err}");
    let put = |account: &str, body: &serde_json::Value| api.put(&format!("/targets/web-2/accounts/{account}"), body);
    let chain = json!({"class": "standard", "through": {"account": "app", "by": "su"}});
    for (account, body, why) in [
        ("next", chain.clone(), "reached through another one"),
        (ACCOUNT, chain, "reached through another one"),
        ("app", json!({"class": "standard", "through": {"account": "app", "by": "su"}}), "not its own logon account"),
        ("app", json!({"class": "standard", "through": {"account": ACCOUNT, "by": "doas"}}), "by `su` or by `sudo`"),
        ("app", json!({"class": "standard", "certificate": {"principal": "a,b"}}), "without a comma"),
    ] {
        let told = put(account, &body).is(400);
        assert!(told["detail"].as_str().unwrap().contains(why), "{why}: {told}");
    }
    let added = put("report", &json!({"class": "service", "certificate": {"force_command": "/usr/bin/report"}})).ok();
    let report = added["accounts"].as_array().unwrap().iter().find(|account| account["name"] == "report").unwrap();
    assert_eq!(report["certificate_terms"]["force_command"], "/usr/bin/report", "{added}");
    // Nothing is stored that `su` could be answered with: it is said before anybody dials.
    let (code, _, err) = who(product, "app");
    assert!(code != 0 && err.contains("no credential is stored for its logon account"), "{err}");
    store(product, ACCOUNT, PASSWORD);
    let (code, _, err) = who(product, "app");
    assert!(code != 0 && err.contains("no password is stored for it, which `su` asks for"), "{err}");
    let bob = Api::new(product, &token(product, "bob"));
    bob.put("/targets/web-2/accounts/app", &json!({"class": "standard"})).is(404);
}
