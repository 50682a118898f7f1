//! The drill: back up under load, a blank host, restore, go on; and everything that must not be restored.

use crate::{binary, product};
use age::secrecy::ExposeSecret as _;
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{PASSWORD, Product, json, outcome, wait_for};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// An age identity in a file, and its recipient.
pub(crate) fn identity(product: &Product, name: &str) -> (String, String) {
    let identity = age::x25519::Identity::generate();
    let path = product.at(name);
    fs::write(&path, format!("# safe\n{}\n", identity.to_string().expose_secret())).unwrap();
    (path.display().to_string(), identity.to_public().to_string())
}

/// The key file, carried to where the blank host is.
pub(crate) fn key_file(from: &Product, to: &Product) -> String {
    let path = to.at("carried.key");
    fs::copy(from.data().join("keys/vault.key"), &path).unwrap();
    path.display().to_string()
}

pub(crate) fn backed_up(product: &Product, to: &str) -> PathBuf {
    let file = product.at("backup.age");
    product.local(&["backup", &file.display().to_string(), "--recipient", to]).unwrap();
    file
}

/// A session of ada, recorded to its end; its evidence bundle.
fn evidence(product: &Product, name: &str) -> PathBuf {
    let (code, out, err) = outcome(product.ssh("ada").arg("echo hi").output().unwrap());
    assert_eq!((code, out.as_str()), (0, "hi\n"), "{err}");
    product.idle().unwrap();
    let id = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let bundle = product.at(name);
    product.as_carol(&["export", &id, &bundle.display().to_string()]).unwrap();
    bundle
}

fn verifies(product: &Product, bundle: &Path) {
    let trust = product.data().join("ledger.pub").display().to_string();
    let report = product.ok(&["verify", &bundle.display().to_string(), "--trust", &trust]).unwrap();
    assert!(report.contains("erified"), "{report}");
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// The installation dies with its host, and a blank one becomes it from a backup that was made under load.
fn drill(mut old: Product, blank: Product) {
    let bundle = evidence(&old, "old.spb");
    let (identity, recipient) = identity(&old, "identity");
    let (_, second) = self::identity(&old, "second");
    let mut live = old.ssh("ada").arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = live.stdin.take().unwrap();
    writeln!(input, "live").unwrap();
    let mut said = String::new();
    BufReader::new(live.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "live\n");

    let file = old.at("backup.age");
    let done = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) || written == 0 {
                old.ok(&["token", "carol"]).unwrap();
                written += 1;
            }
        });
        let args = ["backup", &file.display().to_string(), "--recipient", &recipient, "--recipient", &second];
        let made = json(&old.local(&[&args[..], &["--output", "json"]].concat()).unwrap()).unwrap();
        done.store(true, Ordering::Relaxed);
        load.join().unwrap();
        made
    });
    assert_eq!(made["recordings"], 1, "{made}");
    assert_eq!(made["bytes"], fs::metadata(&file).unwrap().len());
    assert!(!names(file.parent().unwrap()).iter().any(|name| name.contains(".new-")));
    assert!(fs::read(&file).unwrap().starts_with(b"age-encryption.org/v1\n-> X25519 "));
    assert!(old.status().unwrap()["backup"].is_string());
    let told = old.ok(&["ledger", "list", "--actions", "backup.made"]).unwrap();
    assert!(told.contains("host made the backup backup.age of the ledger up to"), "{told}");
    live.kill().unwrap();
    live.wait().unwrap();
    old.stop().unwrap();

    let key = key_file(&old, &blank);
    fs::remove_file(old.data().join("keys/vault.key")).unwrap();
    let mut new = blank;
    // What fails leaves the database as empty as it was, also on a server.
    let cut = new.at("cut.age");
    let bytes = fs::read(&file).unwrap();
    for end in [bytes.len() / 2, bytes.len() - 1] {
        fs::write(&cut, &bytes[..end]).unwrap();
        let args = ["restore", &cut.display().to_string(), "--identity", &identity, "--key-file", &key];
        let (code, _, err) = new.run_local(&args).unwrap();
        assert!(code != 0 && err.contains("cut off"), "{code} {err}");
    }
    let args = ["restore", &file.display().to_string(), "--identity", &identity, "--key-file", &key];
    let done = json(&new.local(&[&args[..], &["--output", "json"]].concat()).unwrap()).unwrap();
    assert_eq!((&done["size"], &done["recordings"], &done["missing"]), (&made["size"], &1.into(), &0.into()));
    assert_eq!(fs::metadata(new.data()).unwrap().permissions().mode() & 0o777, 0o700);
    new.serve().unwrap();
    let entries =
        json(&new.ok(&["ledger", "list", "--actions", "backup.restored", "--output", "json"]).unwrap()).unwrap();
    assert_eq!(entries["items"][0]["index"], made["size"], "it is the first entry of the restored ledger: {entries}");
    assert_eq!(entries["items"].as_array().unwrap().len(), 1);
    // The session that was live then ends as an orphan; the load and the keys of before work as before.
    new.idle().unwrap();
    let again = evidence(&new, "new.spb");
    verifies(&new, &bundle);
    verifies(&new, &again);
    new.stop().unwrap();
    new.serve().unwrap();
    let entries = new.ok(&["ledger", "list", "--actions", "backup.restored"]).unwrap();
    assert_eq!(entries.lines().count(), 1, "told once: {entries}");
}

