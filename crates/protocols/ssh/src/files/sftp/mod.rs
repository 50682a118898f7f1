//! SFTP version 3 (draft-ietf-secsh-filexfer-02), read along between a client and a target.
//!
//! Of each side the head of a packet is held until it says what it is; content passes by reference. A refused request
//! never reaches the target: its answer goes to the client between two packets of the target.

mod book;
pub(crate) mod speak;
mod wire;

use super::place::Start;
use super::{Event, Fault, Flow, Gate, text, unsound};
use book::{Book, Heard, Verdict};
use std::borrow::Cow;
use wire::{Head, Need, kind};

/// Longest packet, in bytes after its length (`SFTP_MAX_MSG_LENGTH` of OpenSSH).
const PACKET: u32 = 256 << 10;
/// Longest packet that is held until it is whole: names, attributes and no content.
const HELD: usize = 64 << 10;

/// Where one side is in its stream.
enum At {
    /// In the head of a packet.
    Head,
    /// In content, with so many bytes of the packet to come.
    Body { left: usize, passes: bool, sums: Option<Content>, told: bool },
    /// In the answer to a question of the gateway's own.
    Own { left: usize, held: Vec<u8> },
}

/// Whose content it is.
struct Content {
    handle: Vec<u8>,
    upward: bool,
}

/// One side's stream.
struct Side {
    held: Vec<u8>,
    at: At,
}

impl Side {
    const fn new() -> Self {
        Self { held: Vec::new(), at: At::Head }
    }

    fn between(&self) -> bool {
        matches!(self.at, At::Head)
    }
}

/// Reads one SFTP channel along.
pub struct Sftp {
    client: Side,
    target: Side,
    book: Book,
    /// Answers of the gateway that wait for the end of the target's packet.
    answers: Vec<u8>,
    greeted: bool,
    versioned: bool,
    /// The number of the gateway's own question, while it is under way: from where are paths understood?
    asks: Option<u32>,
    /// The target's greeting, which waits for the answer: who has not heard it asks for nothing.
    greeting: Option<Vec<u8>>,
    /// Whether all of what the target says is told: nobody knows what a command is that speaks like a server.
    tells: bool,
}

/// Whether a client's first bytes are its greeting (draft-ietf-secsh-filexfer-02 section 4): an `INIT` of a version, and perhaps extensions.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    match bytes {
        [0, 0, high, low, kind::INIT, 0, 0, 0, version, ..] => u16::from_be_bytes([*high, *low]) >= 5 && *version < 16,
        _ => false,
    }
}

