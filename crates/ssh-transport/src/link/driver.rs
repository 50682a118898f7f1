//! The loop of a link: socket to state, state to socket. It waits for nothing but its own socket.

use super::{Bounds, Shared};
use crate::Error;
use bytes::BytesMut;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

/// How much is read at once: at first, and where the socket has much.
const LITTLE: usize = 4 << 10;
const MUCH: usize = 256 << 10;
/// Rounds in one go, after which others have their turn.
const ROUNDS: usize = 16;
/// How long what a peer still sends is read and forgotten once the link is over, and how much of it. Bytes that nobody
/// reads have the kernel reset the connection, and the peer forget the goodbye before it has read it.
const LEAVE: Duration = Duration::from_millis(50);
const FORGOTTEN: usize = 4 << 20;
/// A buffer that is larger than this is given back once it is empty and the peer is quiet.
const KEPT: usize = 16 << 10;

/// Drives a link over its socket.
pub struct Driver<S> {
    stream: S,
    input: BytesMut,
    target: usize,
    shared: Arc<Shared>,
    writing: Vec<u8>,
    written: usize,
    bounds: Bounds,
    timer: Pin<Box<Sleep>>,
    heard: bool,
    unanswered: u32,
    /// Why the link is over, while the peer reads what was said last.
    over: Option<Error>,
    /// Bytes that were read since, and forgotten.
    forgotten: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(stream: S, input: BytesMut, shared: Arc<Shared>, bounds: Bounds) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(look(Instant::now(), bounds.quiet)));
        Self {
            stream,
            input,
            target: LITTLE,
            shared,
            writing: Vec::new(),
            written: 0,
            bounds,
            timer,
            heard: false,
            unanswered: 0,
            over: None,
            forgotten: 0,
        }
    }

    /// Runs until the link is gone; gives why. The socket is closed with the driver.
    pub async fn run(mut self) -> Error {
        let why = poll_fn(|cx| self.poll(cx)).await;
        self.shared.lock().end(&why);
        why
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.over.is_none() {
            let why = ready!(self.poll_on(cx));
            self.shared.lock().end(&why);
            self.timer.as_mut().reset(Instant::now() + LEAVE);
            self.over = Some(why);
        }
        ready!(self.poll_leave(cx));
        Poll::Ready(self.over.take().unwrap_or(Error::Closed))
    }

    /// Moves bytes until the link is over; gives why.
    fn poll_on(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        // What came with the last message before channels began.
        if !self.input.is_empty()
            && let Err(error) = self.take()
        {
            return Poll::Ready(error);
        }
        for _ in 0..ROUNDS {
            let wrote = match self.poll_write(cx) {
                Ok(wrote) => wrote,
                Err(error) => return Poll::Ready(error.into()),
            };
            if self.shared.lock().ended.is_some() {
                return Poll::Ready(Error::Closed);
            }
            let read = match self.poll_read(cx) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(error),
            };
            if let Err(error) = self.poll_timer(cx) {
                return Poll::Ready(error);
            }
            if !wrote && !read {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what is left, the goodbye among it, and lets a peer that is there read it.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let gone = matches!(self.over, None | Some(Error::Io(_) | Error::HungUp | Error::Disconnected(_)));
        if gone || self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Ok(true) = self.poll_write(cx) {}
        if self.written >= self.writing.len() {
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        }
        while self.forgotten < FORGOTTEN {
            self.input.clear();
            self.input.reserve(LITTLE);
            match ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input)) {
                Ok(0) | Err(_) => break,
                Ok(read) => self.forgotten = self.forgotten.saturating_add(read),
            }
        }
        Poll::Ready(())
    }

    /// Whether something was written and there may be more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        if self.written >= self.writing.len() {
            self.writing.clear();
            self.written = 0;
            let mut state = self.shared.lock();
            std::mem::swap(&mut self.writing, state.transport.output());
            state.writing = self.writing.len();
            state.driver = Some(cx.waker().clone());
            if self.writing.is_empty() {
                state.wrote(0);
                return Ok(false);
            }
        }
        let rest = self.writing.get(self.written..).unwrap_or_default();
        match Pin::new(&mut self.stream).poll_write(cx, rest) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(std::io::ErrorKind::WriteZero.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(sent)) => {
                self.written = self.written.saturating_add(sent);
                let left = self.writing.len().saturating_sub(self.written);
                self.shared.lock().wrote(left);
                Ok(true)
            }
        }
    }

    /// Whether something was read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.input.capacity().saturating_sub(self.input.len()) < LITTLE {
            self.input.reserve(self.target);
        }
        let room = self.input.capacity().saturating_sub(self.input.len());
        match poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(Error::HungUp),
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Ready(Ok(read)) => {
                self.target = if read >= room.min(MUCH) {
                    MUCH
                } else if read < LITTLE {
                    LITTLE
                } else {
                    self.target
                };
                self.heard = true;
                self.take()?;
                Ok(true)
            }
        }
    }

    fn take(&mut self) -> Result<(), Error> {
        self.shared.lock().read(&mut self.input)
    }

    /// Gives back what a flood took, once it has ebbed away.
    fn rest(&mut self) {
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = BytesMut::new();
            self.target = LITTLE;
        }
        if self.writing.is_empty() {
            self.writing.shrink_to(KEPT);
        }
        let mut state = self.shared.lock();
        let output = state.transport.output();
        if output.is_empty() {
            output.shrink_to(KEPT);
        }
    }

    /// Asks a quiet peer whether it is there.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(look(Instant::now(), self.bounds.quiet));
            if std::mem::take(&mut self.heard) {
                self.unanswered = 0;
                continue;
            }
            if self.unanswered >= self.bounds.patience {
                return Err(Error::Silent);
            }
            self.unanswered = self.unanswered.saturating_add(1);
            self.rest();
            // The answer is heard as a byte of the peer's; nobody waits for it.
            let _ = self.shared.lock().ask("keepalive@openssh.com", bytes::Bytes::new());
        }
        Ok(())
    }
}

/// When a peer that is quiet from now on is looked at: up to an eighth later, together with others. A thousand idle
/// links would else wake the machine for each question, and for each answer, of theirs alone.
fn look(now: Instant, quiet: Duration) -> Instant {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let due = now + quiet;
    let step = (quiet / 8).as_nanos().max(1);
    let over = due.saturating_duration_since(*BEGAN).as_nanos() % step;
    let later = u64::try_from((step - over) % step).unwrap_or_default();
    due + Duration::from_nanos(later)
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.shared.lock().end(&Error::Closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_peers_are_looked_at_together() {
        let quiet = Duration::from_secs(30);
        let began = Instant::now();
        let mut looks = Vec::new();
        for late in (0..3_000).map(Duration::from_millis) {
            let at = look(began + late, quiet);
            assert!(at >= began + late + quiet, "early");
            assert!(at < began + late + quiet + quiet / 8 + Duration::from_millis(1), "late");
            looks.push(at);
        }
        // Three seconds are less than one step: one moment, or two.
        looks.dedup();
        assert!(looks.len() <= 2, "{looks:?}");
        assert!(look(began, Duration::ZERO) <= began + Duration::from_millis(1));
    }
}
