//! A database writer, by raw SQL: no decision changes, what was touched is named, and nothing unproven is ever believed.
//! One list of attacks runs on a file and on PostgreSQL; `server` has what only the latter can be made to do.

mod house;
mod running;
mod server;

use house::{House, Kind};

/// Runs each test on both databases.
macro_rules! attack_both {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test]
            fn $test() {
                super::$test(super::Kind::File);
            })+
        }
        mod on_postgres {
            $(#[test]
            fn $test() {
                super::$test(super::Kind::Server);
            })+
        }
    };
}
use attack_both;

attack_both!(
    whatever_is_done_to_documents_is_named_and_taken_out_and_nothing_else,
    a_backup_of_any_age_gives_back_what_the_ledger_proves_and_nothing_else,
    index_columns_decide_nothing_and_are_set_right_from_the_signed_entries,
    an_altered_ledger_stops_everything_and_only_what_follows_from_it_is_made_anew,
    a_whole_older_database_is_refused_by_the_anchors,
);

/// An attack: its name, its statements, and what the examination says of the object.
type Attack = (&'static str, String, &'static str);

/// What can be done to documents with the same statements, but for how each database spells bytes.
fn on_documents(house: &House) -> Vec<Attack> {
    let kind = house.kind();
    let insert = |kind: &str| {
        format!(
            "INSERT INTO documents SELECT '{kind}_forged', kind, schema, version, body, mac FROM documents WHERE kind = '{kind}' LIMIT 1"
        )
    };
    let edit = |of: &str, change: &str| format!("UPDATE documents SET {change} WHERE kind = '{of}'");
    let replaced =
        |from: &str, to: &str| format!("body = {}", kind.bytes(&format!("replace({}, '{from}', '{to}')", kind.text())));
    vec![
        (
            "swap",
            "UPDATE documents SET (body, mac) = (SELECT body, mac FROM documents d WHERE d.kind = 'identity' AND d.id > documents.id LIMIT 1)
             WHERE id = (SELECT min(id) FROM documents WHERE kind = 'identity')"
                .into(),
            "identity idn_",
        ),
        ("roll back", house.row_of("older", "target", false), "an older one was put back"),
        ("delete", "DELETE FROM documents WHERE kind = 'account'".into(), "the ledger proves it, and it is gone"),
        ("insert an identity", insert("identity"), "identity identity_forged: it was put here by somebody else"),
        ("insert a slot", insert("slot"), "slot slot_forged: it was put here"),
        ("insert a target", insert("target"), "target target_forged: it was put here"),
        ("insert a secret", insert("secret"), "secret secret_forged: it was put here"),
        ("insert a token", insert("token"), "token token_forged: it was put here"),
        ("edit the kind", edit("target", "kind = 'policy'"), "does not carry a valid seal"),
        ("edit the schema", edit("target", "schema = 2"), "target tgt_"),
        ("edit the version", edit("target", "version = version + 1"), "target tgt_"),
        ("edit the id", edit("target", "id = 'tgt_other'"), "target tgt_other"),
        ("edit the MAC", edit("target", &format!("mac = {}", kind.hex(&"00".repeat(32)))), "target tgt_"),
        ("shorten the MAC", edit("target", &format!("mac = {}", kind.hex("00"))), "none of ours holds"),
        ("edit a policy", edit("policy", &replaced("permit", "forbid")), "policy policy"),
        ("add a role", edit("identity", &replaced("\"ops\"", "\"sallyport:admin\"")), "identity idn_"),
        ("move a host key", edit("target", &replaced("ssh-", "ssx-")), "target tgt_"),
    ]
}

/// What is done to the tables themselves, by kind of database.
fn on_tables(kind: Kind) -> Vec<Attack> {
    let view = "CREATE VIEW identities AS SELECT * FROM documents WHERE kind = 'identity'";
    let view = ("a view", view.into(), "view identities: Sallyport makes none");
    let twice = |body: &str| {
        let (drop, copy) = match kind {
            Kind::File => (
                "CREATE TABLE other AS SELECT * FROM documents; DROP TABLE documents; ALTER TABLE other RENAME TO documents",
                "INSERT INTO documents SELECT id, kind, schema, version",
            ),
            Kind::Server => (
                "ALTER TABLE documents DROP CONSTRAINT documents_pkey",
                "INSERT INTO documents SELECT id, kind, schema, version",
            ),
        };
        format!("{drop}; {copy}, {body}, mac FROM documents WHERE kind = 'target'")
    };
    let mut attacks = vec![
        view,
        ("duplicate ids", twice(&kind.bytes("'{}'")), "target tgt_"),
        ("the same row twice", twice("body"), "it is there twice"),
        (
            "an index that is gone",
            "DROP INDEX entries_action".into(),
            "table entries: its index `entries_action` is gone",
        ),
    ];
    attacks.push(match kind {
        Kind::File => (
            "other types",
            "UPDATE documents SET kind = CAST(kind AS BLOB) WHERE kind = 'target'".into(),
            "none of ours holds",
        ),
        Kind::Server => (
            "other types",
            "ALTER TABLE entries ALTER COLUMN session TYPE VARCHAR(90)".into(),
            "table entries: its column `session`",
        ),
    });
    attacks.push(match kind {
        Kind::File => (
            "a trigger",
            "CREATE TRIGGER hide AFTER INSERT ON entries BEGIN DELETE FROM entries WHERE idx = new.idx; END".into(),
            "trigger hide: Sallyport makes none",
        ),
        Kind::Server => (
            "a trigger",
            "CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                DELETE FROM entries WHERE idx = NEW.idx; RETURN NULL; END $$;
             CREATE TRIGGER hide AFTER INSERT ON entries FOR EACH ROW EXECUTE FUNCTION hide()"
                .into(),
            "trigger hide: Sallyport makes none",
        ),
    });
    attacks
}

