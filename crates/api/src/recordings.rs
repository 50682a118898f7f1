//! Recordings as a collection: listed, searched, their marks, and one for terminal players.

use crate::App;
use crate::auth::Caller;
use crate::headers::{SANDBOX, attachment};
use crate::problem::{Path, Problem, Query};
use crate::rows::{Index, Rows};
use crate::sessions::session_id;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sallyport_control::{RecordingLine, RecordingsWanted};
use sallyport_model::Timestamp;
use sallyport_recording::files::Kept;
use sallyport_recording::{cast, transcript};
use sallyport_wire as wire;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordingsQuery {
    /// Of whom.
    handle: Option<String>,
    /// Of which target.
    target: Option<String>,
    /// That ended at this time or later, RFC 3339.
    from: Option<String>,
    /// That ended before, RFC 3339.
    to: Option<String>,
    /// In which this text stands: on the screen, as typed, or in a command. Such a search is an entry of the ledger.
    text: Option<String>,
    /// `next` of an earlier page.
    #[param(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_isize)]
    cursor: Option<Index>,
    /// Rows, 1 to 200; 50 where absent.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Rows<200>,
}

/// Recordings, newest first. A search may give short pages: go on as long as there is a `next`.
#[utoipa::path(get, path = "/api/v1/recordings", params(RecordingsQuery), responses((status = 200, body = wire::Page<wire::Recording>)), tag = "evidence")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<RecordingsQuery>,
) -> Result<Json<wire::Page<wire::Recording>>, Problem> {
    let time = |text: Option<String>| text.map(|text| text.parse::<Timestamp>()).transpose().map_err(Problem::usage);
    let wanted = RecordingsWanted {
        handle: query.handle.map(|handle| handle.parse()).transpose().map_err(Problem::usage)?,
        target: query.target.map(|target| target.parse()).transpose().map_err(Problem::usage)?,
        from: time(query.from)?,
        to: time(query.to)?,
        text: query.text,
        before: query.cursor.map(|Index(index)| index),
        limit: query.limit.count(),
    };
    let page = app.control.recordings(&caller.op, &wanted).await?;
    let next = page.next.map(|next| next.to_string());
    Ok(Json(wire::Page { items: page.lines.into_iter().map(row).collect(), next }))
}

fn row(line: RecordingLine) -> wire::Recording {
    let (account, target) = line.address.rsplit_once('@').unwrap_or(("", &line.address));
    wire::Recording {
        session: line.session.to_string(),
        handle: line.handle.clone(),
        target: target.to_owned(),
        account: account.to_owned(),
        through: Some(line.through.clone()).filter(|through| !through.is_empty()),
        via: line.via.clone(),
        protocol: line.protocol.clone(),
        started: line.started.to_string(),
        ended: line.ended.to_string(),
        seconds: line.ended.since(line.started).as_secs(),
        bytes: line.bytes,
        complete: line.complete,
        hits: line.hits.into_iter().map(|hit| wire::Hit { at_seconds: seconds(hit.at), line: hit.line }).collect(),
    }
}

fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}

/// What happened in a recording, without its output. It is played by that, as the ledger says.
#[utoipa::path(get, path = "/api/v1/recordings/{session}/marks", params(("session" = String, Path)), responses((status = 200, body = Vec<wire::Mark>)), tag = "evidence")]
pub(crate) async fn marks(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
) -> Result<Json<Vec<wire::Mark>>, Problem> {
    let marks = app.control.marks(&caller.op, session_id(&session)?).await?;
    let mark = |mark: sallyport_recording::marks::Mark| wire::Mark {
        at_seconds: seconds(mark.at),
        text: match mark.text.parse().ok().filter(|_| mark.kind == "idle") {
            Some(micros) => format!("for {:.0} s", seconds(micros)),
            None => mark.text.chars().filter(|c| !c.is_control()).collect(),
        },
        kind: mark.kind,
    };
    Ok(Json(marks.into_iter().map(mark).collect()))
}

/// A recording for terminal players, as asciicast v3. It proves nothing: evidence is taken out as a bundle.
#[utoipa::path(get, path = "/api/v1/recordings/{session}/cast", params(("session" = String, Path)), responses((status = 200, content_type = "application/x-asciicast")), tag = "evidence")]
pub(crate) async fn cast(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
) -> Result<Response, Problem> {
    let opened = app.control.open_played(&caller.op, session_id(&session)?).await?;
    let text = cast::export(&opened.facts, opened.events.into_iter().map(Ok), None)
        .map_err(|error| Problem::new(error.kind(), error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/x-asciicast")], text).into_response())
}

/// A recording as plain text, line by line: what was shown, typed and done, with the time of each. It proves nothing either.
#[utoipa::path(get, path = "/api/v1/recordings/{session}/text", params(("session" = String, Path)), responses((status = 200, content_type = "text/plain; charset=utf-8")), tag = "evidence")]
pub(crate) async fn text(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
) -> Result<Response, Problem> {
    let opened = app.control.open_played(&caller.op, session_id(&session)?).await?;
    let text = transcript::export(&opened.facts, &opened.events);
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// The files whose content a recording keeps: those of sessions under `@recording("enhanced")`. It is played by that, as the ledger says.
#[utoipa::path(get, path = "/api/v1/recordings/{session}/files", params(("session" = String, Path)), responses((status = 200, body = Vec<wire::KeptFile>)), tag = "evidence")]
pub(crate) async fn files(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
) -> Result<Json<Vec<wire::KeptFile>>, Problem> {
    let files = app.control.files(&caller.op, session_id(&session)?).await?;
    Ok(Json(files.into_iter().map(kept).collect()))
}

/// What a recording keeps of one file, compared with its hash. That it is taken out is an entry of the ledger.
#[utoipa::path(get, path = "/api/v1/recordings/{session}/files/{file}", params(("session" = String, Path), ("file" = String, Path)), responses((status = 200, content_type = "application/octet-stream")), tag = "evidence")]
pub(crate) async fn file(
    State(app): State<App>,
    caller: Caller,
    Path((session, file)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let place = file.split_once('.').and_then(|(channel, number)| Some((channel.parse().ok()?, number.parse().ok()?)));
    let place = place.ok_or_else(|| Problem::usage("a file is named by two numbers and a dot, such as 1.2"))?;
    let (kept, content) = app.control.file(&caller.op, session_id(&session)?, place).await?;
    let name = kept.file.path.rsplit('/').next().unwrap_or_default();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX)),
        (CONTENT_DISPOSITION, attachment(name)),
    ];
    Ok((headers, content).into_response())
}

fn kept(kept: Kept) -> wire::KeptFile {
    let Kept { at, channel, file } = kept;
    wire::KeptFile {
        id: format!("{channel}.{}", file.number),
        at_seconds: seconds(at),
        way: if file.up { "up" } else { "down" }.into(),
        path: file.path.chars().filter(|c| !c.is_control()).collect(),
        size: file.size,
        kept: file.kept,
        sha256: file.sum.map(|sum| sum.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}
