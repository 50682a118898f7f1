//! Targets behind jump hosts, over the whole product: real servers one inside the other.

use crate::terminal::token;
use sallyport_testkit::browser::Browser;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{PASSWORD, Product, outcome};
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use serde_json::{Value, json};
use std::fs;

on_both!(a_target_behind_two_jump_hosts_is_looked_at_used_told_of_and_kept_from_by_policy);

fn line(name: &str, sshd: &Sshd, via: &str) -> String {
    let via = if via.is_empty() { String::new() } else { format!("via = \"{ACCOUNT}@{via}\"\n") };
    format!(
        "[[target]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {}\nenvironment = \"demo\"\ntier = 1\n\
         host_keys = [\"{}\"]\n{via}[[target.account]]\nname = \"{ACCOUNT}\"\nclass = \"standard\"\n",
        sshd.address().port(),
        sshd.host_key().unwrap()
    )
}

fn apply(product: &Product, lines: &str) -> (i32, String, String) {
    fs::write(product.at("checkout/hops.toml"), lines).unwrap();
    product.run(&["apply", &product.at("checkout").display().to_string()]).unwrap()
}

fn reached(product: &Product) -> (i32, String, String) {
    outcome(product.ssh_at("ada", &format!("ada+{ACCOUNT}@deep")).arg("echo reached").output().unwrap())
}

fn a_target_behind_two_jump_hosts_is_looked_at_used_told_of_and_kept_from_by_policy(product: &mut Product) {
    let [outer, inner, deep] = [(); 3].map(|()| Sshd::start(PASSWORD).unwrap());
    let hops = line("outer", &outer, "") + &line("inner", &inner, "outer");
    assert_eq!(apply(product, &hops).0, 0);
    for name in ["outer", "inner"] {
        product.stdin(&["vault", "put", &format!("{ACCOUNT}@{name}"), "--password-stdin"], PASSWORD).unwrap();
    }

    // What lies behind is looked at from there, in sessions of whoever looks.
    let api = Api::new(product, product.token());
    let port = deep.address().port();
    let (via, directly) = (format!("{ACCOUNT}@inner"), json!({"host": "127.0.0.1", "port": port}));
    let mut over = directly.clone();
    over["via"] = json!(via);
    let probed = api.post("/targets/probe", &over).ok();
    let keys: Vec<&str> = probed["host_keys"].as_array().unwrap().iter().map(|k| k["key"].as_str().unwrap()).collect();
    assert_eq!(keys, [deep.host_key().unwrap()]);
    assert!(probed["banner"].as_str().unwrap().starts_with("SSH-2.0-OpenSSH"), "{probed}");
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!((&session["target"], &session["complete"]), (&json!("inner"), &json!(true)), "{session}");
    assert!(session["note"].as_str().unwrap().contains(&format!("127.0.0.1:{port}")), "{session}");
    over["via"] = json!("nobody@inner");
    api.post("/targets/probe", &over).is(404);

    let target = json!({
        "name": "deep", "host": "127.0.0.1", "port": port, "environment": "demo", "tier": 1, "tags": ["web"],
        "host_keys": keys, "via": via, "account": {"name": ACCOUNT, "class": "standard"},
        "credential": {"password": PASSWORD},
    });
    assert_eq!(api.post("/targets", &target).is(201)["via"], json!(via));
    assert_eq!(reached(product), (0, "reached\n".into(), String::new()), "{}", product.log());
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    let names = json!([format!("{ACCOUNT}@outer"), format!("{ACCOUNT}@inner")]);
    assert_eq!((&session["target"], &session["via"]), (&json!("deep"), &names), "{session}");
    for sshd in [&outer, &inner, &deep] {
        assert!(sshd.log().contains(&format!("Accepted password for {ACCOUNT}")), "{}", sshd.log());
    }
    told(product, &session);
    let mut browser = Browser::terminal(product, &token(product, "ada"), "deep", ACCOUNT).unwrap();
    browser.type_in("echo on-$((40+2)); exit\r").unwrap();
    browser.until_shown("on-42").unwrap();
    product.idle().unwrap();
    assert_eq!(api.post("/targets/deep/check", &json!({"account": ACCOUNT})).ok(), json!({"ok": true, "detail": ""}));

    // Nobody takes a jump host away under a target, or sends a way round in a circle.
    let told = api.delete("/targets/inner").is(409);
    assert!(told["detail"].as_str().unwrap().contains("is the jump host of 1 targets (deep)"), "{told}");
    let (code, _, err) = apply(product, &(line("outer", &outer, "inner") + &line("inner", &inner, "outer")));
    assert!(code != 0 && err.contains("comes back to"), "{err}");
    assert_eq!(apply(product, &hops).0, 0);

    a_jump_host_stays_an_account_that_is_logged_in_at(product, &hops, &api, &target);
    another_way_wants_keys_of_its_own(&api, &target);
    policy_keeps_from_it(product, &hops);
}

