//! The portal: the web client's files, embedded; every path outside the API that names none of them leads into it.

use crate::problem::{self, Problem};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `cargo xtask portal` builds; a build without it has none, and says so.
#[derive(RustEmbed)]
#[folder = "../../portal/dist"]
#[allow_missing = true]
struct Dist;

/// What stands where the portal would be.
const MISSING: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Sallyport</title>\n\
    <h1>This build has no portal</h1>\n<p>The API and the command line work. For the portal, build it and then the program: \
    <code>cargo xtask portal</code> (needs Node 18.19 or newer and npm).</p>\n</html>\n";

/// Files named by the hash of what is in them: they never change.
const HASHED: &str = "assets/";

/// The start page: it names the others, so it is asked for each time.
const START: &str = "index.html";

/// Where files come from, by name: the embedded ones, or those of a test.
type Files<'a> = &'a dyn Fn(&str) -> Option<EmbeddedFile>;

/// Whatever no route of the API has taken.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    answer(&|name| Dist::get(name), &method, uri.path(), &headers)
}

fn answer(files: Files<'_>, method: &Method, path: &str, asked: &HeaderMap) -> Response {
    let name = path.trim_start_matches('/');
    if name == "api" || name.starts_with("api/") {
        return problem::no_route().into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return (allow, Problem::usage("pages are only read; what changes something is under /api/v1")).into_response();
    }
    // The compressed forms are served under the name of the plain one, or not at all.
    let packed = name.ends_with(".br") || name.ends_with(".gz");
    if !packed && !name.is_empty() && files(name).is_some() {
        return file(files, name, asked);
    }
    if name.starts_with(HASHED) {
        return problem::no_route().into_response();
    }
    if files(START).is_some() { file(files, START, asked) } else { missing() }
}

fn missing() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, MISSING).into_response()
}

fn file(files: Files<'_>, name: &str, asked: &HeaderMap) -> Response {
    let forms = [("br", ".br"), ("gzip", ".gz")].into_iter().filter(|(encoding, _)| accepts(asked, encoding));
    let packed =
        forms.filter_map(|(encoding, ending)| Some((Some(encoding), files(&format!("{name}{ending}"))?))).next();
    let Some((encoding, found)) = packed.or_else(|| Some((None, files(name)?))) else {
        return problem::no_route().into_response();
    };
    let tag = format!("\"{}\"", hex(&found.metadata.sha256_hash()));
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = Response::new(if known { Body::empty() } else { Body::from(found.data) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let forever = name.starts_with(HASHED);
    let cache = if forever { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Whether the client takes this encoding (RFC 9110 section 12.5.3).
fn accepts(asked: &HeaderMap, encoding: &str) -> bool {
    let lists = asked.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let (word, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        word.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

/// Closed, so that nothing is ever guessed from content.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
