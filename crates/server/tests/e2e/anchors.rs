//! Older data put in the place of newer: refused at start, and accepted only by an act on the host.

use crate::product;
use base64::Engine as _;
use sallyport_ledger::{Checkpoint, Verifier};
use sallyport_testkit::product::{Product, wait_for};
use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A copy of a directory, as a backup makes it.
pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Puts the database of one directory in the place of the other's.
fn database(from: &Path, to: &Path) {
    for name in ["sallyport.db", "sallyport.db-wal", "sallyport.db-shm"] {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// Waits until this file anchor has what the server's ledger has.
fn anchored(product: &Product, name: &str) {
    wait_for("the newest checkpoint at its anchor", 10, || {
        let anchors = product.ok(&["ledger", "anchors", "--output", "json"]).ok()?;
        let anchors: serde_json::Value = serde_json::from_str(&anchors).ok()?;
        let anchor = anchors.as_array()?.iter().find(|anchor| anchor["name"] == name)?.clone();
        (anchor["size"] == product.status().ok()?["entries"]).then_some(())
    })
    .unwrap();
}

/// `--size N --root R` as the refusal says.
fn told(text: &str) -> [String; 2] {
    let after = text.split_once("--size ").unwrap().1;
    let mut words = after.split(|c: char| c.is_whitespace() || c == '`');
    let size = words.next().unwrap().to_owned();
    [size, words.nth(1).unwrap().to_owned()]
}

#[test]
fn an_older_database_is_refused_until_it_is_accepted_on_the_host() {
    let mut product = product();
    product.stop().unwrap();
    let old = product.at("old");
    fs::create_dir(&old).unwrap();
    database(&product.data(), &old);
    product.serve().unwrap();
    product.ok(&["token"]).unwrap();
    anchored(&product, "local");
    product.stop().unwrap();
    database(&old, &product.data());

    let (code, _, err) = product.run_local(&["serve"]).unwrap();
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("`local`") && err.contains("set back"), "{err}");
    let (code, _, shown) = product.run_local(&["rollback", "show"]).unwrap();
    assert_eq!(code, 2, "{shown}");
    let [size, root] = told(&shown);
    let (code, _, err) = product.run_local(&["rollback", "accept", "--size", &size, "--root", "AAAA"]).unwrap();
    assert!(code == 2 && err.contains("set back"), "{err}");
    product.local(&["rollback", "accept", "--size", &size, "--root", &root]).unwrap();
    product.serve().unwrap();
    let said = product.ok(&["ledger", "list", "--actions", "ledger.rollback_accepted"]).unwrap();
    assert!(said.contains("host accepted an older ledger") && said.contains("local"), "{said}");
    product.stop().unwrap();
    let (code, _, nothing) = product.run_local(&["rollback", "show"]).unwrap();
    assert!(code == 2 && nothing.contains("no anchor contradicts"), "{nothing}");
    let trust = product.data().join("ledger.pub").display().to_string();
    product.ok(&["verify", &product.data().display().to_string(), "--trust", &trust]).unwrap();
}

#[test]
fn an_older_data_directory_is_refused_by_an_anchor_outside_it() {
    let mut product = product();
    product.stop().unwrap();
    fs::create_dir(product.at("elsewhere")).unwrap();
    let file = product.at("elsewhere/checkpoint");
    product.configure(&format!("[[anchors]]\nname = \"offsite\"\nfile = \"{}\"", file.display())).unwrap();
    let (data, old) = (product.data(), product.at("old"));
    copy(&data, &old);
    product.serve().unwrap();
    product.ok(&["token"]).unwrap();
    anchored(&product, "offsite");
    product.stop().unwrap();
    copy(&old, &data);
    let (code, _, err) = product.run_local(&["serve"]).unwrap();
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("`offsite`") && err.contains("--size"), "{err}");

    // A file that this ledger's key did not sign says nothing, blocks nothing, and is kept.
    fs::write(&file, "sallyport/other\n9\n\nforged").unwrap();
    product.serve().unwrap();
    assert!(product.at("elsewhere/checkpoint.forged").exists());
    let said = product.ok(&["ledger", "list", "--actions", "anchor.forged"]).unwrap();
    assert!(said.contains("the anchor offsite was written by somebody else"), "{said}");
}

