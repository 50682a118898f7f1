//! How the installation is, and who the caller is.

use crate::App;
use crate::auth::Caller;
use crate::problem::{Problem, Sent};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sallyport_model::Kind;
use sallyport_model::authority::Pulse;
use sallyport_wire as wire;
use std::time::Duration;

/// How the installation is.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = wire::Status)), tag = "status")]
pub(crate) async fn status(State(app): State<App>) -> Json<wire::Status> {
    Json(now(&app))
}

/// How the installation is now.
pub(crate) fn now(app: &App) -> wire::Status {
    let status = app.control.status();
    wire::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        cluster: status.cluster.map(|c| c.to_string()),
        sealed: status.sealed,
        entries: status.entries,
        gateways: u32::try_from(status.gateways).unwrap_or(u32::MAX),
        sessions: u32::try_from(status.sessions).unwrap_or(u32::MAX),
        sessions_waiting: u32::try_from(status.sessions_waiting).unwrap_or(u32::MAX),
        ssh: app.ssh.clone(),
        anchors: u32::try_from(status.anchors).unwrap_or(u32::MAX),
        anchors_late: u32::try_from(status.anchors_late).unwrap_or(u32::MAX),
        frozen: status.frozen,
        quarantined: u32::try_from(status.quarantined).unwrap_or(u32::MAX),
        pulse: status.pulse.word().into(),
        backup: status.backup.map(|at| at.to_string()),
        backup_age_hours: status.backup_age.map(|age| age.as_secs() / 3600),
        recovery: status.recovery.map(|until| until.to_string()),
        solo: status.solo,
        space: status.space.level.word().into(),
        ssh_cas_waiting: u32::try_from(status.ssh_cas_waiting).unwrap_or(u32::MAX),
        host_certificate_late: status.host_certificate_late.map(|ends| ends.to_string()),
    }
}

/// Whether this process answers at all.
#[utoipa::path(get, path = "/api/v1/health/live", responses((status = 200, body = wire::Health)), tag = "status")]
pub(crate) async fn alive() -> Json<wire::Health> {
    Json(wire::Health { ok: true, detail: String::new() })
}

/// Whether this node opens sessions: 200 where it does, 503 with the reason where it does not. Nobody need be signed in.
#[utoipa::path(get, path = "/api/v1/health/ready", responses((status = 200, body = wire::Health), (status = 503, body = wire::Health)), tag = "status")]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<wire::Health>) {
    let status = app.control.status();
    let lacks = match status.pulse {
        _ if status.quarantined > 0 => "in quarantine: `sallyport quarantine show` on the host says why",
        _ if status.sealed => "the vault is sealed: `sallyport vault unseal` opens it",
        Pulse::Deaf => "the database is not reached",
        Pulse::Mute => "the ledger takes no entries",
        Pulse::Full => "recordings have no room left",
        Pulse::Well if status.frozen => "an anchor is late: `sallyport ledger anchors` says which",
        Pulse::Well if status.gateways == 0 => "no gateway is connected",
        Pulse::Well => "",
    };
    let code = if lacks.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(wire::Health { ok: lacks.is_empty(), detail: lacks.into() }))
}

/// The authority of this node's certificate. It is public: what makes a client believe it is that somebody has compared
/// its fingerprint with the one that the server logs.
#[utoipa::path(get, path = "/api/v1/trust", responses((status = 200, body = wire::Trust)), tag = "status")]
pub(crate) async fn trust(State(app): State<App>) -> Result<Json<wire::Trust>, Problem> {
    let text =
        "this server's certificate comes from no authority of its own: your machine knows its issuer, or nobody does";
    app.trust.map(Json).ok_or_else(|| Problem::new(Kind::NotFound, text))
}

/// The space for recordings on this node, and what goes next.
#[utoipa::path(get, path = "/api/v1/space", responses((status = 200, body = wire::Space)), tag = "status")]
pub(crate) async fn space(State(app): State<App>, caller: Caller) -> Result<Json<wire::Space>, Problem> {
    let (space, leaving) = app.control.space(&caller.op)?;
    let next = leaving.into_iter().map(|leaving| wire::Leaving {
        recording: leaving.recording.to_string(),
        session: leaving.session.to_string(),
        bytes: leaving.bytes,
        due: leaving.due.to_string(),
    });
    Ok(Json(wire::Space {
        used: space.used,
        room: space.room,
        recordings: space.recordings,
        per_day: space.per_day,
        days_to_refuse: space.days_to_refuse,
        days_to_freeze: space.days_to_freeze,
        level: space.level.word().into(),
        next: next.collect(),
    }))
}

/// Makes a token; its text is shown once.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = wire::NewToken, responses((status = 200, body = wire::Token)), tag = "identity")]
pub(crate) async fn create_token(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::NewToken>,
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

/// Figures of this node, as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "application/openmetrics-text")), tag = "status")]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], app.control.figures())
}
