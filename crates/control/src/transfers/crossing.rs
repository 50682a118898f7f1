//! A transfer that crosses: content between a browser and a target, and how it ended.

use super::{Stage, TransferLine, Transfers};
use crate::Error;
use crate::metrics::Streaming;
use crate::terminal::Terminal;
use sallyport_model::access::Denial;
use sallyport_model::door::{Closed, Hear, Inward, Outward, PIECE, Speak};
use sallyport_model::errand::Told;
use sallyport_model::{Env, Kind, TransferId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// A transfer that crosses: ended when it goes, however that came about.
pub(super) struct Crossing {
    pub(super) transfers: Transfers,
    pub(super) env: Env,
    pub(super) id: TransferId,
    pub(super) crossed: Arc<AtomicU64>,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Crossing {
    fn end(&self, stage: Stage) {
        self.transfers.end(self.id, stage, self.env.now());
    }

    fn count(&self, bytes: usize) {
        count(&self.crossed, bytes);
    }

    fn failed(&self, error: Error) -> Error {
        self.end(Stage::Failed(error.to_string()));
        error
    }

    /// What the last word means, where it was no content.
    fn last(&self, heard: Option<Outward>) -> Result<u64, Error> {
        match heard {
            Some(Outward::Told(Told::Whole(bytes))) => {
                self.end(Stage::Done);
                Ok(bytes)
            }
            other => Err(self.failed(refusal(other))),
        }
    }

    /// Resolves once somebody has cancelled it, which is its end.
    async fn stop(&mut self) -> Error {
        if self.stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.end(Stage::Cancelled);
        Denial::new(Kind::Conflict, "it was cancelled").into()
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        self.end(Stage::Failed("the line to the browser broke, or it gave up".into()));
    }
}

fn count(crossed: &AtomicU64, bytes: usize) {
    crossed.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
}

/// Why an errand came to nothing.
pub(super) fn refusal(heard: Option<Outward>) -> Error {
    match heard {
        Some(Outward::Closed(closed)) => {
            let Closed { text, .. } = &closed;
            Denial::new(closed.kind(), text.as_str()).into()
        }
        Some(_) => Error::failed("the gateway answered what was not asked"),
        None => Denial::new(Kind::Unavailable, "the session has ended, or its gateway is gone").into(),
    }
}

/// A file on its way to a browser.
pub struct Download {
    /// What it is.
    pub line: TransferLine,
    crossing: Crossing,
    door: Terminal,
    over: bool,
}

impl Download {
    pub(super) const fn new(line: TransferLine, crossing: Crossing, door: Terminal) -> Self {
        Self { line, crossing, door, over: false }
    }

    /// The next bytes; `None` once all of it has come. What ends with an error is not all of it. Where its size is known, the
    /// last bytes are given when it is sure that they are the last.
    ///
    /// # Errors
    /// When the rest does not come.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.over {
            return Ok(None);
        }
        let heard = self.hear().await?;
        let Some(Outward::Bytes(bytes)) = heard else { return self.crossing.last(heard).map(|_| None) };
        self.crossing.count(bytes.len());
        if self.line.size == Some(self.crossing.crossed.load(Ordering::Relaxed)) {
            let last = self.hear().await?;
            self.crossing.last(last)?;
            self.over = true;
        }
        Ok(Some(bytes))
    }

    async fn hear(&mut self) -> Result<Option<Outward>, Error> {
        tokio::select! {
            heard = self.door.hear.hear() => Ok(heard),
            stopped = self.crossing.stop() => Err(stopped),
        }
    }
}

/// A file on its way to a target: what is sent, and what came of it. Whatever ends it early leaves nothing of it there.
pub struct Upload {
    /// The way to the target.
    pub sending: Sending,
    /// What came of it.
    pub verdict: Verdict,
}

impl Upload {
    pub(super) fn new(crossing: Crossing, Terminal { speak, hear, streaming }: Terminal) -> Self {
        let sending = Sending { speak, crossed: crossing.crossed.clone() };
        Self { sending, verdict: Verdict { crossing, hear, _streaming: streaming } }
    }
}

/// The way of a file to its target.
pub struct Sending {
    speak: Box<dyn Speak>,
    crossed: Arc<AtomicU64>,
}

impl Sending {
    /// Sends the next bytes, at the target's pace; false where it takes no more, which the verdict says why.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        for piece in bytes.chunks(PIECE) {
            if !self.speak.pass(piece).await {
                return false;
            }
            count(&self.crossed, piece.len());
        }
        true
    }

    /// Says that all of it was sent.
    pub async fn whole(&mut self) {
        self.speak.say(Inward::Whole).await;
    }
}

/// What comes of a file that is sent to a target.
pub struct Verdict {
    crossing: Crossing,
    hear: Box<dyn Hear>,
    _streaming: Streaming,
}

impl Verdict {
    /// How many bytes are in place at the target. To be waited for while they are sent.
    ///
    /// # Errors
    /// When it did not all come, or is not all there.
    pub async fn wait(&mut self) -> Result<u64, Error> {
        tokio::select! {
            heard = self.hear.hear() => self.crossing.last(heard),
            stopped = self.crossing.stop() => Err(stopped),
        }
    }
}