#[test]
fn a_blank_host_with_postgresql_becomes_the_installation_of_a_file() {
    let server = Postgres::start().unwrap();
    let old = product();
    let url = server.database().unwrap();
    let (blank, late) = (old.blank(Some(&url)).unwrap(), old.blank(Some(&url)).unwrap());
    let (identity, recipient) = identity(&late, "another");
    let file = late.at("another.age").display().to_string();
    old.local(&["backup", &file, "--recipient", &recipient, "--without-recordings"]).unwrap();
    let key = key_file(&old, &late);
    drill(old, blank);
    let (code, _, err) = late.run_local(&["restore", &file, "--identity", &identity, "--key-file", &key]).unwrap();
    assert!(code == 2 && err.contains("holds an installation already"), "{code} {err}");
    assert!(names(&late.data()).is_empty());
}

#[test]
fn a_blank_host_with_a_file_becomes_the_installation_of_postgresql() {
    let server = Postgres::start().unwrap();
    let old = Product::start_on(binary(), &server).unwrap();
    let blank = old.blank(None).unwrap();
    drill(old, blank);
}

#[test]
fn what_is_not_whole_or_not_ours_is_not_restored_and_leaves_nothing() {
    let mut old = product();
    evidence(&old, "old.spb");
    let (identity, recipient) = identity(&old, "identity");
    let (foreign, _) = self::identity(&old, "foreign");
    let file = backed_up(&old, &recipient);
    let refused = |args: &[&str], word: &str| {
        let (code, _, err) = old.run_local(args).unwrap();
        assert!(code != 0 && err.contains(word), "{args:?}: {code} {err}");
    };
    let shown = file.display().to_string();
    refused(&["backup", &shown, "--recipient", &recipient], "is there already");
    refused(&["backup", &old.at("x").display().to_string()], "--recipient");
    refused(&["backup", &old.at("x").display().to_string(), "--recipient", "age1nonsense"], "no age recipient");
    refused(&["restore", &shown, "--identity", &identity], "is not empty");

    let blank = old.blank(None).unwrap();
    let key = key_file(&old, &blank);
    let restore = |file: &Path, identity: &str, key: &str| {
        let file = file.display().to_string();
        let (code, _, err) = blank.run_local(&["restore", &file, "--identity", identity, "--key-file", key]).unwrap();
        assert!(names(&blank.data()).is_empty() || code == 0, "{:?} is left after: {err}", names(&blank.data()));
        (code, err)
    };
    let (code, err) = restore(&file, &foreign, &key);
    assert!(code == 3 && err.contains("no identity in"), "{code} {err}");
    let other = product();
    let (code, err) = restore(&file, &identity, &key_file(&other, &other));
    assert!(code != 0 && err.contains("not believed"), "{code} {err}");
    let good = fs::read(&file).unwrap();
    let altered = blank.at("altered.age");
    // Each line of age's header, its end, and the chunks of 64 KiB behind it.
    let header = good.windows(4).position(|w| w == b"\n---").unwrap() + 60;
    let places =
        (0..header).step_by(23).chain((header..good.len()).step_by(good.len() / 24 + 1)).chain([good.len() - 1]);
    for at in places {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        fs::write(&altered, &bytes).unwrap();
        let (code, err) = restore(&altered, &identity, &key);
        assert!(code != 0 && !err.contains("panicked"), "byte {at}: {err}");
        fs::write(&altered, &good[..at]).unwrap();
        let (code, err) = restore(&altered, &identity, &key);
        assert!(code != 0 && !err.contains("panicked"), "cut at {at}: {err}");
    }
    fs::write(&altered, [&good[..], b"more"].concat()).unwrap();
    assert_ne!(restore(&altered, &identity, &key).0, 0);
    // Somebody who knows the recipient writes a backup of an installation of their own: another key opens another vault.
    let theirs = backed_up(&other, &recipient);
    assert_ne!(restore(&theirs, &identity, &key).0, 0);

    let (code, err) = restore(&file, &identity, &key);
    assert_eq!(code, 0, "{err}");
    let trust = blank.data().join("ledger.pub").display().to_string();
    blank.ok(&["verify", &blank.data().display().to_string(), "--trust", &trust]).unwrap();
    old.stop().unwrap();
}

