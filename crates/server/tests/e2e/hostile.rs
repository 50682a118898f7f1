//! A database writer, by raw SQL: no decision changes, what was touched is named, and nothing unproven is ever believed.

use crate::anchors::copy;
use crate::{binary, product};
use sallyport_testkit::product::{Product, json, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs statements against a database file, as somebody with write access would.
fn sql(data: &Path, statements: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut conn = SqliteConnectOptions::new().filename(data.join("sallyport.db")).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    });
}

/// One value of a query.
fn one(data: &Path, query: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut conn = SqliteConnectOptions::new().filename(data.join("sallyport.db")).connect().await.unwrap();
        let value = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        value
    })
}

/// A stopped product, and copies of it: as it is, and as it was before its newest changes.
struct House {
    product: Product,
}

impl House {
    fn new() -> Self {
        let mut product = product();
        assert!(product.ssh("ada").arg("true").status().unwrap().success());
        product.idle().unwrap();
        product.stop().unwrap();
        copy(&product.data(), &product.at("older"));
        product.serve().unwrap();
        let checkout = product.at("checkout/inventory.toml");
        let text = std::fs::read_to_string(&checkout).unwrap();
        std::fs::write(&checkout, text.replace("tags = [\"web\"]", "tags = [\"web\", \"front\"]")).unwrap();
        product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
        product.stop().unwrap();
        copy(&product.data(), &product.at("good"));
        Self { product }
    }

    fn data(&self) -> std::path::PathBuf {
        self.product.data()
    }

    /// Puts the good data back, does something to it, and tells what a start and an examination say.
    fn after(&self, statements: &str) -> (String, String) {
        // With its anchors: that a database is older is another matter.
        copy(&self.product.at("good"), &self.data());
        sql(&self.data(), statements);
        (self.start(), self.shown())
    }

    /// What a start would say, without serving.
    fn start(&self) -> String {
        self.product.run_local(&["rollback", "show"]).unwrap().2
    }

    fn shown(&self) -> String {
        let (_, out, err) = self.product.run_local(&["quarantine", "show"]).unwrap();
        out + &err
    }

    fn accept(&self) -> (i32, String) {
        let (code, _, err) = self.product.run_local(&["quarantine", "accept"]).unwrap();
        (code, err)
    }

    /// After healing a start finds nothing, and an examination neither.
    fn is_whole(&self, case: &str) {
        assert!(self.start().contains("no anchor contradicts"), "{case}: {}", self.start());
        assert!(self.shown().contains("nothing to heal"), "{case}: {}", self.shown());
    }

    /// An auditor finds nothing either.
    fn verifies(&self) {
        let trust = self.data().join("ledger.pub").display().to_string();
        self.product.ok(&["verify", &self.data().display().to_string(), "--trust", &trust]).unwrap();
    }
}

/// A document's row from another database, as SQL that writes it over the present one.
fn older_row(house: &House, kind: &str) -> String {
    let query = format!(
        "SELECT 'UPDATE documents SET version = ' || version || ', body = x''' || hex(body) || ''', mac = x''' || hex(mac) \
         || ''' WHERE id = ''' || id || '''' FROM documents WHERE kind = '{kind}' LIMIT 1"
    );
    one(&house.product.at("older"), &query)
}

