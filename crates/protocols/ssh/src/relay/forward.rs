//! Forwards: ports and sockets either way, X11 and the agent. Each is its own decision, by its destination.

use super::channel::Outcome;
use super::{Granted, Session, agent};
use sallyport_gateway::observe::tap::Stop;
use sallyport_gateway::observe::{FileRef, WhatRef};
use sallyport_gateway::spine::Live;
use sallyport_model::access::Channel as Kind;
use sallyport_ssh_transport::link::{Arrival, Arrivals, Global, NotOpened, Opening, Reader, Said, Writer, code};
use sallyport_ssh_transport::wire::{Cursor, Malformed};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long one side may take to close a channel that the other has closed.
const CLOSE: Duration = Duration::from_secs(5);
/// Listeners that a client may have on the target's side.
const LISTENERS: usize = 32;

/// Text of a name in a message: what is judged and recorded has no control characters.
fn name(cursor: &mut Cursor<'_>) -> Result<String, Malformed> {
    let text = cursor.text()?;
    if text.len() > 1024 || text.chars().any(char::is_control) { Err(Malformed) } else { Ok(text.into()) }
}

/// `host:port` of a message that begins with both.
fn place(data: &[u8]) -> Result<String, Malformed> {
    let mut cursor = Cursor::new(data);
    let host = name(&mut cursor)?;
    let port = u16::try_from(cursor.uint32()?).map_err(|_| Malformed)?;
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn path(data: &[u8]) -> Result<String, Malformed> {
    name(&mut Cursor::new(data))
}

/// A forward that the client opens: nothing of it exists before the decision.
pub(super) async fn direct(opening: Opening, kind: Kind, session: &Session) -> Outcome {
    let detail = if kind == Kind::ForwardSocket { path(&opening.data) } else { place(&opening.data) };
    let Ok(detail) = detail else {
        opening.refuse(code::CONNECT, "the destination is malformed");
        return Outcome::Beside;
    };
    let live = &session.live;
    let number = match live.channel(kind, &detail).await {
        Ok(number) => number,
        Err(denial) => {
            live.announce(&denial.message);
            opening.refuse(code::PROHIBITED, &denial.message);
            return Outcome::Beside;
        }
    };
    match session.pool.open(&opening.kind, opening.data.clone()).await {
        Ok(target) => match opening.accept() {
            Some(client) => splice(live, number, client, target).await,
            None => Outcome::Beside,
        },
        Err(error) => {
            closed(live, number, Some(&error.to_string())).await;
            not_opened(opening, error);
            Outcome::Beside
        }
    }
}

fn not_opened(opening: Opening, error: NotOpened) {
    match error {
        NotOpened::Refused { code, text } => opening.refuse(code, &text),
        NotOpened::Gone => opening.refuse(code::CONNECT, "the connection is gone"),
    }
}

pub(super) async fn closed(live: &Live, number: u32, why: Option<&str>) {
    if let Some(text) = why {
        let _ = live.tap().note(number, WhatRef::Mark { kind: "failed", text }).await;
    }
    let _ = live.tap().note(number, WhatRef::Close { exit: None, signal: None }).await;
}

/// Carries a forward: what flows is counted, and where it went is recorded.
async fn splice(live: &Live, number: u32, client: (Reader, Writer), target: (Reader, Writer)) -> Outcome {
    let (up, down) = (Stream::new(UP, live), Stream::new(DOWN, live));
    let (mut from_client, to_client) = client;
    let (mut from_target, to_target) = target;
    let mut ended = live.clone();
    let outcome = {
        let there = flow((live, number), (&mut from_client, &to_client), &to_target, &up);
        let back = flow((live, number), (&mut from_target, &to_target), &to_client, &down);
        tokio::pin!(there, back);
        let mut over = (None, None);
        loop {
            let one = over.0.is_some() != over.1.is_some();
            tokio::select! {
                done = &mut there, if over.0.is_none() => over.0 = Some(done),
                done = &mut back, if over.1.is_none() => over.1 = Some(done),
                () = tokio::time::sleep(CLOSE), if one => break Outcome::Beside,
                ending = ended.ended() => break Outcome::Stopped(ending.reason, ending.text),
            }
            match &over {
                (Some(Err(stop)), _) | (_, Some(Err(stop))) => {
                    break Outcome::Stopped(stop.reason(), stop.to_string());
                }
                (Some(_), Some(_)) => break Outcome::Beside,
                _ => {}
            }
        }
    };
    let text = format!("{} up, {} down", up.size(), down.size());
    let _ = live.tap().note(number, WhatRef::Mark { kind: "flow", text: &text }).await;
    for stream in [up, down] {
        stream.end(live, number).await;
    }
    closed(live, number, None).await;
    outcome
}

/// Numbers of a forward's two ways, among the files of its channel.
pub(super) const UP: u32 = 1;
pub(super) const DOWN: u32 = 2;

/// What crossed one way of a forward.
pub(super) struct Stream {
    number: u32,
    /// How many bytes of it are kept.
    most: u64,
    size: AtomicU64,
}

impl Stream {
    pub(super) fn new(number: u32, live: &Live) -> Self {
        let most = live.clearance().permit().terms().limits.kept_of_files();
        Self { number, most, size: AtomicU64::new(0) }
    }

    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Counts the next bytes, and records what of them is kept.
    pub(super) async fn pass(&self, live: &Live, channel: u32, bytes: &[u8]) -> Result<(), Stop> {
        let before = self.size.fetch_add(u64::try_from(bytes.len()).unwrap_or(0), Ordering::Relaxed);
        let room = usize::try_from(self.most.saturating_sub(before)).unwrap_or(usize::MAX);
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        live.tap().content(channel, self.number, kept).await
    }

    pub(super) async fn end(self, live: &Live, channel: u32) {
        let (size, up) = (self.size(), self.number == UP);
        if self.most > 0 && size > 0 {
            let path = if up { "sent through the forward" } else { "received through the forward" };
            let file = FileRef { number: self.number, up, size, kept: size.min(self.most), sum: None, path };
            let _ = live.tap().note(channel, WhatRef::Kept(file)).await;
        }
    }
}

/// One way of a forward.
async fn flow(
    (live, number): (&Live, u32),
    (from, back): (&mut Reader, &Writer),
    to: &Writer,
    stream: &Stream,
) -> Result<(), Stop> {
    loop {
        match from.next().await {
            Said::Data(data) => {
                live.tap().flow(stream.number == UP, data.len()).await?;
                stream.pass(live, number, &data).await?;
                if to.data(data).await.is_err() {
                    back.close();
                }
            }
            Said::Eof => drop(to.eof()),
            Said::Request(_, true, _) => drop(back.answer(false)),
            Said::Extended(..) | Said::Answer(_) | Said::Request(..) => {}
            Said::Close => {
                to.close();
                return Ok(());
            }
        }
    }
}

fn granted(session: &Session) -> MutexGuard<'_, Granted> {
    session.granted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the client asks of the whole connection, one after the other.
pub(super) async fn questions(mut asked: mpsc::Receiver<Global>, session: Arc<Session>) {
    while let Some(global) = asked.recv().await {
        match global.name.as_str() {
            "no-more-sessions@openssh.com" => session.no_more.store(true, Ordering::Relaxed),
            "tcpip-forward" => listen(global, Kind::ForwardRemote, &session).await,
            "streamlocal-forward@openssh.com" => listen(global, Kind::ForwardSocket, &session).await,
            "cancel-tcpip-forward" | "cancel-streamlocal-forward@openssh.com" => unlisten(global, &session).await,
            // Dropped, it is answered with no.
            _ => {}
        }
    }
}

/// A listener on the target's side.
async fn listen(global: Global, kind: Kind, session: &Session) {
    let detail = if kind == Kind::ForwardSocket { path(&global.data) } else { place(&global.data) };
    let (Ok(detail), Some(link)) = (detail, session.pool.first()) else { return };
    let live = &session.live;
    if granted(session).listeners.len() >= LISTENERS {
        live.announce("too many forwards from the target's side are open");
        return;
    }
    let number = match live.channel(kind, &detail).await {
        Ok(number) => number,
        Err(denial) => return live.announce(&denial.message),
    };
    // What the target begins waits until its yes is noted: it may come right behind it.
    let _noting = session.listening.write().await;
    match link.global(&global.name, global.data.clone()).await {
        Ok(Some(answer)) => {
            let port = Cursor::new(&answer).uint32().ok();
            let bound = match (detail.strip_suffix(":0"), port) {
                (Some(host), Some(port)) => format!("{host}:{port}"),
                _ => detail,
            };
            granted(session).listeners.insert(bound, number);
            global.yes(answer);
        }
        Ok(None) | Err(_) => closed(live, number, Some("the target does not listen there")).await,
    }
}

async fn unlisten(global: Global, session: &Session) {
    let socket = global.name.contains("streamlocal");
    let detail = if socket { path(&global.data) } else { place(&global.data) };
    let (Ok(detail), Some(link)) = (detail, session.pool.first()) else { return };
    let Some(number) = granted(session).listeners.remove(&detail) else { return };
    let answer = link.global(&global.name, global.data.clone()).await;
    closed(&session.live, number, None).await;
    if let Ok(Some(answer)) = answer {
        global.yes(answer);
    }
}

/// What the target begins on one connection: only what the client asked for, and was permitted.
pub(super) async fn begun(mut arrivals: Arrivals, session: Arc<Session>) {
    let mut channels = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            arrival = arrivals.next() => match arrival {
                Some(Arrival::Open(opening)) => {
                    channels.spawn(accept(opening, session.clone()));
                }
                // Host keys to come, and whether we are there: dropped, they are answered with no.
                Some(Arrival::Global(_)) => {}
                None => return,
            },
            Some(_) = channels.join_next(), if !channels.is_empty() => {}
        }
    }
}

