//! What people read who come without a shell, with a name that is none, or with too many keys.

use crate::rig::{Rig, finish, text};
use sallyport_testkit::sshd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use tokio::process::Command;

/// What the stock client comes to with these options, at this account and target.
async fn at(rig: &Rig, account: &str, target: &str, options: &[&str]) -> Output {
    finish(rig.fixed.ssh(rig.bench.address, account, target, options).spawn().unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_and_forwards_alone_are_told_why_and_not_that_no_target_was_named() {
    let rig = Rig::new().await;
    let jump = ["-W", "127.0.0.1:22"];
    let told = |output: Output, why: &str| {
        let shown = text(&output.stderr);
        assert!(shown.contains(why) && !shown.contains("no target was named"), "{why}: {shown}");
        assert_eq!(output.status.code(), Some(255), "{shown}");
    };
    // Forwards alone begin no channel: they are told as they are disconnected.
    let alone = at(&rig, "ops", "nope", &["-N"]);
    let jumps = async {
        told(at(&rig, "ops", "nope", &jump).await, "no such target");
        told(at(&rig, "held", rig.name.as_str(), &jump).await, "req_1");
        rig.bench.desk.ledger_down(true);
        told(at(&rig, "ops", rig.name.as_str(), &jump).await, "the ledger");
        rig.bench.desk.ledger_down(false);
    };
    let (alone, ()) = tokio::join!(alone, jumps);
    told(alone, "no such target");
    assert!(rig.bench.desk.entries_of("session.opened").is_empty());
}

/// A client with this user name, which says if it was ever asked for a secret.
async fn named(rig: &Rig, name: &str) -> String {
    let asks = rig.fixed.home().join("asks");
    std::fs::write(&asks, "#!/bin/sh\necho ASKED >&2\necho wrong\n").unwrap();
    std::fs::set_permissions(&asks, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "PreferredAuthentications=publickey,keyboard-interactive,password"]);
    rig.fixed.options(&mut ssh, rig.bench.address);
    ssh.env("SSH_ASKPASS", &asks).args(["-l", name, "127.0.0.1", "true"]);
    let output = finish(ssh.spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(255));
    text(&output.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_name_that_is_none_is_told_what_one_is_before_anything_is_asked() {
    let rig = Rig::new().await;
    let long = format!("root@web\u{202e}{}", "y".repeat(5000));
    for (name, says) in [
        ("ada+root@WEB-1", "`ada+root@WEB-1` is no user name here: a target is 1 to 63 of a-z"),
        ("ada@root@web-1", "with `+`, `@` and `%` written as"),
        ("user:target", "a handle is 1 to 32"),
        ("CORP\\ada", "names are lower case"),
        ("Ada", "`Ada` is no user name here"),
        (&long, "yyy...` is no user name here"),
    ] {
        let shown = named(&rig, name).await;
        assert!(shown.contains(says) && shown.contains("It is [handle+]account@target"), "{name}: {shown}");
        let line = shown.lines().find(|line| line.starts_with("sallyport: ")).unwrap();
        assert!(!shown.contains("ASKED") && line.is_ascii() && line.len() < 400, "{name}: {shown}");
        assert_eq!(shown.matches("is no user name").count(), 1, "{name}: {shown}");
        let lower = name.contains(|c: char| c.is_uppercase());
        assert_eq!(shown.contains("names are lower case"), lower, "{name}: {shown}");
    }
    assert_eq!(rig.bench.desk.entries_of("login.failed").len(), 6, "one for each connection");
    // A name that could be one is told nothing.
    assert!(!named(&rig, "ops@no-such-target").await.contains("is no user name"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_offers_too_many_keys_is_told_what_to_do() {
    let rig = Rig::new().await;
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "PreferredAuthentications=publickey", "-o", "IdentitiesOnly=yes"]);
    for n in 0..24 {
        let key = rig.fixed.home().join(format!("key-{n}"));
        sshd::keygen(&key).unwrap();
        ssh.arg("-i").arg(key);
    }
    rig.fixed.options(&mut ssh, rig.bench.address);
    let output = finish(ssh.arg(rig.user_at_host()).arg("true").spawn().unwrap()).await;
    let shown = text(&output.stderr);
    assert!(shown.contains("too many attempts: ten keys were tried"), "{shown}");
    assert_eq!(shown.matches("IdentitiesOnly=yes -i KEY").count(), 2, "once as it begins, once at its end: {shown}");
}
