//! Files of one channel, between its two pumps: what the decoders let through is queued for each side.
//!
//! Each queue has one pump that empties it, which takes no more from its own side before that: so credit is
//! given for what has gone on, and the order that the decoders gave is the order that each side sees. Nothing is queued
//! before what is to be recorded of it is.

use crate::files::scp::{self, Scp};
use crate::files::sftp::{self, Sftp};
use crate::files::{Event, Fault, Flow, Gate};
use crate::start::{Program, Started};
use bytes::Bytes;
use sallyport_gateway::observe::WhatRef;
use sallyport_gateway::observe::tap::Stop;
use sallyport_gateway::spine::Live;
use sallyport_model::access::{Channel, Terms};
use sallyport_statements::shell::{self, Memory, Simple, Word};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Turn, Notify};

/// Answers of the gateway's own that may wait for a side that does not read, in bytes: then nothing more is taken from
/// the other.
const WAITING: usize = 256 << 10;

/// The files of one channel.
pub(super) struct Watched {
    gate: Gate,
    state: Mutex<State>,
    client: Notify,
    target: Notify,
    /// A queue has become shorter.
    room: Notify,
    /// One at a time is read, recorded and queued: the order in which both sides were read is that of what they are sent.
    turn: Turn<()>,
}

struct State {
    /// Gone once the channel has ended.
    decoder: Option<Decoder>,
    to_client: VecDeque<Bytes>,
    to_target: VecDeque<Bytes>,
}

impl State {
    /// Bytes that wait for a side.
    fn waiting(&self, upward: bool) -> usize {
        let held = match &self.decoder {
            Some(Decoder::Sftp(sftp)) if !upward => sftp.waiting(),
            _ => 0,
        };
        let queue = if upward { &self.to_target } else { &self.to_client };
        queue.iter().map(Bytes::len).sum::<usize>().saturating_add(held)
    }
}

enum Decoder {
    /// A command whose client has not said anything yet: an `sftp-server` under any name is known by how a client greets it.
    Unknown(Gate),
    Sftp(Box<Sftp>),
    Scp(Box<Scp>),
}

impl Watched {
    /// For a channel that carries files, or may, under a session's terms.
    pub(super) fn of(started: &Started, terms: &Terms) -> Option<Self> {
        let gate = Gate::of(terms).standing_in(started.stand_ins.clone());
        let decoder = match &started.program {
            Program::Subsystem(_) if started.kind() == Channel::Sftp => {
                Decoder::Sftp(Box::new(Sftp::new(gate.clone())))
            }
            Program::Command(_) if started.terminal.is_none() => match copies(&started.command()) {
                Some(asked) => Decoder::Scp(Box::new(Scp::new(&asked, gate.clone()))),
                None => Decoder::Unknown(gate.clone()),
            },
            _ => return None,
        };
        let state = State { decoder: Some(decoder), to_client: VecDeque::new(), to_target: VecDeque::new() };
        let (client, target, room) = (Notify::new(), Notify::new(), Notify::new());
        Some(Self { gate, state: Mutex::new(state), client, target, room, turn: Turn::new(()) })
    }

    /// Whether what the client sent is a file protocol's. What a command's client says first decides it, once.
    pub(super) fn takes(&self, data: &[u8]) -> bool {
        let decoder = &mut self.lock().decoder;
        *decoder = match decoder.take() {
            Some(Decoder::Unknown(gate)) => {
                sftp::begins(data).then(|| Decoder::Sftp(Box::new(Sftp::new(gate).of_command())))
            }
            known => known,
        };
        decoder.is_some()
    }