async fn accept(opening: Opening, session: Arc<Session>) {
    let live = &session.live;
    if opening.kind.starts_with("forwarded-") {
        drop(session.listening.read().await);
    }
    let Some((kind, detail)) = expected(&opening, &granted(&session)) else {
        live.refuse(Kind::Stream, &opening.kind, "the target began a channel that nobody asked for").await;
        opening.refuse(code::PROHIBITED, "nobody asked for it");
        return;
    };
    let Some(client) = session.client.clone() else {
        return opening.refuse(code::PROHIBITED, "this client takes no forwards");
    };
    if kind == Kind::Agent {
        live.agent_channel().await;
    }
    let number = match live.channel(kind, &detail).await {
        Ok(number) => number,
        Err(denial) => return opening.refuse(code::PROHIBITED, &denial.message),
    };
    match client.open(&opening.kind, opening.data.clone()).await {
        Ok(client) => {
            let Some(target) = opening.accept() else { return };
            if kind == Kind::Agent {
                agent::carry(live, number, client, target).await;
            } else {
                splice(live, number, client, target).await;
            }
        }
        Err(error) => {
            closed(live, number, Some(&error.to_string())).await;
            not_opened(opening, error);
        }
    }
}

/// Which kind a channel of the target's is, and what it is about, where it may come.
fn expected(opening: &Opening, granted: &Granted) -> Option<(Kind, String)> {
    match opening.kind.as_str() {
        "forwarded-tcpip" => {
            let bound = place(&opening.data).ok()?;
            granted.listeners.contains_key(&bound).then_some((Kind::ForwardRemote, bound))
        }
        "forwarded-streamlocal@openssh.com" => {
            let bound = path(&opening.data).ok()?;
            granted.listeners.contains_key(&bound).then_some((Kind::ForwardSocket, bound))
        }
        "x11" if granted.x11 => Some((Kind::X11, place(&opening.data).ok()?)),
        "auth-agent@openssh.com" if granted.agent => Some((Kind::Agent, String::new())),
        _ => None,
    }
}
