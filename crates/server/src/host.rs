//! What a command on the host asks of the running server: a unix socket in the data directory, and one line each way.

use crate::config::Config;
use sallyport_cli::Fail;
use sallyport_control::{Control, Made, Op};
use sallyport_model::{Handle, Kind};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Longest line, in bytes.
const MOST: u64 = 256 << 10;
/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A question.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Tell the ledger of this backup.
    BackupMade(Made),
    /// Make an enrolment link for this user.
    Link(Handle),
}

/// An answer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The entry with this index says so.
    Told(u64),
    /// The link, and until when it is good.
    Link(String, String),
    /// Why not, and what to do.
    Refused(String, String),
}

fn socket(config: &Config) -> PathBuf {
    config.data.join("run/host.sock")
}

/// Answers those who can open the data directory and run as the same user, or as root. Runs as long as control.
pub(crate) async fn serve(config: &Config, control: Arc<Control>) -> Result<(), Fail> {
    let path = socket(config);
    let cannot = |e: std::io::Error| Fail::failed(format!("cannot make the socket `{}`: {e}", path.display()));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(cannot)?;
    loop {
        let (stream, _) = listener.accept().await.map_err(Fail::failed)?;
        let own = rustix::process::geteuid().as_raw();
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            continue;
        }
        let control = control.clone();
        tokio::spawn(async move {
            if let Ok(Err(error)) = timeout(PATIENCE, answer(stream, &control)).await {
                tracing::warn!(%error, "A command on the host was not answered");
            }
        });
    }
}

async fn answer(mut stream: UnixStream, control: &Control) -> std::io::Result<()> {
    let refused = |error: sallyport_control::Error| Answer::Refused(error.kind().word().to_owned(), error.to_string());
    let answer = match serde_json::from_slice(&line(&mut stream).await?) {
        Ok(Ask::BackupMade(made)) => control.backup_made(&Op::host(), &made).await.map_or_else(refused, Answer::Told),
        Ok(Ask::Link(handle)) => match control.link_on_host(&handle).await {
            Ok(link) => Answer::Link(link.url.expose().clone(), link.expires.to_string()),
            Err(error) => refused(error),
        },
        Err(error) => Answer::Refused(Kind::Usage.word().to_owned(), format!("the server does not know this: {error}")),
    };
    stream.write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes()).await
}

async fn line(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(MOST)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

/// Whether a server runs here.
pub(crate) fn is_running(config: &Config) -> bool {
    std::os::unix::net::UnixStream::connect(socket(config)).is_ok()
}

/// Asks the running server.
pub(crate) async fn ask(config: &Config, ask: &Ask) -> Result<Answer, Fail> {
    let gone = |e: std::io::Error| Fail::new(Kind::Unavailable, format!("the server does not answer: {e}"));
    let asked = timeout(PATIENCE, async {
        let mut stream = UnixStream::connect(socket(config)).await.map_err(gone)?;
        let text = serde_json::to_string(ask).map_err(Fail::failed)?;
        stream.write_all(format!("{text}\n").as_bytes()).await.map_err(gone)?;
        serde_json::from_slice(&line(&mut stream).await.map_err(gone)?).map_err(Fail::failed)
    });
    match asked.await.map_err(|_| Fail::new(Kind::Unavailable, "the server does not answer in time"))?? {
        Answer::Refused(kind, why) => Err(sallyport_cli::Fail::new(Kind::of(&kind), why)),
        other => Ok(other),
    }
}
