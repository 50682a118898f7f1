//! The nodes of the installation: list, remove.

use crate::App;
use crate::auth::Caller;
use crate::problem::{Path, Problem};
use axum::Json;
use axum::extract::State;
use sallyport_control::NodeLine;
use sallyport_wire as wire;

/// The nodes that may write the ledger.
#[utoipa::path(get, path = "/api/v1/nodes", responses((status = 200, body = Vec<wire::Node>)), tag = "nodes")]
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Vec<wire::Node>>, Problem> {
    let node = |NodeLine { name, key, here, sessions }| wire::Node { name, key, here, sessions };
    Ok(Json(app.control.nodes(&caller.op)?.into_iter().map(node).collect()))
}

/// Lets go of a node that is gone for good, and closes its sessions.
#[utoipa::path(delete, path = "/api/v1/nodes/{name}", params(("name" = String, Path)), responses((status = 200, body = wire::NodeRemoved)), tag = "nodes")]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<wire::NodeRemoved>, Problem> {
    Ok(Json(wire::NodeRemoved { sessions: app.control.remove_node(&caller.op, &name).await? }))
}
