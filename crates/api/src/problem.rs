//! The one error shape: problem details (RFC 9457).

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sallyport_model::Kind;
use sallyport_wire as wire;
use serde::de::DeserializeOwned;

/// An answer that is no success.
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    correlation: String,
    status: u16,
    step_up: bool,
    field: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let status = kind.http_status();
        Self { kind, detail: detail.into(), correlation: String::new(), status, step_up: false, field: None }
    }

    /// The same, about a field of the body.
    pub(crate) fn of_field(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// The same, with a status that says more than its kind does.
    fn with(self, status: StatusCode) -> Self {
        Self { status: status.as_u16(), ..self }
    }

    pub(crate) fn usage(detail: impl std::fmt::Display) -> Self {
        Self::new(Kind::Usage, detail.to_string())
    }

    /// A body that was not read to its end.
    pub(crate) fn cut(status: StatusCode) -> Self {
        Self::usage("the body cannot be read: it is too long, or it was cut off").with(status)
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(Kind::Denied, "sign in first: send a valid token as `Authorization: Bearer` (`sallyport login`)")
            .of_nobody()
    }

    /// The same, said to somebody who is not signed in.
    pub(crate) fn of_nobody(self) -> Self {
        self.with(StatusCode::UNAUTHORIZED)
    }

    /// A failed step of a sign-in: whatever was wrong with it, it is said to nobody.
    pub(crate) fn of_sign_in(error: sallyport_control::Error) -> Self {
        let problem = Self::from(error);
        if problem.kind == Kind::Denied { problem.of_nobody() } else { problem }
    }
}

impl From<sallyport_control::Error> for Problem {
    fn from(error: sallyport_control::Error) -> Self {
        let kind = error.kind();
        if kind == Kind::Failed {
            tracing::error!(%error, "A request failed");
        }
        let step_up = matches!(error, sallyport_control::Error::StepUp);
        Self { step_up, field: error.field(), ..Self::new(kind, error.to_string()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = wire::Problem {
            kind: self.kind.word().into(),
            word: self.kind.word().into(),
            step_up: self.step_up,
            status: self.status,
            detail: self.detail,
            correlation: self.correlation,
            field: self.field.map(Into::into),
        };
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
    }
}

/// The JSON body of a request. What does not fit is told by its place and by what was expected, never by what it is: a
/// secret in the wrong field must not come back in an answer, nor from there into somebody's log.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(Problem::usage(format!("the body is not what this path takes: {}", unquoted(&error.body_text()))))
            }
            Err(JsonRejection::JsonSyntaxError(_)) => Err(Problem::usage("the body is no JSON, or is cut off")),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(Problem::usage("send the body as `Content-Type: application/json`"))
            }
            Err(error) => Err(Problem::cut(error.status())),
        }
    }
}

/// What stands behind the `?` of a path.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        found.map(|axum::extract::Query(query)| Self(query)).map_err(|error| {
            let text = error.body_text();
            let told = text.trim_start_matches("Failed to deserialize query string: ");
            let told = match told.split_once(": ") {
                // Its name is one that is known, or reading would not have come to its value.
                Some((name, what)) if !what.contains(['`', '"']) => format!("`{name}`: {what}"),
                Some((name, _)) => format!("`{name}` is not of the kind that is expected: see /api/v1/openapi.json"),
                None => unquoted(told),
            };
            Problem::usage(format!("the query is not what this path takes: {told}"))
        })
    }
}

/// The names in a path.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        let wrong = "the path names nothing that could be here: see /api/v1/openapi.json";
        found.map(|axum::extract::Path(path)| Self(path)).map_err(|_| Problem::usage(wrong))
    }
}

/// A path that is there, and a method that is not.
pub(crate) async fn no_method() -> Problem {
    let text = "this path does not take this method: see the header `Allow`";
    Problem::usage(text).with(StatusCode::METHOD_NOT_ALLOWED)
}

/// The part of serde's words that quotes nothing of the body.
pub(crate) fn unquoted(text: &str) -> String {
    let expected = text.rsplit_once(", expected ").map(|(_, rest)| format!("expected {rest}"));
    let missing = text.rsplit_once("missing field ").map(|(_, rest)| format!("missing field {rest}"));
    expected.or(missing).unwrap_or_else(|| "see /api/v1/openapi.json".into())
}

/// What stands behind no route.
pub(crate) fn no_route() -> Problem {
    Problem::new(Kind::NotFound, "there is no such path in this API: see /api/v1/openapi.json")
}
