//! One channel of a link: its windows, and the words that wait in it.

use super::Said;
use bytes::Bytes;
use std::collections::VecDeque;
use std::task::Waker;

/// A channel's window at first, in bytes.
pub(super) const WINDOW: u32 = 256 << 10;
/// Bytes below which a piece of data is gathered with its neighbours: a terminal's come in 4 KiB.
const SMALL: usize = 8 << 10;
const GATHERED: usize = 32 << 10;

/// How far a channel's opening has come.
pub(super) enum Phase {
    /// The peer wants it.
    Offered,
    /// We want it.
    Opening,
    Open,
    Failed(u32, String),
}

/// Words in a queue. Small pieces of data are gathered: each alone would cost more than its bytes, and
/// keep the whole chunk of memory alive that it was read into.
pub(super) enum Word {
    Said(Said),
    Gathered(Vec<u8>),
}

/// One channel.
pub(super) struct Channel {
    pub(super) phase: Phase,
    /// The peer's number, window and longest piece.
    pub(super) far: u32,
    pub(super) far_window: u32,
    pub(super) far_packet: u32,
    /// What the peer may still send.
    pub(super) window: u32,
    /// What `window` is filled up to.
    pub(super) size: u32,
    pub(super) words: VecDeque<Word>,
    /// Bytes in `words`, and those taken and not yet done with.
    pub(super) queued: usize,
    /// Requests in `words`, and their bytes.
    pub(super) requests: usize,
    pub(super) requested: usize,
    pub(super) reader: Option<Waker>,
    pub(super) writers: Vec<Waker>,
    pub(super) eof_sent: bool,
    pub(super) eof_came: bool,
    pub(super) close_sent: bool,
    pub(super) close_came: bool,
    /// Nobody holds it any more.
    pub(super) left: bool,
}

impl Channel {
    pub(super) fn opening() -> Self {
        Self {
            phase: Phase::Opening,
            far: 0,
            far_window: 0,
            far_packet: 0,
            window: WINDOW,
            size: WINDOW,
            words: VecDeque::new(),
            queued: 0,
            requests: 0,
            requested: 0,
            reader: None,
            writers: Vec::new(),
            eof_sent: false,
            eof_came: false,
            close_sent: false,
            close_came: false,
            left: false,
        }
    }

    pub(super) const fn closed(&self) -> bool {
        self.close_sent || self.close_came
    }

    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writers.drain(..)).for_each(Waker::wake);
    }

    pub(super) fn push(&mut self, said: Said) {
        self.words.push_back(Word::Said(said));
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    /// The end of its data, once; nobody waits for it where nobody holds the channel.
    pub(super) fn push_eof(&mut self) {
        if !std::mem::replace(&mut self.eof_came, true) && !self.left {
            self.push(Said::Eof);
        }
    }

    pub(super) fn push_data(&mut self, data: Bytes) {
        if data.len() >= SMALL {
            self.push(Said::Data(data));
            return;
        }
        match self.words.back_mut() {
            Some(Word::Gathered(gathered)) if gathered.len().saturating_add(data.len()) <= GATHERED => {
                gathered.extend_from_slice(&data)
            }
            _ => self.words.push_back(Word::Gathered(data.to_vec())),
        }
        self.reader.take().into_iter().for_each(Waker::wake);
    }
}
