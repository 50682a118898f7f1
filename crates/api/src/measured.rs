//! Requests, counted by route and not by path: what a path names is nobody's to read in figures.

use crate::App;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use sallyport_control::ApiRequest;
use tokio::time::Instant;

/// Counts a request once the head of its answer is known.
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("portal", MatchedPath::as_str).to_owned();
    let asked = ApiRequest { method: word(request.method()), route };
    let begun = Instant::now();
    let response = next.run(request).await;
    app.control.metrics().answered(&asked, response.status().as_u16(), begun.elapsed());
    response
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
