//! Targets one at a time: listed, probed, added, checked, changed, removed.

use crate::App;
use crate::auth::Caller;
use crate::convert;
use crate::inventory::ListingQuery;
use crate::problem::{Path, Problem, Query, Sent};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sallyport_control::{About, AboutAccount, NewSecret, NewTarget};
use sallyport_model::inventory::{By, CertificateTerms, Class, Rest, Through, Tier};
use sallyport_model::way::{Jump, Way};
use sallyport_model::{Secret, TargetName};
use sallyport_wire as wire;
use std::fmt::Display;
use std::str::FromStr;

/// Targets with their accounts, by name.
#[utoipa::path(get, path = "/api/v1/targets", params(ListingQuery), responses((status = 200, body = wire::Listing<wire::Target>)), tag = "inventory")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListingQuery>,
) -> Result<impl IntoResponse, Problem> {
    let written = app.control.targets(&caller.op, &query.wanted(), |page| {
        serde_json::to_vec(&convert::listing(page, convert::target)).unwrap_or_default()
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], Bytes::from_owner(written)))
}

/// One target with its accounts.
#[utoipa::path(get, path = "/api/v1/targets/{name}", params(("name" = String, Path)), responses((status = 200, body = wire::Target)), tag = "inventory")]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<wire::Target>, Problem> {
    Ok(Json(convert::target(app.control.target(&caller.op, &target(&name)?)?)))
}

/// Has a gateway look what a place shows of itself.
#[utoipa::path(post, path = "/api/v1/targets/probe", request_body = wire::ProbeTarget, responses((status = 200, body = wire::ProbedTarget)), tag = "inventory")]
pub(crate) async fn probe(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::ProbeTarget>,
) -> Result<Json<wire::ProbedTarget>, Problem> {
    let protocol = word("protocol", &ask.protocol)?;
    let via = ask.via.map(jump).transpose()?;
    let probed = app.control.probe(&caller.op, &protocol, (&ask.host, ask.port), via.as_ref()).await?;
    let host_keys = probed.host_keys.iter().map(|key| convert::host_key(key)).collect();
    Ok(Json(wire::ProbedTarget { host_keys, banner: probed.banner, exceptions: probed.exceptions }))
}

/// Adds a target with its first account and, where it is given, its credential: all of it or nothing.
#[utoipa::path(post, path = "/api/v1/targets", request_body = wire::NewTarget, responses((status = 201, body = wire::Target)), tag = "inventory")]
pub(crate) async fn add(
    State(app): State<App>,
    caller: Caller,
    Sent(ask): Sent<wire::NewTarget>,
) -> Result<(StatusCode, Json<wire::Target>), Problem> {
    let by_certificate = ask.credential.as_ref().is_some_and(only_certificate);
    let way = way((ask.via, ask.post_quantum), ask.host_authorities, ask.host_aliases, ask.exceptions)?;
    let new = NewTarget {
        name: word("name", &ask.name)?,
        about: about((ask.host, ask.port), ask.tier, &ask.tags, Some(ask.host_keys), (ask.platform, way))?,
        environment: word("environment", &ask.environment)?,
        protocol: word("protocol", &ask.protocol)?,
        account: word("account", &ask.account.name)?,
        class: class(&ask.account.class)?,
        certificate: by_certificate.then(CertificateTerms::default),
        credential: ask.credential.filter(|_| !by_certificate).map(credential).transpose()?,
    };
    let line = app.control.add_target(&caller.op, new).await?;
    Ok((StatusCode::CREATED, Json(convert::target(line))))
}

/// Logs in at an account with its stored credential, and leaves. It is a session, and is recorded as one.
#[utoipa::path(post, path = "/api/v1/targets/{name}/check", params(("name" = String, Path)), request_body = wire::CheckAccount, responses((status = 200, body = wire::Checked)), tag = "inventory")]
pub(crate) async fn check(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Sent(ask): Sent<wire::CheckAccount>,
) -> Result<Json<wire::Checked>, Problem> {
    let account = word("account", &ask.account)?;
    let checked = app.control.check(&caller.op, &target(&name)?, &account).await?;
    Ok(Json(wire::Checked { ok: checked.is_ok(), detail: checked.err().unwrap_or_default() }))
}

/// Changes a target. Sessions that are no longer permitted end.
#[utoipa::path(put, path = "/api/v1/targets/{name}", params(("name" = String, Path)), request_body = wire::ChangeTarget, responses((status = 200, body = wire::Target)), tag = "inventory")]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Sent(ask): Sent<wire::ChangeTarget>,
) -> Result<Json<wire::Target>, Problem> {
    let way = way((ask.via, ask.post_quantum), ask.host_authorities, ask.host_aliases, ask.exceptions)?;
    let about = about((ask.host, ask.port), ask.tier, &ask.tags, ask.host_keys, (ask.platform, way))?;
    Ok(Json(convert::target(app.control.change_target(&caller.op, &target(&name)?, about).await?)))
}

