//! The meter: how many bytes a leg has read that nobody took yet, and the streams that hold back for it.
//!
//! russh re-opens windows when bytes arrive and not when they are consumed, so its queues have no
//! bound of their own. We own the sockets that it reads, so we hold back there, and not the same
//! way on both legs:
//!
//! - the target's leg is paused above a bound, because what it sends is what fills the queues;
//! - the client's leg is slowed and never paused, because it also carries the window adjustments
//!   that let the target's bytes flow off. Paused both ways, neither could ever go on.

use futures_util::task::AtomicWaker;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Channels that a client may have open at once.
pub(crate) const CHANNELS: usize = 10;
/// Backlog of the client's leg above which it is slowed, in bytes.
pub(crate) const SOFT: i64 = 1 << 20;
/// Backlog of the client's leg above which it is cut: it ignores its windows.
pub(crate) const HARD: i64 = 10 * ((2 << 20) + SOFT) + (16 << 20);
/// Backlog of a target's leg above which it is paused, and below which it goes on.
const PAUSE: i64 = 1 << 20;
const RESUME: i64 = 512 << 10;
/// What a message costs beside its bytes.
const MESSAGE: i64 = 160;
/// What a slowed client's leg may read in one go.
const BURST: usize = 256 << 10;

/// Bytes that one leg has read and nobody took.
pub(crate) struct Meter {
    backlog: AtomicI64,
    read: AtomicWaker,
    write: AtomicWaker,
    cut: AtomicBool,
    over: AtomicBool,
    began: Instant,
    /// Milliseconds after `began` at which the socket last gave bytes.
    heard: AtomicU64,
}

impl Meter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            backlog: AtomicI64::new(0),
            read: AtomicWaker::new(),
            write: AtomicWaker::new(),
            cut: AtomicBool::new(false),
            over: AtomicBool::new(false),
            began: Instant::now(),
            heard: AtomicU64::new(0),
        })
    }

    /// Counts a message of so many bytes; false once there are more than any honest peer can send.
    pub(crate) fn add(&self, bytes: usize) -> bool {
        let cost = cost(bytes);
        let now = self.backlog.fetch_add(cost, Ordering::AcqRel).saturating_add(cost);
        if now > HARD {
            self.over.store(true, Ordering::Release);
        }
        now <= HARD
    }

    /// Takes a message off the count, and lets the socket be read again.
    pub(crate) fn sub(&self, bytes: usize) {
        self.give_back(cost(bytes));
    }

    fn give_back(&self, cost: i64) {
        let before = self.backlog.fetch_sub(cost, Ordering::AcqRel);
        // Waking needs the count to be down already, and no lock is held here.
        if before >= RESUME && before.saturating_sub(cost) < RESUME {
            self.read.wake();
        }
    }

    pub(crate) fn backlog(&self) -> i64 {
        self.backlog.load(Ordering::Acquire)
    }

    /// Whether the peer sent more than its windows allow.
    pub(crate) fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// How long the socket has given no bytes.
    pub(crate) fn silent(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(heard)
    }

    /// The window that the client's leg may be given (RELAYS, rule 4): never 0 and never 1.
    pub(crate) fn window(&self) -> u32 {
        let backlog = self.backlog();
        match backlog {
            b if b < SOFT / 2 => super::config::WINDOW,
            b if b < SOFT => 256 << 10,
            b if b < 2 * SOFT => 32 << 10,
            b if b < 4 * SOFT => 2 << 10,
            _ => 64,
        }
    }

    /// Ends the socket: every read and write fails from now on.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.read.wake();
        self.write.wake();
    }

    fn hear(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
    }

    fn gone(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

fn cost(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 2).saturating_add(MESSAGE)
}

/// Cuts a leg's socket when it is dropped: russh's own tasks end with it.
pub(crate) struct Cut(pub(crate) Arc<Meter>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// One channel's part of a leg's count, so that what it leaves behind can be taken off at once.
pub(crate) struct Share {
    meter: Arc<Meter>,
    own: AtomicI64,
    closed: AtomicBool,
}

impl Share {
    pub(crate) fn new(meter: Arc<Meter>) -> Arc<Self> {
        Arc::new(Self { meter, own: AtomicI64::new(0), closed: AtomicBool::new(false) })
    }

    pub(crate) fn add(&self, bytes: usize) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return true;
        }
        self.own.fetch_add(cost(bytes), Ordering::AcqRel);
        self.meter.add(bytes)
    }

    pub(crate) fn sub(&self, bytes: usize) {
        self.own.fetch_sub(cost(bytes), Ordering::AcqRel);
        self.meter.sub(bytes);
    }

    /// Takes off what is left: nobody will.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.meter.give_back(self.own.swap(0, Ordering::AcqRel));
    }
}

/// The target's socket: not read while the backlog is above its bound.
pub(crate) struct TargetStream<S> {
    inner: S,
    meter: Arc<Meter>,
    paused: bool,
}

impl<S> TargetStream<S> {
    pub(crate) fn new(inner: S, meter: Arc<Meter>) -> Self {
        Self { inner, meter, paused: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TargetStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.meter.gone()?;
        let bound = if this.paused { RESUME } else { PAUSE };
        // INVARIANT: the waker is stored before the backlog is looked at, so that no wake is lost.
        this.meter.read.register(cx.waker());
        this.meter.gone()?;
        this.paused = this.meter.backlog() >= bound;
        if this.paused {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut this.inner).poll_read(cx, out))?;
        this.meter.hear();
        Poll::Ready(Ok(()))
    }
}

/// The client's socket: read ever more slowly above its bound, and never not at all.
pub(crate) struct ClientStream<S> {
    inner: S,
    meter: Arc<Meter>,
    rest: Option<Pin<Box<Sleep>>>,
    burst: usize,
}

impl<S> ClientStream<S> {
    pub(crate) fn new(inner: S, meter: Arc<Meter>) -> Self {
        Self { inner, meter, rest: None, burst: 0 }
    }

    /// Waits out the rest that the backlog asks for, then allows a burst.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.meter.read.register(cx.waker());
        let backlog = self.meter.backlog();
        if backlog < SOFT / 2 || (backlog < SOFT && self.rest.is_none()) {
            (self.rest, self.burst) = (None, 0);
            return Poll::Ready(());
        }
        if self.burst > 0 {
            return Poll::Ready(());
        }
        let wait = match backlog {
            b if b < 2 * SOFT => 10,
            b if b < 4 * SOFT => 50,
            _ => 250,
        };
        let rest = self.rest.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(wait))));
        ready!(rest.as_mut().poll(cx));
        (self.rest, self.burst) = (None, BURST);
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_turn(cx));
        this.meter.gone()?;
        let before = out.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, out) {
            Poll::Ready(done) => {
                this.burst = this.burst.saturating_sub(out.filled().len().saturating_sub(before));
                this.meter.hear();
                Poll::Ready(done)
            }
            Poll::Pending => {
                // The socket is empty, so the burst is over.
                this.burst = 0;
                Poll::Pending
            }
        }
    }
}

macro_rules! writes {
    ($stream:ident) => {
        impl<S: AsyncWrite + Unpin> AsyncWrite for $stream<S> {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                let this = self.get_mut();
                this.meter.write.register(cx.waker());
                this.meter.gone()?;
                Pin::new(&mut this.inner).poll_write(cx, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let this = self.get_mut();
                this.meter.write.register(cx.waker());
                this.meter.gone()?;
                Pin::new(&mut this.inner).poll_flush(cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
            }
        }
    };
}

writes!(TargetStream);
writes!(ClientStream);

#[cfg(test)]
mod tests;
