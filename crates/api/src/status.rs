//! How the installation is, and who the caller is.

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sallyport_model::authority::Pulse;
use sallyport_wire as wire;
use std::time::Duration;

/// How the installation is.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = wire::Status)), tag = "status")]
pub(crate) async fn status(State(app): State<App>) -> Json<wire::Status> {
    let status = app.control.status();
    Json(wire::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        cluster: status.cluster.map(|c| c.to_string()),
        sealed: status.sealed,
        entries: status.entries,
        gateways: u32::try_from(status.gateways).unwrap_or(u32::MAX),
        sessions: u32::try_from(status.sessions).unwrap_or(u32::MAX),
        ssh: app.ssh,
        anchors: u32::try_from(status.anchors).unwrap_or(u32::MAX),
        anchors_late: u32::try_from(status.anchors_late).unwrap_or(u32::MAX),
        frozen: status.frozen,
        quarantined: u32::try_from(status.quarantined).unwrap_or(u32::MAX),
        pulse: status.pulse.word().into(),
    })
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/v1/me", responses((status = 200, body = wire::Me)), tag = "status")]
pub(crate) async fn me(State(app): State<App>, caller: Caller) -> Result<Json<wire::Me>, Problem> {
    let own = app.control.own_sessions(&caller.op)?;
    Ok(Json(wire::Me {
        groups: caller.who.identity.groups.iter().map(ToString::to_string).collect(),
        token_expires: caller.who.expires.to_string(),
        sessions: u32::try_from(own).unwrap_or(u32::MAX),
        handle: caller.who.identity.handle.to_string(),
    }))
}

/// Makes a token; its text is shown once.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = wire::NewToken, responses((status = 200, body = wire::Token)), tag = "identity")]
pub(crate) async fn create_token(
    State(app): State<App>,
    caller: Caller,
    Json(ask): Json<wire::NewToken>,
) -> Result<Json<wire::Token>, Problem> {
    let handle = ask.handle.map(|h| h.parse()).transpose().map_err(Problem::usage)?;
    let life = Duration::from_secs(ask.seconds.into());
    let token = app.control.create_token(&caller.op, handle.as_ref(), life, &ask.label).await?;
    Ok(Json(wire::Token {
        id: token.id.to_string(),
        token: token.text.expose().clone(),
        handle: token.handle.to_string(),
        expires: token.expires.to_string(),
    }))
}

/// Figures in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)), tag = "status")]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let status = app.control.status();
    let text = format!(
        "# TYPE sallyport_sealed gauge\nsallyport_sealed {}\n\
         # TYPE sallyport_ledger_entries counter\nsallyport_ledger_entries {}\n\
         # TYPE sallyport_gateways gauge\nsallyport_gateways {}\n\
         # TYPE sallyport_sessions gauge\nsallyport_sessions {}\n\
         # TYPE sallyport_anchors gauge\nsallyport_anchors {}\n\
         # TYPE sallyport_anchors_late gauge\nsallyport_anchors_late {}\n\
         # TYPE sallyport_frozen gauge\nsallyport_frozen {}\n\
         # TYPE sallyport_quarantined gauge\nsallyport_quarantined {}\n\
         # TYPE sallyport_deaf gauge\nsallyport_deaf {}\n\
         # TYPE sallyport_mute gauge\nsallyport_mute {}\n",
        u8::from(status.sealed),
        status.entries,
        status.gateways,
        status.sessions,
        status.anchors,
        status.anchors_late,
        u8::from(status.frozen),
        status.quarantined,
        u8::from(status.pulse == Pulse::Deaf),
        u8::from(status.pulse == Pulse::Mute)
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
