//! A target that speaks nothing new: refused with what to write, let in by exception, told of, and refused again when that ends.

use crate::browser::Browser;
use sallyport_testkit::http::Api;
use sallyport_testkit::product::{PASSWORD, Product, outcome};
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use serde_json::{Value, json};

on_both!(an_old_target_is_looked_at_let_in_by_exception_told_of_and_refused_again);

/// What alone the target speaks, beside a modern host key.
const LINES: &str = "KexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-cbc\nMACs hmac-sha1\n";
const OLD: [&str; 3] = ["aes128-cbc", "diffie-hellman-group14-sha1", "hmac-sha1"];

fn at(product: &Product) -> (i32, String, String) {
    outcome(product.ssh_at("ada", &format!("ada+{ACCOUNT}@relic")).arg("echo reached").output().unwrap())
}

fn an_old_target_is_looked_at_let_in_by_exception_told_of_and_refused_again(product: &mut Product) {
    let sshd = Sshd::with(PASSWORD, LINES).unwrap();
    let (api, port) = (Api::new(product, product.token()), sshd.address().port());
    let probed = api.post("/targets/probe", &json!({"host": "127.0.0.1", "port": port})).ok();
    assert_eq!(probed["exceptions"], json!(OLD), "{probed}");
    assert_eq!(probed["host_keys"][0]["key"], json!(sshd.host_key().unwrap()));
    let mut target = json!({
        "name": "relic", "host": "127.0.0.1", "port": port, "environment": "demo", "tier": 1, "tags": ["web"],
        "host_keys": [sshd.host_key().unwrap()], "account": {"name": ACCOUNT, "class": "standard"},
        "credential": {"password": PASSWORD},
    });
    api.post("/targets", &target).is(201);
    let (code, out, err) = at(product);
    assert!(code != 0 && out.is_empty(), "{out}{err}");
    let advice = "exceptions = { algorithms = [\"aes128-cbc\", \"diffie-hellman-group14-sha1\", \"hmac-sha1\"], reason";
    assert!(err.contains("key exchange (the peer has diffie-hellman-group14-sha1)") && err.contains(advice), "{err}");

    for key in ["name", "environment", "account", "credential"] {
        target.as_object_mut().unwrap().remove(key);
    }
    let excepting = |algorithms: Value, reason: &str, until: &str| {
        let mut change = target.clone();
        change["exceptions"] = json!({"algorithms": algorithms, "reason": reason, "until": until});
        api.put("/targets/relic", &change)
    };
    for (algorithms, reason, until, wanted) in [
        (json!(["3des-cbc"]), "x", "2099-01-31", "is no exception: there are ecdh-sha2-nistp256"),
        (json!(OLD), "", "2099-01-31", "say their `reason`"),
        (json!(OLD), "x", "some day", "a day, such as 2027-01-31"),
    ] {
        let told = excepting(algorithms, reason, until).is(400);
        assert!(told["detail"].as_str().unwrap().contains(wanted), "{told}");
    }
    let changed = excepting(json!(OLD), "no update for it", "2099-01-31").ok();
    assert_eq!(changed["exceptions"]["until"], "2099-02-01T00:00:00.000Z");
    assert_eq!(at(product), (0, "reached\n".into(), String::new()), "{}", product.log());
    product.idle().unwrap();
    let session = product.newest_session().unwrap();
    assert_eq!(session["exceptions"], json!([format!("target: {}", OLD.join(" "))]), "{session}");
    let exchanges = session["exchanges"].as_array().unwrap();
    assert!(exchanges[0].as_str().unwrap().starts_with("target: diffie-hellman-group14-sha1 ssh-ed25519"), "{session}");
    assert!(exchanges[1].as_str().unwrap().starts_with("client: "), "{session}");
    let log = product.ok(&["ledger", "list", "--actions", "target.excepted,session.closed"]).unwrap();
    assert!(log.contains("lets old algorithms be spoken with the target relic: aes128-cbc"), "{log}");
    assert!(
        log.contains("by exception were spoken: target: aes128-cbc diffie-hellman-group14-sha1 hmac-sha1"),
        "{log}"
    );
    let metrics = Browser::of(product).get("/metrics");
    let metrics = metrics.body.as_str().unwrap().to_owned();
    assert!(metrics.contains("sallyport_sessions_excepted_total 1"), "{metrics}");
    if product.database().is_none() {
        let (_, told, _) = product.run_local(&["doctor"]).unwrap();
        assert!(told.contains("with 1 targets (relic until 2099-02-01"), "{told}");
    }

    let ended = excepting(json!(OLD), "no update for it", "2020-01-31").ok();
    assert_eq!(ended["exceptions"]["until"], "2020-02-01T00:00:00.000Z");
    let (code, _, err) = at(product);
    assert!(code != 0 && err.contains("Its exception ended on 2020-02-01"), "{err}");
}