/// Statements on documents and what the examination says of the object.
fn on_documents(house: &House) -> Vec<(&'static str, String, &'static str)> {
    let insert = |kind: &str| {
        format!(
            "INSERT INTO documents SELECT '{kind}_forged', kind, schema, version, body, mac FROM documents WHERE kind = '{kind}' LIMIT 1"
        )
    };
    vec![
        (
            "swap",
            "UPDATE documents SET (body, mac) = (SELECT body, mac FROM documents d WHERE d.kind = 'identity' AND d.id > documents.id LIMIT 1)
             WHERE id = (SELECT min(id) FROM documents WHERE kind = 'identity')"
                .into(),
            "identity idn_",
        ),
        ("roll back", older_row(house, "target"), "an older one was put back"),
        ("delete", "DELETE FROM documents WHERE kind = 'account'".into(), "the ledger proves it, and it is gone"),
        ("insert an identity", insert("identity"), "identity identity_forged: it was put here by somebody else"),
        ("insert a slot", insert("slot"), "slot slot_forged: it was put here"),
        ("insert a target", insert("target"), "target target_forged: it was put here"),
        ("insert a secret", insert("secret"), "secret secret_forged: it was put here"),
        ("insert a token", insert("token"), "token token_forged: it was put here"),
        ("edit the kind", "UPDATE documents SET kind = 'policy' WHERE kind = 'target'".into(), "does not carry a valid seal"),
        ("edit the schema", "UPDATE documents SET schema = 2 WHERE kind = 'target'".into(), "target tgt_"),
        ("edit the version", "UPDATE documents SET version = version + 1 WHERE kind = 'target'".into(), "target tgt_"),
        ("edit the id", "UPDATE documents SET id = 'tgt_other' WHERE kind = 'target'".into(), "target tgt_other"),
        ("edit the MAC", "UPDATE documents SET mac = zeroblob(32) WHERE kind = 'target'".into(), "target tgt_"),
        ("shorten the MAC", "UPDATE documents SET mac = x'00' WHERE kind = 'target'".into(), "none of ours holds"),
        (
            "edit a policy",
            "UPDATE documents SET body = replace(CAST(body AS TEXT), 'permit', 'forbid') WHERE kind = 'policy'".into(),
            "policy policy",
        ),
        (
            "add a role",
            "UPDATE documents SET body = CAST(replace(CAST(body AS TEXT), '\"ops\"', '\"sallyport:admin\"') AS BLOB) WHERE kind = 'identity'"
                .into(),
            "identity idn_",
        ),
        ("other types", "UPDATE documents SET kind = CAST(kind AS BLOB) WHERE kind = 'target'".into(), "none of ours holds"),
        (
            "duplicate ids",
            "CREATE TABLE other AS SELECT * FROM documents; DROP TABLE documents; ALTER TABLE other RENAME TO documents;
             INSERT INTO documents SELECT id, kind, schema, version, CAST('{}' AS BLOB), mac FROM documents WHERE kind = 'target'"
                .into(),
            "target tgt_",
        ),
        (
            "a trigger",
            "CREATE TRIGGER hide AFTER INSERT ON entries BEGIN DELETE FROM entries WHERE idx = new.idx; END".into(),
            "trigger hide: Sallyport makes none",
        ),
        (
            "a view",
            "CREATE VIEW identities AS SELECT * FROM documents WHERE kind = 'identity'".into(),
            "view identities: Sallyport makes none",
        ),
    ]
}

#[test]
fn whatever_is_done_to_documents_is_named_and_taken_out_and_nothing_else() {
    let house = House::new();
    for (case, statements, named) in on_documents(&house) {
        let (start, shown) = house.after(&statements);
        assert!(start.contains("in quarantine"), "{case}: {start}");
        assert!(shown.contains(named), "{case}: {shown}");
        let (code, said) = house.accept();
        assert_eq!(code, 0, "{case}: {said}");
        house.is_whole(case);
    }
    house.verifies();
}

#[test]
fn a_backup_of_any_age_gives_back_what_the_ledger_proves_and_nothing_else() {
    let house = House::new();
    let good = house.product.at("good/sallyport.db").display().to_string();
    let older = house.product.at("older/sallyport.db").display().to_string();
    let restore = |from: &str| {
        let (code, _, err) = house.product.run_local(&["quarantine", "restore", "--from", from]).unwrap();
        (code, err)
    };
    let targets = || one(&house.data(), "SELECT CAST(count(*) AS TEXT) FROM documents WHERE kind = 'target'");
    for statements in ["DELETE FROM documents WHERE kind = 'target'", &older_row(&house, "target")] {
        house.after(statements);
        assert_eq!(restore(&good).0, 0);
        house.is_whole("restored");
        assert_eq!(targets(), "1");
        // The older backup holds a version that the ledger has gone past: that is not put back.
        house.after(statements);
        assert_eq!(restore(&older).0, 0);
        house.is_whole("taken out");
        assert_eq!(targets(), "0");
    }
    // Nothing runs without the keyring: it is put back, or nothing is done. Without it the vault does not open at all.
    house.after("UPDATE documents SET version = version + 1 WHERE kind = 'keyring'");
    let (code, said) = house.accept();
    assert!(code != 0 && said.contains("quarantine restore --from"), "{said}");
    assert_eq!(restore(&good).0, 0);
    house.is_whole("keyring");
    house.verifies();
    assert_eq!(restore("/nonexistent").0, 2);
}

