//! Inventory, policy, broker, record, review: the main job, through the stock client.

use sallyport_testkit::product::{Product, json, outcome, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

on_both!(
    an_allowed_session_runs_is_recorded_replayed_and_verified,
    a_shell_has_a_terminal_and_its_size,
    somebody_without_a_right_learns_nothing_and_reaches_nothing,
    plain_ssh_goes_through_the_gateway,
    a_live_session_is_watched_and_killed,
    an_apply_that_takes_the_right_away_ends_the_session,
    both_directions_busy_never_stall,
    ones_own_sessions_are_listed_whatever_others_do,
);

fn an_allowed_session_runs_is_recorded_replayed_and_verified(product: &mut Product) {
    let (code, out, err) = outcome(product.ssh("ada").arg("echo to-out; echo to-err >&2; exit 7").output().unwrap());
    assert_eq!((code, out.as_str()), (7, "to-out\n"), "{err}");
    assert_eq!(err, "to-err\n");
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!(session["handle"], "ada");
    assert_eq!(session["complete"], true);
    let id = session["id"].as_str().unwrap();
    assert!(product.as_carol(&["play", id]).unwrap().contains("to-out"));
    let bundle = product.at("a.spb").display().to_string();
    product.as_carol(&["export", id, &bundle]).unwrap();
    let trust = product.data().join("ledger.pub").display().to_string();
    let report = json(&product.ok(&["verify", &bundle, "--trust", &trust, "--output", "json"]).unwrap()).unwrap();
    assert_eq!(report["verified"], true, "{report}");
    let (code, _, err) = product.run(&["verify", &bundle]).unwrap();
    assert_eq!(code, 1, "unpinned is not verified");
    assert!(err.contains("--trust"), "{err}");
}

fn a_shell_has_a_terminal_and_its_size(product: &mut Product) {
    let mut child = product.ssh("ada").arg("-tt").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"test -t 0 && echo is-$((40+2))-tty\nexit 5\n").unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(out.contains("is-42-tty"), "{out}");
}

fn somebody_without_a_right_learns_nothing_and_reaches_nothing(product: &mut Product) {
    let before = product.target.log().lines().count();
    let (hidden, _, told) = outcome(product.ssh("bob").arg("id").output().unwrap());
    let (unknown, _, told_unknown) = outcome(product.ssh_at("bob", "bob+root@web-9").arg("id").output().unwrap());
    assert_eq!((hidden, unknown), (6, 6));
    assert_eq!(told, told_unknown);
    assert_eq!(product.target.log().lines().count(), before, "the target saw a connection");
    let denied = product.ok(&["ledger", "list", "--actions", "session.denied"]).unwrap();
    assert_eq!(denied.lines().count(), 2, "{denied}");
    // Another identity's key does not serve a handle.
    assert_eq!(outcome(product.ssh_at("bob", &format!("ada+{ACCOUNT}@web-1")).arg("id").output().unwrap()).0, 255);
}

/// What `config ssh` prints is all that plain `ssh web-1` and its kin need, each within what policy permits.
fn plain_ssh_goes_through_the_gateway(product: &mut Product) {
    let config = product.at("sallyport.conf");
    // It prints what its caller reaches, so it is ada who asks.
    let token = json(&product.ok(&["token", "ada", "--output", "json"]).unwrap()).unwrap();
    let asked = product.command(&["config", "ssh"]).env("SALLYPORT_TOKEN", token["token"].as_str().unwrap()).output();
    std::fs::write(&config, outcome(asked.unwrap()).1).unwrap();
    let (known, key) = (product.at("known_hosts"), product.at("ada"));
    let client = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.arg("-F").arg(&config).args(["-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes"]);
        command.args(["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o"]);
        command.arg(format!("UserKnownHostsFile={}", known.display())).arg("-i").arg(&key).args(arguments);
        outcome(command.stdin(Stdio::null()).output().unwrap())
    };
    let (code, out, err) = client("ssh", &["web-1", "echo here"]);
    assert_eq!((code, out.as_str()), (0, "here\n"), "{err}");
    assert!(std::fs::read_to_string(&known).unwrap().starts_with("sallyport "), "one name for all targets' gateway");
    // Files are no part of this installation's policy, and nobody is told otherwise.
    let (code, _, err) = client("sftp", &["web-1"]);
    assert_ne!(code, 0);
    assert!(err.contains("policy does not permit channel:sftp"), "{err}");
    assert_ne!(client("ssh", &["-W", "localhost:22", "web-1"]).0, 0);
    let denied = product.ok(&["ledger", "list", "--actions", "channel.denied", "--output", "json"]).unwrap();
    assert!(denied.contains("policy does not permit channel:forward_local to localhost:22 here"), "{denied}");
}

