//! Requests, counted by route and not by path: what a path names is nobody's to read in figures.

use crate::App;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use sallyport_control::ApiRequest;
use sallyport_model::SPANS;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

/// Counts a request once the head of its answer is known, and tells a collector of traces of it.
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("portal", MatchedPath::as_str).to_owned();
    let asked = ApiRequest { method: word(request.method()), route };
    let begun = Instant::now();
    let span = span(&asked);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    app.control.metrics().answered(&asked, status.as_u16(), begun.elapsed());
    response
}

/// A request as a collector is told of it, in OpenTelemetry's words for HTTP: no path, no query, no body.
fn span(asked: &ApiRequest) -> Span {
    info_span!(
        target: SPANS,
        parent: None,
        "request",
        otel.name = %format_args!("{} {}", asked.method, asked.route),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = asked.method,
        http.route = asked.route,
        http.response.status_code = Empty,
    )
}

/// A method of this API; a client may write any word for one.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        _ => "other",
    }
}
