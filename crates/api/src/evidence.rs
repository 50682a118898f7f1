//! Evidence: recordings, bundles, ledger.

use crate::App;
use crate::auth::Caller;
use crate::problem::{Path, Problem, Query};
use crate::rows::{Index, Rows};
use crate::sessions::session_id;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sallyport_control::{AnchorLine, Wanted};
use sallyport_wire as wire;
use serde::Deserialize;
use utoipa::IntoParams;

/// A recording, opened: `u32` length and bytes of the header, then events in the recording's encoding.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording", params(("id" = String, Path)), responses((status = 200, content_type = "application/vnd.sallyport.recording")), tag = "evidence")]
pub(crate) async fn recording(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let playback = app.control.play(&caller.op, session_id(&id)?).await?;
    let head = playback.header.encode();
    let mut body = Vec::with_capacity(4 + head.len() + playback.events.len());
    body.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(&head);
    body.extend_from_slice(&playback.events);
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.sallyport.recording"),
        (header::HeaderName::from_static("x-recording-ending"), playback.ending),
    ];
    Ok((headers, body).into_response())
}

/// An evidence bundle, for `sallyport verify`.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/bundle", params(("id" = String, Path)), responses((status = 200, content_type = "application/vnd.sallyport.bundle")), tag = "evidence")]
pub(crate) async fn bundle(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let bytes = app.control.bundle(&caller.op, session_id(&id)?).await?;
    Ok(([(header::CONTENT_TYPE, "application/vnd.sallyport.bundle")], bytes).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerQuery {
    /// `next` of an earlier page.
    #[param(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_isize)]
    cursor: Option<Index>,
    /// Only these actions, separated by commas.
    actions: Option<String>,
    /// Only this session.
    session: Option<String>,
    /// Rows, 1 to 1000; 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Rows<1000>,
}

/// Ledger entries, newest first.
#[utoipa::path(get, path = "/api/v1/ledger/entries", params(LedgerQuery), responses((status = 200, body = wire::Page<wire::Entry>)), tag = "evidence")]
pub(crate) async fn ledger(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<wire::Page<wire::Entry>>, Problem> {
    let wanted = Wanted {
        before: query.cursor.map(|Index(index)| index),
        actions: query.actions.map(|a| a.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        session: query.session.as_deref().map(session_id).transpose()?,
        newest_first: true,
        // One more than fits says whether there is another page.
        limit: query.limit.count::<u32>() + 1,
        ..Wanted::default()
    };
    let mut rows = app.control.ledger(&caller.op, &wanted).await?;
    let more = rows.len() > query.limit.count();
    rows.truncate(query.limit.count());
    let next = rows.last().filter(|_| more).map(|row| row.index.to_string());
    let items = rows
        .into_iter()
        .map(|row| wire::Entry {
            index: row.index,
            id: row.entry.id.to_string(),
            at: row.entry.at.to_string(),
            sentence: row.entry.sentence(),
            actor: row.entry.actor,
            action: row.entry.action,
            object: row.entry.object,
            session: row.entry.session.map(|s| s.to_string()),
            facts: row.entry.facts,
        })
        .collect();
    Ok(Json(wire::Page { items, next }))
}

/// The newest checkpoint.
#[utoipa::path(get, path = "/api/v1/ledger/head", responses((status = 200, body = wire::Head)), tag = "evidence")]
pub(crate) async fn head(State(app): State<App>, caller: Caller) -> Result<Json<wire::Head>, Problem> {
    let (note, key) = app.control.checkpoint(&caller.op)?;
    Ok(Json(wire::Head { note, key }))
}

/// One entry as it was hashed, with what proves that it is in the newest checkpoint: for whoever checks it themselves.
#[utoipa::path(get, path = "/api/v1/ledger/{index}/proof", params(("index" = u64, Path, maximum = 9_223_372_036_854_775_807_isize)), responses((status = 200, body = wire::EntryProof)), tag = "evidence")]
pub(crate) async fn proof(
    State(app): State<App>,
    caller: Caller,
    Path(Index(index)): Path<Index>,
) -> Result<Json<wire::EntryProof>, Problem> {
    let found = app.control.entry_proof(&caller.op, index).await?;
    Ok(Json(wire::EntryProof {
        entry: STANDARD.encode(&found.entry),
        index: found.index,
        size: found.size,
        proof: found.proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
        checkpoint: found.checkpoint,
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsistencyQuery {
    /// Entries of the older checkpoint, at least 1.
    #[param(value_type = u64, maximum = 9_223_372_036_854_775_807_isize)]
    from: Index,
    /// Entries of the newer one.
    #[param(value_type = u64, maximum = 9_223_372_036_854_775_807_isize)]
    to: Index,
}

/// What proves that the ledger of `to` entries continues the one of `from`.
#[utoipa::path(get, path = "/api/v1/ledger/consistency", params(ConsistencyQuery), responses((status = 200, body = wire::ConsistencyProof)), tag = "evidence")]
pub(crate) async fn consistency(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ConsistencyQuery>,
) -> Result<Json<wire::ConsistencyProof>, Problem> {
    let proof = app.control.consistency(&caller.op, query.from.0, query.to.0).await?;
    Ok(Json(wire::ConsistencyProof { proof: proof.iter().map(|hash| STANDARD.encode(hash)).collect() }))
}

/// Places outside the database that hold the newest checkpoint.
#[utoipa::path(get, path = "/api/v1/ledger/anchors", responses((status = 200, body = Vec<wire::Anchor>)), tag = "evidence")]
pub(crate) async fn anchors(State(app): State<App>, caller: Caller) -> Result<Json<Vec<wire::Anchor>>, Problem> {
    let line = |anchor: AnchorLine| wire::Anchor {
        name: anchor.name,
        kind: anchor.kind.into(),
        size: anchor.size,
        at: anchor.at.map(|at| at.to_string()),
        max_age_seconds: anchor.policy.max_age.as_secs(),
        freeze: anchor.policy.freeze,
        late: anchor.late,
        problem: anchor.problem,
    };
    Ok(Json(app.control.anchors(&caller.op)?.into_iter().map(line).collect()))
}
