//! Bodies of requests come in time, or not at all.

use crate::transfers::{CARRIED, PATIENCE};
use axum::body::Body;
use axum::extract::Request;
use futures_util::StreamExt as _;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the next piece of a body may take.
const PIECE: Duration = Duration::from_secs(15);
/// How long the whole may take.
const WHOLE: Duration = Duration::from_secs(120);

/// Cuts the body of a client that is too slow: what waits for it gives up.
pub(crate) async fn in_time(request: Request) -> Request {
    if request.uri().path().starts_with(CARRIED) {
        within(request, PATIENCE, None)
    } else {
        within(request, PIECE, Some(WHOLE))
    }
}

/// The same, where the next piece may take so long, and the whole so long, or as long as it takes.
pub(crate) fn within(request: Request, patience: Duration, whole: Option<Duration>) -> Request {
    request.map(|body| {
        let end = whole.map(|whole| Instant::now() + whole);
        let pieces = futures_util::stream::unfold(Some(body.into_data_stream()), move |pieces| async move {
            let mut pieces = pieces?;
            let soon = Instant::now() + patience;
            let next = timeout_at(end.map_or(soon, |end| end.min(soon)), pieces.next()).await;
            match next {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
                Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
                Err(_) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, "the body came too slowly")), None)),
            }
        });
        Body::from_stream(pieces)
    })
}
