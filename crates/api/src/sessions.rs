//! Sessions: list, watch, message, pause, kill.

use crate::App;
use crate::auth::Caller;
use crate::convert;
use crate::problem::{Path, Problem, Query, Sent};
use crate::rows::{Index, Rows};
use crate::terminal;
use axum::Json;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::Response;
use sallyport_control::{Control, SessionsWanted, Watching};
use sallyport_model::{SessionId, WatchId};
use sallyport_wire as wire;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only live ones.
    #[serde(default)]
    live: bool,
    /// Only the caller's own, also where the caller may see all of them.
    #[serde(default)]
    own: bool,
    /// `next` of an earlier page.
    #[param(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_isize)]
    cursor: Option<Index>,
    /// Rows, 1 to 500; 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Rows<500>,
}

/// Sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", params(ListQuery), responses((status = 200, body = wire::Page<wire::Session>)), tag = "sessions")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<wire::Page<wire::Session>>, Problem> {
    let wanted = SessionsWanted {
        live: query.live,
        own: query.own,
        before: query.cursor.map(|Index(index)| index),
        limit: query.limit.count(),
    };
    let page = app.control.sessions(&caller.op, &wanted).await?;
    let items = page.lines.into_iter().map(|line| convert::session(&app.control, &caller.op, line)).collect();
    Ok(Json(wire::Page { items, next: page.next.map(|next| next.to_string()) }))
}

pub(crate) fn session_id(text: &str) -> Result<SessionId, Problem> {
    text.parse().map_err(Problem::usage)
}

/// Ends a live session.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/kill", params(("id" = String, Path)), request_body = wire::Kill, responses((status = 204)), tag = "sessions")]
pub(crate) async fn kill(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Sent(kill): Sent<wire::Kill>,
) -> Result<StatusCode, Problem> {
    app.control.kill(&caller.op, session_id(&id)?, &kill.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says a line to the user of a live session: shown in their terminal as from security staff, with the sender's name.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/message", params(("id" = String, Path)), request_body = wire::SessionMessage, responses((status = 204)), tag = "sessions")]
pub(crate) async fn message(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Sent(message): Sent<wire::SessionMessage>,
) -> Result<StatusCode, Problem> {
    app.control.message(&caller.op, session_id(&id)?, &message.text).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a live session: nothing crosses it in either direction, and nothing is lost, until somebody resumes it.
///
/// Its deadline and its idle time go on.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/pause", params(("id" = String, Path)), request_body = wire::PauseSession, responses((status = 204)), tag = "sessions")]
pub(crate) async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Sent(pause): Sent<wire::PauseSession>,
) -> Result<StatusCode, Problem> {
    app.control.pause(&caller.op, session_id(&id)?, &pause.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a paused session go on where it was.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/resume", params(("id" = String, Path)), responses((status = 204)), tag = "sessions")]
pub(crate) async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.control.resume(&caller.op, session_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a guest of a live session away.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}/guests/{guest}", params(("id" = String, Path), ("guest" = String, Path)), responses((status = 204)), tag = "sessions")]
pub(crate) async fn dismiss(
    State(app): State<App>,
    caller: Caller,
    Path((id, guest)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let guest = guest.parse().map_err(Problem::usage)?;
    app.control.dismiss(&caller.op, session_id(&id)?, guest).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchQuery {
    /// `terminal` for the newest terminal, as a browser draws it; `events` for all that happens, in the recording's encoding.
    #[param(inline)]
    format: Shown,
}

/// What a watch shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    Terminal,
    Events,
}

/// Looks over the shoulder of a live session: a websocket of the subprotocol `sallyport.terminal.v1`, which takes nothing.
///
/// The terminals come as they are, then as they change. Whoever gives no sign for ten seconds looks on no more.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/watch", params(("id" = String, Path), WatchQuery), responses((status = 101, description = "The websocket is open", body = wire::TerminalOut)), tag = "sessions")]
pub(crate) async fn watch(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<WatchQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let session = session_id(&id)?;
    let upgrade = terminal::accept(upgrade)?;
    let Watching { id, views } = app.control.watch(&caller.op, session).await?;
    let end = End { control: app.control.clone(), watch: id };
    Ok(upgrade.on_upgrade(move |socket| async move {
        terminal::overlook(socket, views, query.format, (&app, &caller.op)).await;
        drop(end);
    }))
}

/// Ends the watch when the reader goes away. The session does not depend on it.
struct End {
    control: Arc<Control>,
    watch: WatchId,
}

impl Drop for End {
    fn drop(&mut self) {
        self.control.unwatch(self.watch);
    }
}