/// Adds an account to a target, or changes it. Sessions of it end where it is now reached in another way.
#[utoipa::path(put, path = "/api/v1/targets/{name}/accounts/{account}", params(("name" = String, Path), ("account" = String, Path)), request_body = wire::PutAccount, responses((status = 200, body = wire::Target)), tag = "inventory")]
pub(crate) async fn put_account(
    State(app): State<App>,
    caller: Caller,
    Path((name, account)): Path<(String, String)>,
    Sent(ask): Sent<wire::PutAccount>,
) -> Result<Json<wire::Target>, Problem> {
    let about = AboutAccount {
        class: class(&ask.class)?,
        owner: ask.owner.map(|owner| word("owner", &owner)).transpose()?,
        certificate: ask.certificate.map(terms).transpose()?,
        through: ask.through.map(through).transpose()?,
    };
    let account = word("account", &account)?;
    Ok(Json(convert::target(app.control.put_account(&caller.op, &target(&name)?, &account, about).await?)))
}

/// Removes a target and its accounts. Sessions on it end.
#[utoipa::path(delete, path = "/api/v1/targets/{name}", params(("name" = String, Path)), responses((status = 204)), tag = "inventory")]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.control.remove_target(&caller.op, &target(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn target(name: &str) -> Result<TargetName, Problem> {
    name.parse().map_err(Problem::usage)
}

/// What a field of the body says, or what is wrong with it.
fn word<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|bad| Problem::usage(bad).of_field(field))
}

fn jump(text: String) -> Result<Jump, Problem> {
    Jump::try_from(text).map_err(|bad| Problem::usage(bad).of_field("via"))
}

fn way(
    (via, post_quantum): (Option<String>, bool),
    host_authorities: Vec<String>,
    host_aliases: Vec<String>,
    exceptions: Option<wire::Exceptions>,
) -> Result<Way, Problem> {
    let made = |new: wire::Exceptions| {
        sallyport_control::exceptions(new.algorithms.into_iter().collect(), &new.reason, &new.until)
    };
    Ok(Way {
        via: via.map(jump).transpose()?,
        host_authorities: host_authorities.iter().map(|line| plain(line)).collect(),
        host_aliases: host_aliases.into_iter().collect(),
        exceptions: exceptions.map(made).transpose().map_err(|error| error.of_field("exceptions"))?,
        post_quantum,
        jumps: Vec::new(),
    })
}

/// A public key without the comment behind it.
fn plain(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn about(
    (host, port): (String, u16),
    tier: u8,
    tags: &[String],
    host_keys: Option<Vec<String>>,
    (platform, way): (Option<String>, Way),
) -> Result<About, Problem> {
    let platform = platform.map(|text| word("platform", &text)).transpose()?;
    let tags = tags.iter().map(|tag| word("tags", tag)).collect::<Result<_, _>>()?;
    if let Some(wrong) = host_keys.iter().flatten().find(|key| convert::host_key(key).fingerprint.is_empty()) {
        let start: String = wrong.chars().take(40).collect();
        return Err(Problem::usage(format!(
            "`{start}` is no host key: give algorithm and base64, as a probe shows them"
        ))
        .of_field("host_keys"));
    }
    let tier = Tier::try_from(tier).map_err(|bad| Problem::usage(bad).of_field("tier"))?;
    Ok(About { host, port, tier, tags, host_keys, platform, way })
}

fn class(word: &str) -> Result<Class, Problem> {
    match word {
        "administrative" => Ok(Class::Administrative),
        "service" => Ok(Class::Service),
        "standard" => Ok(Class::Standard),
        _ => Err(Problem::usage("an account's class is administrative, service or standard").of_field("class")),
    }
}

fn terms(terms: wire::CertificateTerms) -> Result<CertificateTerms, Problem> {
    let wire::CertificateTerms { principal, source_addresses, force_command } = terms;
    let networks = source_addresses.iter().map(|network| word("source_addresses", network));
    let source_addresses = networks.collect::<Result<_, _>>()?;
    Ok(CertificateTerms { principal, source_addresses, force_command, rest: Rest::new() })
}

fn through(through: wire::Through) -> Result<Through, Problem> {
    let by = match through.by.as_str() {
        "su" => By::Su,
        "sudo" => By::Sudo,
        _ => return Err(Problem::usage("an account is become by `su` or by `sudo`").of_field("through")),
    };
    Ok(Through { account: word("through", &through.account)?, by, rest: Rest::new() })
}

/// Whether nothing is to be stored.
const fn only_certificate(new: &wire::NewCredential) -> bool {
    new.certificate && new.password.is_none() && new.private_key.is_none() && !new.generate
}

fn credential(new: wire::NewCredential) -> Result<NewSecret, Problem> {
    match (new.password, new.private_key, new.generate, new.certificate) {
        (Some(password), None, false, false) => Ok(NewSecret::Password(Secret::new(password.into_bytes()))),
        (None, Some(key), false, false) => Ok(NewSecret::SshKey(Secret::new(key.into_bytes()))),
        (None, None, true, false) => Ok(NewSecret::GenerateSshKey),
        _ => Err(Problem::usage(
            "give exactly one of `password`, `private_key`, `generate` or `certificate` as the credential",
        )
        .of_field("credential")),
    }
}
