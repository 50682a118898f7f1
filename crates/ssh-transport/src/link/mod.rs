//! The connection layer (RFC 4254) over a socket: channels, each with queues bounded by windows.
//!
//! A loop, the [`Driver`], moves bytes between the socket and the channels' queues, and never waits for
//! anything but its own socket. Credit is given when bytes are *taken* out of a queue, not when they
//! arrive, so what a peer may have sent and nobody took is bounded, and a channel that sleeps stalls no
//! other. Whoever writes waits for two things of its own sink: the far window, and room before the socket.

mod channel;
mod driver;
mod state;
mod stream;

pub use driver::Driver;
pub use stream::Stream;

use crate::message::Message;
use crate::{Error, Leg};
use bytes::{Buf as _, Bytes};
use channel::{Channel, Phase};
use state::State;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why a channel was not opened (RFC 4254 section 5.1).
pub mod code {
    /// Administratively prohibited.
    pub const PROHIBITED: u32 = 1;
    /// Connect failed.
    pub const CONNECT: u32 = 2;
    /// Unknown kind of channel.
    pub const UNKNOWN: u32 = 3;
    /// Resource shortage.
    pub const SHORTAGE: u32 = 4;
}

/// What a link bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Channels at once, those that are being opened among them.
    pub channels: usize,
    /// How long the peer may be quiet before it is asked whether it is there.
    pub quiet: Duration,
    /// How often it is asked in vain before it counts as gone.
    pub patience: u32,
}

/// The link is gone, or the channel closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the channel is closed")]
pub struct Gone;

/// Why a channel of ours was not opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotOpened {
    /// The peer said no.
    #[error("{text}")]
    Refused {
        /// Of [`code`].
        code: u32,
        /// In the peer's words.
        text: String,
    },
    /// The link is gone.
    #[error("the connection is gone")]
    Gone,
}

/// What the peer begins.
pub enum Arrival {
    /// It wants a channel.
    Open(Opening),
    /// It asks something of the whole connection.
    Global(Global),
}

/// A channel that the peer wants. Dropped, it is refused.
pub struct Opening {
    /// Such as `session`.
    pub kind: String,
    /// What belongs to the kind.
    pub data: Bytes,
    handle: Option<Handle>,
}

impl Opening {
    /// Opens it.
    #[must_use]
    pub fn accept(mut self) -> Option<(Reader, Writer)> {
        let handle = self.handle.take()?;
        let id = handle.id;
        handle.with(|state| {
            if let Some(channel) = state.channel(id) {
                channel.phase = Phase::Open;
                let opened =
                    Message::Opened { channel: channel.far, sender: id, window: channel.window, packet: state::PACKET };
                state.say(&opened);
            }
        });
        Some(handle.split())
    }

    /// Refuses it.
    pub fn refuse(mut self, code: u32, text: &str) {
        self.no(code, text);
    }

    fn no(&mut self, code: u32, text: &str) {
        if let Some(handle) = self.handle.take() {
            handle.refuse(code, text);
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.no(code::PROHIBITED, "not allowed");
    }
}

/// Something that the peer asks of the whole connection. Dropped, it is answered with no.
pub struct Global {
    /// Such as `tcpip-forward`.
    pub name: String,
    /// What belongs to it.
    pub data: Bytes,
    shared: Arc<Shared>,
    place: Option<u64>,
}

impl Global {
    /// Answers yes, with what belongs to the answer. Answers leave in the order of the questions.
    pub fn yes(mut self, data: Bytes) {
        self.answer(Some(data));
    }

    fn answer(&mut self, answer: Option<Bytes>) {
        if let Some(place) = self.place.take() {
            self.shared.lock().answer(place, answer);
        }
    }
}

impl Drop for Global {
    fn drop(&mut self) {
        self.answer(None);
    }
}

pub(crate) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection with channels. Clones are of the same one.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

/// What the peer begins, one after the other.
pub struct Arrivals {
    shared: Arc<Shared>,
}

impl Arrivals {
    /// The next; `None` once the link is gone.
    pub async fn next(&mut self) -> Option<Arrival> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(arrival) = state.arrivals.pop_front() {
                return Poll::Ready(Some(self.shared.arrival(arrival)));
            }
            if state.ended.is_some() {
                return Poll::Ready(None);
            }
            state.arrived = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether the link is gone.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.shared.lock().ended.is_some()
    }
}

