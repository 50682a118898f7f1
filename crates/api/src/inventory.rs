//! What somebody may reach, why, and how it gets there: plan and apply.

use crate::App;
use crate::auth::Caller;
use crate::convert;
use crate::problem::{Problem, Sent};
use axum::Json;
use axum::extract::{Query, State};
use sallyport_control::ApplyFile;
use sallyport_model::Address;
use sallyport_model::access::Channel;
use sallyport_policy::Act;
use sallyport_wire as wire;
use serde::Deserialize;
use utoipa::IntoParams;

/// What the caller may use or ask for.
#[utoipa::path(get, path = "/api/v1/targets", responses((status = 200, body = wire::Page<wire::Reach>)), tag = "inventory")]
pub(crate) async fn reach(State(app): State<App>, caller: Caller) -> Result<Json<wire::Page<wire::Reach>>, Problem> {
    let lines = app.control.reach(&caller.op)?;
    let items = lines.into_iter().map(|line| convert::reach(&caller.who.identity.handle, line)).collect();
    Ok(Json(wire::Page { items, next: None }))
}

fn files(desired: wire::Desired) -> Vec<ApplyFile> {
    desired.files.into_iter().map(|file| ApplyFile { name: file.name, text: file.text }).collect()
}

/// What the files would change.
#[utoipa::path(post, path = "/api/v1/plan", request_body = wire::Desired, responses((status = 200, body = wire::Plan)), tag = "inventory")]
pub(crate) async fn plan(
    State(app): State<App>,
    caller: Caller,
    Sent(desired): Sent<wire::Desired>,
) -> Result<Json<wire::Plan>, Problem> {
    let prune = desired.prune;
    Ok(Json(convert::plan(app.control.plan(&caller.op, &files(desired), prune)?, false)))
}

/// Makes it so.
#[utoipa::path(post, path = "/api/v1/apply", request_body = wire::Desired, responses((status = 200, body = wire::Plan)), tag = "inventory")]
pub(crate) async fn apply(
    State(app): State<App>,
    caller: Caller,
    Sent(desired): Sent<wire::Desired>,
) -> Result<Json<wire::Plan>, Problem> {
    let prune = desired.prune;
    Ok(Json(convert::plan(app.control.apply(&caller.op, &files(desired), prune).await?, true)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhyQuery {
    /// About whom; the caller where absent.
    handle: Option<String>,
    /// `account@target`.
    address: String,
    /// `connect` where absent; `see`, `request`, or a channel such as `channel:shell`.
    action: Option<String>,
}

/// Why somebody may or may not.
#[utoipa::path(get, path = "/api/v1/why", params(WhyQuery), responses((status = 200, body = wire::Why)), tag = "policy")]
pub(crate) async fn why(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<WhyQuery>,
) -> Result<Json<wire::Why>, Problem> {
    let handle = query.handle.map(|h| h.parse()).transpose().map_err(Problem::usage)?;
    let address: Address = query.address.parse().map_err(Problem::usage)?;
    let act = act(query.action.as_deref().unwrap_or("connect"))?;
    let why = app.control.why(&caller.op, handle.as_ref(), &address, act)?;
    Ok(Json(convert::why(why)))
}

fn act(word: &str) -> Result<Act, Problem> {
    Ok(match word {
        "connect" => Act::Connect,
        "request" => Act::Request,
        "see" => Act::See,
        other => Act::Channel(Channel::ALL.into_iter().find(|c| c.action() == other).ok_or_else(|| {
            Problem::usage(format!(
                "`{other}` is no action: write connect, see, request or a channel such as channel:shell"
            ))
        })?),
    })
}
