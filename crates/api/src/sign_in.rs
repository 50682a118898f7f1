//! Signing in with a browser: the steps, and being fresh.

use crate::App;
use crate::auth::{Caller, Holder, Visitor, set_cookie};
use crate::problem::{Problem, Sent};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use sallyport_control::{Begun, Proof};
use sallyport_model::Secret;
use sallyport_wire as wire;

/// An answer with the cookie that goes with it, where there is a new one.
pub(crate) fn begun(app: &App, begun: &Begun) -> Response {
    let methods = begun.methods.iter().map(|kind| kind.word().to_owned()).collect();
    let body = Json(wire::SignedIn { state: begun.state.word().into(), methods });
    let cookie = Some(&begun.cookie).filter(|cookie| !cookie.expose().is_empty());
    match cookie.and_then(|cookie| set_cookie(app.control.site(), cookie)) {
        Some(cookie) => ([(SET_COOKIE, cookie)], body).into_response(),
        None => body.into_response(),
    }
}

/// Whose an enrolment link is. It stays good.
#[utoipa::path(post, path = "/api/v1/enroll/begin", request_body = wire::LinkToken, responses((status = 200, body = wire::LinkOwner)), tag = "sign-in")]
pub(crate) async fn enrolment(
    State(app): State<App>,
    visitor: Visitor,
    Sent(ask): Sent<wire::LinkToken>,
) -> Result<Json<wire::LinkOwner>, Problem> {
    let handle = app.control.enrolment_of(&visitor.client, &Secret::new(ask.token)).await?;
    Ok(Json(wire::LinkOwner { handle: handle.to_string() }))
}

/// Spends an enrolment link: sets the password, and begins a browser that may add a factor and nothing else.
#[utoipa::path(post, path = "/api/v1/enroll", request_body = wire::Enrol, responses((status = 200, body = wire::SignedIn)), tag = "sign-in")]
pub(crate) async fn enrol(
    State(app): State<App>,
    visitor: Visitor,
    Sent(ask): Sent<wire::Enrol>,
) -> Result<Response, Problem> {
    let (token, password) = (Secret::new(ask.token), Secret::new(ask.password));
    Ok(begun(&app, &app.control.enrol(&visitor.client, &token, password).await?))
}

/// The first step: handle and password.
#[utoipa::path(post, path = "/api/v1/sign-in", request_body = wire::SignIn, responses((status = 200, body = wire::SignedIn)), tag = "sign-in")]
pub(crate) async fn password(
    State(app): State<App>,
    visitor: Visitor,
    Sent(ask): Sent<wire::SignIn>,
) -> Result<Response, Problem> {
    let password = Secret::new(ask.password);
    let done = app.control.sign_in_with_password(&visitor.client, &ask.handle, password).await;
    Ok(begun(&app, &done.map_err(Problem::of_sign_in)?))
}

async fn complete(app: &App, visitor: Visitor, proof: Proof) -> Result<Response, Problem> {
    let cookie = visitor.cookie.ok_or_else(Problem::unauthenticated)?;
    let done = app.control.complete_sign_in(&cookie, &visitor.client, proof).await;
    Ok(begun(app, &done.map_err(Problem::of_sign_in)?))
}

/// The second step, with a code of an app.
#[utoipa::path(post, path = "/api/v1/sign-in/totp", request_body = wire::Code, responses((status = 200, body = wire::SignedIn)), tag = "sign-in")]
pub(crate) async fn totp(
    State(app): State<App>,
    visitor: Visitor,
    Sent(ask): Sent<wire::Code>,
) -> Result<Response, Problem> {
    complete(&app, visitor, Proof::Totp(Secret::new(ask.code))).await
}

/// The second step, with a recovery code, which is used up.
#[utoipa::path(post, path = "/api/v1/sign-in/recovery", request_body = wire::Code, responses((status = 200, body = wire::SignedIn)), tag = "sign-in")]
pub(crate) async fn recovery(
    State(app): State<App>,
    visitor: Visitor,
    Sent(ask): Sent<wire::Code>,
) -> Result<Response, Problem> {
    complete(&app, visitor, Proof::Recovery(Secret::new(ask.code))).await
}

/// What an authenticator must know: beside a password that was given, or to sign in alone.
#[utoipa::path(post, path = "/api/v1/sign-in/passkey/begin", request_body = wire::Nothing, responses((status = 200, body = wire::PasskeyOptions)), tag = "sign-in")]
pub(crate) async fn begin_passkey(
    State(app): State<App>,
    visitor: Visitor,
    Sent(wire::Nothing {}): Sent<wire::Nothing>,
) -> Result<Json<wire::PasskeyOptions>, Problem> {
    let public_key = app.control.begin_passkey(visitor.cookie.as_ref(), &visitor.client).await?;
    Ok(Json(wire::PasskeyOptions { public_key }))
}

