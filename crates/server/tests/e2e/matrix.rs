//! Who may call what: every route that the router knows, by everybody there is. What comes out is reviewed as goldens.
//!
//! A route that is not in the table of bodies fails the test, so that nobody adds one without saying what it needs. Objects are
//! ones that do not exist: whoever has the right is told so (404), whoever has not learns nothing (403).

use crate::browser::{Answer, Browser};
use expect_test::expect_file;
use reqwest::Method;
use sallyport_testkit::product::{Product, json};
use sallyport_testkit::sshd::ACCOUNT;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everybody there is: nobody, a page of another site in the administrator's browser, and one of each role.
const CALLERS: [&str; 10] =
    ["nobody", "foreign", "user", "support", "approver", "operator", "auditor", "security", "admin", "tier0"];

/// What a body of this schema may be.
fn body(schema: &str, caller: &str) -> Option<Value> {
    let made = format!("made-by-{caller}");
    Some(match schema {
        "AddSshKey" => json!({ "key": "ssh-ed25519 AAAA" }),
        "AddTotp" | "Code" => json!({ "code": "000000" }),
        "ChangeTarget" => json!({ "host": "192.0.2.1", "port": 22, "tier": 1, "tags": [], "host_keys": [] }),
        "CheckAccount" => json!({ "account": "deploy" }),
        "Desired" => json!({ "files": [] }),
        "Enrol" => json!({ "token": "none", "password": "four quiet words" }),
        "Groups" => json!({ "groups": [] }),
        "Kill" | "Nothing" => json!({}),
        "LoginCode" => json!({ "code": "CCCC-CCCC" }),
        "LinkToken" => json!({ "token": "none" }),
        "NewPassword" => json!({ "current": "x", "new": "four quiet words" }),
        "NewPasskey" | "PasskeyAnswer" => json!({ "credential": {} }),
        "NewSlot" => json!({ "label": "matrix", "key_file": true }),
        "NewTarget" => {
            json!({ "name": made, "host": "192.0.2.1", "tier": 1, "account": { "name": "deploy", "class": "standard" } })
        }
        "NewToken" => json!({ "seconds": 60 }),
        "NewUser" => json!({ "handle": made, "groups": [] }),
        "PauseSession" => json!({ "reason": "drill" }),
        "SessionMessage" => json!({ "text": "save your work" }),
        "NewDirectory" => json!({ "path": "/tmp/made" }),
        "NewTransfer" => json!({ "way": "down", "path": "/etc/motd" }),
        "PauseRotation" => json!({ "paused": false }),
        "ProbeTarget" => json!({ "host": "169.254.169.254" }),
        "PutSecret" => json!({ "account": "nobody@nowhere", "generate": "password" }),
        "PutAccount" => json!({ "class": "standard" }),
        "RotateEpoch" => json!({ "domain": "none" }),
        "CertifyKey" => {
            json!({ "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" })
        }
        "RotateSshCa" => json!({ "step": "begin" }),
        "Share" => json!({ "share": "none" }),
        "SignIn" => json!({ "handle": "nobody", "password": "four quiet words" }),
        "StepUp" => json!({ "totp": "000000" }),
        "TryRules" => json!({ "command": "true" }),
        "Unseal" => json!({ "passphrase": "none" }),
        _ => return None,
    })
}

/// What stands for `{name}` in a path: an object that does not exist.
fn object(path: &str) -> String {
    let nothing = "0".repeat(32);
    let id = match path {
        path if path.contains("/sessions/") => format!("ses_{nothing}"),
        path if path.contains("/devices/") => format!("dev_{nothing}"),
        path if path.contains("/factors/") => format!("fac_{nothing}"),
        path if path.contains("/tokens/") => format!("tok_{nothing}"),
        path if path.contains("/ssh-cas/") => "targets".into(),
        path if path.contains("/certificates/") => "0".into(),
        path if path.contains("/slots/") => format!("slt_{nothing}"),
        _ => "no-such".into(),
    };
    let path = path.replace("{guest}", &format!("wat_{nothing}")).replace("{transfer}", &format!("trf_{nothing}"));
    let path = path.replace("{account}", "no-such").replace("{serial}", "0");
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1))) {
        Some((before, behind)) => format!("{before}{id}{behind}"),
        None => path,
    }
}

fn query(path: &str) -> &'static str {
    match path {
        "/api/v1/terminal" => "?target=no-such&account=deploy&cols=80&rows=24",
        "/api/v1/why" => "?address=deploy@no-such",
        "/api/v1/who-can" => "?target=no-such&account=deploy",
        _ => "",
    }
}

struct Callers {
    browser: Browser,
    admin: Browser,
    tokens: BTreeMap<&'static str, String>,
}

impl Callers {
    fn of(product: &Product) -> Self {
        let mut tokens = BTreeMap::new();
        for role in &CALLERS[2..] {
            let groups = match *role {
                "tier0" => vec!["sallyport:admin".to_owned(), "tier0-admin".to_owned()],
                role => vec![format!("sallyport:{role}")],
            };
            let mut maker = Browser::of(product);
            let bearer = format!("Bearer {}", product.token());
            let made = json!({ "handle": format!("one-{role}"), "groups": groups });
            let answer = maker.ask(Method::POST, "/api/v1/users", Some(&made), &[("authorization", &bearer)]);
            assert_eq!(answer.status, 200, "{answer:?}");
            let token = product.ok(&["token", &format!("one-{role}"), "--output", "json"]).unwrap();
            tokens.insert(*role, json(&token).unwrap()["token"].as_str().unwrap().to_owned());
        }
        let mut admin = Browser::of(product);
        let link = product.local(&["admin", "link", "admin", "--output", "json"]).unwrap();
        admin.enrol(json(&link).unwrap()["link"].as_str().unwrap()).unwrap();
        admin.origin = Some("https://evil.example.org".into());
        Self { browser: Browser::of(product), admin, tokens }
    }

