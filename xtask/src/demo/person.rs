//! People of the demo who can sign in at once: their one-time link is spent for them, as a browser would.

use super::children::private;
use super::place::Place;
use super::story::text;
use super::target::fresh_password;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use totp_rs::{Builder, Secret};

/// Who signs in with a browser, and what for.
const PEOPLE: [(&str, &str); 3] = [
    ("ada", "an operator: works on web-1 and db-1, and looks after running sessions"),
    ("olga", "an approver and auditor: answers requests, sees and proves what was done"),
    ("admin", "an administrator: runs the installation, and sees no secret"),
];
/// Characters of a sample password.
const LENGTH: usize = 16;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody with a password and an app that computes codes.
pub(crate) struct Person {
    handle: &'static str,
    does: &'static str,
    password: String,
    /// Of the app, in base 32.
    secret: String,
    /// Codes that are good once, for who has no app at hand.
    codes: Vec<String>,
}

/// Enrols all of them, signs each in once more to see that it works, and writes the logins into a file that only its
/// owner reads.
pub(super) fn enrol_all(place: &Place) -> Result<Vec<Person>> {
    let people: Vec<Person> =
        PEOPLE.into_iter().map(|(handle, does)| Person::enrol(place, handle, does)).collect::<Result<_>>()?;
    let texts: Vec<String> = people.iter().map(Person::told).collect();
    private(&place.home.join("logins.txt"), &texts.join("\n"))?;
    Ok(people)
}

impl Person {
    fn enrol(place: &Place, handle: &'static str, does: &'static str) -> Result<Self> {
        let made = place.ask(None, &["admin", "link", handle], "")?;
        let token = text(&made, "link")?.rsplit('/').next().context("the link has no end")?.to_owned();
        let mut password = fresh_password()?;
        password.truncate(LENGTH);
        let mut browser = Browser::new(place);
        browser.post("/enroll", &json!({ "token": token, "password": password }))?;
        let new = browser.post("/me/totp/begin", &json!({}))?;
        let secret = text(&new, "secret")?.to_owned();
        browser.post("/me/totp", &json!({ "code": code(&secret)?, "label": "demo" }))?;
        let codes = browser.post("/me/recovery-codes", &json!({}))?;
        let codes = codes.get("codes").and_then(Value::as_array).context("no recovery codes")?;
        let mut codes: Vec<String> = codes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        browser.post("/sign-out", &json!({}))?;
        let used = codes.pop().context("no recovery codes")?;
        let person = Self { handle, does, password, secret, codes };
        person.sign_in(place, &used)?;
        Ok(person)
    }

    /// Signs in as it will be told, in a browser of its own, and out again.
    fn sign_in(&self, place: &Place, code: &str) -> Result<()> {
        let mut browser = Browser::new(place);
        browser.post("/sign-in", &json!({ "handle": self.handle, "password": self.password }))?;
        browser.post("/sign-in/recovery", &json!({ "code": code }))?;
        let me = browser.ask("GET", "/me", "")?;
        ensure!(
            text(&me, "handle")? == self.handle && text(&me, "state")? == "in",
            "{} signs in and is not signed in: {me}",
            self.handle
        );
        browser.post("/sign-out", &json!({})).map(drop)
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        let Self { handle, does, password, secret, codes } = self;
        let codes: Vec<&str> = codes.iter().take(3).map(String::as_str).collect();
        format!(
            "  {handle}, {does}\n    password        {password}\n    app's secret    {secret}\n    or once each    {}\n",
            codes.join("  ")
        )
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        let Self { handle, does, password, secret, codes } = self;
        json!({ "handle": handle, "does": does, "password": password, "totp_secret": secret, "recovery_codes": codes })
    }
}

/// The code of this moment (RFC 6238).
fn code(secret: &str) -> Result<String> {
    let secret = Secret::try_from_base32(secret).map_err(|e| anyhow::anyhow!("the app's secret: {e}"))?;
    let app = Builder::new().with_secret(secret).with_account_name("demo").build();
    Ok(app.map_err(|e| anyhow::anyhow!("the app: {e}"))?.generate_current().to_string())
}

/// A browser as far as the API sees one: it keeps its cookie, and says from which page it comes.
struct Browser {
    host: String,
    cookie: String,
}

impl Browser {
    fn new(place: &Place) -> Self {
        Self { host: format!("127.0.0.1:{}", place.ports.api), cookie: String::new() }
    }

    fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, &body.to_string())
    }

    /// One request on a connection of its own (RFC 9112); its answer, which must be a success.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        let Self { host, cookie } = self;
        let mut stream = TcpStream::connect(host.as_str())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\ncookie: {cookie}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        let (head, body) = said.split_once("\r\n\r\n").context("the API's answer has no end")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(status.starts_with('2'), "{method} {path} was answered with {status}: {body}");
        for line in head.lines() {
            if let Some(("set-cookie", value)) = line.split_once(": ") {
                self.cookie = value.split(';').next().unwrap_or_default().to_owned();
            }
        }
        if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(body)?) }
    }
}
