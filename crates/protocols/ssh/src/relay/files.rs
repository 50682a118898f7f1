//! Files of one channel, between its two pumps: what the decoders let through is queued for each side.
//!
//! Each queue has one pump that empties it, which takes no more from its own side before that: so credit is
//! given for what has gone on, and the order that the decoders gave is the order that each side sees.

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
use tokio::sync::Notify;

/// The files of one channel.
pub(super) struct Watched {
    gate: Gate,
    state: Mutex<State>,
    client: Notify,
    target: Notify,
}

struct State {
    /// Gone once the channel has ended.
    decoder: Option<Decoder>,
    to_client: VecDeque<Bytes>,
    to_target: VecDeque<Bytes>,
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
        Some(Self { gate, state: Mutex::new(state), client: Notify::new(), target: Notify::new() })
    }

    /// Whether what the client sent is a file protocol's. What a command's client says first decides it, once.
    pub(super) fn takes(&self, data: &[u8]) -> bool {
        let decoder = &mut self.lock().decoder;
        *decoder = match decoder.take() {
            Some(Decoder::Unknown(gate)) => sftp::begins(data).then(|| Decoder::Sftp(Box::new(Sftp::new(gate)))),
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

    /// Takes in what the client sent.
    pub(super) async fn client(&self, live: &Live, number: u32, data: &Bytes) -> Result<(), Stop> {
        live.tap().flow(true, data.len()).await?;
        let told = self.take(data, |decoder, data| match decoder {
            Decoder::Sftp(sftp) => sftp.client(data),
            Decoder::Scp(scp) => scp.client(data),
            Decoder::Unknown(_) => Ok(Flow::default()),
        })?;
        self.tell(live, number, told).await
    }

    /// Takes in what the target sent.
    pub(super) async fn target(&self, live: &Live, number: u32, data: &Bytes) -> Result<(), Stop> {
        live.tap().flow(false, data.len()).await?;
        let told = self.take(data, |decoder, data| match decoder {
            Decoder::Sftp(sftp) => sftp.target(data),
            Decoder::Scp(scp) => scp.target(data),
            Decoder::Unknown(_) => Ok(Flow::default()),
        })?;
        self.tell(live, number, told).await
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
        let (up, down) = (!flow.to_target.is_empty(), !flow.to_client.is_empty());
        state.to_target.extend(flow.to_target.into_iter().map(piece));
        state.to_client.extend(flow.to_client.into_iter().map(piece));
        drop(state);
        if up {
            self.target.notify_one();
        }
        if down {
            self.client.notify_one();
        }
        let content = flow.content.into_iter().map(|(file, bytes)| (file, piece(bytes))).collect();
        Ok(Told { events: flow.events, content })
    }

    /// The next piece for the target.
    pub(super) async fn for_target(&self) -> Bytes {
        loop {
            if let Some(piece) = self.lock().to_target.pop_front() {
                return piece;
            }
            self.target.notified().await;
        }
    }

    /// The next piece for the client.
    pub(super) async fn for_client(&self) -> Bytes {
        loop {
            if let Some(piece) = self.lock().to_client.pop_front() {
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
        let _ = self.tell(live, number, Told { events, content: Vec::new() }).await;
    }

    /// Records what crossed, and tells of what a rule wants noted.
    async fn tell(&self, live: &Live, number: u32, told: Told) -> Result<(), Stop> {
        for (file, bytes) in told.content {
            live.tap().content(number, file, &bytes).await?;
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
        Ok(())
    }
}

/// What is to be recorded.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    content: Vec<(u32, Bytes)>,
}

/// The scp that a command runs, whatever runs before it.
fn copies(command: &str) -> Option<scp::Asked> {
    let script = shell::read(command, &mut Memory::default()).ok()?;
    let words = |simple: &Simple| simple.words.iter().map(Word::text).collect::<Option<Vec<_>>>();
    script.commands.iter().filter_map(words).find_map(|words| scp::asked(&words))
}
