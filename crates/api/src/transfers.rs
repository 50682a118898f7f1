//! Files of the target of one's own running session: listed, and carried both ways.

use crate::App;
use crate::auth::Caller;
use crate::headers::{SANDBOX, attachment};
use crate::problem::{Path, Problem, Query, Sent};
use crate::sessions::session_id;
use crate::terminal::{let_go, looked, looks};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use sallyport_control::{Download, Op, Prepared, Stage, TransferLine, Upload, Way};
use sallyport_model::errand::{Directory, FilePath, Put, Sort};
use sallyport_model::{Kind, Timestamp};
use sallyport_wire as wire;
use serde::Deserialize;
use std::io;
use std::time::Duration;
use tokio::time::Interval;
use utoipa::IntoParams;

/// Where transfers are carried: what comes there is as long as it is.
pub(crate) const CARRIED: &str = "/api/v1/transfers/";

/// How long the next piece of an upload may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesQuery {
    /// The directory; where the login begins if absent.
    path: Option<String>,
}

fn path(text: &str) -> Result<FilePath, Problem> {
    text.parse().map_err(Problem::usage)
}

/// What lies in a directory of the target, as the session's account sees it.
///
/// The session must be one's own and have a terminal that was opened over the API. Files are governed and recorded like those
/// of `sftp`.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/files", params(("id" = String, Path), FilesQuery), responses((status = 200, body = wire::Directory)), tag = "files")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<FilesQuery>,
) -> Result<Json<wire::Directory>, Problem> {
    let wanted = path(query.path.as_deref().unwrap_or("."))?;
    Ok(Json(directory(app.control.list_files(&caller.op, session_id(&id)?, wanted).await?)))
}

fn directory(found: Directory) -> wire::Directory {
    let Directory { path, entries, cut, no_up, no_down } = found;
    let parent = path.file().ok().and_then(|(parent, _)| FilePath::new(trimmed(parent)).ok());
    let written = |seconds: u32| Timestamp::default().plus(Duration::from_secs(seconds.into())).to_string();
    let entry = |entry: sallyport_model::errand::Entry| {
        Some(wire::DirectoryEntry {
            name: String::from_utf8_lossy(&entry.name).into_owned(),
            path: path.join(&entry.name).ok()?.to_string(),
            kind: entry.sort.word().into(),
            link: entry.link,
            size: entry.size,
            modified: entry.modified.map(written),
        })
    };
    let mut entries: Vec<wire::DirectoryEntry> = entries.into_iter().filter_map(entry).collect();
    let directory = Sort::Directory.word();
    entries.sort_by(|a, b| (a.kind != directory, &a.name, &a.path).cmp(&(b.kind != directory, &b.name, &b.path)));
    let parent = parent.map(|parent| parent.to_string());
    wire::Directory { path: path.to_string(), parent, entries, cut, no_upload: no_up, no_download: no_down }
}

/// Without the slash at its end, which the root alone has.
fn trimmed(path: &[u8]) -> &[u8] {
    match path.strip_suffix(b"/") {
        Some([]) | None => path,
        Some(rest) => rest,
    }
}