/// What the ledger and the recording say of the session over both.
fn told(product: &Product, session: &Value) {
    let carol = Api::new(product, &token(product, "carol"));
    let id = session["id"].as_str().unwrap();
    let cast = carol.get(&format!("/recordings/{id}/cast")).text();
    let title = format!("{ACCOUNT}@deep, via {ACCOUNT}@outer, {ACCOUNT}@inner by ada over ssh");
    assert!(cast.lines().next().unwrap().contains(&title), "{cast}");
    let marks = carol.get(&format!("/recordings/{id}/marks")).ok();
    let via = format!("{ACCOUNT}@outer, {ACCOUNT}@inner");
    assert_eq!((&marks[0]["kind"], &marks[0]["text"]), (&json!("via"), &json!(via)), "{marks}");
    let listed = carol.get("/recordings?target=deep&limit=1").ok();
    let row = &listed["items"][0];
    assert_eq!(
        (&row["session"], &row["via"], &row["protocol"]),
        (&session["id"], &session["via"], &json!("ssh")),
        "{row}"
    );
    let shown = product.as_carol(&["recordings", "--target", "deep"]).unwrap();
    assert!(shown.contains(&format!("{ACCOUNT}@deep via {via}")), "{shown}");
    let log = product
        .ok(&["ledger", "list", "--actions", "session.opened,credential.lent,target.added,target.probed"])
        .unwrap();
    let wanted = [
        format!(
            "opened a session on {ACCOUNT}@deep from 127.0.0.1, over the jump hosts {ACCOUNT}@outer {ACCOUNT}@inner"
        ),
        format!("the password of {ACCOUNT}@outer was lent for ada's session on {ACCOUNT}@deep"),
        format!("the password of {ACCOUNT}@inner was lent for ada's session on {ACCOUNT}@deep"),
        format!("the password of {ACCOUNT}@deep was lent for ada's session"),
        format!("reached via {ACCOUNT}@inner, with the account {ACCOUNT} and its credential"),
        format!("via {ACCOUNT}@inner"),
    ];
    for sentence in wanted {
        assert!(log.contains(&sentence), "{sentence}: {log}");
    }
}

/// Neither is a way written to an account that another one becomes, nor such a way to the account of a jump host.
fn a_jump_host_stays_an_account_that_is_logged_in_at(product: &Product, hops: &str, api: &Api, target: &Value) {
    let through = |account: &str| json!({"class": "standard", "through": {"account": account, "by": "su"}});
    let put = |account: &str, body: Value| api.put(&format!("/targets/inner/accounts/{account}"), &body);
    put("app", through(ACCOUNT)).is(200);
    let (port, via) = (&target["port"], "app@inner");
    let no = format!("`{via}` cannot be a jump host: it is become by way of `{ACCOUNT}@inner`");
    let way = json!({"host": "127.0.0.1", "port": port, "tier": 1, "tags": ["web"], "via": via});
    let (mut new, mut probed) = (target.clone(), json!({"host": "127.0.0.1", "port": port}));
    (new["name"], new["via"], probed["via"]) = (json!("far"), json!(via), json!(via));
    for told in [
        api.put("/targets/deep", &way).is(400),
        api.post("/targets", &new).is(400),
        api.post("/targets/probe", &probed).is(400),
    ] {
        assert!(told["detail"].as_str().unwrap().contains(&no), "{told}");
    }
    let app = format!(
        "[[target.account]]\nname = \"app\"\nclass = \"standard\"\nthrough = {{ account = \"{ACCOUNT}\", by = \"su\" }}\n"
    );
    let far = format!(
        "[[target]]\nname = \"far\"\nhost = \"127.0.0.1\"\nenvironment = \"demo\"\ntier = 1\nvia = \"{via}\"\n"
    );
    let (code, _, err) = apply(product, &format!("{hops}{app}{far}"));
    assert!(code == 2 && err.contains(&format!("target far: {no}")), "{code} {err}");
    api.get("/targets/far").is(404);

    put("app", json!({"class": "standard"})).is(200);
    let told = put(ACCOUNT, through("app")).is(409);
    let wanted = format!("`{ACCOUNT}@inner` is the jump host of 1 targets (deep)");
    assert!(told["detail"].as_str().unwrap().contains(&wanted), "{told}");
    assert_eq!(apply(product, hops).0, 0);
}

fn another_way_wants_keys_of_its_own(api: &Api, target: &Value) {
    let mut change =
        json!({"host": "127.0.0.1", "port": target["port"], "tier": 1, "tags": ["web"], "via": target["via"]});
    let kept = api.put("/targets/deep", &change).ok();
    assert_eq!(kept["host_keys"][0]["key"], target["host_keys"][0]);
    change["via"] = json!(format!("{ACCOUNT}@outer"));
    assert_eq!(api.put("/targets/deep", &change).ok()["host_keys"], json!([]));
    let told = api.post("/targets/deep/check", &json!({"account": ACCOUNT})).ok();
    assert!(told["detail"].as_str().unwrap().contains("no host key is pinned"), "{told}");
    change["host_keys"] = target["host_keys"].clone();
    change["via"] = target["via"].clone();
    assert_eq!(api.put("/targets/deep", &change).ok()["host_keys"][0]["key"], target["host_keys"][0]);
}

fn policy_keeps_from_it(product: &Product, hops: &str) {
    let forbid = format!(
        "@id(\"not-over-outer\")\nforbid (principal, action, resource is Account)\n\
         when {{ resource.via.contains(\"{ACCOUNT}@outer\") }};\n"
    );
    product.write_checkout(&forbid).unwrap();
    assert_eq!(apply(product, hops).0, 0);
    let (code, out, err) = reached(product);
    assert!(code != 0 && out.is_empty(), "{err}");
    assert!(err.contains("no such target or account"), "what policy forbids is not there: {err}");
}