fn ones_own_sessions_are_listed_whatever_others_do(product: &mut Product) {
    product.write_checkout("permit (principal, action, resource is Account);").unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    for who in ["bob", "ada", "ada", "ada"] {
        assert_eq!(outcome(product.ssh(who).arg("true").output().unwrap()).0, 0, "{}", product.log());
    }
    product.idle().unwrap();
    let listed = |who: &str, args: &[&str]| {
        let token = json(&product.ok(&["token", who, "--output", "json"]).unwrap()).unwrap();
        let mut command = product.command(&[&["sessions"], args].concat());
        outcome(command.env("SALLYPORT_TOKEN", token["token"].as_str().unwrap()).output().unwrap()).1
    };
    let bobs = listed("bob", &["--limit", "3"]);
    // A session's own name may have anybody's in it.
    assert!(bobs.contains(" bob ") && !bobs.contains(" ada ") && bobs.lines().count() == 2, "{bobs}");
    let adas = listed("ada", &["--limit", "2"]);
    assert!(
        adas.lines().nth(2).unwrap().contains(" ada ") && adas.contains("more than these 2: `--limit 20`"),
        "{adas}"
    );
    assert_eq!(listed("ada", &["--limit", "3"]).lines().count(), 4, "exactly a page");
    assert_eq!(listed("ada", &["--live"]), "No session is live.\n");
    // Who may see all of them asks for her own, and goes on where a page ends.
    let page = |args: &[&str]| json(&listed("carol", &[args, &["--output", "json"]].concat())).unwrap();
    assert_eq!(
        (page(&[])["items"].as_array().unwrap().len(), page(&["--own"])["items"].as_array().unwrap().len()),
        (4, 0)
    );
    let mut browser = crate::browser::Browser::of(product);
    let token = json(&product.ok(&["token", "ada", "--output", "json"]).unwrap()).unwrap();
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let mut get = |query: &str| {
        browser
            .ask(reqwest::Method::GET, &format!("/api/v1/sessions?{query}"), None, &[("authorization", &bearer)])
            .body
    };
    let first = get("own=true&limit=2");
    assert_eq!(first["items"].as_array().unwrap().len(), 2, "{first}");
    let second = get(&format!("own=true&limit=2&cursor={}", first["next"].as_str().unwrap()));
    assert!(second["items"].as_array().unwrap().len() == 1 && second["next"].is_null(), "{second}");
}

#[test]
fn a_session_over_its_time_ends_and_says_so() {
    let short = "@id(\"short\") @max_duration(\"3s\")\n\
        permit (principal in Group::\"ops\", action == Action::\"connect\", resource);";
    let product = Product::start_with(crate::binary(), short).unwrap();
    let (code, _, err) = outcome(product.ssh("ada").arg("sleep 60").output().unwrap());
    assert_ne!(code, 0);
    assert!(!err.is_empty(), "nothing was said");
    product.idle().unwrap();
    assert_eq!(product.newest_session().unwrap()["reason"], "deadline");
}

fn a_live_session_is_watched_and_killed(product: &mut Product) {
    let mut child = product
        .ssh("ada")
        .arg("echo watch-me; sleep 60")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let page = json(&product.ok(&["sessions", "--live", "--output", "json"]).unwrap()).unwrap();
    let id = page["items"][0]["id"].as_str().unwrap().to_owned();
    let token = json(&product.ok(&["token", "carol", "--output", "json"]).unwrap()).unwrap();
    let mut watch = product.command(&["watch", &id]);
    let mut watch =
        watch.env("SALLYPORT_TOKEN", token["token"].as_str().unwrap()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the watcher", 10, || {
        product.ok(&["ledger", "list", "--actions", "session.watched"]).ok().filter(|t| !t.trim().is_empty())
    })
    .unwrap();
    product.ok(&["kill", &id, "--reason", "drill"]).unwrap();
    let status = wait_for("the end of the client", 5, || child.try_wait().unwrap()).unwrap();
    assert!(!status.success());
    let mut seen = String::new();
    watch.stdout.take().unwrap().read_to_string(&mut seen).unwrap();
    watch.wait().unwrap();
    assert!(seen.contains("watch-me"), "a late watcher sees what came before: {seen:?}");
    product.idle().unwrap();
    assert_eq!(product.newest_session().unwrap()["reason"], "kill");
}

fn an_apply_that_takes_the_right_away_ends_the_session(product: &mut Product) {
    let mut child = product.ssh("ada").arg("echo runs; sleep 60").stdout(Stdio::piped()).spawn().unwrap();
    // A session whose channel is yet to be decided ends by its client, who is told no.
    let mut runs = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut runs).unwrap();
    std::fs::write(product.at("checkout/ops.cedar"), "// nothing is permitted any more\n").unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    wait_for("the end of the client", 5, || child.try_wait().unwrap()).unwrap();
    product.idle().unwrap();
    assert_eq!(product.newest_session().unwrap()["reason"], "revoke");
}

fn both_directions_busy_never_stall(product: &mut Product) {
    let size = 20_000_000;
    let mut child = product.ssh("ada").arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let block = vec![b'x'; 1 << 20];
        let mut left = size;
        while left > 0 {
            let n = left.min(block.len());
            input.write_all(&block[..n]).unwrap();
            left -= n;
        }
    });
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    writer.join().unwrap();
    assert_eq!(out.len(), size);
    assert!(child.wait().unwrap().success());
}
