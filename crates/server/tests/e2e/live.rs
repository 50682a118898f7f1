//! What is live and what was: followed as events, found by a text on the screen, and proven entry by entry.

use crate::terminal::token;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sallyport_testkit::browser::Browser;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::Product;
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

on_both!(
    sessions_are_followed_from_their_begin_to_their_end,
    a_recording_is_found_by_what_was_on_its_screen_and_jumped_into,
    what_rules_are_about_is_shown_at_once_found_again_and_taken_out,
    the_ledger_proves_its_entries_and_its_growth_to_who_checks_alone,
);

fn sessions_are_followed_from_their_begin_to_their_end(product: &mut Product) {
    let api = Api::new(product, product.token());
    let first = api.event("/live", |name, _| name == "sessions");
    assert_eq!(first, json!([]), "the present state comes first");
    let status = api.event("/live", |name, _| name == "status");
    assert_eq!((&status["sealed"], &status["gateways"]), (&json!(false), &json!(1)));
    let mut browser = Browser::terminal(product, &token(product, "ada"), "web-1", ACCOUNT).unwrap();
    let opened = browser.until_told("opened").unwrap();
    let ours = |rows: &Value| rows.as_array().unwrap().iter().find(|row| row["id"] == opened["session"]).cloned();
    let row = ours(&api.event("/live", |_, rows| ours(rows).is_some())).unwrap();
    assert_eq!((&row["handle"], &row["target"], &row["ended"]), (&json!("ada"), &json!("web-1"), &Value::Null));
    // Others do not see it, and its end comes to those who do.
    let bob = Api::new(product, &token(product, "bob"));
    assert_eq!(bob.event("/live", |name, _| name == "sessions"), json!([]));
    let mut browser = Some(browser);
    let ended = api.event("/live", |name, rows| {
        if let Some(browser) = browser.take() {
            browser.leave().unwrap();
        }
        name == "sessions" && ours(rows).is_some_and(|row| !row["ended"].is_null())
    });
    let row = ours(&ended).unwrap();
    assert_eq!((&row["reason"], &row["complete"]), (&json!("client_close"), &json!(true)));
    assert_eq!(api.get("/health/live").ok()["ok"], true);
    assert_eq!(api.get("/health/ready").ok()["ok"], true);
    product.ok(&["vault", "seal"]).unwrap();
    assert!(api.get("/health/ready").is(503)["detail"].as_str().unwrap().contains("vault unseal"));
}

fn a_recording_is_found_by_what_was_on_its_screen_and_jumped_into(product: &mut Product) {
    let ada = token(product, "ada");
    let mut sessions = Vec::new();
    for word in ["heron", "plover"] {
        let mut browser = Browser::terminal(product, &ada, "web-1", ACCOUNT).unwrap();
        let opened = browser.until_told("opened").unwrap();
        browser.type_in(&format!("printf 'a \\033[1m{word}\\033[0m-%s\\n' on-the-screen; exit\r")).unwrap();
        browser.until_told("closed").unwrap();
        sessions.push(opened["session"].as_str().unwrap().to_owned());
    }
    product.idle().unwrap();
    let carol = Api::new(product, &token(product, "carol"));
    let all = carol.get("/recordings?handle=ada&target=web-1").ok();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert_eq!(all["items"][0]["session"], json!(sessions[1]), "newest first: {all}");
    assert_eq!(carol.get("/recordings?handle=bob").ok()["items"], json!([]));
    assert_eq!(carol.get("/recordings?from=2100-01-01T00:00:00Z").ok()["items"], json!([]));
    let found = carol.get("/recordings?text=HERON-on-the").ok();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    let hit = &found["items"][0]["hits"][0];
    assert_eq!((&found["items"][0]["session"], &hit["line"]), (&json!(sessions[0]), &json!("a heron-on-the-screen")));
    // The moment of the hit is that of the text in the recording itself.
    let cast = carol.get(&format!("/recordings/{}/cast", sessions[0])).text();
    let mut at = 0.0;
    let moment = cast.lines().skip(1).find_map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        at += event[0].as_f64().unwrap();
        event[2].as_str().unwrap().contains("heron\u{1b}[0m-on").then_some(at)
    });
    assert!((moment.unwrap() - hit["at_seconds"].as_f64().unwrap()).abs() < 0.001, "{moment:?} and {hit}");
    let marks = carol.get(&format!("/recordings/{}/marks", sessions[0])).ok();
    assert!(marks.as_array().unwrap().iter().any(|mark| mark["kind"] == "open"), "{marks}");
    // Only who may play may search, and both are in the ledger: the playing once.
    let text = carol.get(&format!("/recordings/{}/text", sessions[0])).text();
    assert!(text.lines().any(|line| line.ends_with("| a heron-on-the-screen")), "{text}");
    let [cast, text] = ["cast", "text"].map(|form| format!("/recordings/{}/{form}", sessions[0]));
    for path in ["/recordings?text=heron".to_owned(), cast, text] {
        Api::new(product, &ada).get(&path).is(403);
    }
    assert_eq!(carol.get("/recordings?text=x").is(400)["type"], "usage");
    let log = product.as_carol(&["ledger", "list", "--actions", "recordings.searched,recording.played"]).unwrap();
    assert!(log.contains("carol searched recordings for HERON-on-the"), "{log}");
    assert_eq!(log.lines().count(), 2, "{log}");
}

