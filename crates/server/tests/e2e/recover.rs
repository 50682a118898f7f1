//! The lost last administrator, from nobody who can sign in to a new one who was applied.

use crate::product;
use sallyport_testkit::product::{Product, json, outcome};

/// A command with another token than the administrator's.
fn with(product: &Product, token: &str, args: &[&str]) -> (i32, String, String) {
    outcome(product.command(args).env("SALLYPORT_TOKEN", token).output().unwrap())
}

#[test]
fn a_lost_administrator_is_recovered_for_a_while_and_loudly() {
    let mut product = product();
    let recover = ["admin", "recover", "dora", "--output", "json"];
    let (code, _, err) = product.run_local(&recover).unwrap();
    assert!(code != 0 && err.contains("the server runs"), "{code} {err}");
    product.stop().unwrap();
    let (code, _, err) = product.run_local(&recover).unwrap();
    assert!(code == 3 && err.contains("`admin` is an administrator and can sign in"), "{code} {err}");
    let (code, _, err) = product.run_local(&["admin", "recover", "dora", "--ttl", "9h", "--force"]).unwrap();
    assert!(code == 2 && err.contains("8 hours"), "{code} {err}");
    // Without a slot nobody is an administrator, whoever has the host.
    let key = product.data().join("keys/vault.key");
    std::fs::rename(&key, product.at("pocket")).unwrap();
    let (code, out, _) = product.run_local(&["admin", "recover", "dora", "--force"]).unwrap();
    assert!(code != 0 && !out.contains("spt_"), "{out}");
    std::fs::rename(product.at("pocket"), &key).unwrap();

    let made = json(&product.local(&[&recover[..], &["--force"]].concat()).unwrap()).unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    product.serve().unwrap();
    assert!(product.ok(&["status"]).unwrap().starts_with("RECOVERY: on the host"));
    let (code, out, err) = with(&product, &token, &["ledger", "list", "--actions", "admin.recovered"]);
    assert!(code == 0 && out.contains("host LENT dora THE RIGHTS OF AN ADMINISTRATOR until"), "{out}{err}");
    assert!(out.contains("though these could have been asked: admin"), "{out}");
    // What a recovery is for: somebody new, from the files, by dora's right of tier 0.
    let file = product.at("checkout/inventory.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let boss = "[[identity]]\nhandle = \"boss\"\ngroups = [\"sallyport:admin\", \"tier0-admin\"]\n";
    std::fs::write(&file, format!("{text}{boss}")).unwrap();
    let (code, out, err) = with(&product, &token, &["apply", &product.at("checkout").display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = with(&product, &token, &["token", "boss", "--output", "json"]);
    assert_eq!(code, 0, "{out}{err}");
    let boss = json(&out).unwrap()["token"].as_str().unwrap().to_owned();
    assert_eq!(with(&product, &boss, &["vault", "status"]).0, 0);
    let page = product.ok(&["status", "--output", "json"]).unwrap();
    assert!(page.contains("\"recovery\": \"20"), "{page}");
}
