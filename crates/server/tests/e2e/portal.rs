//! The portal in a real browser: each story of `portal/tests/stories` against the whole product and a real sshd.

use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{Product, json, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use sallyport_testkit::terminal::{CTRL_C, Terminal};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn portal() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../portal")
}

/// Plays a story, with the one-time links of these people; what it told.
pub(crate) fn play(product: &Product, story: &str, people: &[&str], further: &Value) -> Value {
    for built in ["dist/index.html", "node_modules/playwright-core"] {
        assert!(portal().join(built).exists(), "portal/{built} is missing: `cargo xtask portal` makes it");
    }
    let links: serde_json::Map<String, Value> =
        people.iter().map(|who| ((*who).to_owned(), link(product, who))).collect();
    let mut facts = json!({ "url": product.url().replace("127.0.0.1", "localhost"), "links": links });
    for (name, value) in further.as_object().into_iter().flatten() {
        facts[name] = value.clone();
    }
    let mut node = Command::new("node")
        .arg(portal().join("tests/play.mjs"))
        .arg(story)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(facts.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{story}: {said}\n{}", product.log());
    json(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

fn link(product: &Product, who: &str) -> Value {
    json(&product.local(&["admin", "link", who, "--output", "json"]).unwrap()).unwrap()["link"].take()
}

#[test]
fn two_clicks_from_sign_in_to_a_live_terminal_that_is_replayed_and_proven() {
    let product = crate::product();
    let told =
        play(&product, "connect", &["ada", "carol"], &json!({ "control": product.pid("control").unwrap().as_raw() }));
    assert!(told["clicks"].as_u64().unwrap() <= 2, "{told}");
    let entries = product.ok(&["ledger", "list", "--output", "json"]).unwrap();
    assert!(entries.contains("recording.played"), "a replay is a ledgered read");
}

#[test]
fn a_passkey_enrols_and_signs_in_alone() {
    play(&crate::product(), "passkey", &["bob"], &Value::Null);
}

#[test]
fn text_is_copied_out_of_a_terminal_and_pasted_into_it_as_nothing_but_text() {
    play(&crate::product(), "clipboard", &["ada"], &Value::Null);
}

#[test]
fn every_page_is_accessible_and_quiet_at_both_sizes_in_both_themes() {
    play(&crate::product(), "pages", &["admin", "ada", "carol"], &Value::Null);
}

/// The chooser of `ssh gateway`, as a terminal draws it.
#[test]
fn every_choice_is_drawn_where_a_person_named_no_target() {
    let product = crate::product();
    let known = fs::read_to_string(product.at("checkout/inventory.toml")).unwrap();
    let (_, target) = known.split_once("[[target]]").unwrap();
    let more = ["mail-1", "mail-2", "web-2", "build-7"]
        .map(|name| format!("[[target]]{}", target.replacen("\"web-1\"", &format!("\"{name}\""), 1)));
    fs::write(product.at("checkout/inventory.toml"), format!("{known}{}", more.concat())).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    // Where she was lately stands in front.
    assert!(product.ssh("ada").arg("true").status().unwrap().success());
    let mut ssh = product.ssh_at("ada", "ada");
    ssh.arg("-tt");
    let mut terminal = Terminal::run(&ssh).unwrap();
    let play = |terminal: &Terminal, picture: &str| {
        let facts = json!({ "shown": terminal.shown(), "picture": picture });
        let told = self::play(&product, "chooser", &[], &facts);
        told["rows"].as_array().unwrap().iter().map(|row| format!("{}\n", row.as_str().unwrap())).collect::<String>()
    };
    terminal.until_shown("web-2").unwrap();
    let rows = play(&terminal, "chooser");
    for name in ["build-7", "mail-1", "mail-2", "web-1", "web-2"] {
        assert_eq!(rows.matches(&format!("{ACCOUNT}@{name}")).count(), 1, "{rows}");
    }
    assert!(rows.contains(&format!("> {ACCOUNT}@web-1  just now\n")), "{rows}");
    terminal.type_in("mail").unwrap();
    terminal.until_shown("mail").unwrap();
    wait_for("the list to narrow", 20, || {
        let rows = play(&terminal, "chooser-narrowed");
        (rows.contains("mail-2") && !rows.contains("web-")).then_some(())
    })
    .unwrap();
    terminal.type_in(CTRL_C).unwrap();
    terminal.ended().unwrap();
}

#[test]
fn ones_own_sessions_come_page_by_page_and_of_a_forward_it_is_asked_where_it_goes() {
    let forward = "@id(\"to-the-database\")\npermit (principal, action == Action::\"channel:forward_local\", resource)\n\
        when { context has destination && context.destination like \"127.0.0.1:*\" };";
    let product = Product::start_with(crate::binary(), forward).unwrap();
    play(&product, "own", &["ada", "admin"], &json!({ "account": ACCOUNT }));
}

#[test]
fn the_browser_verifies_the_ledger_and_refuses_a_changed_proof() {
    play(&crate::product(), "proof", &["carol"], &Value::Null);
}

#[test]
fn hostile_names_stay_text() {
    let product = crate::product();
    let corpus: Vec<&str> = include_str!("portal/corpus.txt").lines().filter(|line| !line.starts_with("# ")).collect();
    // What somebody without a right typed as a login stands in the ledger.
    for text in corpus.iter().filter(|text| !text.contains('@')) {
        let login = format!("bob+{}@web-1", text.replace(['%', '+'], ""));
        assert_ne!(product.ssh_at("bob", &login).arg("id").output().unwrap().status.code(), Some(0), "{login}");
    }
    play(&product, "hostile", &["admin", "ada", "carol"], &json!({ "corpus": corpus }));
}

#[test]
fn a_target_is_added_and_checked_and_a_session_on_it_watched_and_ended() {
    let product = crate::product();
    let key = product.target.host_key().unwrap();
    let target = json!({
        "port": product.target.address().port(),
        "fingerprint": fingerprint(&product, &key),
        "account": ACCOUNT,
        "password": sallyport_testkit::product::PASSWORD,
    });
    play(&product, "operate", &["admin", "ada"], &json!({ "target": target }));
}

#[test]
fn every_field_of_a_target_is_changed_where_it_is_shown_and_a_refusal_stands_at_it() {
    let product = crate::product();
    let target = json!({
        "port": product.target.address().port(),
        "account": ACCOUNT,
        "password": sallyport_testkit::product::PASSWORD,
        "authority": product.target.host_key().unwrap(),
    });
    play(&product, "change", &["admin"], &json!({ "target": target }));
    let told = product.ok(&["ledger", "list", "--limit", "200"]).unwrap();
    for sentence in [
        format!("had the target web-1 reached via {ACCOUNT}@bastion, before that directly"),
        format!("had the target web-1 reached directly, before that via {ACCOUNT}@bastion"),
        "lets old algorithms be spoken with the target web-1: ssh-rsa".to_owned(),
        "took the exceptions of the target web-1 back".to_owned(),
        "a post-quantum key exchange is demanded of the target web-1".to_owned(),
    ] {
        assert!(told.contains(&sentence), "{sentence}: {told}");
    }
}

#[test]
fn every_certificate_of_ones_own_is_shown_and_the_button_revokes_it() {
    let product = crate::product();
    let key = product.at("own");
    sallyport_testkit::sshd::keygen(&key).unwrap();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let print = fingerprint(&product, &public);
    let told = play(&product, "certificates", &["ada"], &json!({ "public": public, "fingerprint": print }));
    // Two of one key: one was revoked, and the other is good.
    for (name, good) in [("revoked", false), ("kept", true)] {
        fs::write(product.at("own-cert.pub"), told[name].as_str().unwrap()).unwrap();
        assert_eq!(crate::ssh_certificates::signs_in(&product, &key, "ada"), good, "{name}: {}", product.log());
    }
    let told = product.ok(&["ledger", "list", "--actions", "ssh_certificate.revoked"]).unwrap();
    assert!(told.contains("ada revoked the SSH certificate"), "{told}");
}

#[test]
fn staff_watch_speak_to_and_pause_a_session_and_its_user_sees_it() {
    let product = crate::product_on_server();
    let admin = sallyport_testkit::http::Api::new(&product, product.token());
    let _ = admin.post("/users", &json!({ "handle": "oscar", "groups": ["sallyport:operator"] })).ok();
    play(&product, "steer", &["ada", "oscar"], &Value::Null);
}

#[test]
fn a_session_that_must_be_observed_is_joined_with_its_users_consent() {
    let product = crate::product();
    crate::company::permit(&product, crate::company::FOUR_EYES);
    let admin = sallyport_testkit::http::Api::new(&product, product.token());
    let _ = admin.post("/users", &json!({ "handle": "oscar", "groups": ["helpers", "sallyport:operator"] })).ok();
    play(&product, "together", &["ada", "pat", "oscar"], &Value::Null);
}

#[test]
fn every_file_beside_a_terminal_goes_up_and_down_as_policy_has_it() {
    let product = crate::product();
    let rules = "name = \"keys\"\ndescription = \"Keys\"\n[[file]]\nid = \"keys\"\nact = \"block\"\n\
        why = \"keys stay where they are\"\nname = \"*.pem\"\n";
    fs::write(product.at("checkout/keys.rules.toml"), rules).unwrap();
    let limit = "@limit @commands(\"keys\") permit (principal, action, resource is Account);\n";
    crate::transfers::permit(&product, &format!("{}{limit}", crate::transfers::FILES));
    let place = product.target.scratch().unwrap();
    fs::create_dir(place.join("empty")).unwrap();
    fs::write(place.join("p\u{430}ypal.txt"), "a Cyrillic letter").unwrap();
    fs::write(place.join("two\nlines\u{202e}"), "").unwrap();
    for directory in [&place, &place.join("empty")] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let told = play(&product, "files", &["ada"], &json!({ "place": place, "large": product.at("large") }));
    let made = place.join("100% new");
    let names: Vec<_> = fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(
        crate::transfers::sum(fs::File::open(made.join("report.txt")).unwrap()),
        told["report"].as_str().unwrap()
    );
    assert_eq!(fs::read(made.join("dropped here.txt")).unwrap(), b"dropped");
}

#[test]
fn a_session_that_rules_were_about_says_so_everywhere_and_gives_its_file_out() {
    let product = crate::product();
    let limit = "@id(\"kept\") @limit @recording(\"enhanced\") @commands(\"high-risk\")\n\
        permit (principal, action, resource is Account);\n";
    crate::transfers::permit(&product, &format!("{}{limit}", crate::transfers::FILES));
    let place = product.target.scratch().unwrap();
    fs::write(place.join("id_rsa"), "my own key\n").unwrap();
    play(&product, "alerts", &["ada", "carol"], &json!({ "place": place }));
}

#[test]
fn custodians_open_the_vault_in_their_browsers_and_keys_are_replaced() {
    let product = crate::product();
    play(&product, "ceremony", &["admin"], &Value::Null);
    let entries = product.ok(&["ledger", "list", "--limit", "200"]).unwrap();
    for sentence in ["replaced the root key", "began a new epoch of keys", "removed seal slot"] {
        assert!(entries.contains(sentence), "{sentence}: {entries}");
    }
}

#[test]
fn a_node_that_is_gone_is_let_go_in_the_portal() {
    let server = Postgres::start().unwrap();
    let one = Product::start_on(crate::binary(), &server).unwrap();
    one.join("node-2").unwrap().stop().unwrap();
    play(&one, "nodes", &["admin"], &json!({ "gone": "node-2" }));
    let nodes = one.ok(&["node", "list"]).unwrap();
    assert!(!nodes.contains("node-2"), "{nodes}");
}

#[test]
fn a_broken_line_is_told_and_everything_goes_on_behind_it() {
    play(&crate::product(), "offline", &["ada", "carol"], &Value::Null);
}

#[test]
fn a_session_waits_for_its_lost_line_however_often_it_is_tried_and_for_the_next_tab() {
    let product = crate::product();
    play(&product, "away", &["ada"], &json!({ "token": product.token() }));
}

/// As OpenSSH prints it.
pub(crate) fn fingerprint(product: &Product, key: &str) -> String {
    let file = product.at("host.pub");
    std::fs::write(&file, key).unwrap();
    let output = Command::new("ssh-keygen").arg("-lf").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}
