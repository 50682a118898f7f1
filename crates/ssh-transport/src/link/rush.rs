//! A rush: a peer that writes much in small pieces. Taken one by one each would cost more than its bytes.
//!
//! Servers write what a terminal shows as it comes, in pieces of at most 4 KiB. While they do so without a pause, and are told
//! nothing in between, a link lets the pieces gather in the socket for a moment. Whoever waits for an answer is not in a rush:
//! what is asked is written, and what is written ends it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// So many pieces in a row, each so soon behind the last one, are a rush.
const PIECES: u32 = 64;
const SOON: Duration = Duration::from_millis(2);
/// Smaller pieces are typed, or told, and not part of it.
const PIECE: usize = 1 << 10;
/// How long pieces gather: the shortest that a timer can be.
const GATHER: Duration = Duration::from_millis(1);
/// Less than this gathered is the end of it.
const ENOUGH: usize = 16 << 10;
/// The longest write that says nothing to a program: more room for a channel, sealed.
const ROOM: usize = 48;

/// What is known of the pieces that came last.
#[derive(Default)]
pub(super) struct Rush {
    pieces: u32,
    last: Option<Instant>,
    gathers: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Rush {
    /// Whether pieces gather now; the context is woken when they have.
    pub(super) fn poll_gathers(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(timer) = self.gathers.as_mut().filter(|_| self.waits) {
            self.waits = timer.as_mut().poll(cx).is_pending();
        }
        self.waits
    }

    /// So much was read; `all` where nothing is left to be read.
    pub(super) fn read(&mut self, bytes: usize, all: bool, now: Instant) {
        let soon = self.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) < SOON);
        if !all {
            return;
        }
        let goes_on = if self.pieces >= PIECES { bytes >= ENOUGH } else { bytes >= PIECE };
        self.pieces = if soon && goes_on { self.pieces.saturating_add(1) } else { 0 };
        if self.pieces >= PIECES {
            let until = now + GATHER;
            self.gathers.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until))).as_mut().reset(until);
            self.waits = true;
        }
    }

    /// So much was written to the peer.
    pub(super) fn wrote(&mut self, bytes: usize) {
        if bytes > ROOM {
            self.pieces = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    async fn gathers(rush: &mut Rush) -> bool {
        poll_fn(|cx| Poll::Ready(rush.poll_gathers(cx))).await
    }

    /// Pieces of so many bytes, so far apart; when the last one came.
    async fn pieces(rush: &mut Rush, bytes: usize, apart: Duration) -> Instant {
        let mut now = Instant::now();
        for _ in 0..PIECES {
            rush.read(bytes, true, now);
            assert!(!gathers(rush).await);
            now += apart;
        }
        now
    }

    #[tokio::test]
    async fn pieces_gather_for_a_moment_once_they_come_without_a_pause() {
        let mut rush = Rush::default();
        let now = pieces(&mut rush, 4 << 10, SOON / 4).await;
        rush.read(4 << 10, true, now);
        assert!(rush.waits);
        poll_fn(|cx| if rush.poll_gathers(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        rush.read(ENOUGH, true, now + SOON / 2);
        assert!(rush.waits, "it goes on");
        poll_fn(|cx| if rush.poll_gathers(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        rush.read(ENOUGH - 1, true, now + SOON / 2);
        assert!(!gathers(&mut rush).await, "too little gathered: it is over");
    }

    #[tokio::test]
    async fn who_is_told_something_or_pauses_or_types_is_in_no_rush() {
        let mut asks = Rush::default();
        let now = pieces(&mut asks, 4 << 10, SOON / 4).await;
        asks.wrote(ROOM + 1);
        asks.read(4 << 10, true, now);
        assert!(!gathers(&mut asks).await, "what comes is an answer");
        let (mut pauses, mut types) = (Rush::default(), Rush::default());
        for _ in 0..4 {
            pieces(&mut pauses, 4 << 10, SOON).await;
            pieces(&mut types, PIECE - 1, SOON / 4).await;
        }
    }
}
