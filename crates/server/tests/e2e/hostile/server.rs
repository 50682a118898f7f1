//! What only PostgreSQL can be made to do: views, row-level security, rules, inheritance, other schemas, settings of a role.

use super::Attack;
use super::house::{House, Kind};
use sallyport_testkit::postgres::ROLE;

/// What stands on the tables, or in their place. Healed by our own role.
fn attacks() -> Vec<Attack> {
    let renamed = "ALTER TABLE documents RENAME TO documents_real";
    vec![
        (
            "a view in place of a table",
            format!("{renamed}; CREATE VIEW documents AS SELECT * FROM documents_real"),
            "table documents: a view stands where the table should",
        ),
        (
            "a view that hides rows",
            format!("{renamed}; CREATE VIEW documents AS SELECT * FROM documents_real WHERE kind <> 'account'"),
            "the ledger proves it, and it is gone",
        ),
        (
            "a view of the entries",
            "ALTER TABLE entries RENAME TO entries_real; CREATE VIEW entries AS SELECT * FROM entries_real".into(),
            "table entries: a view stands where the table should",
        ),
        (
            "row-level security",
            "CREATE POLICY hide ON documents USING (kind <> 'policy'); ALTER TABLE documents ENABLE ROW LEVEL SECURITY"
                .into(),
            "table documents: row-level security hides rows of it",
        ),
        (
            "a row policy that waits",
            "CREATE POLICY hide ON documents USING (kind <> 'policy')".into(),
            "row policy hide: Sallyport makes none",
        ),
        (
            "a rule that suppresses",
            "CREATE RULE keep AS ON DELETE TO documents DO INSTEAD NOTHING".into(),
            "rule keep: Sallyport makes none",
        ),
        (
            "a rule that rewrites",
            "CREATE RULE copy AS ON INSERT TO entries DO ALSO DELETE FROM entries WHERE idx = 2".into(),
            "rule copy: Sallyport makes none",
        ),
        (
            "a trigger that suppresses",
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER drop_all BEFORE INSERT OR UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION nothing()"
                .into(),
            "trigger drop_all: Sallyport makes none",
        ),
        (
            "a child table",
            "CREATE TABLE extra () INHERITS (documents); INSERT INTO extra SELECT 'identity_forged', kind, schema,
                version, body, mac FROM ONLY documents WHERE kind = 'identity' LIMIT 1"
                .into(),
            "child table public.extra: Sallyport makes none",
        ),
        (
            "a partition",
            format!(
                "{renamed}; CREATE TABLE documents (LIKE documents_real) PARTITION BY RANGE (id);
                 ALTER TABLE documents ATTACH PARTITION documents_real FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"
            ),
            "table documents: a partition or a partitioned table stands",
        ),
        ("an unlogged table", "ALTER TABLE documents SET UNLOGGED".into(), "table documents: it is not logged"),
        (
            "a constraint made otherwise",
            "ALTER TABLE documents DROP CONSTRAINT documents_pkey, ADD CONSTRAINT documents_pkey PRIMARY KEY (id, version);
             INSERT INTO documents SELECT id, kind, schema, version + 1, body, mac FROM documents WHERE kind = 'target'"
                .into(),
            "table documents: its constraint `documents_pkey` is `PRIMARY KEY (id, version)`",
        ),
        (
            "a function that fits better",
            "CREATE FUNCTION public.unnest(TEXT[]) RETURNS SETOF TEXT LANGUAGE sql AS $$ SELECT 'nothing'::TEXT WHERE false $$"
                .into(),
            "function public.unnest(text[]): Sallyport makes none",
        ),
    ]
}

#[test]
fn what_stands_on_the_tables_or_in_their_place_is_named_and_taken_away() {
    let house = House::stopped(Kind::Server);
    for (case, statements, named) in attacks() {
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
fn rows_that_another_owner_hides_stop_everything_until_an_administrator_and_then_we_put_it_right() {
    let house = House::stopped(Kind::Server);
    house.as_administrator(&format!(
        "CREATE ROLE mallory; ALTER TABLE documents OWNER TO mallory; GRANT ALL ON documents TO {ROLE};
         CREATE POLICY hide ON documents USING (kind <> 'policy');
         ALTER TABLE documents ENABLE ROW LEVEL SECURITY; ALTER TABLE documents FORCE ROW LEVEL SECURITY"
    ));
    let start = house.start();
    assert!(start.contains("in quarantine"), "{start}");
    let shown = house.shown();
    assert!(shown.contains("table documents: it belongs to `mallory`"), "{shown}");
    assert!(shown.contains("row-level security hides rows of it"), "{shown}");
    assert_ne!(house.accept().0, 0);
    // Just what the findings say.
    for statement in shown.split('`').filter(|part| part.starts_with("ALTER TABLE")) {
        house.as_administrator(statement);
    }
    let shown = house.shown();
    assert!(shown.contains("row policy hide: Sallyport makes none") && !shown.contains("mallory"), "{shown}");
    let (code, said) = house.accept();
    assert_eq!(code, 0, "{said}");
    house.is_whole("owner");
    house.verifies();
}

#[test]
fn a_schema_that_comes_first_and_settings_of_the_role_change_nothing() {
    let mut house = House::stopped(Kind::Server);
    house.put_back("good");
    house.sql(&format!(
        "CREATE SCHEMA {ROLE}; CREATE TABLE {ROLE}.documents (LIKE public.documents INCLUDING ALL);
         CREATE TABLE {ROLE}.entries (LIKE public.entries INCLUDING ALL); CREATE TABLE {ROLE}.head (LIKE public.head);
         INSERT INTO {ROLE}.documents SELECT * FROM public.documents WHERE kind <> 'policy';
         CREATE FUNCTION {ROLE}.set_config(TEXT, TEXT, BOOLEAN) RETURNS TEXT LANGUAGE sql AS $$ SELECT $2 $$;
         CREATE FUNCTION {ROLE}.current_setting(TEXT) RETURNS TEXT LANGUAGE sql AS $$ SELECT 'on'::TEXT $$"
    ));
    for setting in [
        format!("search_path = {ROLE}, pg_catalog, public"),
        "synchronous_commit = off".into(),
        "default_transaction_read_only = on".into(),
    ] {
        house.sql(&format!("ALTER ROLE {ROLE} SET {setting}"));
    }
    assert!(house.start().contains("no anchor contradicts"), "{}", house.start());
    house.is_whole("another schema");
    house.product.serve().unwrap();
    assert!(house.product.ssh("ada").arg("true").status().unwrap().success());
    let written = |schema: &str| house.one(&format!("SELECT count(*) FROM {schema}.entries"));
    assert_eq!(written(ROLE), "0");
    assert_ne!(written("public"), "0");
}
