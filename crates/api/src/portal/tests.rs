//! What is served where, and what is not.

use super::{Method, answer};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use rust_embed::{EmbeddedFile, Metadata};
use std::borrow::Cow;

fn built(name: &str) -> Option<EmbeddedFile> {
    let names = ["index.html", "index.html.br", "icon.svg", "assets/a-1.js", "assets/a-1.js.br", "assets/a-1.js.gz"];
    let data = names.contains(&name).then(|| Cow::Owned(name.as_bytes().to_vec()))?;
    Some(EmbeddedFile { data, metadata: Metadata::__rust_embed_new([7; 32], None, None) })
}

fn get(path: &str, accept: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
    answer(&built, &Method::GET, path, &headers)
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn a_file_is_served_in_the_form_that_the_client_takes() {
    for (accept, encoding) in
        [("gzip, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip"), ("br;q=0.000", ""), ("", "")]
    {
        let response = get("/assets/a-1.js", accept);
        assert_eq!((response.status(), header(&response, "content-encoding")), (StatusCode::OK, encoding), "{accept}");
        assert_eq!(header(&response, "content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header(&response, "cache-control"), "public, max-age=31536000, immutable");
    }
}

#[test]
fn every_page_is_the_start_page_and_is_asked_for_each_time() {
    for path in ["/", "/recordings/ses_1", "/enroll/x", "/../etc/passwd", "/apish"] {
        let response = get(path, "br");
        assert_eq!((response.status(), header(&response, "cache-control")), (StatusCode::OK, "no-cache"), "{path}");
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8", "{path}");
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, response.headers().get(header::ETAG).unwrap().clone());
        assert_eq!(answer(&built, &Method::GET, path, &again).status(), StatusCode::NOT_MODIFIED);
    }
}

#[test]
fn what_is_not_there_is_never_a_page() {
    for path in ["/api", "/api/v1/nothing", "/assets/gone.js", "/assets/a-1.js.br", "/assets/"] {
        let response = get(path, "br");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{path}");
    }
    assert_eq!(answer(&built, &Method::POST, "/", &HeaderMap::new()).status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_build_without_the_portal_says_how_to_build_it() {
    let response = answer(&|_| None, &Method::GET, "/sessions", &HeaderMap::new());
    assert_eq!(response.status(), StatusCode::OK);
    assert!(super::MISSING.contains("cargo xtask portal"));
    assert_eq!(header(&response, "cache-control"), "no-store");
}