    /// Whether what the target sends is a file protocol's.
    pub(super) fn on(&self) -> bool {
        matches!(self.lock().decoder, Some(Decoder::Sftp(_) | Decoder::Scp(_)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the client sent, once there is room for the answers to it.
    pub(super) async fn client(&self, live: &Live, number: u32, data: &Bytes) -> Result<(), Stop> {
        self.room(false).await;
        live.tap().thaw().await?;
        let _turn = self.turn.lock().await;
        let told = self.take(data, |decoder, data| match decoder {
            Decoder::Sftp(sftp) => sftp.client(data),
            Decoder::Scp(scp) => scp.client(data),
            Decoder::Unknown(_) => Ok(Flow::default()),
        })?;
        live.tap().flow(true, data.len().saturating_sub(length(&told.input))).await?;
        self.pass(live, number, told).await
    }

    /// Takes in what the target sent, once there is room for the answers to it.
    pub(super) async fn target(&self, live: &Live, number: u32, data: &Bytes) -> Result<(), Stop> {
        self.room(true).await;
        live.tap().flowing().await?;
        let _turn = self.turn.lock().await;
        let told = self.take(data, |decoder, data| match decoder {
            Decoder::Sftp(sftp) => sftp.target(data),
            Decoder::Scp(scp) => scp.target(data),
            Decoder::Unknown(_) => Ok(Flow::default()),
        })?;
        live.tap().flow(false, data.len().saturating_sub(length(&told.output))).await?;
        self.pass(live, number, told).await
    }

    /// Waits until no more than a bound waits for a side. Who answers one side never adds to what waits for the other, so
    /// the two pumps never wait for each other here.
    async fn room(&self, upward: bool) {
        loop {
            let room = self.room.notified();
            if self.lock().waiting(upward) <= WAITING {
                return;
            }
            room.await;
        }
    }

    fn take(
        &self,
        data: &Bytes,
        read: impl for<'a> FnOnce(&mut Decoder, &'a [u8]) -> Result<Flow<'a>, Fault>,
    ) -> Result<Told, Stop> {
        let mut state = self.lock();
        let Some(decoder) = state.decoder.as_mut() else { return Ok(Told::default()) };
        let flow = read(decoder, data).map_err(|fault| Stop::Refused(fault.to_string()))?;
        let piece = |piece: Cow<'_, [u8]>| match piece {
            Cow::Borrowed(slice) => data.slice_ref(slice),
            Cow::Owned(bytes) => bytes.into(),
        };
        let pieces = |pieces: Vec<Cow<'_, [u8]>>| pieces.into_iter().map(piece).collect();
        Ok(Told {
            events: flow.events,
            content: flow.content.into_iter().map(|(file, bytes)| (file, piece(bytes))).collect(),
            output: pieces(flow.output),
            input: pieces(flow.input),
            to_client: pieces(flow.to_client),
            to_target: pieces(flow.to_target),
        })
    }

    /// Records what crossed, and then lets it.
    async fn pass(&self, live: &Live, number: u32, mut told: Told) -> Result<(), Stop> {
        let (to_client, to_target) = (std::mem::take(&mut told.to_client), std::mem::take(&mut told.to_target));
        self.tell(live, number, told).await?;
        let (up, down) = (!to_target.is_empty(), !to_client.is_empty());
        let mut state = self.lock();
        state.to_target.extend(to_target);
        state.to_client.extend(to_client);
        drop(state);
        if up {
            self.target.notify_one();
        }
        if down {
            self.client.notify_one();
        }
        // What waited within the decoder may have gone on.
        self.room.notify_waiters();
        Ok(())
    }

    /// The next piece for the target.
    pub(super) async fn for_target(&self) -> Bytes {
        loop {
            let piece = self.lock().to_target.pop_front();
            if let Some(piece) = piece {
                self.room.notify_waiters();
                return piece;
            }
            self.target.notified().await;
        }
    }

    /// The next piece for the client.
    pub(super) async fn for_client(&self) -> Bytes {
        loop {
            let piece = self.lock().to_client.pop_front();
            if let Some(piece) = piece {
                self.room.notify_waiters();
                return piece;
            }
            self.client.notified().await;
        }
    }

    /// The channel has ended: what was under way is told as cut off.
    pub(super) async fn end(&self, live: &Live, number: u32) {
        let decoder = self.lock().decoder.take();
        let events = match decoder {
            Some(Decoder::Sftp(sftp)) => sftp.end(),
            Some(Decoder::Scp(scp)) => scp.end().into_iter().collect(),
            Some(Decoder::Unknown(_)) | None => Vec::new(),
        };
        let _ = self.tell(live, number, Told { events, ..Told::default() }).await;
    }

    /// Records what crossed, and tells of what a rule wants noted.
    async fn tell(&self, live: &Live, number: u32, told: Told) -> Result<(), Stop> {
        for (file, bytes) in told.content {
            live.tap().content(number, file, &bytes).await?;
        }
        for bytes in told.output {
            live.tap().output(number, &bytes).await?;
        }
        for bytes in told.input {
            live.tap().input(number, &bytes).await?;
        }
        for event in told.events {
            let line = event.line();
            live.tap().note(number, WhatRef::Mark { kind: "file", text: &line }).await?;
            if let Some(kept) = event.kept() {
                live.tap().note(number, WhatRef::Kept(kept)).await?;
            }
            for (rule, why) in self.gate.alerts(&event) {
                live.tap().alert(number, &rule, why, &line).await?;
            }
        }
        live.tap().settle().await
    }
}

/// What is to be recorded, and what goes on then.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    content: Vec<(u32, Bytes)>,
    output: Vec<Bytes>,
    input: Vec<Bytes>,
    to_client: Vec<Bytes>,
    to_target: Vec<Bytes>,
}

fn length(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

/// The scp that a command runs, whatever runs before it. What its shell makes of a path is not known: `*` and `?` stand for it.
fn copies(command: &str) -> Option<scp::Asked> {
    let script = shell::read(command, &mut Memory::default()).ok()?;
    let word = |word: &Word| word.text().unwrap_or_else(|| word.shown());
    let words = |simple: &Simple| simple.words.iter().map(word).collect::<Vec<_>>();
    let asked = script.commands.iter().map(words).find_map(|words| scp::asked(&words))?;
    Some(scp::Asked { alone: script.commands.len() == 1, ..asked })
}
