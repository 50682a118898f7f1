//! Users and groups: list, make, link, disable, regroup.

use crate::App;
use crate::auth::Caller;
use crate::own::{certificate, kind, serial};
use crate::problem::{Path, Problem, Query, Sent};
use crate::rows::Rows;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_control::{NewLink, UserLine};
use sallyport_model::Handle;
use sallyport_model::name::Label;
use sallyport_wire as wire;
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsersQuery {
    /// Only handles that contain this.
    #[serde(default)]
    search: String,
    /// `next` of an earlier page.
    #[serde(default)]
    cursor: String,
    /// Rows, 1 to 500; 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Rows<500>,
}

fn user(line: UserLine) -> wire::User {
    wire::User {
        handle: line.identity.handle.to_string(),
        kind: kind(line.identity.kind).into(),
        groups: line.identity.groups.iter().map(ToString::to_string).collect(),
        disabled: line.identity.disabled,
        factors: line.factors.iter().map(|kind| kind.word().to_owned()).collect(),
        ssh_keys: u32::try_from(line.identity.ssh_keys.len()).unwrap_or(u32::MAX),
        last_seen: line.seen.map(|at| at.to_string()),
    }
}

fn link(new: &NewLink) -> Json<wire::Link> {
    Json(wire::Link {
        link: new.url.expose().clone(),
        handle: new.handle.to_string(),
        expires: new.expires.to_string(),
    })
}

fn handle(text: &str) -> Result<Handle, Problem> {
    text.parse().map_err(Problem::usage)
}

fn groups(texts: Vec<String>) -> Result<BTreeSet<Label>, Problem> {
    texts.into_iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(Problem::usage)
}

/// Users and workloads, by handle.
#[utoipa::path(get, path = "/api/v1/users", params(UsersQuery), responses((status = 200, body = wire::Page<wire::User>)), tag = "identity")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
) -> Result<Json<wire::Page<wire::User>>, Problem> {
    let limit: usize = query.limit.count();
    // One more than fits says whether there is another page.
    let mut lines = app.control.users(&caller.op, &query.search, &query.cursor, limit + 1).await?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|line| line.identity.handle.to_string());
    Ok(Json(wire::Page { items: lines.into_iter().map(user).collect(), next }))
}

/// Makes a user. The link lets them set a password and a factor; it is shown once.
#[utoipa::path(post, path = "/api/v1/users", request_body = wire::NewUser, responses((status = 200, body = wire::Link)), tag = "identity")]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::NewUser>,
) -> Result<Json<wire::Link>, Problem> {
    let new = app.control.create_user(&caller.op, &handle(&ask.handle)?, groups(ask.groups)?).await?;
    Ok(link(&new))
}

/// Makes another link for a user. When it is used, every factor and browser of theirs from before is gone.
#[utoipa::path(post, path = "/api/v1/users/{handle}/link", params(("handle" = String, Path)), responses((status = 200, body = wire::Link)), tag = "identity")]
pub(crate) async fn new_link(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<wire::Link>, Problem> {
    Ok(link(&app.control.link_user(&caller.op, &handle(&name)?).await?))
}

/// Disables a user: browsers, tokens, keys and sessions end at once.
#[utoipa::path(post, path = "/api/v1/users/{handle}/disable", params(("handle" = String, Path)), responses((status = 204)), tag = "identity")]
pub(crate) async fn disable(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.control.set_disabled(&caller.op, &handle(&name)?, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enables a user again.
#[utoipa::path(post, path = "/api/v1/users/{handle}/enable", params(("handle" = String, Path)), responses((status = 204)), tag = "identity")]
pub(crate) async fn enable(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.control.set_disabled(&caller.op, &handle(&name)?, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a user into these groups and no others.
#[utoipa::path(put, path = "/api/v1/users/{handle}/groups", params(("handle" = String, Path)), request_body = wire::Groups, responses((status = 204)), tag = "identity")]
pub(crate) async fn regroup(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Sent(ask): Sent<wire::Groups>,
) -> Result<StatusCode, Problem> {
    app.control.set_groups(&caller.op, &handle(&name)?, groups(ask.groups)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Groups: the roles of the product first, each with what it is for.
#[utoipa::path(get, path = "/api/v1/groups", responses((status = 200, body = wire::Items<wire::Group>)), tag = "identity")]
pub(crate) async fn groups_list(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<wire::Items<wire::Group>>, Problem> {
    let line = |group: sallyport_control::GroupLine| wire::Group {
        role: group.sentence.is_some(),
        sentence: group.sentence.unwrap_or_default().to_owned(),
        name: group.name,
        members: group.members,
    };
    Ok(Json(wire::Items { items: app.control.groups(&caller.op)?.into_iter().map(line).collect() }))
}

/// A user's SSH certificates that are good.
#[utoipa::path(get, path = "/api/v1/users/{handle}/certificates", params(("handle" = String, Path)), responses((status = 200, body = wire::Items<wire::OwnCertificate>)), tag = "identity")]
pub(crate) async fn certificates(
    State(app): State<App>,
    caller: Caller,
    Path(text): Path<String>,
) -> Result<Json<wire::Items<wire::OwnCertificate>>, Problem> {
    let found = app.control.certificates_of(&caller.op, &handle(&text)?)?;
    Ok(Json(wire::Items { items: found.iter().map(certificate).collect() }))
}

/// Revokes an SSH certificate of a user, at once.
#[utoipa::path(delete, path = "/api/v1/users/{handle}/certificates/{serial}", params(("handle" = String, Path), ("serial" = String, Path)), responses((status = 204)), tag = "identity")]
pub(crate) async fn revoke_certificate(
    State(app): State<App>,
    caller: Caller,
    Path((text, number)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.control.revoke_certificate_of(&caller.op, &handle(&text)?, serial(&number)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