/// The checkpoint in a syslog message, which is read as RFC 5424 says.
fn checkpoint_of(message: &str, log: &Verifier) -> Checkpoint {
    let mut fields = message.splitn(8, ' ');
    assert_eq!(fields.next(), Some("<109>1"));
    assert!(fields.next().unwrap().ends_with('Z'));
    assert_eq!(fields.by_ref().take(5).collect::<Vec<_>>(), ["node-1", "sallyport", "-", "checkpoint", "-"]);
    let note = fields.next().unwrap().rsplit_once("note=").unwrap().1;
    let note = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(note).unwrap()).unwrap();
    Checkpoint::open(&note, log.name(), &[log]).unwrap()
}

#[test]
fn syslog_gets_each_checkpoint_over_tcp_and_over_a_local_socket() {
    let mut product = product();
    product.stop().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = UnixDatagram::bind(product.at("log.sock")).unwrap();
    local.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (port, socket) = (tcp.local_addr().unwrap().port(), product.at("log.sock"));
    let anchors = format!(
        "[[anchors]]\nname = \"far\"\nsyslog = \"tcp:127.0.0.1:{port}\"\n\
         [[anchors]]\nname = \"near\"\nsyslog = \"unix:{}\"",
        socket.display()
    );
    product.configure(&anchors).unwrap();
    let collector = std::thread::spawn(move || {
        let mut message = String::new();
        tcp.accept().unwrap().0.read_to_string(&mut message).unwrap();
        message
    });
    product.serve().unwrap();
    let log = Verifier::parse(fs::read_to_string(product.data().join("ledger.pub")).unwrap().trim()).unwrap();
    let framed = collector.join().unwrap();
    let (length, message) = framed.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), message.len(), "octet counting (RFC 6587 section 3.4.1)");
    let far = checkpoint_of(message, &log);
    let mut bytes = vec![0; 8192];
    let read = local.recv(&mut bytes).unwrap();
    let near = checkpoint_of(std::str::from_utf8(&bytes[..read]).unwrap(), &log);
    assert!(far.size > 0 && near == far, "both are given the head at start");
}

#[test]
fn an_anchor_that_cannot_be_written_freezes_new_sessions_and_says_so_everywhere() {
    let mut product = product();
    product.stop().unwrap();
    fs::create_dir(product.at("elsewhere")).unwrap();
    let file = product.at("elsewhere/checkpoint");
    let anchor = format!(
        "[[anchors]]\nname = \"offsite\"\nfile = \"{}\"\nmax_age_seconds = 1\nlate = \"freeze\"",
        file.display()
    );
    product.configure(&anchor).unwrap();
    product.serve().unwrap();
    assert!(product.ssh("ada").arg("true").status().unwrap().success());
    fs::rename(product.at("elsewhere"), product.at("away")).unwrap();
    product.ok(&["token"]).unwrap();
    let frozen = |wanted: bool| {
        wait_for("the anchor's state", 20, || product.status().ok().filter(|s| s["frozen"] == wanted)).unwrap();
    };
    frozen(true);
    assert!(!product.ssh("ada").arg("true").status().unwrap().success());
    let status = product.ok(&["status"]).unwrap();
    assert!(status.contains("1 LATE, new sessions are refused"), "{status}");
    let (code, doctor, _) = product.run_local(&["doctor"]).unwrap();
    assert!(code == 1 && doctor.contains("anchors are late, and new sessions are refused"), "{doctor}");
    // The refusal does not wait for its entry.
    wait_for("the entry of a late anchor", 10, || {
        let said = product.ok(&["ledger", "list", "--actions", "anchor.late"]).ok()?;
        said.contains("the anchor offsite is late: new sessions are refused").then_some(())
    })
    .unwrap();
    fs::rename(product.at("away"), product.at("elsewhere")).unwrap();
    frozen(false);
    wait_for("a session", 10, || {
        product.ssh("ada").arg("true").status().ok().filter(std::process::ExitStatus::success)
    })
    .unwrap();
}