fn whatever_is_done_to_documents_is_named_and_taken_out_and_nothing_else(kind: Kind) {
    let house = House::stopped(kind);
    for (case, statements, named) in on_documents(&house).into_iter().chain(on_tables(kind)) {
        let (start, shown) = house.after(&statements);
        assert!(start.contains("in quarantine"), "{kind:?} {case}: {start}");
        assert!(shown.contains(named), "{kind:?} {case}: {shown}");
        let (code, said) = house.accept();
        assert_eq!(code, 0, "{kind:?} {case}: {said}");
        house.is_whole(case);
    }
    house.verifies();
}

fn a_backup_of_any_age_gives_back_what_the_ledger_proves_and_nothing_else(kind: Kind) {
    let house = House::stopped(kind);
    let (good, older) = (house.backup("good"), house.backup("older"));
    let targets = || house.one("SELECT CAST(count(*) AS TEXT) FROM documents WHERE kind = 'target'");
    for statements in ["DELETE FROM documents WHERE kind = 'target'", &house.row_of("older", "target", false)] {
        house.after(statements);
        let (code, said) = house.restore(&good);
        assert_eq!(code, 0, "{said}");
        house.is_whole("restored");
        assert_eq!(targets(), "1");
        // The older backup holds a version that the ledger has gone past: that is not put back.
        house.after(statements);
        assert_eq!(house.restore(&older).0, 0);
        house.is_whole("taken out");
        assert_eq!(targets(), "0");
    }
    // Nothing runs without the keyring: it is put back, or nothing is done. Without it the vault does not open at all.
    house.after("UPDATE documents SET version = version + 1 WHERE kind = 'keyring'");
    let (code, said) = house.accept();
    assert!(code != 0 && said.contains("quarantine restore --from"), "{said}");
    assert_eq!(house.restore(&good).0, 0);
    house.is_whole("keyring");
    house.verifies();
    assert_eq!(house.restore("/nonexistent").0, 2);
    if let Some(server) = &house.server {
        house.after("DELETE FROM documents WHERE kind = 'target'");
        let (code, said) = house.restore(&server.database().unwrap());
        assert!(code == 2 && said.contains("holds no store"), "{said}");
    }
}

fn index_columns_decide_nothing_and_are_set_right_from_the_signed_entries(kind: Kind) {
    let house = House::stopped(kind);
    for column in ["id", "at", "actor", "action", "object", "session"] {
        let value = if column == "at" { "5" } else { "'forged'" };
        let (start, shown) = house.after(&format!("UPDATE entries SET {column} = {value} WHERE idx = 3"));
        assert!(start.contains("no anchor contradicts"), "a start decides nothing by `{column}`: {start}");
        assert!(shown.contains(&format!("entry 3: its index column `{column}`")), "{shown}");
        assert_eq!(house.accept().0, 0);
        house.is_whole(column);
    }
}

fn an_altered_ledger_stops_everything_and_only_what_follows_from_it_is_made_anew(kind: Kind) {
    let house = House::stopped(kind);
    let edit = format!("UPDATE entries SET body = {} WHERE idx = 2", kind.hex("00"));
    for (case, statements, named) in [
        ("edit", edit.as_str(), "entry 2"),
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
        assert!(read, "{kind:?} {case}: {start}");
        assert!(shown.contains(named), "{kind:?} {case}: {shown}");
        let (code, said) = house.accept();
        assert!(code != 0 && said.contains("backup"), "{kind:?} {case}: {said}");
    }
    let zeros = match kind {
        Kind::File => "UPDATE tiles SET data = zeroblob(length(data))",
        Kind::Server => "UPDATE tiles SET data = decode(repeat('00', length(data)), 'hex')",
    };
    for (case, statements, named) in [
        (
            "append",
            "INSERT INTO entries SELECT idx + 1, 'ent_forged', at, actor, action, object, session, body FROM entries ORDER BY idx DESC LIMIT 1",
            "nobody signed it",
        ),
        ("a tile", zeros, "tile tile/0/000"),
        ("no tiles", "DELETE FROM tiles", "tile tile/0/000"),
    ] {
        let (start, shown) = house.after(statements);
        assert!(start.contains("in quarantine"), "{kind:?} {case}: {start}");
        assert!(shown.contains(named), "{kind:?} {case}: {shown}");
        assert_eq!(house.accept().0, 0, "{kind:?} {case}");
        house.is_whole(case);
    }
}

fn a_whole_older_database_is_refused_by_the_anchors(kind: Kind) {
    let house = House::stopped(kind);
    house.put_database_back("older");
    let start = house.start();
    assert!(start.contains("set back") && start.contains("rollback accept --size"), "{start}");
    let (_, doctor, _) = house.product.run_local(&["serve"]).unwrap();
    assert!(!doctor.contains("Serving"), "{doctor}");
    let Some(server) = &house.server else { return };
    // By a dump, too; and what a dump of the good one restores is as good.
    let dump = server.dump("older").unwrap();
    server.restore(&dump, house.product.database().unwrap()).unwrap();
    assert!(house.start().contains("set back"), "{}", house.start());
    let dump = server.dump("good").unwrap();
    server.restore(&dump, house.product.database().unwrap()).unwrap();
    house.verifies();
    house.is_whole("restored from a dump");
}