fn what_rules_are_about_is_shown_at_once_found_again_and_taken_out(product: &mut Product) {
    let limits = "@id(\"kept\") @limit @recording(\"enhanced\") @commands(\"high-risk\")\n\
        permit (principal, action, resource is Account);\n";
    product.write_checkout(limits).unwrap();
    product.ok(&["apply", product.at("checkout").to_str().unwrap()]).unwrap();
    let ada = token(product, "ada");
    let admin = Api::new(product, product.token());
    let mut browser = Browser::terminal(product, &ada, "web-1", ACCOUNT).unwrap();
    let opened = browser.until_told("opened").unwrap();
    browser.type_in("rm -rf /tmp/no-such-directory\r").unwrap();
    let alerted = |rows: &Value| {
        let ours = rows.as_array().into_iter().flatten().find(|row| row["id"] == opened["session"]);
        ours.is_some_and(|row| row["alerts"] == 1)
    };
    assert!(alerted(&admin.event("/live", |name, rows| name == "sessions" && alerted(rows))));
    browser.leave().unwrap();
    assert!(product.ssh("ada").arg("mkdir -p keep && echo my own key >keep/id_rsa").status().unwrap().success());
    take_down(product.ssh("ada").arg("scp -f keep/id_rsa"), b"my own key\n");
    product.idle().unwrap();

    let carol = Api::new(product, &token(product, "carol"));
    let sum: String = hash(&[b"my own key\n"]).iter().map(|byte| format!("{byte:02x}")).collect();
    for wanted in ["keep/id_rsa", sum.as_str(), "no-such-directory"] {
        let found = carol.get(&format!("/recordings?text={wanted}")).ok();
        assert!(!found["items"].as_array().unwrap().is_empty(), "{wanted}: {found}");
    }
    let found = carol.get(&format!("/recordings?text={sum}")).ok();
    let session = found["items"][0]["session"].as_str().unwrap();
    let files = carol.get(&format!("/recordings/{session}/files")).ok();
    let file = &files[0];
    assert_eq!((&file["way"], &file["path"], &file["kept"]), (&json!("down"), &json!("keep/id_rsa"), &json!(11)));
    assert_eq!(file["sha256"], json!(sum));
    let place = format!("/recordings/{session}/files/{}", file["id"].as_str().unwrap());
    assert_eq!(carol.get(&place).text(), "my own key\n");
    Api::new(product, &ada).get(&place).is(403);
    carol.get(&format!("/recordings/{session}/files/99.1")).is(404);
    carol.get(&format!("/recordings/{session}/files/x")).is(400);
    let listed = product.as_carol(&["files", session]).unwrap();
    assert!(listed.contains("keep/id_rsa") && listed.contains(&sum), "{listed}");
    let to = product.at("taken");
    let id = file["id"].as_str().unwrap();
    product.as_carol(&["files", session, "--take", id, "--to", to.to_str().unwrap()]).unwrap();
    assert_eq!(std::fs::read(to).unwrap(), b"my own key\n");
    let log = product.as_carol(&["ledger", "list", "--actions", "file.alerted,recording.file_taken"]).unwrap();
    for line in
        ["ada moved a file on", "the rule high-risk/secrets-down", "carol took keep/id_rsa out of the recording"]
    {
        assert!(log.contains(line), "{line}: {log}");
    }
}

/// Speaks scp as the one who takes a file.
fn take_down(command: &mut std::process::Command, content: &[u8]) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut said, mut heard) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    said.write_all(&[0]).unwrap();
    let mut record = String::new();
    heard.read_line(&mut record).unwrap();
    assert!(record.starts_with("C0"), "{record}");
    said.write_all(&[0]).unwrap();
    let mut came = vec![0; content.len() + 1];
    heard.read_exact(&mut came).unwrap();
    assert_eq!(came, [content, &[0]].concat());
    said.write_all(&[0]).unwrap();
    drop(said);
    assert!(child.wait().unwrap().success());
}