#[test]
fn index_columns_decide_nothing_and_are_set_right_from_the_signed_entries() {
    let house = House::new();
    for column in ["id", "at", "actor", "action", "object", "session"] {
        let value = if column == "at" { "5" } else { "'forged'" };
        let (start, shown) = house.after(&format!("UPDATE entries SET {column} = {value} WHERE idx = 3"));
        assert!(start.contains("no anchor contradicts"), "a start decides nothing by `{column}`: {start}");
        assert!(shown.contains(&format!("entry 3: its index column `{column}`")), "{shown}");
        assert_eq!(house.accept().0, 0);
        house.is_whole(column);
    }
}

#[test]
fn an_altered_ledger_stops_everything_and_only_what_follows_from_it_is_made_anew() {
    let house = House::new();
    for (case, statements, named) in [
        ("edit", "UPDATE entries SET body = x'00' WHERE idx = 2", "entry 2"),
        ("delete", "DELETE FROM entries WHERE idx = 2", "entry 2: 1 entries are gone"),
        ("delete the end", "DELETE FROM entries WHERE idx = (SELECT max(idx) FROM entries)", "are gone from here on"),
        ("swap", "UPDATE entries SET body = (SELECT body FROM entries WHERE idx = 4) WHERE idx = 3", "entry 3"),
        ("forge the head", "UPDATE head SET note = replace(note, 'sallyport', 'sallyp0rt')", "ledger head"),
        ("another size", "UPDATE head SET size = size - 1", "ledger head"),
        ("no head", "DELETE FROM head", "ledger head"),
    ] {
        let (start, shown) = house.after(statements);
        // An entry before the newest state root is not read at a start; the tree that is signed does not change by it.
        let read = start.contains("in quarantine") || start.contains("no anchor contradicts");
        assert!(read, "{case}: {start}");
        assert!(shown.contains(named), "{case}: {shown}");
        let (code, said) = house.accept();
        assert!(code != 0 && said.contains("backup"), "{case}: {said}");
    }
    for (case, statements, named) in [
        (
            "append",
            "INSERT INTO entries SELECT idx + 1, 'ent_forged', at, actor, action, object, session, body FROM entries ORDER BY idx DESC LIMIT 1",
            "nobody signed it",
        ),
        ("a tile", "UPDATE tiles SET data = zeroblob(length(data))", "tile tile/0/000"),
        ("no tiles", "DELETE FROM tiles", "tile tile/0/000"),
    ] {
        let (start, shown) = house.after(statements);
        assert!(start.contains("in quarantine"), "{case}: {start}");
        assert!(shown.contains(named), "{case}: {shown}");
        assert_eq!(house.accept().0, 0, "{case}");
        house.is_whole(case);
    }
}

/// Listens where a redirected target would be; counts who comes.
fn trap() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, seen)
}

fn quarantined(product: &Product) -> u64 {
    let found = |status: serde_json::Value| status["quarantined"].as_u64().filter(|found| *found > 0);
    wait_for("the quarantine", 30, || product.status().ok().and_then(found)).unwrap()
}

