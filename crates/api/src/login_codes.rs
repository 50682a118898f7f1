//! Logins over SSH that their owner allows in a browser, by the code that the client has shown.

use crate::App;
use crate::auth::Caller;
use crate::problem::{Problem, Sent};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_control::PendingLine;
use sallyport_wire as wire;

/// What waits under a code: one's own login, and nobody else's.
#[utoipa::path(post, path = "/api/v1/me/login-codes/look", operation_id = "look_at_login", request_body = wire::LoginCode, responses((status = 200, body = wire::PendingLogin)), tag = "sign-in")]
pub(crate) async fn look(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::LoginCode>,
) -> Result<Json<wire::PendingLogin>, Problem> {
    let PendingLine { login, same_address } = app.control.pending_login(&caller.op, &ask.code).await?;
    Ok(Json(wire::PendingLogin {
        wants: Some(login.wants()).filter(|wants| !wants.is_empty()),
        from: login.from.to_string(),
        same_address,
        client: login.client,
        begun: login.begun.to_string(),
        expires: login.expires.to_string(),
    }))
}

/// Allows the login of a code. It counts what this browser's sign-in has shown.
#[utoipa::path(post, path = "/api/v1/me/login-codes/allow", operation_id = "allow_login", request_body = wire::LoginCode, responses((status = 204)), tag = "sign-in")]
pub(crate) async fn allow(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::LoginCode>,
) -> Result<StatusCode, Problem> {
    app.control.answer_login(&caller.op, &ask.code, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses the login of a code.
#[utoipa::path(post, path = "/api/v1/me/login-codes/refuse", operation_id = "refuse_login", request_body = wire::LoginCode, responses((status = 204)), tag = "sign-in")]
pub(crate) async fn refuse(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::LoginCode>,
) -> Result<StatusCode, Problem> {
    app.control.answer_login(&caller.op, &ask.code, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
