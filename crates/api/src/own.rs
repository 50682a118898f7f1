//! What is one's own: who one is, password, factors, devices, keys, certificates, tokens.

use crate::App;
use crate::auth::{Caller, Holder};
use crate::problem::{Path, Problem, Sent};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sallyport_control::{DeviceLine, FactorLine, NewOwnCertificate, OwnCertificate};
use sallyport_model::inventory::IdentityKind;
use sallyport_model::sign_in::DeviceState;
use sallyport_model::{DeviceId, FactorId, Secret, TokenId};
use sallyport_wire as wire;
use std::time::Duration;

pub(crate) const fn kind(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::User => "user",
        IdentityKind::Workload => "workload",
    }
}

fn factor(line: FactorLine) -> wire::Factor {
    wire::Factor {
        id: line.id.to_string(),
        kind: line.kind.word().into(),
        label: line.label,
        created: line.created.to_string(),
        last_used: line.used.map(|at| at.to_string()),
        left: line.left,
    }
}

/// Who the caller is, and how far signed in.
#[utoipa::path(get, path = "/api/v1/me", responses((status = 200, body = wire::Me)), tag = "status")]
pub(crate) async fn me(State(app): State<App>, holder: Holder) -> Result<Json<wire::Me>, Problem> {
    let Holder { op, who } = holder;
    let state = who.device.as_ref().map_or(DeviceState::In, |device| device.state);
    let whole = state == DeviceState::In;
    let (sessions, rights) =
        if whole { (app.control.own_sessions(&op)?, app.control.own_rights(&op)?) } else { (0, Vec::new()) };
    let methods = app.control.methods(&who.identity)?;
    // Whoever has shown a password alone is told no more than what is needed to go on.
    let factors = if whole { app.control.own_factors(&who.identity)? } else { Vec::new() };
    let groups = who.identity.groups.iter().filter(|_| whole).map(ToString::to_string).collect();
    let fresh = who.device.as_ref().and_then(|device| device.fresh_until).filter(|until| *until > app.control.now());
    Ok(Json(wire::Me {
        groups,
        token_expires: who.expires.to_string(),
        sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        handle: who.identity.handle.to_string(),
        state: state.word().into(),
        kind: kind(who.identity.kind).into(),
        rights: rights.into_iter().map(str::to_owned).collect(),
        factors: factors.into_iter().map(factor).collect(),
        methods: methods.iter().map(|kind| kind.word().to_owned()).collect(),
        step_up_until: fresh.map(|until| until.to_string()),
        session_expires: who.device.as_ref().map(|device| device.expires.to_string()),
        solo: app.control.is_solo(),
        public_url: app.control.site().origin().to_owned(),
        ssh: app.ssh,
    }))
}