/// A file system of so many bytes, as long as the value lives.
pub(crate) struct Small(PathBuf);

impl Small {
    pub(crate) fn mount(at: &Path, size: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        assert!(mounted.unwrap().success(), "mounting a tmpfs needs root");
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_neither_half_a_backup_nor_half_an_installation() {
    let old = product();
    let (identity, recipient) = identity(&old, "identity");
    let file = backed_up(&old, &recipient);
    let place = old.at("small");
    let small = Small::mount(&place, "8k");
    let (code, _, err) =
        old.run_local(&["backup", &place.join("b.age").display().to_string(), "--recipient", &recipient]).unwrap();
    assert!(code == 1 && err.contains("make room"), "{code} {err}");
    assert!(names(&place).is_empty(), "{:?}", names(&place));
    drop(small);
    let blank = old.blank(None).unwrap();
    let small = Small::mount(&blank.data(), "64k");
    let key = key_file(&old, &blank);
    let args = ["restore", &file.display().to_string(), "--identity", &identity, "--key-file", &key];
    let (code, _, err) = blank.run_local(&args).unwrap();
    assert!(code != 0 && err.contains("full"), "{code} {err}");
    assert!(names(&blank.data()).is_empty(), "{:?}", names(&blank.data()));
    drop(small);
    // With room it is restored, by the passphrase on paper where the key file is lost too.
    let args = ["restore", &file.display().to_string(), "--identity", &identity, "--passphrase-stdin"];
    let (code, _, err) = blank.local_stdin(&args, &["not-that-one"]).unwrap();
    assert!(code == 3 && err.contains("not believed"), "{code} {err}");
    let (code, _, err) = blank.local_stdin(&args, &[old.recovery()]).unwrap();
    assert_eq!(code, 0, "{err}");
    assert!(!blank.data().join("keys/vault.key").exists());
}

#[test]
fn a_quorum_restores_and_doctor_says_when_a_backup_is_missing() {
    let mut old = product();
    let args = ["vault", "slot", "add", "--label", "board", "--offline", "--shamir", "2-of-3", "--output", "json"];
    let added = json(&old.ok(&args).unwrap()).unwrap();
    let shares: Vec<&str> = added["shares"].as_array().unwrap().iter().map(|share| share.as_str().unwrap()).collect();
    for share in &shares[..2] {
        old.stdin(&["vault", "slot", "confirm", "--share-stdin"], share).unwrap();
    }
    old.stop().unwrap();
    let (identity, recipient) = identity(&old, "identity");
    old.configure(&format!("[backup]\nrecipients = [\"{recipient}\"]\n")).unwrap();
    old.serve().unwrap();
    let (code, doctor, _) = old.run_local(&["doctor"]).unwrap();
    assert!(code == 1 && doctor.contains("WRONG  no backup was made: run `sallyport backup FILE`"), "{doctor}");
    let file = old.at("b.age").display().to_string();
    old.local(&["backup", &file]).unwrap();
    assert!(old.local(&["doctor"]).unwrap().contains("the last backup is of 20"));
    let blank = old.blank(None).unwrap();
    let args = ["restore", &file, "--identity", &identity, "--shares-stdin"];
    let (code, _, err) = blank.local_stdin(&args, &shares[2..]).unwrap();
    assert!(code != 0 && names(&blank.data()).is_empty(), "{code} {err}");
    let (code, _, err) = blank.local_stdin(&args, &[shares[2], shares[0]]).unwrap();
    assert_eq!(code, 0, "{err}");
    // The same quorum is a seal slot for every other act on the host.
    let recover = ["admin", "recover", "dora", "--force", "--shares-stdin"];
    let (code, _, err) = blank.local_stdin(&recover, &shares[..1]).unwrap();
    assert!(code == 2 && err.contains("1 of 2 shares"), "{code} {err}");
    let (code, out, err) = blank.local_stdin(&recover[..4], &[]).unwrap();
    assert!(code != 0 && out.is_empty(), "another slot does not do where custodians hold shares: {code} {err}");
    let (code, out, err) = blank.local_stdin(&recover, &shares[1..]).unwrap();
    assert!(code == 0 && out.contains("spt_"), "{code} {err}");
}

#[test]
fn an_interrupted_backup_has_no_name_and_the_ledger_knows_every_one_that_has() {
    let old = product();
    let (_, recipient) = identity(&old, "identity");
    let mut whole = 0;
    for round in 0..12_u64 {
        let file = old.at(&format!("b{round}.age"));
        let mut command = old.local_command(&["backup", &file.display().to_string(), "--recipient", &recipient]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut polls = round;
        let _ = wait_for("the moment", 5, || {
            polls = polls.saturating_sub(1);
            (polls == 0 || child.try_wait().unwrap().is_some()).then_some(())
        });
        let _ = child.kill();
        child.wait().unwrap();
        if let Ok(bytes) = fs::read(&file) {
            whole += 1;
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
            let told = old.ok(&["ledger", "list", "--actions", "backup.made", "--output", "json"]).unwrap();
            assert!(told.contains(&hex::encode(digest)), "the ledger does not know b{round}.age");
        }
    }
    assert!(whole < 12, "none was interrupted");
}

#[test]
fn anchors_that_know_more_than_the_backup_are_answered_by_accepting_a_rollback() {
    let mut old = product();
    old.stop().unwrap();
    let elsewhere = old.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let anchor = format!("[[anchors]]\nname = \"offsite\"\nfile = \"{}\"", elsewhere.join("checkpoint").display());
    old.configure(&anchor).unwrap();
    let (identity, recipient) = identity(&old, "identity");
    // A stopped node is backed up too: its vault is opened for the entry.
    let file = backed_up(&old, &recipient);
    old.serve().unwrap();
    old.ok(&["token"]).unwrap();
    old.stop().unwrap();
    let mut new = old.blank(None).unwrap();
    new.configure(&anchor).unwrap();
    let key = key_file(&old, &new);
    new.local(&["restore", &file.display().to_string(), "--identity", &identity, "--key-file", &key]).unwrap();
    let (code, _, err) = new.run_local(&["serve"]).unwrap();
    assert!(code == 2 && err.contains("restored from the backup of") && err.contains("`offsite`"), "{code} {err}");
    let mut words = err.split_once("--size ").unwrap().1.split(|c: char| c.is_whitespace() || c == '`');
    let size = words.next().unwrap();
    let root = words.nth(1).unwrap();
    new.local(&["rollback", "accept", "--size", size, "--root", root]).unwrap();
    new.serve().unwrap();
    let said = new.ok(&["ledger", "list", "--actions", "ledger.rollback_accepted,backup.restored"]).unwrap();
    assert!(said.contains("accepted an older ledger") && said.contains("restored the installation"), "{said}");
    assert_eq!(outcome(new.ssh("ada").arg("echo through").output().unwrap()).1, "through\n");
    assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap()).contains(PASSWORD));
}
