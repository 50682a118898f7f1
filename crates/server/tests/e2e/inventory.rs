//! A target is added from nothing: looked at, pinned, given a credential, checked by a real login, used, removed.

use crate::terminal::token;
use sallyport_testkit::browser::Browser;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{PASSWORD, Product, outcome};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::{Value, json};

on_both!(a_target_is_probed_added_checked_used_and_removed, bad_targets_are_refused_with_what_to_do);

/// The sample target's place under another name.
fn new(product: &Product, name: &str, keys: &Value, password: &str) -> Value {
    json!({
        "name": name, "host": "127.0.0.1", "port": product.target.address().port(), "environment": "demo",
        "tier": 1, "tags": ["web"], "host_keys": keys, "account": {"name": ACCOUNT, "class": "standard"},
        "credential": {"password": password},
    })
}

fn a_target_is_probed_added_checked_used_and_removed(product: &mut Product) {
    let api = Api::new(product, product.token());
    let port = product.target.address().port();
    let probed = api.post("/targets/probe", &json!({"host": "127.0.0.1", "port": port})).ok();
    let keys: Vec<&str> = probed["host_keys"].as_array().unwrap().iter().map(|k| k["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&product.target.host_key().unwrap().as_str()), "{probed}");
    assert!(probed["banner"].as_str().unwrap().starts_with("SSH-2.0-OpenSSH"), "{probed}");
    let (_, stock, _) = outcome(
        std::process::Command::new("ssh-keygen").args(["-lf"]).arg(product.target.host_key_file()).output().unwrap(),
    );
    let prints: Vec<&str> =
        probed["host_keys"].as_array().unwrap().iter().map(|k| k["fingerprint"].as_str().unwrap()).collect();
    assert!(prints.iter().any(|print| stock.contains(print)), "{prints:?} against {stock}");

    // What was listed before a change is not what is listed after it.
    let tags = |name: &str| {
        let listed = api.get("/targets").ok();
        let row = listed["items"].as_array().unwrap().iter().find(|row| row["name"] == name).cloned();
        row.map(|row| row["tags"].clone())
    };
    assert_eq!(tags("web-2"), None);
    let added = api.post("/targets", &new(product, "web-2", &json!(keys), PASSWORD)).is(201);
    assert_eq!(
        added["accounts"],
        json!([{"name": ACCOUNT, "class": "standard", "has_secret": true, "certificate": false, "certificate_terms": null, "through": null, "owner": null}])
    );
    assert!(!added.to_string().contains(PASSWORD));
    assert_eq!(tags("web-2"), Some(json!(["web"])));
    let checked = api.post("/targets/web-2/check", &json!({"account": ACCOUNT})).ok();
    assert_eq!(checked, json!({"ok": true, "detail": ""}));
    // A check is a session, and is recorded as one; nothing crosses in it.
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!((&session["target"], &session["complete"]), (&json!("web-2"), &json!(true)), "{session}");
    let mut browser = Browser::terminal(product, &token(product, "ada"), "web-2", ACCOUNT).unwrap();
    browser.type_in("echo on-$((40+2)); exit\r").unwrap();
    browser.until_shown("on-42").unwrap();
    product.idle().unwrap();

    api.post("/targets", &new(product, "web-3", &json!(keys), "not-the-password")).is(201);
    let wrong = api.post("/targets/web-3/check", &json!({"account": ACCOUNT})).ok();
    assert_eq!(wrong["ok"], false);
    assert!(wrong["detail"].as_str().unwrap().contains("did not accept the credential"), "{wrong}");
    let page = api.get("/targets?search=WEB-&limit=2").ok();
    assert_eq!((&page["total"], page["items"].as_array().unwrap().len()), (&json!(3), 2));
    let rest = api.get(&format!("/targets?search=WEB-&limit=2&cursor={}", page["next"].as_str().unwrap())).ok();
    assert_eq!((&rest["items"][0]["name"], &rest["next"]), (&json!("web-3"), &Value::Null));
    let mut change = json!({"host": "127.0.0.1", "port": port, "tier": 1, "tags": ["web", "new"], "host_keys": keys});
    let changed = api.put("/targets/web-3", &change).ok();
    assert_eq!((&changed["tags"], &changed["platform"]), (&json!(["new", "web"]), &json!("posix")));
    change["platform"] = json!("junos");
    assert_eq!(api.put("/targets/web-3", &change).ok()["platform"], "junos");
    change["platform"] = json!("vms");
    let told = api.put("/targets/web-3", &change).is(400);
    assert!(told["detail"].as_str().unwrap().contains("posix, cisco_ios, junos, device"), "{told}");
    assert_eq!(tags("web-3"), Some(json!(["new", "web"])));
    let who = api.get(&format!("/who-can?target=web-2&account={ACCOUNT}")).ok();
    assert_eq!(who, json!([{"handle": "ada", "state": "usable", "policies": ["ops-use-web"]}]));
    let mut alone = product.command(&[]);
    let (_, here, _) = outcome(alone.env("SALLYPORT_TOKEN", token(product, "ada")).output().unwrap());
    assert!(here.contains("Signed in as ada") && here.contains("Reach     3 accounts: `sallyport ls`"), "{here}");
    let reach = Api::new(product, &token(product, "ada")).get("/reach?search=web-2").ok();
    assert_eq!((&reach["total"], &reach["items"][0]["state"]), (&json!(1), &json!("usable")));

    api.delete("/targets/web-3").is(204);
    api.get("/targets/web-3").is(404);
    let log = product.as_carol(&["ledger", "list", "--actions", "target.added,target.changed,target.removed"]).unwrap();
    for sentence in ["added the target web-2", "changed the target web-3", "removed the target web-3 and its accounts"]
    {
        assert!(log.contains(sentence), "{sentence}: {log}");
    }
    assert!(!log.contains("not-the-password"));
    let policies = api.get("/policies").ok();
    assert_eq!(policies["files"][0]["name"], "ops.cedar");
    assert!(policies["schema"].as_str().unwrap().contains("entity"));
}

fn bad_targets_are_refused_with_what_to_do(product: &mut Product) {
    let api = Api::new(product, product.token());
    let port = product.target.address().port();
    let keys = json!([product.target.host_key().unwrap()]);
    // Nobody but who may write the inventory has a gateway look anywhere, or learns what there is.
    for (who, code) in [("ada", 404), ("carol", 403)] {
        let other = Api::new(product, &token(product, who));
        other.post("/targets/probe", &json!({"host": "127.0.0.1", "port": port})).is(403);
        other.post("/targets", &new(product, "web-2", &keys, PASSWORD)).is(403);
        other.post("/targets/web-1/check", &json!({"account": ACCOUNT})).is(code);
        other.delete("/targets/web-1").is(code);
    }
    Api::new(product, &token(product, "ada")).get("/targets").is(403);
    let api_port: u16 = product.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let places = [
        ("169.254.169.254", 80, "link-local"),
        ("127.0.0.1", api_port, "own address"),
        ("no such host", 22, "host name"),
    ];
    for (host, port, why) in places {
        let told = api.post("/targets/probe", &json!({"host": host, "port": port})).is(400);
        assert!(told["detail"].as_str().unwrap().contains(why), "{told}");
    }
    let taken = api.post("/targets", &new(product, "web-1", &keys, PASSWORD)).is(409);
    assert!(taken["detail"].as_str().unwrap().contains("choose another name"), "{taken}");
    assert_eq!(taken["field"], "name");
    let until = json!({"algorithms": ["ssh-dss"], "reason": "x", "until": "2099-01-31"});
    // Each says which field it is, where it is one that there is.
    for (field, value, told_at) in [
        ("host", json!("no such host"), json!("host")),
        ("host_keys", json!(["ssh-ed25519 nonsense!"]), json!("host_keys")),
        ("tier", json!(7), json!("tier")),
        ("tags", json!(["Not a tag"]), json!("tags")),
        ("via", json!("bastion"), json!("via")),
        ("via", json!("nobody@nowhere"), json!("via")),
        ("host_authorities", json!(["ssh-ed25519 nonsense"]), json!("host_authorities")),
        ("host_aliases", json!(["*"]), json!("host_aliases")),
        ("exceptions", until, json!("exceptions")),
        ("account", json!({"name": "x", "class": "godlike"}), json!("class")),
        ("credential", json!({"password": "a", "generate": true}), json!("credential")),
        ("credential", json!({"private_key": "no key"}), json!("credential")),
        ("surprise", json!(1), Value::Null),
    ] {
        let mut target = new(product, "web-2", &keys, PASSWORD);
        target[field] = value;
        let told = api.post("/targets", &target).is(400);
        assert_eq!(told["field"], told_at, "{told}");
        assert!(!told.to_string().contains(PASSWORD), "{told}");
    }
    // Nothing of what was refused is there.
    assert_eq!(api.get("/targets").ok()["total"], 1);
    let entries = product.ok(&["ledger", "list", "--actions", "target.added"]).unwrap();
    assert!(!entries.contains("web-2"), "{entries}");
}