/// Makes a directory on the target.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/directories", params(("id" = String, Path)), request_body = wire::NewDirectory, responses((status = 204)), tag = "files")]
pub(crate) async fn make_directory(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Sent(new): Sent<wire::NewDirectory>,
) -> Result<StatusCode, Problem> {
    app.control.make_directory(&caller.op, session_id(&id)?, path(&new.path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Prepares a transfer: policy and target have said yes to it, and the file is open there for some seconds.
///
/// Its `claim` then carries it, once, by a `GET` or a `PUT` of `/api/v1/transfers/{claim}` by the same caller. Until all of
/// an upload has come, it stands under another name beside its place; what does not come whole is removed.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/transfers", params(("id" = String, Path)), request_body = wire::NewTransfer, responses((status = 201, body = wire::PreparedTransfer)), tag = "files")]
pub(crate) async fn prepare(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Sent(new): Sent<wire::NewTransfer>,
) -> Result<(StatusCode, Json<wire::PreparedTransfer>), Problem> {
    let (session, path) = (session_id(&id)?, path(&new.path)?);
    let prepared = match new.way {
        wire::TransferWay::Down if new.size.is_some() || new.replace => {
            return Err(Problem::usage("`size` and `replace` are of files that go up"));
        }
        wire::TransferWay::Down => app.control.prepare_download(&caller.op, session, path).await?,
        wire::TransferWay::Up => {
            let put = Put { path, size: new.size, replace: new.replace };
            app.control.prepare_upload(&caller.op, session, put).await?
        }
    };
    let Prepared { line, claim, expires } = prepared;
    let (transfer, claim) = (transfer(line), claim.expose().clone());
    Ok((StatusCode::CREATED, Json(wire::PreparedTransfer { transfer, claim, expires: expires.to_string() })))
}

fn transfer(line: TransferLine) -> wire::Transfer {
    let (stage, why) = match line.stage {
        Stage::Prepared => ("prepared", None),
        Stage::Running => ("running", None),
        Stage::Done => ("done", None),
        Stage::Failed(why) => ("failed", Some(why)),
        Stage::Cancelled => ("failed", Some("it was cancelled".into())),
    };
    wire::Transfer {
        id: line.id.to_string(),
        way: match line.way {
            Way::Up => wire::TransferWay::Up,
            Way::Down => wire::TransferWay::Down,
        },
        name: name(&line.path),
        path: line.path.to_string(),
        size: line.size,
        crossed: line.crossed,
        stage: stage.into(),
        why,
    }
}

fn name(path: &FilePath) -> String {
    path.file().map(|(_, name)| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()
}

/// The transfers of one's own session: those that are prepared or under way, and for two minutes how the others ended.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/transfers", params(("id" = String, Path)), responses((status = 200, body = Vec<wire::Transfer>)), tag = "files")]
pub(crate) async fn transfers(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<wire::Transfer>>, Problem> {
    let lines = app.control.transfers(&caller.op, session_id(&id)?)?;
    Ok(Json(lines.into_iter().map(transfer).collect()))
}

/// Cancels a transfer of one's own that is prepared or under way.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}/transfers/{transfer}", params(("id" = String, Path), ("transfer" = String, Path)), responses((status = 204)), tag = "files")]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path((id, transfer)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let transfer = transfer.parse().map_err(Problem::usage)?;
    app.control.cancel_transfer(&caller.op, session_id(&id)?, transfer)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Carries a prepared file from its target. An answer that breaks off is not all of it.
#[utoipa::path(get, path = "/api/v1/transfers/{claim}", params(("claim" = String, Path)), responses((status = 200, content_type = "application/octet-stream")), tag = "files")]
pub(crate) async fn download(
    State(app): State<App>,
    caller: Caller,
    Path(claim): Path<String>,
) -> Result<Response, Problem> {
    let download = app.control.begin_download(&caller.op, &claim)?;
    let (size, disposition) = (download.line.size, attachment(&name(&download.line.path)));
    let carried = Carried { download, app, op: caller.op, look: looks() };
    let stream = futures_util::stream::unfold(Some(carried), |carried| async {
        let mut carried = carried?;
        match carried.piece().await {
            Ok(Some(bytes)) => Some((Ok(Bytes::from(bytes)), Some(carried))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut answer = Body::from_stream(stream).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(CONTENT_DISPOSITION, disposition);
    if let Some(size) = size {
        headers.insert(CONTENT_LENGTH, size.into());
    }
    Ok(answer)
}

/// A download that is under way.
struct Carried {
    download: Download,
    app: App,
    op: Op,
    look: Interval,
}

impl Carried {
    /// The next bytes, while their owner may have them.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, io::Error> {
        let Self { download, app, op, look } = self;
        tokio::select! {
            piece = download.next() => piece.map_err(|error| io::Error::other(error.to_string())),
            closed = looked(look, || app.control.may_stay(op)) => Err(io::Error::other(closed.text)),
        }
    }
}

/// Carries a file to the target for which it was prepared: the body is its content.
#[utoipa::path(put, path = "/api/v1/transfers/{claim}", params(("claim" = String, Path)), request_body(content = String, content_type = "application/octet-stream"), responses((status = 200, body = wire::Stored)), tag = "files")]
pub(crate) async fn upload(
    State(app): State<App>,
    caller: Caller,
    Path(claim): Path<String>,
    body: Body,
) -> Result<Json<wire::Stored>, Problem> {
    let Upload { mut sending, mut verdict } = app.control.begin_upload(&caller.op, &claim)?;
    let mut pieces = body.into_data_stream();
    let sent = async {
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else { return };
            if !sending.send(&piece).await {
                // Why is what is heard last.
                std::future::pending::<()>().await;
            }
        }
        sending.whole().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        size = verdict.wait() => Ok(Json(wire::Stored { size: size? })),
        () = sent => Err(Problem::cut(StatusCode::BAD_REQUEST)),
        closed = let_go(|| app.control.may_stay(&caller.op)) => Err(Problem::new(Kind::Denied, closed.text)),
    }
}
