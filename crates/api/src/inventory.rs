//! What somebody may reach, why, and how it gets there: plan and apply.

use crate::App;
use crate::auth::Caller;
use crate::convert;
use crate::problem::{Problem, Query, Sent};
use crate::rows::Rows;
use axum::Json;
use axum::extract::State;
use sallyport_control::{ApplyFile, Asked, Listing, WhoLine};
use sallyport_model::Address;
use sallyport_model::access::Channel;
use sallyport_policy::Act;
use sallyport_wire as wire;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListingQuery {
    /// Words, all of which must occur.
    #[serde(default)]
    search: String,
    /// `next` of an earlier page.
    cursor: Option<String>,
    /// Rows, 1 to 1000; 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Rows<1000>,
}

impl ListingQuery {
    pub(crate) fn wanted(self) -> Listing {
        Listing { search: self.search, cursor: self.cursor, limit: self.limit.count() }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReachQuery {
    /// Words, all of which must occur.
    #[serde(default)]
    search: String,
    /// `next` of an earlier page.
    cursor: Option<String>,
    /// Rows, 1 to 1000; 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Rows<1000>,
    /// Only the few places where the caller was lately, the newest first, each with `used`.
    #[serde(default)]
    recent: bool,
}

/// What the caller may use or ask for, by target and account; or the few places where they were lately.
#[utoipa::path(get, path = "/api/v1/reach", params(ReachQuery), responses((status = 200, body = wire::Listing<wire::Reach>)), tag = "inventory")]
pub(crate) async fn reach(
    State(app): State<App>,
    caller: Caller,
    Query(ReachQuery { search, cursor, limit, recent }): Query<ReachQuery>,
) -> Result<Json<wire::Listing<wire::Reach>>, Problem> {
    let wanted = Listing { search, cursor, limit: limit.count() };
    let page =
        if recent { app.control.recent(&caller.op, &wanted).await? } else { app.control.reach(&caller.op, &wanted)? };
    Ok(Json(convert::listing(page, |line| convert::reach(&caller.who.identity.handle, line))))
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
    /// Where a forward goes: `host:port` as the client says it, or a path for `channel:forward_socket`.
    destination: Option<String>,
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
    let asked = Asked { address: &address, act, destination: query.destination.as_deref() };
    let why = app.control.why(&caller.op, handle.as_ref(), &asked)?;
    Ok(Json(convert::why(why)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhoCanQuery {
    /// `connect` where absent; `see`, `request`, or a channel such as `channel:shell`.
    action: Option<String>,
    /// The target.
    target: String,
    /// The account on it.
    account: String,
    /// Where a forward goes: `host:port` as the client says it, or a path for `channel:forward_socket`.
    destination: Option<String>,
}

/// Who may do something at a place, now or after a grant, and by which policies.
#[utoipa::path(get, path = "/api/v1/who-can", params(WhoCanQuery), responses((status = 200, body = Vec<wire::WhoCan>)), tag = "policy")]
pub(crate) async fn who_can(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<WhoCanQuery>,
) -> Result<Json<Vec<wire::WhoCan>>, Problem> {
    let act = act(query.action.as_deref().unwrap_or("connect"))?;
    let account = query.account.parse().map_err(Problem::usage)?;
    let target = query.target.parse().map_err(Problem::usage)?;
    let place = Address::Place { handle: None, account, target };
    let who = |line: WhoLine| wire::WhoCan {
        handle: line.handle.to_string(),
        state: if line.usable { "usable" } else { "requestable" }.into(),
        policies: line.policies,
    };
    let asked = Asked { address: &place, act, destination: query.destination.as_deref() };
    Ok(Json(app.control.who_can(&caller.op, &asked)?.into_iter().map(who).collect()))
}

/// The enforced policies, their hash, and their schema.
#[utoipa::path(get, path = "/api/v1/policies", responses((status = 200, body = wire::Policies)), tag = "policy")]
pub(crate) async fn policies(State(app): State<App>, caller: Caller) -> Result<Json<wire::Policies>, Problem> {
    let found = app.control.policies(&caller.op)?;
    let files = found.files.into_iter().map(|(name, text)| wire::File { name, text }).collect();
    Ok(Json(wire::Policies { hash: found.hash, files, schema: found.schema.into() }))
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
