//! The vault: show, store, seal, unseal. No value ever comes out.

use crate::App;
use crate::auth::{Caller, From};
use crate::convert;
use crate::problem::{Problem, Sent};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_control::{NewSecret, Opening};
use sallyport_model::Secret;
use sallyport_wire as wire;

/// State of the vault, its slots and secrets, without values.
#[utoipa::path(get, path = "/api/v1/vault", responses((status = 200, body = wire::Vault)), tag = "vault")]
pub(crate) async fn show(State(app): State<App>, caller: Caller) -> Result<Json<wire::Vault>, Problem> {
    let (slots, secrets) = app.control.vault_status(&caller.op)?;
    let slots = slots.iter().map(convert::slot).collect();
    Ok(Json(wire::Vault { sealed: false, slots, secrets: secrets.into_iter().map(convert::secret).collect() }))
}

/// Stores or generates the credential of an account.
#[utoipa::path(post, path = "/api/v1/vault/secrets", request_body = wire::PutSecret, responses((status = 200, body = wire::SecretLine)), tag = "vault")]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::PutSecret>,
) -> Result<Json<wire::SecretLine>, Problem> {
    let address = ask.account.parse().map_err(Problem::usage)?;
    let new = match (ask.password, ask.ssh_key, ask.generate.as_deref()) {
        (Some(password), None, None) => NewSecret::Password(Secret::new(password.into_bytes())),
        (None, Some(key), None) => NewSecret::SshKey(Secret::new(key.into_bytes())),
        (None, None, Some("password")) => NewSecret::GeneratePassword,
        (None, None, Some("ssh_key")) => NewSecret::GenerateSshKey,
        _ => {
            return Err(Problem::usage(
                "give exactly one of `password`, `ssh_key`, or `generate` (password or ssh_key)",
            ));
        }
    };
    Ok(Json(convert::secret(app.control.put_secret(&caller.op, &address, new).await?)))
}

/// Seals the vault.
#[utoipa::path(post, path = "/api/v1/vault/seal", responses((status = 204)), tag = "vault")]
pub(crate) async fn seal(State(app): State<App>, caller: Caller) -> Result<StatusCode, Problem> {
    app.control.seal(&caller.op).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unseals the vault, or adds one share to a quorum. Authenticated by what is presented; one attempt at a time.
#[utoipa::path(post, path = "/api/v1/vault/unseal", request_body = wire::Unseal, responses((status = 200, body = wire::Unsealed)), tag = "vault")]
pub(crate) async fn unseal(
    State(app): State<App>,
    From(from): From,
    Sent(ask): Sent<wire::Unseal>,
) -> Result<Json<wire::Unsealed>, Problem> {
    let with = match (ask.passphrase, ask.key_file, ask.share, ask.pkcs11) {
        (Some(passphrase), None, None, false) => Opening::Passphrase(Secret::new(passphrase)),
        (None, Some(text), None, false) => Opening::KeyFile(Secret::new(text)),
        (None, None, Some(share), false) => Opening::Share(Secret::new(share)),
        // Whoever presents nothing is nobody: the PIN of the server's configuration is for its own start.
        (None, None, None, true) => Opening::Token(ask.pin.map(Secret::new).ok_or_else(|| {
            Problem::usage("give the token's `pin`: the one in the server's configuration is for its own start")
        })?),
        _ => return Err(Problem::usage("give exactly one of `passphrase`, `key_file`, `share` or `pkcs11`")),
    };
    let progress = app.control.unseal(from, with).await?;
    Ok(Json(wire::Unsealed { sealed: progress.is_some(), quorum: progress.map(convert::quorum) }))
}

/// Forgets the shares that were presented to unseal. Takes a share of the same set.
#[utoipa::path(post, path = "/api/v1/vault/unseal/cancel", request_body = wire::Share, responses((status = 204)), tag = "vault")]
pub(crate) async fn cancel_unseal(
    State(app): State<App>,
    From(from): From,
    Sent(ask): Sent<wire::Share>,
) -> Result<StatusCode, Problem> {
    app.control.cancel_unseal(from, Secret::new(ask.share)).await?;
    Ok(StatusCode::NO_CONTENT)
}