/// RFC 9162 section 2.1: the tree's hashes, by the book and without the product.
fn hash(parts: &[&[u8]]) -> Vec<u8> {
    digest(&SHA256, &parts.concat()).as_ref().to_vec()
}

/// RFC 9162 section 2.1.3.2.
fn root(leaf: &[u8], index: u64, size: u64, proof: &[Vec<u8>]) -> Vec<u8> {
    let (mut node, mut last, mut at) = (leaf.to_vec(), size - 1, index);
    for step in proof {
        if at % 2 == 1 || at == last {
            node = hash(&[&[1], step, &node]);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            node = hash(&[&[1], &node, step]);
        }
        (at, last) = (at / 2, last / 2);
    }
    assert_eq!(last, 0, "the proof is too short");
    node
}

fn hashes(proof: &Value) -> Vec<Vec<u8>> {
    proof.as_array().unwrap().iter().map(|hash| STANDARD.decode(hash.as_str().unwrap()).unwrap()).collect()
}

/// Size and root of a checkpoint (C2SP tlog-checkpoint).
fn checkpoint(note: &str) -> (u64, Vec<u8>) {
    let lines: Vec<&str> = note.lines().collect();
    (lines[1].parse().unwrap(), STANDARD.decode(lines[2]).unwrap())
}

fn the_ledger_proves_its_entries_and_its_growth_to_who_checks_alone(product: &mut Product) {
    let carol = Api::new(product, &token(product, "carol"));
    let older = carol.get("/ledger/head").ok();
    let (before, old_root) = checkpoint(older["note"].as_str().unwrap());
    for _ in 0..3 {
        product.ok(&["token", "ada"]).unwrap();
    }
    let entries = carol.get("/ledger/entries?limit=1000").ok();
    let size = entries["items"][0]["index"].as_u64().unwrap() + 1;
    assert!(size > before);
    for entry in entries["items"].as_array().unwrap() {
        let index = entry["index"].as_u64().unwrap();
        let proof = carol.get(&format!("/ledger/{index}/proof")).ok();
        let body = STANDARD.decode(proof["entry"].as_str().unwrap()).unwrap();
        let id = entry["id"].as_str().unwrap();
        let (size, wanted) = checkpoint(proof["checkpoint"].as_str().unwrap());
        assert_eq!(proof["size"], size, "{id}");
        assert_eq!(root(&hash(&[&[0], &body]), index, size, &hashes(&proof["proof"])), wanted, "entry {index}");
    }
    // RFC 9162 section 2.1.4.2, for the case that the older size is no power of two: the proof begins inside its tree.
    let proof = carol.get(&format!("/ledger/consistency?from={before}&to={size}")).ok();
    let (old, new) = grown(before, size, &hashes(&proof["proof"]), &old_root);
    let (_, new_root) = checkpoint(carol.get("/ledger/0/proof").ok()["checkpoint"].as_str().unwrap());
    assert_eq!((old, new), (old_root, new_root));
    carol.get(&format!("/ledger/{}/proof", size + 1000)).is(404);
    carol.get(&format!("/ledger/consistency?from=0&to={size}")).is(400);
    carol.get(&format!("/ledger/consistency?from={size}&to={before}")).is(400);
    Api::new(product, &token(product, "ada")).get("/ledger/0/proof").is(403);
}

/// RFC 9162 section 2.1.4.2: the roots of the older and the newer tree by a consistency proof.
fn grown(first: u64, second: u64, proof: &[Vec<u8>], old: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut path = proof.to_vec();
    if first.is_power_of_two() {
        path.insert(0, old.to_vec());
    }
    let (mut fn_, mut sn) = (first - 1, second - 1);
    while fn_ % 2 == 1 {
        (fn_, sn) = (fn_ / 2, sn / 2);
    }
    let (mut fr, mut sr) = (path[0].clone(), path[0].clone());
    for step in &path[1..] {
        assert_ne!(sn, 0, "the proof is too long");
        if fn_ % 2 == 1 || fn_ == sn {
            fr = hash(&[&[1], step, &fr]);
            sr = hash(&[&[1], step, &sr]);
            while fn_ % 2 == 0 && fn_ != 0 {
                (fn_, sn) = (fn_ / 2, sn / 2);
            }
        } else {
            sr = hash(&[&[1], &sr, step]);
        }
        (fn_, sn) = (fn_ / 2, sn / 2);
    }
    assert_eq!(sn, 0, "the proof is too short");
    (fr, sr)
}
