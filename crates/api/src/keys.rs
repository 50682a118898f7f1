//! Seal slots, keys of the vault and authorities of SSH: add, confirm, remove, rotate.

use crate::App;
use crate::auth::Caller;
use crate::convert;
use crate::problem::{Path, Problem, Sent};
use axum::Json;
use axum::extract::State;
use sallyport_control::AddSlot;
use sallyport_model::{Secret, SlotId};
use sallyport_wire as wire;

/// Adds a seal slot. What its owners must keep is in the answer, once.
#[utoipa::path(post, path = "/api/v1/vault/slots", request_body = wire::NewSlot, responses((status = 200, body = wire::AddedSlot)), tag = "vault")]
pub(crate) async fn add_slot(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::NewSlot>,
) -> Result<Json<wire::AddedSlot>, Problem> {
    let add = match (ask.key_file, ask.passphrase, ask.shamir, ask.pkcs11) {
        (true, None, None, false) => AddSlot::KeyFile,
        (false, Some(passphrase), None, false) => AddSlot::Passphrase(Secret::new(passphrase)),
        (false, None, Some(rule), false) => AddSlot::Shamir { k: rule.needed, n: rule.shares },
        (false, None, None, true) => AddSlot::Token(ask.pin.map(Secret::new)),
        _ => return Err(Problem::usage("give exactly one of `key_file`, `passphrase`, `shamir` or `pkcs11`")),
    };
    let added = app.control.add_slot(&caller.op, &ask.label, ask.offline, add).await?;
    Ok(Json(wire::AddedSlot {
        slot: convert::slot(&added.slot),
        key_file: added.key_file.map(|text| text.expose().clone()),
        shares: added.shares.iter().map(|share| share.expose().clone()).collect(),
    }))
}

/// One share of a new set: once a quorum was presented, the set opens the vault.
#[utoipa::path(post, path = "/api/v1/vault/slots/confirm", request_body = wire::Share, responses((status = 200, body = wire::Quorum)), tag = "vault")]
pub(crate) async fn confirm_slot(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::Share>,
) -> Result<Json<wire::Quorum>, Problem> {
    let progress = app.control.confirm_slot(&caller.op, &Secret::new(ask.share)).await?;
    Ok(Json(convert::quorum(progress)))
}

/// Removes a seal slot and replaces the root key: what opened the slot opens nothing any more.
#[utoipa::path(delete, path = "/api/v1/vault/slots/{slot}", params(("slot" = String, Path, description = "Id")), responses((status = 200, body = wire::Root)), tag = "vault")]
pub(crate) async fn remove_slot(
    State(app): State<App>,
    caller: Caller,
    Path(slot): Path<String>,
) -> Result<Json<wire::Root>, Problem> {
    let slot: SlotId = slot.parse().map_err(Problem::usage)?;
    Ok(Json(wire::Root { root_version: app.control.remove_slot(&caller.op, slot).await? }))
}

/// Replaces the root key: every slot opens the new one.
#[utoipa::path(post, path = "/api/v1/vault/rotate-root", responses((status = 200, body = wire::Root)), tag = "vault")]
pub(crate) async fn rotate_root(State(app): State<App>, caller: Caller) -> Result<Json<wire::Root>, Problem> {
    Ok(Json(wire::Root { root_version: app.control.rotate_root(&caller.op).await? }))
}

/// The keys of the vault, without their values.
#[utoipa::path(get, path = "/api/v1/vault/keys", responses((status = 200, body = wire::Keys)), tag = "vault")]
pub(crate) async fn keys(State(app): State<App>, caller: Caller) -> Result<Json<wire::Keys>, Problem> {
    Ok(Json(convert::keys(app.control.keys(&caller.op).await?)))
}

/// Begins a new epoch of keys; what is under the old one is carried over behind it.
#[utoipa::path(post, path = "/api/v1/vault/rotate-epoch", request_body = wire::RotateEpoch, responses((status = 200, body = wire::Keys)), tag = "vault")]
pub(crate) async fn rotate_epoch(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::RotateEpoch>,
) -> Result<Json<wire::Keys>, Problem> {
    Ok(Json(convert::keys(app.control.rotate_epoch(&caller.op, ask.domain.as_deref()).await?)))
}

/// Pauses or resumes the work behind a rotation.
#[utoipa::path(post, path = "/api/v1/vault/rotation", request_body = wire::PauseRotation, responses((status = 200, body = wire::Keys)), tag = "vault")]
pub(crate) async fn pause_rotation(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::PauseRotation>,
) -> Result<Json<wire::Keys>, Problem> {
    Ok(Json(convert::keys(app.control.pause_rotation(&caller.op, ask.paused).await?)))
}

/// The authorities of SSH certificates, with the public keys to be believed.
#[utoipa::path(get, path = "/api/v1/ssh-cas", responses((status = 200, body = Vec<wire::SshCa>)), tag = "vault")]
pub(crate) async fn ssh_cas(State(app): State<App>, caller: Caller) -> Result<Json<Vec<wire::SshCa>>, Problem> {
    Ok(Json(app.control.ssh_cas(&caller.op)?.into_iter().map(convert::ssh_ca).collect()))
}

/// The host key of the gateways and their authority, as lines for `known_hosts`.
#[utoipa::path(get, path = "/api/v1/known-hosts", responses((status = 200, body = wire::KnownHosts)), tag = "vault")]
pub(crate) async fn known_hosts(State(app): State<App>, caller: Caller) -> Result<Json<wire::KnownHosts>, Problem> {
    Ok(Json(convert::known_hosts(app.control.host_key(&caller.op)?, app.ssh)))
}

/// One step of the rotation of an authority's key.
#[utoipa::path(post, path = "/api/v1/ssh-cas/{name}", params(("name" = String, Path, description = "`targets`")), request_body = wire::RotateSshCa, responses((status = 200, body = wire::SshCa)), tag = "vault")]
pub(crate) async fn rotate_ssh_ca(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Sent(ask): Sent<wire::RotateSshCa>,
) -> Result<Json<wire::SshCa>, Problem> {
    let (ca, step) = (name.parse()?, ask.step.parse()?);
    Ok(Json(convert::ssh_ca(app.control.rotate_ssh_ca(&caller.op, ca, step).await?)))
}
