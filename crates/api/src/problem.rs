//! The one error shape: problem details (RFC 9457).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sallyport_model::Kind;
use sallyport_wire as wire;

/// An answer that is no success.
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    correlation: String,
    unauthenticated: bool,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), correlation: String::new(), unauthenticated: false }
    }

    pub(crate) fn usage(detail: impl std::fmt::Display) -> Self {
        Self::new(Kind::Usage, detail.to_string())
    }

    pub(crate) fn unauthenticated() -> Self {
        Self {
            unauthenticated: true,
            ..Self::new(
                Kind::Denied,
                "sign in first: send a valid token as `Authorization: Bearer` (`sallyport login`)",
            )
        }
    }
}

impl From<sallyport_control::Error> for Problem {
    fn from(error: sallyport_control::Error) -> Self {
        let kind = error.kind();
        if kind == Kind::Failed {
            tracing::error!(%error, "A request failed");
        }
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = if self.unauthenticated { 401 } else { self.kind.http_status() };
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = wire::Problem {
            kind: self.kind.word().into(),
            status: code,
            detail: self.detail,
            correlation: self.correlation,
        };
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
    }
}

/// What stands behind no route.
pub(crate) async fn no_route() -> Problem {
    Problem::new(Kind::NotFound, "there is no such path in this API: see /api/v1/openapi.json")
}
