//! Files beside a terminal in a browser: carried both ways, governed and recorded like `sftp`, and never half a file that looks whole.

mod desk;

pub(crate) use desk::{Desk, FILES, permit, sum};

use crate::terminal::token;
use desk::{MIB, noise};
use sallyport_testkit::faults::space::{Space, own_mounts};
use sallyport_testkit::http::{Answer, Api, Opened};
use sallyport_testkit::product::{Product, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

on_both!(
    files_go_both_ways_and_are_recorded_like_those_of_sftp,
    what_policy_does_not_let_cross_is_refused_before_it_does,
);

fn files_go_both_ways_and_are_recorded_like_those_of_sftp(product: &mut Product) {
    permit(product, FILES);
    let mut desk = Desk::open(product);
    // Where the login begins, and a directory that is made.
    let home = desk.api.get(&format!("{}/files", desk.base())).ok();
    assert_eq!(home["path"], format!("/home/{ACCOUNT}"));
    assert_eq!(
        (&home["parent"], &home["no_upload"], &home["no_download"]),
        (&json!("/home"), &Value::Null, &Value::Null)
    );
    let _ = desk.api.post(&format!("{}/directories", desk.base()), &json!({ "path": desk.at("made") })).is(204);
    let _ = desk.api.post(&format!("{}/directories", desk.base()), &json!({ "path": desk.at("made") })).is(409);
    // Up: what was there already is replaced only where that was asked for, and keeps its rights.
    let mut content = Vec::new();
    noise(3 * MIB + 77).read_to_end(&mut content).unwrap();
    assert_eq!(desk.up(&desk.at("made/report.bin"), &content), json!({ "size": content.len() }));
    let file = desk.place.join("made/report.bin");
    assert_eq!(fs::read(&file).unwrap(), content);
    let again = json!({ "way": "up", "path": desk.at("made/report.bin"), "size": 3 });
    assert!(desk.prepare(&again).is(409)["detail"].as_str().unwrap().ends_with("ask to replace it"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let claim = desk.claim(&json!({ "way": "up", "path": desk.at("made/report.bin"), "size": 3, "replace": true }));
    let mut stream = desk.api.begin("PUT", &claim, 3);
    stream.write_all(b"new").unwrap();
    let _ = desk.api.answered(&claim, stream).ok();
    assert_eq!(
        (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().permissions().mode() & 0o777),
        (b"new".to_vec(), 0o640)
    );
    let listed = desk.list(&desk.at("made"));
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1, "nothing stands beside it: {listed}");
    let entry = &listed["entries"][0];
    assert_eq!((&entry["name"], &entry["kind"], &entry["size"]), (&json!("report.bin"), &json!("file"), &json!(3)));
    // Down: an attachment that no browser shows, for whoever prepared it, once.
    fs::write(desk.place.join("made/t\u{fc}r \"1\".html"), &content).unwrap();
    let wanted = json!({ "way": "down", "path": desk.at("made/t\u{fc}r \"1\".html") });
    let claim = desk.claim(&wanted);
    assert!(claim.len() > 64);
    for (whose, method) in [(token(product, "bob"), "GET"), (token(product, "carol"), "PUT")] {
        let other = Api::new(product, &whose);
        assert_eq!(if method == "GET" { other.get(&claim) } else { other.put(&claim, &json!({})) }.status(), 404);
    }
    let mut opened = desk.api.open(&claim);
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", content.len().to_string().as_str()),
        ("content-disposition", "attachment; filename=\"t_r _1_.html\"; filename*=UTF-8''t%C3%BCr%20%221%22.html"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(opened.header(name), Some(value), "{}", opened.head);
    }
    let mut came = Vec::new();
    opened.body.read_to_end(&mut came).unwrap();
    assert_eq!(came, content);
    assert_eq!(desk.api.get(&claim).status(), 404, "a claim is spent once");
    assert_eq!((&desk.newest()["stage"], &desk.newest()["crossed"]), (&json!("done"), &json!(content.len())));
    // What has no size is read to its end.
    assert!(String::from_utf8(desk.down("/proc/version")).unwrap().starts_with("Linux"));
    // Somebody else's session is nobody's business, and one that has ended is over.
    let bob = Api::new(product, &token(product, "bob"));
    assert_eq!(bob.get(&format!("{}/files", desk.base())).status(), 404);
    desk.leave(product);
    assert_eq!(desk.api.get(&format!("{}/files", desk.base())).status(), 404);
    // The recording tells of both, by the names that were meant, with their hashes.
    let sums = sum(&*content);
    let marks = product.as_carol(&["play", &desk.session, "--index"]).unwrap();
    for line in [
        format!("put {} {} bytes sha256:{sums}", desk.at("made/report.bin"), content.len()),
        format!("get {} {} bytes sha256:{sums}", desk.at("made/t\u{fc}r \"1\".html"), content.len()),
        format!("mkdir {}", desk.at("made")),
    ] {
        assert!(marks.contains(&line), "{line}: {marks}");
    }
    let entries = product.ok(&["ledger", "list", "--actions", "channel.opened", "--limit", "100"]).unwrap();
    assert!(entries.contains("sftp"), "{entries}");
    assert!(!product.log().contains(&claim), "a claim stands in a log");
    counted(product, content.len() + 3);
}

/// What came of them is counted: two up with so many bytes, two down, and one that was refused.
fn counted(product: &Product, carried: usize) {
    crate::metrics::stand_in_the_book(product);
    let figures = crate::metrics::figures(product);
    for line in [
        "sallyport_transfers_total{way=\"up\",outcome=\"done\"} 2".to_owned(),
        "sallyport_transfers_total{way=\"up\",outcome=\"refused\"} 1".to_owned(),
        "sallyport_transfers_total{way=\"down\",outcome=\"done\"} 2".to_owned(),
        format!("sallyport_transfer_bytes_total{{way=\"up\"}} {carried}"),
    ] {
        assert!(figures.contains(&line), "{line}: {figures}");
    }
}

fn what_policy_does_not_let_cross_is_refused_before_it_does(product: &mut Product) {
    let why = |answer: Answer, status: u16| answer.is(status)["detail"].as_str().unwrap().to_owned();
    // Without the channel there are no files.
    let mut desk = Desk::open(product);
    let told = why(desk.api.get(&format!("{}/files", desk.base())), 403);
    assert!(told.contains("policy does not permit channel:sftp here"), "{told}");
    desk.leave(product);
    // With it, but downwards only.
    permit(product, &format!("{FILES}@limit @transfer(\"down\") permit (principal, action, resource is Account);\n"));
    let mut desk = Desk::open(product);
    fs::write(desk.place.join("notes"), "to read").unwrap();
    let listed = desk.list(&desk.at(""));
    assert_eq!(
        (&listed["no_upload"], &listed["no_download"]),
        (&json!("policy lets no files go to the target"), &Value::Null)
    );
    assert_eq!(desk.down(&desk.at("notes")), b"to read");
    let up = json!({ "way": "up", "path": desk.at("secret"), "size": 5 });
    assert_eq!(why(desk.prepare(&up), 403), "policy lets no files go to the target");
    let made = desk.api.post(&format!("{}/directories", desk.base()), &json!({ "path": desk.at("made") }));
    assert_eq!(why(made, 403), "policy lets no files go to the target");
    desk.leave(product);
    // Rules over names and sizes hold before the bytes come, also where a link leads to what they name.
    let rules = "name = \"small\"\ndescription = \"Small files\"\n\
        [[file]]\nid = \"big\"\nact = \"block\"\nwhy = \"it is larger than 1 MiB\"\nway = \"up\"\nmost = 1048576\n\
        [[file]]\nid = \"big-down\"\nact = \"block\"\nwhy = \"it is larger than 2 MiB\"\nway = \"down\"\nmost = 2097152\n\
        [[file]]\nid = \"keys\"\nact = \"block\"\nwhy = \"keys stay where they are\"\nname = \"id_*|*.pem\"\n";
    product
        .write_checkout(&format!(
            "{FILES}@limit @commands(\"small\") permit (principal, action, resource is Account);\n"
        ))
        .unwrap();
    fs::write(product.at("checkout/small.rules.toml"), rules).unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    let mut desk = Desk::open(product);
    let up = |path: &str, size: Option<usize>| json!({ "way": "up", "path": desk.at(path), "size": size });
    let told = why(desk.prepare(&up("large", Some(MIB + 1))), 403);
    assert_eq!(told, "the rule small/big keeps it: it is larger than 1 MiB");
    assert!(why(desk.prepare(&up("server.pem", Some(1))), 403).contains("keys stay where they are"));
    File::create(desk.place.join("id_rsa")).unwrap();
    symlink(desk.place.join("id_rsa"), desk.place.join("harmless")).unwrap();
    let through = json!({ "way": "up", "path": desk.at("harmless"), "size": 1, "replace": true });
    assert!(why(desk.prepare(&through), 403).contains("keys stay where they are"));
    fs::write(desk.place.join("dump"), vec![7; 2 * MIB + 1]).unwrap();
    let down = json!({ "way": "down", "path": desk.at("dump") });
    assert!(why(desk.prepare(&down), 403).contains("larger than 2 MiB"));
    // What announces no size is cut where it comes to more than it may, and nothing of it stays.
    let claim = desk.claim(&up("creeping", None));
    let mut stream = desk.api.begin("PUT", &claim, u64::try_from(2 * MIB).unwrap());
    let _ = std::io::copy(&mut noise(2 * MIB), &mut stream);
    assert!(desk.failed().contains("larger than 1 MiB"), "{}", desk.failed());
    drop(stream);
    wait_for("what came of it to go", 15, || (desk.names() == ["dump", "harmless", "id_rsa", "notes"]).then_some(()))
        .unwrap();
    desk.leave(product);
    let marks = product.as_carol(&["play", &desk.session, "--index"]).unwrap();
    assert!(marks.contains("refused: the rule small/big keeps it"), "{marks}");
}

#[test]
fn names_that_are_no_text_and_links_go_both_ways() {
    let product = crate::product();
    permit(&product, FILES);
    let mut desk = Desk::open(&product);
    let longest = "n".repeat(255);
    let names: [&[u8]; 7] =
        [b"\xff\xfe raw", b"two\nlines", b"quo\"te's", b"100% sure", b"-rf", b" ..", longest.as_bytes()];
    for name in names {
        fs::write(desk.place.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::create_dir(desk.place.join("folder")).unwrap();
    for (leads, name) in [("folder", "to-folder"), ("100% sure", "to-file"), ("nowhere", "to-nothing")] {
        symlink(leads, desk.place.join(name)).unwrap();
    }
    let listed = desk.list(&desk.at(""));
    let entries = listed["entries"].as_array().unwrap();
    assert_eq!(entries.len(), names.len() + 4, "{listed}");
    // What is told as a path leads there and back, whatever is in it.
    for name in names {
        let shown = String::from_utf8_lossy(name);
        let entry =
            entries.iter().find(|entry| entry["name"] == *shown).unwrap_or_else(|| unreachable!("{shown}: {listed}"));
        let path = entry["path"].as_str().unwrap();
        assert!(!path.chars().any(char::is_control), "{path}");
        assert_eq!(desk.down(path), name);
        let claim = desk.claim(&json!({ "way": "up", "path": path, "size": 2, "replace": true }));
        let mut stream = desk.api.begin("PUT", &claim, 2);
        stream.write_all(b"up").unwrap();
        let _ = desk.api.answered(&claim, stream).ok();
        assert_eq!(fs::read(desk.place.join(OsStr::from_bytes(name))).unwrap(), b"up");
    }
    let kind = |name: &str| {
        let entry = entries.iter().find(|entry| entry["name"] == name).unwrap();
        (entry["kind"].as_str().unwrap().to_owned(), entry["link"] == true)
    };
    assert_eq!(kind("to-folder"), ("directory".into(), true));
    assert_eq!(kind("to-file"), ("file".into(), true));
    assert_eq!(kind("to-nothing"), ("other".into(), true));
    assert_eq!(desk.list(&desk.at("to-folder"))["path"], desk.at("folder"), "a directory is told without links");
    assert_eq!(desk.list(&desk.at("folder/.."))["path"], desk.place.display().to_string());
    // Through a link the file that it leads to gets the content, and the link stays.
    let claim = desk.claim(&json!({ "way": "up", "path": desk.at("to-file"), "size": 4, "replace": true }));
    let mut stream = desk.api.begin("PUT", &claim, 4);
    stream.write_all(b"thru").unwrap();
    let _ = desk.api.answered(&claim, stream).ok();
    assert_eq!(fs::read(desk.place.join("100% sure")).unwrap(), b"thru");
    assert!(fs::symlink_metadata(desk.place.join("to-file")).unwrap().is_symlink());
    // What names no file, or nothing at all.
    for (path, status) in [
        (desk.at(".."), 400),
        (desk.at("folder/"), 400),
        (desk.at(&"n".repeat(256)), 400),
        (desk.at("folder"), 409),
        (desk.at("no-such/file"), 404),
        ("/root/file".into(), 403),
        ("100%".into(), 400),
        ("a%00b".into(), 400),
    ] {
        let told = desk.prepare(&json!({ "way": "up", "path": path, "size": 1, "replace": true }));
        assert_eq!(told.status(), status, "{path}");
    }
    assert_eq!(desk.prepare(&json!({ "way": "down", "path": desk.at("folder") })).status(), 409);
    assert_eq!(desk.prepare(&json!({ "way": "down", "path": desk.at("gone") })).status(), 404);
    assert_eq!(desk.prepare(&json!({ "way": "down", "path": "/etc/shadow" })).status(), 403);
    desk.leave(&product);
}

/// Sends until the other side takes no more at once; how much that was.
fn pour(stream: &mut TcpStream, upto: usize) -> usize {
    stream.set_nonblocking(true).unwrap();
    let (piece, mut sent) = (vec![7; 1 << 16], 0);
    while sent < upto {
        match stream.write(&piece) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => unreachable!("{error}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
    sent
}

/// A file of this size on its way to the target.
fn up(desk: &Desk, name: &str, size: usize) -> TcpStream {
    let claim = desk.claim(&json!({ "way": "up", "path": desk.at(name), "size": size }));
    let mut stream = desk.api.begin("PUT", &claim, u64::try_from(size).unwrap());
    assert!(pour(&mut stream, size / 2) > 0);
    stream
}

/// Whether a part of a file stands there under the name of a part.
fn part(desk: &Desk) -> bool {
    desk.names().iter().any(|name| name.starts_with(".sallyport-"))
}

fn gone(desk: &Desk) {
    wait_for("the part to go", 15, || (!part(desk)).then_some(())).unwrap();
}

/// What still comes of a file of this size of which some has come: not all of the rest.
fn cut(mut opened: Opened, came: usize, size: usize) {
    let mut rest = Vec::new();
    let _ = opened.body.read_to_end(&mut rest);
    assert!(came + rest.len() < size, "it looks whole");
}

#[test]
fn a_target_that_freezes_or_vanishes_ends_files_with_a_reason_and_leaves_none_that_looks_whole() {
    let mut product = crate::product();
    permit(&product, FILES);
    let mut desk = Desk::open(&product);
    let size = 64 * MIB;
    std::io::copy(&mut noise(size), &mut File::create(desk.place.join("there")).unwrap()).unwrap();
    let down = |desk: &Desk| {
        let mut opened = desk.api.open(&desk.claim(&json!({ "way": "down", "path": desk.at("there") })));
        opened.body.read_exact(&mut vec![0; MIB]).unwrap();
        opened
    };
    let cancel = |desk: &Desk| {
        let id = desk.newest()["id"].as_str().unwrap().to_owned();
        desk.api.delete(&format!("{}/transfers/{id}", desk.base())).is(204);
        assert_eq!(desk.failed(), "it was cancelled");
    };
    // Frozen, it says nothing: the file stands still, and whoever waits no longer is let go of at once.
    let mut stream = up(&desk, "frozen", size);
    wait_for("the part", 15, || part(&desk).then_some(())).unwrap();
    product.target.stall().unwrap();
    wait_for("it to stand still", 15, || (pour(&mut stream, MIB) == 0).then_some(())).unwrap();
    cancel(&desk);
    drop(stream);
    product.target.go_on().unwrap();
    gone(&desk);
    let opened = down(&desk);
    product.target.stall().unwrap();
    cancel(&desk);
    cut(opened, MIB, size);
    product.target.go_on().unwrap();
    assert_eq!(desk.names(), ["there"]);
    // It goes on as if nothing had been.
    assert_eq!(desk.up(&desk.at("after"), b"whole"), json!({ "size": 5 }));
    // Vanished, it takes its session along; both files end with that, and neither looks whole.
    let stream = up(&desk, "vanished", size);
    let opened = down(&desk);
    std::sync::Arc::get_mut(&mut product.target).unwrap().vanish().unwrap();
    assert_eq!(desk.browser().until_told("closed").unwrap()["reason"], "target_close");
    cut(opened, MIB, size);
    drop(stream);
    let ended = || {
        let told = desk.api.get(&format!("{}/transfers", desk.base())).ok();
        let last: Vec<Value> = told.as_array().unwrap().iter().rev().take(2).cloned().collect();
        last.iter().all(|line| line["stage"] == "failed" && !line["why"].as_str().unwrap().is_empty()).then_some(last)
    };
    wait_for("both to have failed", 15, ended).unwrap();
    product.idle().unwrap();
    assert!(!desk.place.join("vanished").exists(), "a part stands under the name of the whole");
}

#[test]
fn what_ends_early_never_looks_whole() {
    let product = crate::product();
    permit(&product, FILES);
    let mut desk = Desk::open(&product);
    let size = 64 * MIB;
    // The browser is gone in the middle.
    let stream = up(&desk, "dropped", size);
    wait_for("the part", 15, || part(&desk).then_some(())).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    gone(&desk);
    assert!(!desk.failed().is_empty());
    // It is cancelled.
    let stream = up(&desk, "cancelled", size);
    let path = format!("{}/transfers/{}", desk.base(), desk.newest()["id"].as_str().unwrap());
    desk.api.delete(&path).is(204);
    gone(&desk);
    assert_eq!(desk.failed(), "it was cancelled");
    desk.api.delete(&path).is(404);
    drop(stream);
    // It is less than was announced.
    let claim = desk.claim(&json!({ "way": "up", "path": desk.at("short"), "size": 10 }));
    let mut stream = desk.api.begin("PUT", &claim, 4);
    stream.write_all(b"four").unwrap();
    let told = desk.api.answered(&claim, stream).is(400);
    assert_eq!(told["detail"], "10 bytes were announced, and 4 came");
    gone(&desk);
    assert!(desk.names().is_empty(), "{:?}", desk.names());
    // A file that becomes shorter while it is read breaks off; one that grows is what it was.
    let file = desk.place.join("changing");
    std::io::copy(&mut noise(size), &mut File::create(&file).unwrap()).unwrap();
    let mut opened = desk.api.open(&desk.claim(&json!({ "way": "down", "path": desk.at("changing") })));
    assert_eq!(opened.header("content-length"), Some(size.to_string().as_str()));
    let mut first = vec![0; MIB];
    opened.body.read_exact(&mut first).unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(u64::try_from(size - 100).unwrap()).unwrap();
    let mut rest = Vec::new();
    let _ = opened.body.read_to_end(&mut rest);
    assert!(first.len() + rest.len() < size, "it looks whole");
    assert!(desk.failed().contains("became shorter"), "{}", desk.failed());
    let mut opened = desk.api.open(&desk.claim(&json!({ "way": "down", "path": desk.at("changing") })));
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"and more").unwrap();
    rest.clear();
    opened.body.read_to_end(&mut rest).unwrap();
    assert_eq!(sum(&*rest), sum(noise(size - 100)));
    // A paused session holds it where it is, and it goes on; an ended one ends it.
    let mut stream = up(&desk, "held", size);
    let pause = format!("{}/pause", desk.base());
    let admin = Api::new(&product, product.token());
    let _ = admin.post(&pause, &json!({ "reason": "a look" })).is(204);
    desk.browser().until_told("paused").unwrap();
    wait_for("it to be held", 15, || (pour(&mut stream, MIB) == 0).then_some(())).unwrap();
    let _ = admin.post(&format!("{}/resume", desk.base()), &json!({})).is(204);
    wait_for("it to go on", 15, || (pour(&mut stream, MIB) > 0).then_some(())).unwrap();
    product.ok(&["kill", &desk.session, "--reason", "drill"]).unwrap();
    desk.browser().until_told("closed").unwrap();
    assert!(!desk.failed().is_empty());
    drop(stream);
    product.idle().unwrap();
    assert!(!desk.place.join("held").exists(), "a part stands under the name of the whole");
    let marks = product.as_carol(&["play", &desk.session, "--index"]).unwrap();
    assert!(marks.contains(&format!("put {} ", desk.at("held"))) && marks.contains("cut off"), "{marks}");
}

#[test]
fn a_full_target_says_so_and_keeps_nothing() {
    own_mounts().unwrap();
    let product = crate::product();
    permit(&product, FILES);
    let desk = Desk::open(&product);
    let small = product.target.scratch().unwrap();
    let full = Space::under(&small, 4).unwrap();
    fs::set_permissions(&small, fs::Permissions::from_mode(0o777)).unwrap();
    let claim = desk.claim(&json!({ "way": "up", "path": desk.at("large"), "size": 16 * MIB }));
    let mut stream = desk.api.begin("PUT", &claim, u64::try_from(16 * MIB).unwrap());
    let _ = std::io::copy(&mut noise(16 * MIB), &mut stream);
    let why = desk.failed();
    drop(stream);
    assert_eq!(why, "the target has no room left: nothing of the file was kept there");
    wait_for("the part to go", 15, || desk.names().is_empty().then_some(())).unwrap();
    drop(full);
}

/// Bytes of memory that a process takes, as the kernel counts them.
fn resident(product: &Product, role: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", product.pid(role).unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_large_file_is_in_nobodys_memory() {
    let product = crate::product();
    permit(&product, FILES);
    let mut desk = Desk::open(&product);
    assert_eq!(desk.up(&desk.at("first"), b"so that everything is warm"), json!({ "size": 26 }));
    let (size, at) = (256 * MIB, desk.at("large"));
    let before = ["control", "gateway"].map(|role| resident(&product, role));
    let claim = desk.claim(&json!({ "way": "up", "path": at, "size": size }));
    let mut stream = desk.api.begin("PUT", &claim, u64::try_from(size).unwrap());
    std::io::copy(&mut noise(size), &mut stream).unwrap();
    assert_eq!(desk.api.answered(&claim, stream).ok(), json!({ "size": size }));
    let opened = desk.api.open(&desk.claim(&json!({ "way": "down", "path": at })));
    assert_eq!(sum(opened.body), sum(noise(size)));
    // One that is not read waits at its source, not in between.
    let idle = desk.api.open(&desk.claim(&json!({ "way": "down", "path": at })));
    let crossed = || desk.newest()["crossed"].as_u64().unwrap();
    let mut known = crossed();
    wait_for("it to stand still", 15, || {
        let now = crossed();
        (std::mem::replace(&mut known, now) == now && now > 0).then_some(())
    })
    .unwrap();
    assert!(known < u64::try_from(64 * MIB).unwrap(), "{known} bytes have gone to nobody");
    drop(idle);
    for (role, before) in ["control", "gateway"].into_iter().zip(before) {
        let grown = resident(&product, role).saturating_sub(before);
        assert!(grown < 64 * MIB, "{role} has grown by {grown} bytes");
    }
    desk.leave(&product);
    fs::remove_file(Path::new(&at)).unwrap();
}