impl Shared {
    fn arrival(self: &Arc<Self>, arrival: state::Arrived) -> Arrival {
        match arrival {
            state::Arrived::Open { kind, data, id } => {
                let handle = Some(Handle { shared: self.clone(), id });
                Arrival::Open(Opening { kind, data, handle })
            }
            state::Arrived::Global { name, data, place } => {
                Arrival::Global(Global { name, data, shared: self.clone(), place })
            }
        }
    }
}

impl Link {
    /// Begins channels on a leg whose peer is authenticated. The driver is to be run.
    pub fn start<S: AsyncRead + AsyncWrite + Unpin>(leg: Leg<S>, bounds: Bounds) -> (Self, Arrivals, Driver<S>) {
        let Leg { stream, input, transport } = leg;
        let shared = Arc::new(Shared { state: Mutex::new(State::new(transport, bounds)) });
        let driver = Driver::new(stream, input, shared.clone(), bounds);
        (Self { shared: shared.clone() }, Arrivals { shared }, driver)
    }

    /// Opens a channel; `data` belongs to its kind.
    ///
    /// # Errors
    /// When the peer refuses, or is gone.
    pub async fn open(&self, kind: &str, data: Bytes) -> Result<(Reader, Writer), NotOpened> {
        let id = {
            let mut state = self.shared.lock();
            let id = state.insert(Channel::opening()).ok_or_else(|| NotOpened::Refused {
                code: code::SHORTAGE,
                text: "too many channels are open".into(),
            })?;
            let window = channel::WINDOW;
            state.say(&Message::Open { kind: kind.into(), sender: id, window, packet: state::PACKET, data });
            id
        };
        let handle = Handle { shared: self.shared.clone(), id };
        poll_fn(|cx| handle.poll_opened(cx)).await?;
        Ok(handle.split())
    }

    /// Asks something of the whole connection, and waits for the answer: `None` is no.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn global(&self, name: &str, data: Bytes) -> Result<Option<Bytes>, Gone> {
        let answer = self.shared.lock().ask(name, data)?;
        answer.await.map_err(|_| Gone)
    }

    /// Says a line that belongs to no channel. A client shows it where it wants to; OpenSSH's does with `-v`.
    pub fn remark(&self, line: &str) {
        self.shared.lock().aside(Some(line));
    }

    /// Says nothing, so that a peer which waits for an answer hears that we are there.
    pub fn pulse(&self) {
        self.shared.lock().aside(None);
    }

    /// Says goodbye; what was sent before it goes out first.
    pub fn disconnect(&self, code: u32, text: &str) {
        let mut state = self.shared.lock();
        state.transport.disconnect(code, text);
        state.end(&Error::Closed);
    }

    /// Whether it is gone.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.shared.lock().ended.is_some()
    }

    /// Why it is gone, in words.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.shared.lock().ended.clone()
    }

    /// How the peer broke the protocol, where that is why the link is gone.
    #[must_use]
    pub fn violation(&self) -> Option<String> {
        let state = self.shared.lock();
        state.ended.clone().filter(|_| state.violated)
    }

    /// Bytes that arrived and that nobody took yet, in all channels.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.shared.lock().queued()
    }
}

