//! Requests to a directory, over the HTTP client that everything else here uses.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

/// How long an answer may take, and how long it may be, in bytes.
const ANSWER: Duration = Duration::from_secs(30);
const LONGEST: usize = 1 << 20;

/// A client that believes the authorities of the system, or this one alone.
pub(super) struct Http(reqwest::Client);

impl Http {
    pub(super) fn new(root: Option<&Path>) -> Result<Self, String> {
        let mut client = reqwest::Client::builder().timeout(ANSWER).https_only(true).user_agent("sallyport");
        if let Some(root) = root {
            let cannot = |e: &dyn std::fmt::Display| format!("the authority `{}`: {e}", root.display());
            let text = std::fs::read(root).map_err(|e| cannot(&e))?;
            let known = reqwest::Certificate::from_pem(&text).map_err(|e| cannot(&e))?;
            client = client.tls_certs_only([known]);
        }
        client.build().map(Self).map_err(|e| e.to_string())
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Other(error.into())
}

type Bytes = axum::body::Bytes;

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(Body::new(body), LONGEST).await.map_err(other)?;
            let asked = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
            let answer = asked.send().await.map_err(other)?;
            let mut head = Response::builder().status(answer.status());
            if let Some(headers) = head.headers_mut() {
                *headers = answer.headers().clone();
            }
            let body = to_bytes(Body::from_stream(answer.bytes_stream()), LONGEST).await.map_err(other)?;
            let (parts, ()) = head.body(())?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}
