//! A link's state: the table of channels, what they wait for, and what each message does to it.

use super::channel::{Channel, Phase, WINDOW, Word};
use super::{Bounds, Gone, Said, code};
use crate::message::{self, Message};
use crate::wire::Put as _;
use crate::{Error, Transport};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// What it grows to where its bytes are taken quickly. Larger ones gain nothing.
const LARGEST: u32 = 2 << 20;
/// What the windows of a link's channels may come to beyond their first size.
const GROWTH: usize = 32 << 20;
/// Longest piece of data in one message.
pub(super) const PACKET: u32 = 32 << 10;
/// Bytes before the socket above which writers wait, and below which they go on.
const HIGH: usize = 256 << 10;
const LOW: usize = 64 << 10;
/// Bytes before the socket that messages alone may come to which no writer waited for.
const FLOOD: usize = 4 << 20;
/// Requests that wait in a channel, and their bytes.
const REQUESTS: usize = 128;
const REQUESTED: usize = 256 << 10;
/// Questions about the whole connection that wait for their answers.
const QUESTIONS: usize = 64;

/// What the peer began, until somebody asks for it.
pub(super) enum Arrived {
    Open { kind: String, data: Bytes, id: u32 },
    Global { name: String, data: Bytes, place: Option<u64> },
}

/// Everything of a link but its socket.
pub(super) struct State {
    pub(super) transport: Transport,
    bounds: Bounds,
    channels: Vec<Option<Channel>>,
    open: usize,
    grown: usize,
    pub(super) arrivals: VecDeque<Arrived>,
    pub(super) arrived: Option<Waker>,
    /// Their questions' answers, oldest first, and the place of the oldest.
    answers: VecDeque<Option<Option<Bytes>>>,
    oldest: u64,
    /// Our questions.
    asked: VecDeque<oneshot::Sender<Option<Bytes>>>,
    pub(super) driver: Option<Waker>,
    /// What the driver has taken out of the transport and not yet written.
    pub(super) writing: usize,
    room: Vec<Waker>,
    /// Why the link is gone, and whether the peer broke the protocol.
    pub(super) ended: Option<String>,
    pub(super) violated: bool,
}

impl State {
    pub(super) fn new(transport: Transport, bounds: Bounds) -> Self {
        Self {
            transport,
            bounds,
            channels: Vec::new(),
            open: 0,
            grown: 0,
            arrivals: VecDeque::new(),
            arrived: None,
            answers: VecDeque::new(),
            oldest: 0,
            asked: VecDeque::new(),
            driver: None,
            writing: 0,
            room: Vec::new(),
            ended: None,
            violated: false,
        }
    }

    pub(super) fn channel(&mut self, id: u32) -> Option<&mut Channel> {
        self.channels.get_mut(usize::try_from(id).ok()?)?.as_mut()
    }