/// Changes the caller's password. Every other browser of theirs is signed out.
#[utoipa::path(post, path = "/api/v1/me/password", request_body = wire::NewPassword, responses((status = 204)), tag = "sign-in")]
pub(crate) async fn password(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::NewPassword>,
) -> Result<StatusCode, Problem> {
    app.control.change_password(&caller.op, Secret::new(ask.current), Secret::new(ask.new)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a factor; never the last.
#[utoipa::path(delete, path = "/api/v1/me/factors/{id}", params(("id" = String, Path)), responses((status = 204)), tag = "sign-in")]
pub(crate) async fn remove_factor(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: FactorId = id.parse().map_err(Problem::usage)?;
    app.control.remove_factor(&caller.op, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fresh recovery codes, shown once. Earlier ones die.
#[utoipa::path(post, path = "/api/v1/me/recovery-codes", request_body = wire::Nothing, responses((status = 200, body = wire::RecoveryCodes)), tag = "sign-in")]
pub(crate) async fn recovery_codes(
    State(app): State<App>,
    caller: Caller,
    Sent(wire::Nothing {}): Sent<wire::Nothing>,
) -> Result<Json<wire::RecoveryCodes>, Problem> {
    let codes = app.control.new_recovery_codes(&caller.op).await?;
    Ok(Json(wire::RecoveryCodes { codes: codes.iter().map(|code| code.expose().clone()).collect() }))
}

/// The caller's browsers that are signed in, newest first.
#[utoipa::path(get, path = "/api/v1/me/devices", responses((status = 200, body = wire::Items<wire::Device>)), tag = "sign-in")]
pub(crate) async fn devices(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<wire::Items<wire::Device>>, Problem> {
    let line = |DeviceLine { device, current, seen }| wire::Device {
        id: device.id.to_string(),
        current,
        state: device.state.word().into(),
        created: device.created.to_string(),
        last_seen: seen.to_string(),
        from: device.from.to_string(),
        agent: device.agent,
        expires: device.expires.to_string(),
    };
    let items = app.control.devices(&caller.op).await?.into_iter().map(line).collect();
    Ok(Json(wire::Items { items }))
}

/// Signs one of the caller's browsers out, at once.
#[utoipa::path(delete, path = "/api/v1/me/devices/{id}", params(("id" = String, Path)), responses((status = 204)), tag = "sign-in")]
pub(crate) async fn end_device(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: DeviceId = id.parse().map_err(Problem::usage)?;
    app.control.end_device(&caller.op, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn ssh_key(key: String) -> wire::SshKey {
    wire::SshKey { fingerprint: sallyport_control::fingerprint(&key), key }
}

/// The caller's SSH keys.
#[utoipa::path(get, path = "/api/v1/me/ssh-keys", responses((status = 200, body = wire::Items<wire::SshKey>)), tag = "identity")]
pub(crate) async fn ssh_keys(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<wire::Items<wire::SshKey>>, Problem> {
    Ok(Json(wire::Items { items: app.control.own_ssh_keys(&caller.op)?.into_iter().map(ssh_key).collect() }))
}

/// Adds an SSH key of the caller.
#[utoipa::path(post, path = "/api/v1/me/ssh-keys", request_body = wire::AddSshKey, responses((status = 200, body = wire::SshKey)), tag = "identity")]
pub(crate) async fn add_ssh_key(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::AddSshKey>,
) -> Result<Json<wire::SshKey>, Problem> {
    Ok(Json(ssh_key(app.control.add_ssh_key(&caller.op, &ask.key).await?)))
}

/// Removes an SSH key of the caller. The fingerprint's `/` is written as `%2F`.
#[utoipa::path(delete, path = "/api/v1/me/ssh-keys/{fingerprint}", params(("fingerprint" = String, Path)), responses((status = 204)), tag = "identity")]
pub(crate) async fn remove_ssh_key(
    State(app): State<App>,
    caller: Caller,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, Problem> {
    app.control.remove_ssh_key(&caller.op, &fingerprint).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's living tokens, without their texts.
#[utoipa::path(get, path = "/api/v1/me/tokens", responses((status = 200, body = wire::Items<wire::OwnToken>)), tag = "identity")]
pub(crate) async fn tokens(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<wire::Items<wire::OwnToken>>, Problem> {
    let line = |token: sallyport_control::OwnToken| wire::OwnToken {
        id: token.id.to_string(),
        label: token.label,
        expires: token.expires.to_string(),
    };
    Ok(Json(wire::Items { items: app.control.own_tokens(&caller.op)?.into_iter().map(line).collect() }))
}

/// Ends a token of the caller, at once.
#[utoipa::path(delete, path = "/api/v1/me/tokens/{id}", params(("id" = String, Path)), responses((status = 204)), tag = "identity")]
pub(crate) async fn end_token(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: TokenId = id.parse().map_err(Problem::usage)?;
    app.control.end_token(&caller.op, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn certificate(line: &OwnCertificate) -> wire::OwnCertificate {
    wire::OwnCertificate {
        serial: line.serial.to_string(),
        fingerprint: sallyport_control::fingerprint(&line.public),
        made: line.made.to_string(),
        expires: line.expires.to_string(),
        factors: line.factors.clone(),
        from: line.from.to_string(),
    }
}

/// Makes an SSH certificate for a key of the caller's, by which they sign in at gateways for some hours.
#[utoipa::path(post, path = "/api/v1/me/certificates", request_body = wire::CertifyKey, responses((status = 200, body = wire::CertifiedKey)), tag = "identity")]
pub(crate) async fn certify(
    State(app): State<App>,
    holder: Holder,
    Sent(ask): Sent<wire::CertifyKey>,
) -> Result<Json<wire::CertifiedKey>, Problem> {
    let networks =
        ask.networks.iter().map(|text| text.parse()).collect::<Result<_, String>>().map_err(Problem::usage)?;
    let life = ask.seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let new = NewOwnCertificate { public: ask.public_key, life, networks };
    let (made, line) = app.control.certify_own(&holder.op, new, holder.who.expires).await?;
    Ok(Json(wire::CertifiedKey { certificate: line, about: certificate(&made) }))
}

/// The caller's SSH certificates that are good.
#[utoipa::path(get, path = "/api/v1/me/certificates", responses((status = 200, body = wire::Items<wire::OwnCertificate>)), tag = "identity")]
pub(crate) async fn certificates(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<wire::Items<wire::OwnCertificate>>, Problem> {
    Ok(Json(wire::Items { items: app.control.own_certificates(&caller.op)?.iter().map(certificate).collect() }))
}

/// Revokes an SSH certificate of the caller, at once.
#[utoipa::path(delete, path = "/api/v1/me/certificates/{serial}", params(("serial" = String, Path)), responses((status = 204)), tag = "identity")]
pub(crate) async fn revoke_certificate(
    State(app): State<App>,
    caller: Caller,
    Path(serial): Path<String>,
) -> Result<StatusCode, Problem> {
    app.control.revoke_own_certificate(&caller.op, self::serial(&serial)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The serial of a certificate in a path.
pub(crate) fn serial(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::usage("a serial is a decimal number, as the list of them shows it"))
}