/// A channel's place in the table. The channel ends with it.
struct Handle {
    shared: Arc<Shared>,
    id: u32,
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared.lock())
    }

    fn poll_opened(&self, cx: &Context<'_>) -> Poll<Result<(), NotOpened>> {
        self.with(|state| {
            let ended = state.ended.is_some();
            let Some(channel) = state.channel(self.id) else { return Poll::Ready(Err(NotOpened::Gone)) };
            match &mut channel.phase {
                Phase::Open => Poll::Ready(Ok(())),
                Phase::Failed(code, text) => {
                    Poll::Ready(Err(NotOpened::Refused { code: *code, text: std::mem::take(text) }))
                }
                Phase::Opening | Phase::Offered if ended => Poll::Ready(Err(NotOpened::Gone)),
                Phase::Opening | Phase::Offered => {
                    channel.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }

    /// Says no to a channel that the peer wants.
    ///
    /// INVARIANT: its number is free once this handle is gone, and not before: the peer's next channel would have it, and lose it
    /// with this handle.
    fn refuse(&self, code: u32, text: &str) {
        self.with(|state| {
            if let Some(channel) = state.channel(self.id) {
                let far = channel.far;
                state.say(&Message::OpenFailed { channel: far, code, text: text.into() });
            }
        });
    }

    fn split(self) -> (Reader, Writer) {
        let handle = Arc::new(self);
        (Reader { handle: handle.clone(), taken: 0 }, Writer { handle })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.with(|state| state.leave(self.id));
    }
}

/// What a peer says in a channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Said {
    /// Bytes.
    Data(Bytes),
    /// Bytes of another stream: 1 is the error output.
    Extended(u32, Bytes),
    /// A request; whether an answer is wanted.
    Request(String, bool, Bytes),
    /// An answer to a request of ours: yes or no. They come in the order of the questions.
    Answer(bool),
    /// No more bytes will come.
    Eof,
    /// It is closed; nothing more comes.
    Close,
}

impl Said {
    fn bytes(&self) -> usize {
        match self {
            Self::Data(data) | Self::Extended(_, data) => data.len(),
            _ => 0,
        }
    }

    /// The bytes of a request or an answer, which no window bounds.
    fn requested(&self) -> Option<usize> {
        match self {
            Self::Request(name, _, data) => Some(name.len().saturating_add(data.len())),
            Self::Answer(_) => Some(0),
            _ => None,
        }
    }
}

/// What comes out of a channel.
pub struct Reader {
    handle: Arc<Handle>,
    /// Bytes that were taken with the last word, and are done with once the next is asked for.
    taken: usize,
}

impl Reader {
    /// The next word. Whoever asks is done with the one before, which gives the peer its credit back.
    pub async fn next(&mut self) -> Said {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Said> {
        let taken = std::mem::take(&mut self.taken);
        let said = ready!(self.handle.with(|state| {
            if taken > 0 {
                state.credit(self.handle.id, taken);
            }
            state.poll_said(self.handle.id, cx)
        }));
        self.taken = said.bytes();
        Poll::Ready(said)
    }
}

/// What goes into a channel. Clones are of the same one.
#[derive(Clone)]
pub struct Writer {
    handle: Arc<Handle>,
}

impl Writer {
    /// Sends bytes; waits for the far window, and for room before the socket.
    ///
    /// # Errors
    /// When the channel is closed.
    pub async fn data(&self, bytes: Bytes) -> Result<(), Gone> {
        self.all(None, bytes).await
    }

    /// The same for another stream.
    ///
    /// # Errors
    /// When the channel is closed.
    pub async fn extended(&self, code: u32, bytes: Bytes) -> Result<(), Gone> {
        self.all(Some(code), bytes).await
    }

    async fn all(&self, code: Option<u32>, mut bytes: Bytes) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let sent = poll_fn(|cx| self.poll_piece(cx, code, &bytes)).await?;
            bytes.advance(sent.min(bytes.len()));
        }
        Ok(())
    }

    fn poll_piece(&self, cx: &Context<'_>, code: Option<u32>, bytes: &[u8]) -> Poll<Result<usize, Gone>> {
        self.handle.with(|state| state.poll_send(self.handle.id, code, bytes, cx))
    }

    fn poll_data(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Gone>> {
        self.poll_piece(cx, None, bytes)
    }

    /// No more bytes follow.
    ///
    /// # Errors
    /// When the channel is closed.
    pub fn eof(&self) -> Result<(), Gone> {
        self.handle.with(|state| state.eof(self.handle.id))
    }

    /// Closes it.
    pub fn close(&self) {
        self.handle.with(|state| state.close(self.handle.id));
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the channel is closed.
    pub fn request(&self, name: &str, reply: bool, data: Bytes) -> Result<(), Gone> {
        let id = self.handle.id;
        self.handle.with(|state| state.tell(id, |channel| Message::Request { channel, name: name.into(), reply, data }))
    }

    /// Answers the oldest request that wants an answer: yes or no.
    ///
    /// # Errors
    /// When the channel is closed.
    pub fn answer(&self, yes: bool) -> Result<(), Gone> {
        let id = self.handle.id;
        self.handle.with(|state| {
            state.tell(id, |channel| if yes { Message::Success { channel } } else { Message::Failure { channel } })
        })
    }

    /// Whether it is closed.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.handle.with(|state| state.ended.is_some() || state.channel(self.handle.id).is_none_or(|c| c.closed()))
    }
}

#[cfg(test)]
mod tests;