impl Sftp {
    /// For a channel, under a gate.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        let book = Book::new(gate);
        if book.asks_where() {
            book.starts(Start::Anywhere);
        }
        Self {
            client: Side::new(),
            target: Side::new(),
            book,
            answers: Vec::new(),
            greeted: false,
            versioned: false,
            asks: None,
            greeting: None,
            tells: false,
        }
    }

    /// The same of a command that was taken for a server: what it says and no event tells is its output.
    #[must_use]
    pub fn of_command(self) -> Self {
        Self { tells: true, ..self }
    }

    /// How many bytes of the gateway's own answers wait for the end of a packet of the target's.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.answers.len()
    }

    /// Takes in what the client sent.
    ///
    /// # Errors
    /// When it cannot be followed: the channel must end.
    pub fn client<'a>(&mut self, bytes: &'a [u8]) -> Result<Flow<'a>, Fault> {
        let mut flow = Flow::default();
        let mut rest = bytes;
        loop {
            match &mut self.client.at {
                At::Body { left, passes, sums, .. } => {
                    let (now, later) = rest.split_at_checked(*left).unwrap_or((rest, &[]));
                    rest = later;
                    *left = left.saturating_sub(now.len());
                    if *passes && !now.is_empty() {
                        if let Some(content) = sums {
                            flow.content.extend(self.book.content(&content.handle, content.upward, now));
                        }
                        flow.to_target.push(Cow::Borrowed(now));
                    }
                    if *left > 0 {
                        break;
                    }
                    self.client.at = At::Head;
                }
                // A client is asked nothing.
                At::Own { .. } => self.client.at = At::Head,
                At::Head => {
                    let Some(head) = fill(&mut self.client.held, &mut rest, wire::request)? else { break };
                    self.request(head, &mut flow)?;
                }
            }
        }
        self.answer(&mut flow);
        Ok(flow)
    }

    /// Takes in what the target sent.
    ///
    /// # Errors
    /// When it cannot be followed: the channel must end.
    pub fn target<'a>(&mut self, bytes: &'a [u8]) -> Result<Flow<'a>, Fault> {
        let mut flow = Flow::default();
        let mut rest = bytes;
        loop {
            match &mut self.target.at {
                At::Body { left, passes, sums, told } => {
                    let (now, later) = rest.split_at_checked(*left).unwrap_or((rest, &[]));
                    rest = later;
                    *left = left.saturating_sub(now.len());
                    if *passes && !now.is_empty() {
                        if let Some(content) = sums {
                            flow.content.extend(self.book.content(&content.handle, content.upward, now));
                        }
                        if !*told {
                            flow.output.push(Cow::Borrowed(now));
                        }
                        flow.to_client.push(Cow::Borrowed(now));
                    }
                    if *left > 0 {
                        break;
                    }
                    self.target.at = At::Head;
                    self.answer(&mut flow);
                }
                At::Own { left, held } => {
                    let (now, later) = rest.split_at_checked(*left).unwrap_or((rest, &[]));
                    rest = later;
                    *left = left.saturating_sub(now.len());
                    if held.len() <= HELD {
                        held.extend_from_slice(now);
                    }
                    if *left > 0 {
                        break;
                    }
                    let held = std::mem::take(held);
                    self.target.at = At::Head;
                    self.learn(&held, &mut flow);
                }
                At::Head => {
                    let Some(head) = fill(&mut self.target.held, &mut rest, wire::reply)? else { break };
                    self.reply(head, &mut flow)?;
                    if self.target.between() {
                        self.answer(&mut flow);
                    }
                }
            }
        }
        self.answer(&mut flow);
        Ok(flow)
    }

    /// The channel has ended: what was open is told as cut off.
    #[must_use]
    pub fn end(self) -> Vec<Event> {
        self.book.end()
    }

    fn request(&mut self, head: Head, flow: &mut Flow<'_>) -> Result<(), Fault> {
        let Head { mut bytes, left } = head;
        if wire::kind_of(&bytes) == Some(kind::INIT) {
            if self.greeted {
                return Err(wire::malformed("a second greeting"));
            }
            self.greeted = true;
            wire::lower(&mut bytes);
            flow.to_target.push(Cow::Owned(bytes));
            return Ok(());
        }
        let request = wire::Request::parse(&bytes)?;
        if self.asks == Some(request.id) {
            return Err(wire::malformed("two requests of one number"));
        }
        let verdict = self.book.request(request, left)?;
        let (passes, sums) = match verdict {
            Verdict::Pass(content) => {
                flow.to_target.push(Cow::Owned(bytes));
                (true, content.map(|handle| Content { handle, upward: true }))
            }
            Verdict::Answer(answer, event) => {
                self.answers.extend_from_slice(&answer);
                flow.events.extend(event);
                (false, None)
            }
        };
        if left > 0 {
            self.client.at = At::Body { left, passes, sums, told: true };
        }
        Ok(())
    }

    fn reply(&mut self, head: Head, flow: &mut Flow<'_>) -> Result<(), Fault> {
        let Head { bytes, left } = head;
        let reply = wire::Reply::parse(&bytes)?;
        let (mut sums, mut told) = (None, !self.tells);
        if matches!(reply.says, wire::Says::Version) {
            if std::mem::replace(&mut self.versioned, true) {
                return Err(wire::malformed("a second greeting"));
            }
            if self.ask(flow) {
                self.greeting = Some(bytes);
                return Ok(());
            }
        } else if self.asks == Some(reply.id) {
            let names = matches!(reply.says, wire::Says::Names(_));
            self.target.at = At::Own { left, held: Vec::new() };
            if !names || left == 0 {
                self.learn(&[], flow);
                self.target.at = if left > 0 { At::Body { left, passes: false, sums, told } } else { At::Head };
            }
            return Ok(());
        } else {
            self.greet(flow);
            let Heard { content, events, instead } = self.book.reply(&reply, left)?;
            flow.events.extend(events);
            if let Some(instead) = instead {
                self.answers.extend_from_slice(&instead);
                self.target.at = if left > 0 { At::Body { left, passes: false, sums, told } } else { At::Head };
                return Ok(());
            }
            let data = matches!(reply.says, wire::Says::Data(_));
            // Content of no open file is told as output in any case.
            told = if data { content.is_some() } else { told || wire::says_no_more(&bytes) };
            sums = content.map(|handle| Content { handle, upward: false });
        }
        if !told {
            flow.output.push(Cow::Owned(bytes.clone()));
        }
        flow.to_client.push(Cow::Owned(bytes));
        if left > 0 {
            self.target.at = At::Body { left, passes: true, sums, told };
        }
        Ok(())
    }

    /// Asks the target from where it understands paths, where rules need to know that; whether it was asked.
    fn ask(&mut self, flow: &mut Flow<'_>) -> bool {
        if !self.book.asks_where() || !self.client.between() {
            return false;
        }
        self.asks = self.book.free();
        flow.to_target.extend(self.asks.map(|id| Cow::Owned(wire::whereabouts(id))));
        self.asks.is_some()
    }

    /// The target has answered: this, or nothing that helps. Until then, and without it, a path may be anywhere.
    fn learn(&mut self, names: &[u8], flow: &mut Flow<'_>) {
        self.asks = None;
        let found = wire::first_name(names).filter(|name| name.starts_with(b"/") && unsound(name).is_none());
        if let Some(directory) = found {
            self.book.starts(Start::At(text(directory)));
        }
        self.greet(flow);
    }

    /// Gives the client the target's greeting, if that waits.
    fn greet(&mut self, flow: &mut Flow<'_>) {
        let Some(greeting) = self.greeting.take() else { return };
        if self.tells {
            flow.output.push(Cow::Owned(greeting.clone()));
        }
        flow.to_client.push(Cow::Owned(greeting));
    }

    /// Gives the client the gateway's answers, once it was greeted and where no packet of the target's is under way.
    fn answer(&mut self, flow: &mut Flow<'_>) {
        let between = self.versioned && self.greeting.is_none() && self.target.between();
        if between && !self.answers.is_empty() {
            flow.to_client.push(Cow::Owned(std::mem::take(&mut self.answers)));
        }
    }
}

/// Moves bytes into the held head until it is what is needed; gives it then.
fn fill(
    held: &mut Vec<u8>,
    rest: &mut &[u8],
    need: impl Fn(&[u8]) -> Result<Need, Fault>,
) -> Result<Option<Head>, Fault> {
    loop {
        match need(held)? {
            Need::Done { left } => return Ok(Some(Head { bytes: std::mem::take(held), left })),
            Need::More(whole) => {
                let want = whole.saturating_sub(held.len());
                let (now, later) = rest.split_at_checked(want).unwrap_or((rest, &[]));
                held.extend_from_slice(now);
                *rest = later;
                if now.len() < want {
                    return Ok(None);
                }
            }
        }
    }
}
