use super::tree::{File, Package, Tree};
use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
    Tree { files, today: "2026-11-22".into(), ..Tree::default() }
}

/// The rule finds nothing in the good tree, and says this in the bad one.
fn judges(rule: Rule, good: &[(&str, &str)], bad: &[(&str, &str)], says: &str) {
    assert_eq!(rule(&tree(good)), []);
    let found = rule(&tree(bad));
    assert!(found.iter().any(|f| f.to_string().contains(says)), "expected `{says}` in {found:?}");
}

#[test]
fn this_tree_is_tidy() {
    let found: Vec<_> = findings(&Tree::read().unwrap()).into_iter().filter(|f| !f.warning).collect();
    assert!(found.is_empty(), "{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn attributes_want_reasons() {
    let good = "#[expect(clippy::x, reason = \"because\")]\n#[expect(\n  clippy::y,\n  reason = \"so\"\n)]\nfn a() {}";
    judges(
        attributes::check,
        &[("crates/a/src/lib.rs", good)],
        &[("crates/a/src/lib.rs", "//! a\n#[allow(dead_code)]")],
        ":2: `allow` hides",
    );
    judges(attributes::check, &[], &[("crates/a/src/lib.rs", "//! a\n#[expect(dead_code)]")], "say why");
    judges(
        attributes::check,
        &[],
        &[("crates/a/src/lib.rs", &"#[expect(x, reason = \"y\")]\n".repeat(1000))],
        "1000 `#[expect]`",
    );
}

fn with_binaries(budget: &str) -> Tree {
    let package =
        Package { name: "a".into(), folder: "crates/a".into(), tests: vec!["lib".into()], ..Package::default() };
    Tree { packages: vec![package], ..tree(&[("tests/budget.toml", budget)]) }
}

#[test]
fn tests_have_a_budget() {
    assert_eq!(budget::check(&with_binaries("\"a/lib\" = 9")), []);
    for (bad, says) in [
        ("", "`a/lib` has no seconds"),
        ("\"a/lib\" = 9\n\"b/lib\" = 9", "no test binary"),
        ("\"a/lib\" = 1501", "the sum is 1501"),
        ("\"a/lib\" = 0", "at least 1"),
        ("nonsense", "write `"),
    ] {
        let found = budget::check(&with_binaries(bad));
        assert!(found.iter().any(|f| f.message.contains(says)), "{bad}: {found:?}");
    }
}

#[test]
fn fragments_are_well_formed() {
    let good = [("changes/a.md", "added: Sessions are recorded.\n")];
    for (bad, says) in [
        ("new: A thing.", "is no kind"),
        ("added: A thing", "full stop"),
        ("added: One.\nTwo.", "one sentence"),
        ("Sessions are recorded.", "kind: One sentence."),
    ] {
        judges(changes::check, &good, &[("changes/a.md", bad)], says);
    }
    judges(changes::check, &good, &[("changes/a.txt", "added: A thing.")], "<slug>.md");
}

#[test]
fn only_the_server_reads_the_environment() {
    let reads = "//! a\nlet home = std::env::var(\"HOME\");";
    let good = [
        ("crates/server/src/config/environment.rs", reads),
        ("crates/a/src/tests.rs", reads),
        ("crates/a/src/lib.rs", "// std::env is read elsewhere"),
        ("crates/a/build.rs", reads),
    ];
    judges(environment::check, &good, &[("crates/a/src/lib.rs", reads)], ":2: only `server` reads the environment");
}

#[test]
fn secrets_are_looked_at_in_listed_modules() {
    let looks = "//! a\nlet text = secret.expose();";
    let good = [("crates/vault/src/crypto/mod.rs", looks), ("crates/a/src/tests.rs", looks)];
    judges(expose::check, &good, &[("crates/a/src/lib.rs", looks)], "xtask/src/tidy/expose.txt");
}

fn importing(name: &str, import: &str, document: &str) -> Vec<Finding> {
    let package = |name: &str, imports: Vec<String>| Package {
        name: name.into(),
        folder: format!("crates/{name}"),
        imports,
        ..Package::default()
    };
    let packages = vec![package(name, vec![import.into()]), package(import, Vec::new())];
    imports::check(&Tree { packages, ..tree(&[("ARCHITECTURE.md", document)]) })
}

#[test]
fn imports_follow_the_table() {
    assert_eq!(importing("store", "ledger", ""), []);
    assert_eq!(importing("server", "gateway", ""), []);
    assert_eq!(importing("api", "policy", "- `edge: api -> policy` names of rights"), []);
    assert_eq!(importing("api", "policy", "edge: api -> policy names of rights"), []);
    let found = importing("gateway", "store", "edge: gateway -> store");
    assert!(found[0].message.contains("`gateway` may not import `store`"), "{found:?}");
    assert!(importing("novel", "model", "")[0].message.contains("not in the table"));
    assert!(importing("api", "control", "edge: api -> control is allowed anyway")[0].warning);
}

#[test]
fn files_have_a_length() {
    let lines = |n: usize| "x\n".repeat(n);
    judges(length::check, &[("a.rs", &lines(500)), ("a.md", &lines(9000))], &[("a.rs", &lines(801))], "801 lines");
    assert!(length::check(&tree(&[("a.rs", &lines(501))]))[0].warning);
}

#[test]
fn links_lead_somewhere() {
    let good = [
        ("docs/a.md", "[b](b.md#part) [up](../README.md) [dir](book) [out](https://example.org)"),
        ("docs/b.md", ""),
        ("README.md", ""),
        ("docs/book/index.md", ""),
    ];
    judges(links::check, &good, &[("docs/a.md", "x\n[gone](gone.md)")], "docs/a.md:2: `gone.md` leads nowhere");
    let mut pictured = tree(&[("README.md", "![seen](docs/seen.png)")]);
    pictured.pictures.push("docs/seen.png".into());
    assert_eq!(links::check(&pictured), []);
}

#[test]
fn manifests_take_from_the_workspace() {
    let good =
        "[lints]\nworkspace = true\n[dependencies]\na.workspace = true\nb = { workspace = true, optional = true }";
    judges(manifests::check, &[("crates/a/Cargo.toml", good)], &[("crates/a/Cargo.toml", "[dependencies]")], "[lints]");
    let bad = "[lints]\nworkspace = true\n[target.'cfg(unix)'.dev-dependencies]\na = \"1\"";
    judges(manifests::check, &[], &[("crates/a/Cargo.toml", bad)], "`a` in [dev-dependencies]");
    judges(manifests::check, &[], &[("crates/a/Cargo.toml", "[")], "crates/a/Cargo.toml");
}

#[test]
fn the_map_equals_the_modules() {
    let mut good = tree(&[
        ("crates/a/src/lib.rs", "//! The letter a,\n//! in two lines.\n//! And more."),
        ("crates/a/src/deep/mod.rs", "//! Deep."),
        ("crates/a/src/deep/er.rs", "//! Not in the map."),
        (
            "ARCHITECTURE.md",
            "x\n<!-- code map: begin (cargo xtask tidy --fix writes it) -->\n- `crates/a`: The letter a, in two lines.\n  - `deep`: Deep.\n<!-- code map: end -->\n",
        ),
    ]);
    good.packages = vec![Package { name: "a".into(), folder: "crates/a".into(), ..Package::default() }];
    assert_eq!(map::check(&good), []);
    good.files.iter_mut().filter(|f| f.path.ends_with("lib.rs")).for_each(|f| f.text = "//! Another.".into());
    assert!(map::check(&good)[0].message.contains("--fix"));
    assert!(map::check(&tree(&[]))[0].message.contains("around the code map"));
}

#[test]
fn measurements_grow_old() {
    judges(
        measures::check,
        &[("docs/measures/a.json", "{\"date\":\"2026-10-23\"}")],
        &[("docs/measures/a.json", "{\"date\":\"2026-10-22\"}")],
        "31 days ago",
    );
    judges(measures::check, &[], &[("docs/measures/a.json", "{}")], "names `date`");
}

#[test]
fn modules_say_what_they_are() {
    judges(
        modules::check,
        &[("a.rs", "//! What a is."), ("a/tests.rs", "use super::*;")],
        &[("a.rs", "use b;")],
        "a.rs:1: open the file",
    );
}

#[test]
fn names_say_something() {
    judges(
        names::check,
        &[("crates/a/src/recorder.rs", "mod journal;")],
        &[("crates/a/src/utils.rs", "")],
        "`utils` says nothing",
    );
    judges(names::check, &[], &[("crates/a/src/lib.rs", "//! a\npub(crate) mod helper {")], ":2: `helper`");
}

#[test]
fn serde_writes_where_it_is_listed() {
    let derives = "//! a\n#[derive(Debug, Serialize, Deserialize)]";
    let good = [("crates/wire/src/lib.rs", derives), ("crates/a/src/lib.rs", "#[derive(Debug, Deserialize)]")];
    judges(serialize::check, &good, &[("crates/a/src/lib.rs", derives)], "make it a type of `wire`");
}

#[test]
fn only_the_store_writes_sql() {
    let writes = "//! a\nlet rows = query(\"SELECT a FROM b\");";
    let good = [("crates/store/src/sql.rs", writes), ("crates/a/src/lib.rs", "say(\"Select one\");")];
    judges(sql::check, &good, &[("crates/a/src/lib.rs", writes)], "only `store` writes SQL");
}

#[test]
fn unfinished_work_is_named() {
    judges(
        words::check,
        &[("a.md", "fortunate for nowhere")],
        &[("a.md", "x\nthis is enough for now.")],
        "a.md:2: `for now`",
    );
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    let test = ("crates/a/src/tests.rs", "#[test]\nfn doors_close() {}\nunix_kill = Kill over Unix;");
    let row = |name: &str| format!("| threat | answer | a `{name}` |");
    let (good, other, bad) = (row("doors_close"), row("unix_kill"), row("doors_open"));
    judges(
        threats::check,
        &[test, ("docs/threat-model.md", &good)],
        &[test, ("docs/threat-model.md", &bad)],
        ":1: no test is called `doors_open`",
    );
    judges(threats::check, &[test, ("docs/threat-model.md", &other)], &[("docs/threat-model.md", &other)], "unix_kill");
}
