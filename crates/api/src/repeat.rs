//! A write that is repeated with the same `Idempotency-Key` is done once: whoever did not hear the answer may ask again.
//!
//! What was answered is kept in the memory of this node, for a day, per caller: answers may hold what is shown once, so they
//! are written nowhere.

use crate::App;
use crate::auth::caller;
use crate::problem::Problem;
use crate::transfers::CARRIED;
use aws_lc_rs::digest::{Context, SHA256};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sallyport_model::{IdentityId, Kind, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is the one of before.
const REPEATED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// How many are kept; then the oldest goes.
const MOST: usize = 4096;
/// Bytes of an answer that is kept, and of a key.
const LONGEST: usize = 256 << 10;
const KEY_LENGTH: usize = 128;

type Name = (IdentityId, String);

/// A write that was begun under a key.
struct Kept {
    /// Of method, path and body.
    asked: [u8; 32],
    at: Timestamp,
    /// Absent while it runs.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// The writes that were begun under keys.
#[derive(Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<HashMap<Name, Kept>>>);

/// A write that runs. If nobody finishes it, as when its caller hangs up, the next may try again.
struct Running {
    repeats: Repeats,
    name: Name,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut kept = self.repeats.lock();
        if kept.get(&self.name).is_some_and(|kept| kept.answer.is_none()) {
            kept.remove(&self.name);
        }
    }
}

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a write, or says what came of it before.
    fn begin(&self, name: Name, asked: [u8; 32], now: Timestamp) -> Result<Running, Box<Response>> {
        let mut kept = self.lock();
        kept.retain(|_, kept| now.since(kept.at) < LIFE);
        match kept.get(&name) {
            Some(known) if known.asked != asked => {
                let text = "this `Idempotency-Key` was used for something else: take a new one for each act";
                return Err(Box::new(Problem::new(Kind::Conflict, text).into_response()));
            }
            Some(Kept { answer: None, .. }) => {
                let text = "the same act is still running under this `Idempotency-Key`: ask again in a moment";
                return Err(Box::new(Problem::new(Kind::Conflict, text).into_response()));
            }
            Some(Kept { answer: Some((status, headers, body)), .. }) => {
                let mut answer = (*status, headers.clone(), body.clone()).into_response();
                answer.headers_mut().insert(REPEATED, HeaderValue::from_static("true"));
                return Err(Box::new(answer));
            }
            None => {}
        }
        if kept.len() >= MOST
            && let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.at).map(|(name, _)| name.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert(name.clone(), Kept { asked, at: now, answer: None });
        Ok(Running { repeats: self.clone(), name })
    }
}

impl Running {
    fn finish(&self, status: StatusCode, headers: &HeaderMap, body: &Bytes) {
        if let Some(kept) = self.repeats.lock().get_mut(&self.name) {
            kept.answer = Some((status, headers.clone(), body.clone()));
        }
    }
}

/// Carries a request out, once for each key of a caller.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    // What carries a file is done once in any case, and is not held until it is whole.
    let carries = request.uri().path().starts_with(CARRIED);
    let writes = !carries && matches!(*request.method(), Method::POST | Method::PUT | Method::DELETE | Method::PATCH);
    let Some(key) = request.headers().get(KEY).filter(|_| writes) else { return next.run(request).await };
    let key = key.to_str().map(str::to_owned).unwrap_or_default();
    if key.is_empty() || key.len() > KEY_LENGTH {
        return Problem::usage("an `Idempotency-Key` is 1 to 128 visible characters").into_response();
    }
    let (parts, body) = request.into_parts();
    // Who is nobody has no writes to repeat; whoever signs in gets a cookie, which is given once.
    let identity = caller(&parts, &app).await.ok().and_then(|(op, _)| op.identity());
    let Some(identity) = identity else { return next.run(Request::from_parts(parts, body)).await };
    let Ok(body) = to_bytes(body, crate::FILES).await else {
        return Problem::cut(StatusCode::PAYLOAD_TOO_LARGE).into_response();
    };
    let mut digest = Context::new(&SHA256);
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), &body] {
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    let mut asked = [0; 32];
    asked.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    let repeats = app.repeats.clone();
    let running = match repeats.begin((identity, key), asked, app.control.now()) {
        Ok(running) => running,
        Err(answer) => return *answer,
    };
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    if answer.status().is_server_error() || answer.headers().contains_key(SET_COOKIE) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return Problem::new(Kind::Failed, "the answer is too long to be kept under an `Idempotency-Key`")
            .into_response();
    };
    running.finish(head.status, &head.headers, &body);
    Response::from_parts(head, Body::from(body))
}
