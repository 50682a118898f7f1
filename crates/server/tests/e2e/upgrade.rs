//! Data directories that releases have left: each opens, verifies, is upgraded and goes on; one of a newer release is refused.

use crate::binary;
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{PASSWORD, Product, json, outcome};
use sallyport_testkit::sshd::ACCOUNT;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a release left of an installation with its store in a file.
const FILE: &str = "file.tar.gz";
/// What it left beside a database on a server.
const BESIDE: &str = "postgresql.tar.gz";
/// The database on that server, as statements.
const DUMP: &str = "postgresql.sql.gz";
/// A bundle that was exported from each.
const BUNDLE: &str = "exported.spb";

fn releases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/releases");
    let found: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()).collect();
    assert!(!found.is_empty(), "`cargo xtask fixture` makes the one of this release");
    found
}

fn tar(args: &[&str], directory: &Path, archive: &Path) {
    let mut tar = Command::new("tar");
    tar.args(args).arg(archive).arg("-C").arg(directory);
    let output = if args.contains(&"-czf") { tar.arg("data").arg(BUNDLE).output() } else { tar.output() };
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Unpacks what a release left over a host that is configured alike.
fn unpacked(release: &Path, archive: &str, store: Option<&str>) -> Product {
    let product = Product::unfounded(binary(), store).unwrap();
    tar(&["-xzf"], &product.at(""), &release.join(archive));
    product
}

fn gzip(args: &[&str], input: &Path) -> Vec<u8> {
    let output = Command::new("gzip").args(args).arg("-c").arg(input).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Opens, verifies, upgrades and uses what a release left. Its tokens are over their time: somebody on the host recovers an
/// administrator.
fn goes_on(mut product: Product) {
    let trust = product.data().join("ledger.pub").display().to_string();
    let old = product.at(BUNDLE);
    product.ok(&["verify", &old.display().to_string(), "--trust", &trust]).unwrap();
    if product.data().join("sallyport.db").exists() {
        let report = product.ok(&["verify", &product.data().display().to_string(), "--trust", &trust]).unwrap();
        assert!(report.contains("1 recordings"), "{report}");
    }
    let recovered = product.local(&["admin", "recover", "admin", "--force", "--output", "json"]).unwrap();
    product.sign_in(json(&recovered).unwrap()["token"].as_str().unwrap());
    product.serve().unwrap();
    let entries = product.ok(&["ledger", "list", "--limit", "500"]).unwrap();
    for sentence in [
        "this installation was founded",
        "stored a new version of the secret",
        "ada opened a session on",
        "ada's session on",
    ] {
        assert!(entries.contains(sentence), "{sentence} is missing in: {entries}");
    }
    // The session of then is exported now, and replayed.
    let session = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let again = product.at("again.spb").display().to_string();
    product.as_carol(&["export", &session, &again]).unwrap();
    product.ok(&["verify", &again, "--trust", &trust]).unwrap();
    assert!(product.as_carol(&["play", &session]).unwrap().contains("of this release"));

    // The target of then is gone: the same name is another host now, with the same account.
    product.write_checkout("").unwrap();
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    product.stdin(&["vault", "put", &format!("{ACCOUNT}@web-1"), "--password-stdin"], PASSWORD).unwrap();
    let (code, out, err) = outcome(product.ssh("ada").arg("echo now").output().unwrap());
    assert_eq!((code, out.as_str()), (0, "now\n"), "{err}{}", product.log());
    product.idle().unwrap();
    let session = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    let new = product.at("new.spb").display().to_string();
    product.as_carol(&["export", &session, &new]).unwrap();
    product.ok(&["verify", &new, "--trust", &trust]).unwrap();
    product.stop().unwrap();
    product.serve().unwrap();
}

#[test]
fn what_every_release_left_in_a_file_goes_on() {
    for release in releases() {
        goes_on(unpacked(&release, FILE, None));
    }
}

#[test]
fn what_every_release_left_on_postgresql_goes_on() {
    let server = Postgres::start().unwrap();
    for release in releases() {
        let url = server.database().unwrap();
        let database = url.rsplit('/').next().unwrap();
        let dump = String::from_utf8(gzip(&["-d"], &release.join(DUMP))).unwrap();
        server.restore(&dump, database).unwrap();
        goes_on(unpacked(&release, BESIDE, Some(&url)));
    }
}

#[test]
fn a_data_directory_of_a_newer_release_is_refused_and_left_alone() {
    let release = releases().pop().unwrap();
    let product = unpacked(&release, FILE, None);
    let database = product.data().join("sallyport.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes = runtime.block_on(async {
        use sqlx::{ConnectOptions as _, Connection as _};
        let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(&database).connect().await.unwrap();
        sqlx::query("UPDATE meta SET value = 1000 WHERE name = 'schema'").execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        fs::read(&database).unwrap()
    });
    for command in [&["serve"][..], &["admin", "recover", "admin"], &["quarantine", "show"]] {
        let (code, _, err) = product.run_local(command).unwrap();
        assert!(
            code != 0 && err.contains("written by a newer version") && err.contains("upgrade first"),
            "{code} {err}"
        );
    }
    let (_, recipient) = crate::backup::identity(&product, "identity");
    let file = product.at("b.age").display().to_string();
    let (code, _, err) = product.run_local(&["backup", &file, "--recipient", &recipient]).unwrap();
    assert!(code != 0 && err.contains("written by a newer version"), "{code} {err}");
    assert_eq!(fs::read(&database).unwrap(), bytes, "nothing was written to it");
}

/// A small installation that has lived: a session, a bundle of it, a stop in good order.
fn lived(mut product: Product, to: &Path, archive: &str) {
    product.ok(&["vault", "slot", "list"]).unwrap();
    let (code, _, err) = outcome(product.ssh("ada").arg("echo of this release").output().unwrap());
    assert_eq!(code, 0, "{err}");
    product.idle().unwrap();
    let session = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    product.as_carol(&["export", &session, &product.at(BUNDLE).display().to_string()]).unwrap();
    product.stop().unwrap();
    fs::remove_dir_all(product.data().join("run")).unwrap();
    tar(&["--sort=name", "--owner=0", "--group=0", "-czf"], &product.at(""), &to.join(archive));
}

#[test]
#[ignore = "makes the fixture of this release: `cargo xtask fixture` runs it"]
fn make_the_fixture_of_this_release() {
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/releases").join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&to).unwrap();
    lived(Product::start(binary()).unwrap(), &to, FILE);
    let server = Postgres::start().unwrap();
    let product = Product::start_on(binary(), &server).unwrap();
    lived(product, &to, BESIDE);
    let dump = to.join("postgresql.sql");
    fs::write(&dump, server.dump("t0").unwrap()).unwrap();
    fs::write(to.join(DUMP), gzip(&["-n", "-9"], &dump)).unwrap();
    fs::remove_file(dump).unwrap();
}
