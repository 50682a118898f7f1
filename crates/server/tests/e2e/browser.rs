//! A browser as far as the API sees one: it keeps a cookie, and says from which page a call comes.

use anyhow::{Context as _, Result};
use reqwest::header::{HeaderMap, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method};
use sallyport_testkit::product::Product;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use totp_rs::{Builder, Secret, Totp};

/// The password of everybody here.
pub(crate) const WORDS: &str = "four quiet words here";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    url: String,
    /// What it sends as `Origin`.
    pub(crate) origin: Option<String>,
    /// Name and value.
    pub(crate) cookie: Option<String>,
    /// The app on its owner's phone.
    pub(crate) app: Option<Totp>,
}

impl Browser {
    pub(crate) fn of(product: &Product) -> Self {
        Self::at(product.url(), Client::new())
    }

    pub(crate) fn at(url: &str, client: Client) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client, url: url.to_owned(), origin: Some(url.to_owned()), cookie: None, app: None }
    }

    /// A call with these further headers.
    pub(crate) fn ask(&mut self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(origin) = &self.origin {
            request = request.header(ORIGIN, origin);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.runtime.block_on(async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            // A stream has no end to wait for.
            let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let text = if kind.starts_with("text/event-stream") { String::new() } else { response.text().await? };
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Ok::<_, reqwest::Error>(Answer { status, headers, body })
        });
        let answer = answer.unwrap();
        if let Some(set) = answer.headers.get(SET_COOKIE).and_then(|value| value.to_str().ok()) {
            self.cookie = Some(set.split(';').next().unwrap().to_owned());
        }
        answer
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, &[])
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(body), &[])
    }

    /// A call that must succeed; its body.
    pub(crate) fn ok(&mut self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(method, path, body, &[]);
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer.body
    }

    /// Uses an enrolment link, and adds an app that computes codes.
    pub(crate) fn enrol(&mut self, link: &str) -> Result<()> {
        let token = link.rsplit('/').next().context("no link")?;
        self.ok(Method::POST, "/api/v1/enroll", Some(&json!({ "token": token, "password": WORDS })));
        let new = self.ok(Method::POST, "/api/v1/me/totp/begin", Some(&json!({})));
        let secret = Secret::try_from_base32(new["secret"].as_str().context("no secret")?).unwrap();
        self.app =
            Some(Builder::new().with_secret(secret).with_account_name("x").with_issuer(Some("x")).build().unwrap());
        let code = self.code();
        let done = self.ok(Method::POST, "/api/v1/me/totp", Some(&json!({ "code": code, "label": "phone" })));
        assert_eq!(done["state"], "in");
        Ok(())
    }

    /// The app's present code.
    pub(crate) fn code(&self) -> String {
        self.app.as_ref().unwrap().generate_current().to_string()
    }
}