/// Signs in with a passkey: as the second step where one was begun with a password, otherwise alone.
#[utoipa::path(post, path = "/api/v1/sign-in/passkey", request_body = wire::PasskeyAnswer, responses((status = 200, body = wire::SignedIn)), tag = "sign-in")]
pub(crate) async fn passkey(
    State(app): State<App>,
    visitor: Visitor,
    Sent(ask): Sent<wire::PasskeyAnswer>,
) -> Result<Response, Problem> {
    let waits = visitor.cookie.as_ref().is_some_and(|cookie| app.control.waits_for_factor(cookie));
    if waits {
        return complete(&app, visitor, Proof::Passkey(Box::new(ask.credential))).await;
    }
    let done = app.control.sign_in_with_passkey(&visitor.client, &ask.credential).await;
    Ok(begun(&app, &done.map_err(Problem::of_sign_in)?))
}

/// Signs this browser out.
#[utoipa::path(post, path = "/api/v1/sign-out", responses((status = 204)), tag = "sign-in")]
pub(crate) async fn sign_out(State(app): State<App>, visitor: Visitor) -> Result<Response, Problem> {
    if let Some(cookie) = &visitor.cookie {
        app.control.sign_out(cookie).await?;
    }
    let gone = set_cookie(app.control.site(), &Secret::new(String::new()));
    Ok(match gone {
        Some(cookie) => (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Presents a second factor again, so that it is fresh for five minutes.
#[utoipa::path(post, path = "/api/v1/step-up", request_body = wire::StepUp, responses((status = 204)), tag = "sign-in")]
pub(crate) async fn step_up(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::StepUp>,
) -> Result<StatusCode, Problem> {
    let proof = match (ask.totp, ask.recovery) {
        (Some(code), None) => Proof::Totp(Secret::new(code)),
        (None, Some(code)) => Proof::Recovery(Secret::new(code)),
        _ => return Err(Problem::usage("give exactly one of `totp` and `recovery`; a passkey has its own path")),
    };
    app.control.step_up(&caller.op, proof).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an authenticator must know to present a passkey again.
#[utoipa::path(post, path = "/api/v1/step-up/passkey/begin", request_body = wire::Nothing, responses((status = 200, body = wire::PasskeyOptions)), tag = "sign-in")]
pub(crate) async fn begin_step_up_passkey(
    State(app): State<App>,
    caller: Caller,
    Sent(wire::Nothing {}): Sent<wire::Nothing>,
) -> Result<Json<wire::PasskeyOptions>, Problem> {
    Ok(Json(wire::PasskeyOptions { public_key: app.control.begin_step_up_passkey(&caller.op)? }))
}

/// Presents a passkey again, so that it is fresh for five minutes.
#[utoipa::path(post, path = "/api/v1/step-up/passkey", request_body = wire::PasskeyAnswer, responses((status = 204)), tag = "sign-in")]
pub(crate) async fn step_up_passkey(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::PasskeyAnswer>,
) -> Result<StatusCode, Problem> {
    app.control.step_up(&caller.op, Proof::Passkey(Box::new(ask.credential))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A fresh secret for an app that computes codes. It counts once a code of it was shown.
#[utoipa::path(post, path = "/api/v1/me/totp/begin", request_body = wire::Nothing, responses((status = 200, body = wire::NewTotp)), tag = "sign-in")]
pub(crate) async fn begin_totp(
    State(app): State<App>,
    holder: Holder,
    Sent(wire::Nothing {}): Sent<wire::Nothing>,
) -> Result<Json<wire::NewTotp>, Problem> {
    let new = app.control.begin_totp(&holder.op)?;
    Ok(Json(wire::NewTotp { secret: new.secret.expose().clone(), uri: new.uri.expose().clone() }))
}

/// Adds an app, once it has computed a code.
#[utoipa::path(post, path = "/api/v1/me/totp", request_body = wire::AddTotp, responses((status = 200, body = wire::SignedIn)), tag = "sign-in")]
pub(crate) async fn add_totp(
    State(app): State<App>,
    holder: Holder,
    Sent(ask): Sent<wire::AddTotp>,
) -> Result<Response, Problem> {
    let code = Secret::new(ask.code);
    Ok(begun(&app, &app.control.add_totp(&holder.op, &code, &ask.label).await?))
}

/// What an authenticator must know to make a passkey.
#[utoipa::path(post, path = "/api/v1/me/passkeys/begin", request_body = wire::Nothing, responses((status = 200, body = wire::PasskeyOptions)), tag = "sign-in")]
pub(crate) async fn begin_new_passkey(
    State(app): State<App>,
    holder: Holder,
    Sent(wire::Nothing {}): Sent<wire::Nothing>,
) -> Result<Json<wire::PasskeyOptions>, Problem> {
    Ok(Json(wire::PasskeyOptions { public_key: app.control.begin_new_passkey(&holder.op)? }))
}

/// Adds the passkey that an authenticator has made.
#[utoipa::path(post, path = "/api/v1/me/passkeys", request_body = wire::NewPasskey, responses((status = 200, body = wire::SignedIn)), tag = "sign-in")]
pub(crate) async fn add_passkey(
    State(app): State<App>,
    holder: Holder,
    Sent(ask): Sent<wire::NewPasskey>,
) -> Result<Response, Problem> {
    Ok(begun(&app, &app.control.add_passkey(&holder.op, &ask.credential, &ask.label).await?))
}