    fn call(&mut self, caller: &str, method: &Method, path: &str, body: Option<&Value>) -> Answer {
        match caller {
            "nobody" => {
                self.browser.cookie = None;
                self.browser.ask(method.clone(), path, body, &[])
            }
            "foreign" => self.admin.ask(method.clone(), path, body, &[]),
            role => {
                self.browser.cookie = None;
                let bearer = format!("Bearer {}", self.tokens[role]);
                self.browser.ask(method.clone(), path, body, &[("authorization", &bearer)])
            }
        }
    }
}

/// Method, path and schema of the body of every route, the one that seals last.
fn routes(description: &Value) -> Vec<(Method, String, Option<String>)> {
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let schema = schema.map(|name| name.rsplit('/').next().unwrap().to_owned());
            routes.push((method.to_uppercase().parse::<Method>().unwrap(), path.clone(), schema));
        }
    }
    routes.sort_by_key(|(method, path, _)| (path.ends_with("/seal"), path.clone(), method.to_string()));
    routes
}

/// Whoever may not see the inventory gets one answer for what is there and what is not.
fn names_are_not_found_out(callers: &mut Callers) {
    let about = body("ChangeTarget", "user");
    let check = |account: &str| Some(json!({ "account": account }));
    let secret = |place: &str| Some(json!({ "account": place, "generate": "password" }));
    let there = format!("{ACCOUNT}@web-1");
    for (method, path, body, other_path, other_body) in [
        (Method::DELETE, "/api/v1/targets/web-1", None, "/api/v1/targets/no-such", None),
        (Method::PUT, "/api/v1/targets/web-1", about.clone(), "/api/v1/targets/no-such", about),
        (Method::POST, "/api/v1/targets/web-1/check", check(ACCOUNT), "/api/v1/targets/no-such/check", check(ACCOUNT)),
        (Method::POST, "/api/v1/vault/secrets", secret(&there), "/api/v1/vault/secrets", secret("root@no-such")),
    ] {
        let known = callers.call("user", &method, path, body.as_ref());
        let unknown = callers.call("user", &method, other_path, other_body.as_ref());
        assert_eq!((known.status, &known.body), (404, &unknown.body), "{method} {path}");
    }
    assert_eq!(callers.call("tier0", &Method::GET, "/api/v1/targets/web-1", None).status, 200, "it is there");
}

#[test]
fn every_route_is_for_those_whom_the_reviewed_matrix_names() {
    let product = crate::product();
    let mut callers = Callers::of(&product);
    let description = callers.browser.ok(Method::GET, "/api/v1/openapi.json", None);
    names_are_not_found_out(&mut callers);
    let mut matrix = format!("{:<46}", "");
    matrix.extend(CALLERS.iter().map(|caller| format!("{caller:>9}")));
    let (mut uncovered, mut unledgered) = (String::new(), String::new());
    for (method, path, schema) in routes(&description) {
        let asked = format!("{}{}", object(&path), query(&path));
        let visitors = path.contains("/sign-in") || path.contains("/enroll") || path.contains("/unseal");
        let (mut row, mut succeeded, mut told) = (String::new(), false, false);
        for caller in CALLERS {
            if visitors && !matches!(caller, "nobody" | "foreign") {
                row.push_str(&format!("{:>9}", "-"));
                continue;
            }
            let body = schema.as_ref().map(|schema| {
                body(schema, caller).unwrap_or_else(|| panic!("{method} {path} takes a {schema}: say what one may be"))
            });
            let entries = |callers: &mut Callers| callers.browser.get("/api/v1/status").body["entries"].as_u64();
            let before = entries(&mut callers);
            let answer = callers.call(caller, &method, &asked, body.as_ref());
            assert!(answer.status < 500 || answer.status == 503, "{method} {path} as {caller}: {answer:?}");
            if (200..300).contains(&answer.status) {
                succeeded = true;
                // What seals leaves nobody who could be asked for the length of the ledger.
                told |= path.ends_with("/seal") || entries(&mut callers) > before;
            }
            row.push_str(&format!("{:>9}", answer.status));
        }
        let name = format!("{method} {}", path.trim_start_matches("/api/v1"));
        matrix.push_str(&format!("\n{name:<46}{row}"));
        if !succeeded {
            uncovered.push_str(&format!("{name}\n"));
        } else if method != Method::GET && !told {
            unledgered.push_str(&format!("{name}\n"));
        }
    }
    matrix.push('\n');
    expect_file!["goldens/authorisation-matrix.txt"].assert_eq(&matrix);
    expect_file!["goldens/uncovered-endpoints.txt"].assert_eq(&uncovered);
    expect_file!["goldens/unledgered-operations.txt"].assert_eq(&unledgered);
}
