//! The HTTP client of every command.

use crate::output::harmless;
use crate::{Common, Fail, Surroundings};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use sallyport_model::Kind;
use sallyport_wire as wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

/// What `login` remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    url: Option<String>,
    token: Option<String>,
    /// The authority that the server's certificate must come from, PEM; what the machine knows where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
}

const FILE: &str = "cli.toml";
/// Where a server is, when nobody says otherwise.
const HERE: &str = "http://127.0.0.1:8022";

/// A server, and who we are there.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
    authority: Option<String>,
}

impl Client {
    /// Flags and environment first, then what `login` remembered.
    pub(crate) fn open(common: &Common, surroundings: &Surroundings) -> Result<Self, Fail> {
        let path = surroundings.settings.join(FILE);
        let remembered = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str::<Remembered>(&text).map_err(|e| {
                Fail::usage(format!("{} is not readable: {e}; delete it and run `sallyport login`", path.display()))
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Remembered::default(),
            Err(error) => return Err(Fail::usage(format!("cannot read {}: {error}", path.display()))),
        };
        let known = remembered.url.unwrap_or_else(|| HERE.into());
        let url = common.url.clone().unwrap_or_else(|| known.clone());
        // INVARIANT: a remembered token goes to the server it was remembered for, and to no other.
        let same = url.trim_end_matches('/') == known;
        let token = remembered.token.filter(|_| same);
        Self::of(url, common.token.clone().or(token), remembered.authority.filter(|_| same))
    }

    #[cfg(test)]
    pub(crate) fn at(url: String, token: Option<String>) -> Result<Self, Fail> {
        Self::of(url, token, None)
    }

    /// The same server under the same authority, as somebody else.
    pub(crate) fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The same server, whose certificate must come from this authority and from no other.
    pub(crate) fn with_authority(self, pem: String) -> Result<Self, Fail> {
        Self::of(self.url, self.token, Some(pem))
    }

    /// What a server says of its authority. Nothing is believed yet, so nothing is sent along.
    pub(crate) async fn said_trust(&self) -> Result<wire::Trust, Fail> {
        let http = builder().tls_danger_accept_invalid_certs(true).build().map_err(Fail::failed)?;
        let asker = Self { http, url: self.url.clone(), token: None, authority: None };
        asker.get("/trust", &[]).await
    }

    fn of(url: String, token: Option<String>, authority: Option<String>) -> Result<Self, Fail> {
        let url = url.trim_end_matches('/').to_owned();
        let parsed = reqwest::Url::parse(&url).map_err(|e| Fail::usage(format!("`{url}` is no URL: {e}")))?;
        let here = matches!(parsed.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if parsed.scheme() != "https" && !(parsed.scheme() == "http" && here) {
            return Err(Fail::usage("give an https URL; plain http is for this machine only"));
        }
        let mut http = builder();
        if let Some(pem) = &authority {
            let known = reqwest::Certificate::from_pem(pem.as_bytes()).map_err(|e| {
                Fail::usage(format!("the authority that was remembered is none ({e}): run `sallyport trust` again"))
            })?;
            http = http.tls_certs_only([known]);
        }
        Ok(Self { http: http.build().map_err(Fail::failed)?, url, token, authority })
    }

    /// Remembers server and token for later commands, readable by this user alone.
    pub(crate) fn remember(&self, surroundings: &Surroundings) -> Result<(), Fail> {
        let remembered =
            Remembered { url: Some(self.url.clone()), token: self.token.clone(), authority: self.authority.clone() };
        let text = toml::to_string(&remembered).map_err(Fail::failed)?;
        std::fs::create_dir_all(&surroundings.settings).map_err(Fail::failed)?;
        let path = surroundings.settings.join(FILE);
        let fresh = surroundings.settings.join("cli.toml.new");
        let _ = std::fs::remove_file(&fresh);
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(Fail::failed)?;
        file.write_all(text.as_bytes()).map_err(Fail::failed)?;
        std::fs::rename(&fresh, &path).map_err(Fail::failed)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    #[cfg(test)]
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Fail> {
        let response = self.send(Method::GET, path, query, None::<&()>).await?;
        response.json().await.map_err(|e| Fail::failed(format!("the server's answer is not understood: {e}")))
    }

    /// Every row of a listing.
    pub(crate) async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Fail> {
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let mut query = vec![("limit", "1000".to_owned())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let page: wire::Listing<T> = self.get(path, &query).await?;
            rows.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(rows),
            }
        }
    }

    /// The newest rows of a list, up to so many, and `next` where there are more.
    pub(crate) async fn newest<T: DeserializeOwned>(
        &self,
        path: &str,
        asked: &[(&str, String)],
        limit: u32,
    ) -> Result<wire::Page<T>, Fail> {
        /// Most rows that every list gives at once.
        const PAGE: u32 = 200;
        let (mut items, mut next, mut left) = (Vec::new(), None, limit);
        loop {
            let mut query = asked.to_vec();
            query.push(("limit", left.min(PAGE).to_string()));
            query.extend(next.map(|next| ("cursor", next)));
            let page: wire::Page<T> = self.get(path, &query).await?;
            left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
            items.extend(page.items);
            next = page.next;
            if next.is_none() || left == 0 {
                return Ok(wire::Page { items, next });
            }
        }
    }

    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Fail> {
        let response = self.send(Method::POST, path, &[], Some(body)).await?;
        response.json().await.map_err(|e| Fail::failed(format!("the server's answer is not understood: {e}")))
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fail> {
        let response = self.send(Method::DELETE, path, &[], None::<&()>).await?;
        response.json().await.map_err(|e| Fail::failed(format!("the server's answer is not understood: {e}")))
    }

    pub(crate) async fn act<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Fail> {
        self.send(Method::POST, path, &[], Some(body)).await.map(drop)
    }

    pub(crate) async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&B>,
    ) -> Result<Response, Fail> {
        let mut request = self.asking(method, path).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    /// A request of whoever is signed in here.
    pub(crate) fn asking(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.anonymous(method, path);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request that says nothing of who asks.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{}{path}", self.url, wire::BASE))
    }

    /// What is answered to a request, where it is a success.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> Result<Response, Fail> {
        self.answered(request, StatusCode::is_success).await
    }

    /// What is answered to a request, where it is this.
    pub(crate) async fn answer_with(&self, request: RequestBuilder, wanted: StatusCode) -> Result<Response, Fail> {
        self.answered(request, |status| *status == wanted).await
    }

    async fn answered(&self, request: RequestBuilder, good: impl Fn(&StatusCode) -> bool) -> Result<Response, Fail> {
        let response = request.send().await.map_err(|error| {
            let unproven = format!("{error:?}").contains("InvalidCertificate");
            let what = match (unproven, error.is_connect()) {
                (true, _) => {
                    "its certificate comes from nobody whom this machine knows (`sallyport trust` makes it known)"
                }
                (false, true) => "nobody answers there",
                (false, false) => "the connection broke",
            };
            Fail::failed(format!(
                "cannot reach {}: {what}. Is `sallyport serve` running? `--url` names another server",
                self.url
            ))
        })?;
        if good(&response.status()) {
            return Ok(response);
        }
        let status = response.status();
        let problem: Option<wire::Problem> = response.json().await.ok();
        Err(match problem {
            Some(problem) => Fail::new(Kind::of(&problem.kind), harmless(&problem.detail)),
            None => Fail::new(Kind::Failed, format!("the server answered {status}")),
        })
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).redirect(reqwest::redirect::Policy::none())
}