#[test]
fn a_redirected_target_never_receives_a_credential() {
    let mut product = product();
    let (port, seen) = trap();
    let real = product.target.address().port();
    let redirect = format!(
        "UPDATE documents SET body = CAST(replace(CAST(body AS TEXT), '\"port\":{real}', '\"port\":{port}') AS BLOB) WHERE kind = 'target'"
    );
    sql(&product.data(), &redirect);
    let body = "SELECT CAST(body AS TEXT) FROM documents WHERE kind = 'target'";
    assert!(one(&product.data(), body).contains(&port.to_string()));
    // While it runs, decisions read what was verified at start: the session goes where it always went.
    let out = product.ssh("ada").arg("echo still-here").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "still-here\n");
    product.kill("control").unwrap();
    assert_eq!(quarantined(&product), 1);
    assert!(!product.ssh("ada").arg("true").status().unwrap().success());
    let (code, _, err) = product.run(&["ls"]).unwrap();
    assert!(code != 0 && err.contains("in quarantine"), "{err}");
    let (code, doctor, _) = product.run_local(&["doctor"]).unwrap();
    assert!(code == 1 && doctor.contains("in quarantine: target tgt_"), "{doctor}");
    let (_, shown, _) = product.run_local(&["quarantine", "show"]).unwrap();
    assert!(shown.contains("target tgt_"), "of a running node: {shown}");
    assert!(product.ok(&["status"]).unwrap().contains("IN QUARANTINE, 1 findings"));

    product.stop().unwrap();
    product.local(&["quarantine", "accept"]).unwrap();
    product.serve().unwrap();
    let said = product.ok(&["ledger", "list", "--actions", "quarantine.accepted"]).unwrap();
    assert!(said.contains("host healed the database: 1 findings") && said.contains("target tgt_"), "{said}");
    // The target is gone with what pointed elsewhere; the files bring it back, as they are in Git.
    assert!(!product.ssh("ada").arg("true").status().unwrap().success());
    product.ok(&["apply", &product.at("checkout").display().to_string()]).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 0, "somebody came to where the target was redirected to");
}

#[test]
fn a_forged_head_or_entry_between_batches_ends_in_quarantine_and_a_revoked_session_stays_so() {
    let mut product = product();
    let data = product.data();
    // A session, and its document as it was while it lived.
    let mut child = product.ssh("ada").arg("sleep 60").spawn().unwrap();
    wait_for("a live session", 10, || product.status().ok().filter(|s| s["sessions"] == 1)).unwrap();
    let row = one(
        &data,
        "SELECT 'INSERT INTO documents VALUES (''' || id || ''', ''session'', ' || schema || ', ' || version || ', x''' \
         || hex(body) || ''', x''' || hex(mac) || ''')' FROM documents WHERE kind = 'session'",
    );
    let id = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    product.ok(&["kill", &id, "--reason", "drill"]).unwrap();
    wait_for("the end of the client", 10, || child.try_wait().unwrap()).unwrap();
    product.idle().unwrap();
    sql(&data, &row);
    assert_eq!(product.status().unwrap()["sessions"], 0, "what is written beside it is not seen");
    // An entry that nobody signed: the next commit finds it in its way, and the process is replaced.
    sql(
        &data,
        "INSERT INTO entries SELECT idx + 1, 'ent_forged', at, 'mallory', action, object, session, body FROM entries ORDER BY idx DESC LIMIT 1",
    );
    let _ = product.run(&["token"]).unwrap();
    let _ = product.kill("control");
    assert_eq!(quarantined(&product), 2);
    let (_, shown, _) = product.run_local(&["quarantine", "show", "--output", "json"]).unwrap();
    let findings = json(&shown).unwrap();
    let kinds: Vec<_> = findings.as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["entry", "session"], "{findings}");
    assert!(shown.contains("deleted by an entry of the ledger, and put back"), "{shown}");
    product.stop().unwrap();
    product.local(&["quarantine", "accept"]).unwrap();
    product.serve().unwrap();
    assert_eq!(product.status().unwrap()["sessions"], 0);
    assert!(product.ssh("ada").arg("true").status().unwrap().success());

    // A head that another key signed, written while the server runs.
    sql(&data, "UPDATE head SET note = replace(note, 'sallyport', 'sallyp0rt')");
    let (code, ..) = product.run(&["token"]).unwrap();
    assert_ne!(code, 0, "nothing is acknowledged over a head that is not ours");
    quarantined(&product);
    let output =
        Command::new(binary()).arg("--config").arg(product.at("sallyport.toml")).arg("doctor").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("in quarantine: ledger head"));
    assert!(product.ssh_at("ada", &format!("ada+{ACCOUNT}@web-1")).arg("true").status().is_ok_and(|s| !s.success()));
}