    pub(super) fn insert(&mut self, channel: Channel) -> Option<u32> {
        if self.open >= self.bounds.channels || self.ended.is_some() {
            return None;
        }
        let free = self.channels.iter().position(Option::is_none).unwrap_or(self.channels.len());
        match self.channels.get_mut(free) {
            Some(slot) => *slot = Some(channel),
            None => self.channels.push(Some(channel)),
        }
        self.open = self.open.saturating_add(1);
        u32::try_from(free).ok()
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Channel> {
        let channel = self.channels.get_mut(usize::try_from(id).ok()?)?.take()?;
        self.open = self.open.saturating_sub(1);
        self.grown = self.grown.saturating_sub(size(channel.size.saturating_sub(WINDOW)));
        if self.open == 0 {
            self.channels = Vec::new();
        }
        Some(channel)
    }

    pub(super) fn queued(&self) -> usize {
        self.channels.iter().flatten().map(|channel| channel.queued).sum()
    }

    /// Ends the link: everybody who waits is told.
    pub(super) fn end(&mut self, why: &Error) {
        if self.ended.is_none() {
            self.ended = Some(why.to_string());
            self.violated = why.violation();
        }
        self.channels.iter_mut().flatten().for_each(Channel::wake);
        self.asked.clear();
        self.room.drain(..).chain(self.arrived.take()).chain(self.driver.take()).for_each(Waker::wake);
    }

    /// Sends a message that means nothing to the connection: a line to be shown, or none (RFC 4253 sections 11.2 and 11.3).
    pub(super) fn aside(&mut self, line: Option<&str>) {
        self.put(|out| match line {
            Some(line) => {
                out.byte(message::DEBUG);
                out.boolean(true);
                out.string(line.as_bytes());
                out.string(b"");
            }
            None => {
                out.byte(message::IGNORE);
                out.string(b"");
            }
        });
    }

    /// Sends a message that no writer waits for. A peer that makes us say more than it reads is cut off.
    pub(super) fn say(&mut self, message: &Message) {
        self.put(|out| message.write(out));
    }

    fn put(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.ended.is_some() {
            return;
        }
        let sent = self.transport.send(fill);
        let over = self.backlog() > FLOOD;
        if let Err(error) = sent {
            self.end(&error);
        } else if over {
            self.end(&Error::Overrun("it does not read the answers it makes"));
        }
        self.driver.take().into_iter().for_each(Waker::wake);
    }

    fn backlog(&self) -> usize {
        self.transport.backlog().saturating_add(self.writing)
    }

    /// The driver has written: whoever waits for room may have it.
    pub(super) fn wrote(&mut self, left: usize) {
        self.writing = left;
        if !self.room.is_empty() && self.backlog() < LOW {
            self.room.drain(..).for_each(Waker::wake);
        }
    }

    /// Sends a message in a channel that is open.
    pub(super) fn tell(&mut self, id: u32, message: impl FnOnce(u32) -> Message) -> Result<(), Gone> {
        let far = self.channel(id).filter(|channel| !channel.close_sent).map(|channel| channel.far).ok_or(Gone)?;
        self.say(&message(far));
        if self.ended.is_some() { Err(Gone) } else { Ok(()) }
    }

    pub(super) fn eof(&mut self, id: u32) -> Result<(), Gone> {
        let channel = self.channel(id).ok_or(Gone)?;
        if std::mem::replace(&mut channel.eof_sent, true) {
            return Ok(());
        }
        self.tell(id, |channel| Message::Eof { channel })
    }

    pub(super) fn close(&mut self, id: u32) {
        let Some(channel) = self.channel(id) else { return };
        if matches!(channel.phase, Phase::Open) && !std::mem::replace(&mut channel.close_sent, true) {
            channel.wake();
            let far = channel.far;
            self.say(&Message::Close { channel: far });
        }
    }

    /// Nobody holds the channel any more. Its number is free once both sides have closed it.
    pub(super) fn leave(&mut self, id: u32) {
        self.close(id);
        let Some(channel) = self.channel(id) else { return };
        channel.left = true;
        channel.words.clear();
        channel.queued = 0;
        let over = match channel.phase {
            Phase::Open => channel.close_came,
            Phase::Failed(..) | Phase::Offered => true,
            Phase::Opening => false,
        };
        if over || self.ended.is_some() {
            self.remove(id);
        }
    }

    pub(super) fn poll_said(&mut self, id: u32, cx: &Context<'_>) -> Poll<Said> {
        let ended = self.ended.is_some();
        let Some(channel) = self.channel(id) else { return Poll::Ready(Said::Close) };
        match channel.words.pop_front() {
            Some(Word::Said(said)) => {
                if let Some(bytes) = said.requested() {
                    channel.requests = channel.requests.saturating_sub(1);
                    channel.requested = channel.requested.saturating_sub(bytes);
                }
                Poll::Ready(said)
            }
            Some(Word::Gathered(data)) => Poll::Ready(Said::Data(data.into())),
            None if ended || channel.close_came => Poll::Ready(Said::Close),
            None => {
                channel.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Sends as much as the far window and one message take.
    pub(super) fn poll_send(
        &mut self,
        id: u32,
        code: Option<u32>,
        bytes: &[u8],
        cx: &Context<'_>,
    ) -> Poll<Result<usize, Gone>> {
        if self.ended.is_some() {
            return Poll::Ready(Err(Gone));
        }
        let full = self.backlog() >= HIGH;
        let Some(channel) = self.channel(id).filter(|channel| !channel.closed() && !channel.eof_sent) else {
            return Poll::Ready(Err(Gone));
        };
        let most = size(channel.far_window.min(channel.far_packet).min(PACKET)).min(bytes.len());
        if most == 0 {
            wait(&mut channel.writers, cx);
            return Poll::Pending;
        }
        if full {
            wait(&mut self.room, cx);
            return Poll::Pending;
        }
        channel.far_window = channel.far_window.saturating_sub(u32::try_from(most).unwrap_or(u32::MAX));
        let (far, data) = (channel.far, bytes.get(..most).unwrap_or_default());
        self.put(|out| message::write_data(out, far, code, data));
        Poll::Ready(Ok(most))
    }

    /// Bytes of a channel are done with: the peer may send as many again, once it is worth a message.
    pub(super) fn credit(&mut self, id: u32, bytes: usize) {
        let grown = self.grown;
        let Some(channel) = self.channel(id) else { return };
        channel.queued = channel.queued.saturating_sub(bytes);
        let used = channel.size.saturating_sub(channel.window).saturating_sub(number(channel.queued));
        if used < channel.size / 2 || channel.close_came {
            return;
        }
        // Half a window was taken since the last time: with a far peer, a larger one would be faster.
        let more = if channel.size < LARGEST { channel.size } else { 0 };
        let more = if grown.saturating_add(size(more)) <= GROWTH { more } else { 0 };
        channel.size = channel.size.saturating_add(more);
        let adjust = used.saturating_add(more);
        channel.window = channel.window.saturating_add(adjust);
        self.grown = grown.saturating_add(size(more));
        let _ = self.tell(id, |channel| Message::Adjust { channel, bytes: adjust });
    }

    /// Asks the peer something about the whole connection.
    pub(super) fn ask(&mut self, name: &str, data: Bytes) -> Result<oneshot::Receiver<Option<Bytes>>, Gone> {
        let (answer, answered) = oneshot::channel();
        if self.ended.is_some() || self.asked.len() >= QUESTIONS {
            return Err(Gone);
        }
        self.asked.push_back(answer);
        self.say(&Message::Global { name: name.into(), reply: true, data });
        Ok(answered)
    }

    /// Answers one of their questions, once those before it are answered.
    pub(super) fn answer(&mut self, place: u64, answer: Option<Bytes>) {
        let at = usize::try_from(place.saturating_sub(self.oldest)).unwrap_or(usize::MAX);
        if let Some(slot) = self.answers.get_mut(at) {
            *slot = Some(answer);
        }
        while let Some(Some(_)) = self.answers.front() {
            let answer = self.answers.pop_front().flatten().flatten();
            self.oldest = self.oldest.saturating_add(1);
            self.say(&answer.map_or(Message::GlobalFailure, Message::GlobalSuccess));
        }
    }

    /// Takes all messages out of what was read.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<(), Error> {
        while let Some(payload) = self.transport.next(input)? {
            if let Some(message) = message::read(&payload)? {
                self.take(message)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Global { name, reply, data } => self.global(name, reply, data),
            Message::GlobalSuccess(data) => self.answered(Some(data)),
            Message::GlobalFailure => self.answered(None),
            Message::Open { kind, sender, window, packet, data } => {
                let channel = Channel {
                    phase: Phase::Offered,
                    far: sender,
                    far_window: window,
                    far_packet: packet,
                    ..Channel::opening()
                };
                match self.insert(channel) {
                    Some(id) => self.arrive(Arrived::Open { kind, data, id }),
                    None => {
                        let text = "too many channels are open".into();
                        self.say(&Message::OpenFailed { channel: sender, code: code::SHORTAGE, text });
                    }
                }
                Ok(())
            }
            Message::Opened { channel: id, sender, window, packet } => self.opened(id, sender, window, packet),
            Message::OpenFailed { channel: id, code, text } => {
                let channel = self.known(id)?;
                if !matches!(channel.phase, Phase::Opening) {
                    return Err(Error::OutOfTurn(92));
                }
                let text = text.chars().filter(|c| !c.is_control()).take(256).collect();
                channel.phase = Phase::Failed(code, text);
                channel.wake();
                if channel.left {
                    self.remove(id);
                }
                Ok(())
            }
            other => self.spoken(other),
        }
    }

    fn global(&mut self, name: String, reply: bool, data: Bytes) -> Result<(), Error> {
        let waiting = self.arrivals.len().max(self.answers.len());
        if waiting >= QUESTIONS.max(self.bounds.channels) {
            return Err(Error::Overrun("too many requests wait for their answers"));
        }
        let place = reply.then(|| self.oldest.saturating_add(u64::try_from(self.answers.len()).unwrap_or(u64::MAX)));
        if reply {
            self.answers.push_back(None);
        }
        // Whether we are there, OpenSSH asks by a request that nobody needs to know.
        match place {
            Some(place) if name == "keepalive@openssh.com" => self.answer(place, None),
            _ => self.arrive(Arrived::Global { name, data, place }),
        }
        Ok(())
    }

    fn answered(&mut self, answer: Option<Bytes>) -> Result<(), Error> {
        let asked = self.asked.pop_front().ok_or(Error::OutOfTurn(81))?;
        let _ = asked.send(answer);
        Ok(())
    }

    fn arrive(&mut self, arrived: Arrived) {
        self.arrivals.push_back(arrived);
        self.arrived.take().into_iter().for_each(Waker::wake);
    }

    fn opened(&mut self, id: u32, far: u32, window: u32, packet: u32) -> Result<(), Error> {
        let channel = self.known(id)?;
        if !matches!(channel.phase, Phase::Opening) {
            return Err(Error::OutOfTurn(91));
        }
        (channel.far, channel.far_window, channel.far_packet) = (far, window, packet);
        channel.phase = Phase::Open;
        channel.wake();
        // Whoever wanted it has gone away meanwhile.
        if channel.left {
            self.close(id);
        }
        Ok(())
    }

    /// A channel that the peer may speak of.
    fn known(&mut self, id: u32) -> Result<&mut Channel, Error> {
        self.channel(id).filter(|channel| !channel.close_came).ok_or(Error::Overrun("a message for no channel"))
    }

    /// What is said in an open channel.
    fn spoken(&mut self, message: Message) -> Result<(), Error> {
        let (Message::Adjust { channel: id, .. }
        | Message::Data { channel: id, .. }
        | Message::Extended { channel: id, .. }
        | Message::Eof { channel: id }
        | Message::Close { channel: id }
        | Message::Request { channel: id, .. }
        | Message::Success { channel: id }
        | Message::Failure { channel: id }) = message
        else {
            return Ok(());
        };
        let channel = self.known(id)?;
        if !matches!(channel.phase, Phase::Open) {
            return Err(Error::Overrun("a message for a channel that is not open"));
        }
        match message {
            Message::Adjust { bytes, .. } => {
                let window = channel.far_window.checked_add(bytes);
                channel.far_window = window.ok_or(Error::Overrun("a window that overflows"))?;
                channel.writers.drain(..).for_each(Waker::wake);
            }
            Message::Data { data, .. } => return self.data(id, data, None),
            Message::Extended { code, data, .. } => return self.data(id, data, Some(code)),
            Message::Eof { .. } => channel.push_eof(),
            Message::Close { .. } => {
                channel.close_came = true;
                channel.wake();
                let (answered, left) = (channel.close_sent, channel.left);
                if left {
                    if !answered {
                        self.close(id);
                    }
                    self.remove(id);
                }
            }
            Message::Request { name, reply, data, .. } => return self.request(id, Said::Request(name, reply, data)),
            Message::Success { .. } => return self.request(id, Said::Answer(true)),
            Message::Failure { .. } => return self.request(id, Said::Answer(false)),
            _ => {}
        }
        Ok(())
    }

    fn request(&mut self, id: u32, said: Said) -> Result<(), Error> {
        let channel = self.known(id)?;
        if channel.left {
            return Ok(());
        }
        channel.requests = channel.requests.saturating_add(1);
        channel.requested = channel.requested.saturating_add(said.requested().unwrap_or_default());
        if channel.requests > REQUESTS || channel.requested > REQUESTED {
            return Err(Error::Overrun("too many requests in a channel"));
        }
        channel.push(said);
        Ok(())
    }

    fn data(&mut self, id: u32, data: Bytes, code: Option<u32>) -> Result<(), Error> {
        let channel = self.known(id)?;
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if length > PACKET {
            return Err(Error::Overrun("a longer piece of data than it was allowed"));
        }
        channel.window = channel.window.checked_sub(length).ok_or(Error::Overrun("more data than its window"))?;
        if channel.left || data.is_empty() {
            return Ok(());
        }
        channel.queued = channel.queued.saturating_add(data.len());
        match code {
            None => channel.push_data(data),
            Some(code) => channel.push(Said::Extended(code, data)),
        }
        Ok(())
    }
}

/// Has a task woken, once however often it asks meanwhile.
fn wait(waiting: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
