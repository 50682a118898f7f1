//! A terminal in a browser: a websocket on one side, the gateway's door on the other, and back-pressure through both.

use crate::App;
use crate::auth::Caller;
use crate::convert;
use crate::problem::{Path, Problem, Query};
use crate::sessions::{Shown, session_id};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use sallyport_control::{Op, Terminal};
use sallyport_model::Limits;
use sallyport_model::authority::View;
use sallyport_model::door::{Closed, Hear, Inward, Opened, Outward, PIECE, Size, Speak};
use sallyport_model::limits::Record;
use sallyport_recording::event::events;
use sallyport_recording::{EventRef, WhatRef};
use sallyport_wire::{self as wire, TerminalIn, TerminalOut};
use serde::Deserialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use utoipa::IntoParams;

/// Largest message of a client, in bytes.
const MESSAGE: usize = 1 << 20;
/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(3);
/// How long it may give no sign, or take nothing of what is sent, before its stream is taken for dead: the one who has a
/// terminal, which waits for them in any case, and whoever is with somebody else's session, which may go on because they look.
const SILENT: Duration = Duration::from_secs(60);
const ABSENT: Duration = Duration::from_secs(10);
/// How often it is looked whether the client may stay.
const LOOK: Duration = Duration::from_secs(2);
/// How long it may take to close when it has been told to.
const CLOSE: Duration = Duration::from_secs(2);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct TerminalQuery {
    /// The target of a new session.
    target: Option<String>,
    /// The account on it.
    account: Option<String>,
    /// Why, in one's own words, for the ledger.
    #[serde(default)]
    reason: String,
    /// In place of both: one's own running session, to be taken up again.
    session: Option<String>,
    /// Columns of the screen.
    cols: u16,
    /// Rows of the screen.
    rows: u16,
}

/// Opens a session with a terminal, or takes one up again: a websocket of the subprotocol `sallyport.terminal.v1`.
///
/// Binary frames are the terminal's bytes, text frames are `TerminalIn` and `TerminalOut`. A client that closes with the
/// code 1000 ends its session; one that is lost leaves it waiting for a while (`[terminal] linger`, 60 seconds).
#[utoipa::path(get, path = "/api/v1/terminal", params(TerminalQuery), responses((status = 101, description = "The websocket is open", body = wire::TerminalOut)), tag = "sessions")]
pub(crate) async fn terminal(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TerminalQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = accept(upgrade)?;
    let size = Size::new(query.cols, query.rows)
        .ok_or_else(|| Problem::usage(format!("give cols and rows between 1 and {}", Size::MOST)))?;
    let terminal = match (query.session, query.target, query.account) {
        (Some(session), None, None) => app.control.join_terminal(&caller.op, session_id(&session)?, size).await?,
        (None, Some(target), Some(account)) => {
            let place = (account.parse().map_err(Problem::usage)?, target.parse().map_err(Problem::usage)?);
            app.control.open_terminal(&caller.op, place, size, &query.reason).await?
        }
        _ => {
            return Err(Problem::usage(
                "give `target` and `account` for a new session, or `session` alone for your own",
            ));
        }
    };
    Ok(upgrade.on_upgrade(move |socket| async move {
        let may = || app.control.may_stay(&caller.op);
        carry((socket, SILENT), (terminal, app.linger), may).await;
    }))
}

/// Asks to be in somebody's running session, to see it and to type in it: a websocket as for a terminal.
///
/// The user is told, or asked, as policy has it: `notice` says so, then comes `company` once one is let in, or `closed`.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/join", params(("id" = String, Path)), responses((status = 101, description = "The websocket is open", body = wire::TerminalOut)), tag = "sessions")]
pub(crate) async fn join(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let session = session_id(&id)?;
    let upgrade = accept(upgrade)?;
    let terminal = app.control.accompany(&caller.op, session).await?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let may = || app.control.may_stay(&caller.op) && app.control.may_accompany(&caller.op, session);
        carry((socket, ABSENT), (terminal, app.linger), may).await;
    }))
}

/// A websocket of this house: the subprotocol is ours, and messages are bounded.
pub(crate) fn accept(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|_| Problem::usage("this path is a websocket: connect to it as one"))?;
    let upgrade = upgrade.max_message_size(MESSAGE).max_frame_size(MESSAGE).protocols([wire::TERMINAL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::usage(format!("offer the subprotocol `{}`", wire::TERMINAL)));
    }
    Ok(upgrade)
}

/// The way to a client.
struct Sink {
    socket: SplitSink<WebSocket, Message>,
    /// How long it may give no sign, or take nothing.
    patience: Duration,
}

/// Carries bytes both ways until one side ends, or gives no sign for so long. Each way waits for its own sink only.
async fn carry(
    (socket, patience): (WebSocket, Duration),
    (terminal, linger): (Terminal, Duration),
    may: impl Fn() -> bool,
) {
    let (socket, stream) = socket.split();
    let mut sink = Sink { socket, patience };
    let Terminal { speak, hear, streaming: _counted } = terminal;
    let heard = Heard::default();
    let listening = listen(stream, speak, &heard);
    tokio::pin!(listening);
    let ended = tokio::select! {
        closed = show(&mut sink, (hear, linger), &heard) => {
            // Whoever takes nothing any more may have said before that they are done.
            if closed.is_none() {
                let _ = timeout(CLOSE, &mut listening).await;
            }
            closed
        }
        () = &mut listening => None,
        closed = let_go(may) => Some(closed),
    };
    say_goodbye(&mut sink, ended).await;
}

/// Resolves when the caller may do nothing here any more: their browser is signed out, or they were disabled.
pub(crate) async fn let_go(may: impl Fn() -> bool) -> wire::TerminalClosed {
    looked(&mut looks(), may).await
}

/// When it is looked next whether the caller may still do something.
pub(crate) fn looks() -> Interval {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

/// As [`let_go`], in parts: what is waited for in between leaves the next look where it was.
pub(crate) async fn looked(look: &mut Interval, may: impl Fn() -> bool) -> wire::TerminalClosed {
    loop {
        look.tick().await;
        if !may() {
            let text = "you are signed out, or may do this no more: sign in again".into();
            return wire::TerminalClosed { reason: "signed_out".into(), text, code: None };
        }
    }
}

/// Shows a session that is watched, until it ends or the watcher leaves. What they say is not heard.
pub(crate) async fn overlook(socket: WebSocket, mut views: Receiver<View>, shown: Shown, (app, op): (&App, &Op)) {
    let (socket, mut stream) = socket.split();
    let mut sink = Sink { socket, patience: ABSENT };
    let heard = Heard::default();
    let showing = async {
        let mut ping = pings();
        let mut watched = None;
        loop {
            let view = tokio::select! {
                view = views.recv() => view,
                _ = ping.tick() => match !heard.silent(sink.patience) && put(&mut sink, Message::Ping(Bytes::new())).await {
                    true => continue,
                    false => return None,
                },
            };
            let ending = |reason: &str, text: &str| {
                Some(wire::TerminalClosed { reason: reason.into(), text: text.into(), code: None })
            };
            let Some(view) = view else { return ending("lost", "you were too slow to follow: watch again") };
            let passed = match shown {
                Shown::Events => put(&mut sink, Message::Binary(view.events.into())).await,
                Shown::Terminal => paint_all(&mut sink, &mut watched, &view.events).await,
            };
            if !passed {
                return None;
            }
            if view.last {
                return ending("ended", "the session has ended");
            }
        }
    };
    let listening = async {
        while let Some(Ok(message)) = stream.next().await {
            heard.now();
            if matches!(message, Message::Close(_)) {
                return;
            }
        }
    };
    let closed = tokio::select! {
        closed = showing => closed,
        () = listening => None,
        closed = let_go(|| app.control.may_stay(op) && app.control.may_watch_on(op)) => Some(closed),
    };
    say_goodbye(&mut sink, closed).await;
}

/// Passes events of the watched terminal on; false where the watcher is gone.
async fn paint_all(sink: &mut Sink, watched: &mut Option<u32>, bytes: &[u8]) -> bool {
    for event in events(bytes).map_while(Result::ok) {
        if !paint(sink, watched, event).await {
            return false;
        }
    }
    true
}

/// Passes an event of the watched terminal on; false where the watcher is gone.
async fn paint(sink: &mut Sink, watched: &mut Option<u32>, event: EventRef<'_>) -> bool {
    match event.what {
        WhatRef::Resize { cols, rows } => {
            *watched = Some(event.channel.max(watched.unwrap_or(0)));
            if *watched != Some(event.channel) {
                return true;
            }
            send(sink, &TerminalOut::Size(wire::ScreenSize { cols, rows })).await
        }
        WhatRef::Output(bytes) | WhatRef::Stderr(bytes) if watched.is_none_or(|channel| channel == event.channel) => {
            put(sink, Message::Binary(Bytes::copy_from_slice(bytes))).await
        }
        WhatRef::Close { .. } if *watched == Some(event.channel) => {
            *watched = None;
            true
        }
        _ => true,
    }
}

async fn say_goodbye(sink: &mut Sink, closed: Option<wire::TerminalClosed>) {
    let Some(closed) = closed else { return };
    let told = async {
        send(sink, &TerminalOut::Closed(closed)).await;
        let _ =
            sink.socket.send(Message::Close(Some(CloseFrame { code: close_code::NORMAL, reason: "".into() }))).await;
    };
    let _ = timeout(CLOSE, told).await;
}

fn pings() -> Interval {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping
}

/// When the client last gave a sign.
struct Heard(Mutex<Instant>);

impl Default for Heard {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Heard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn silent(&self, patience: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > patience
    }
}

/// What the session shows, until it ends; `None` where the client is gone.
async fn show(
    sink: &mut Sink,
    (mut hear, linger): (Box<dyn Hear>, Duration),
    heard: &Heard,
) -> Option<wire::TerminalClosed> {
    let mut ping = pings();
    let mut watched = None;
    loop {
        let mut next = hear.hear();
        let message = loop {
            tokio::select! {
                message = &mut next => break message,
                _ = ping.tick() => {
                    if heard.silent(sink.patience) || !put(sink, Message::Ping(Bytes::new())).await {
                        return None;
                    }
                }
            }
        };
        let sent = match message {
            Some(Outward::Bytes(bytes)) => put(sink, Message::Binary(bytes.into())).await,
            Some(Outward::Opened(opened)) => send(sink, &TerminalOut::Opened(outline(*opened, linger))).await,
            Some(Outward::Size(Size { cols, rows })) => {
                send(sink, &TerminalOut::Size(wire::ScreenSize { cols, rows })).await
            }
            Some(Outward::Notice(text)) => send(sink, &TerminalOut::Notice(wire::Notice { text })).await,
            Some(Outward::Frozen(frozen)) => send(sink, &TerminalOut::Frozen(frozen)).await,
            Some(Outward::Events(bytes)) => paint_all(sink, &mut watched, &bytes).await,
            Some(Outward::Company(guests)) => {
                send(sink, &TerminalOut::Company(guests.iter().map(convert::guest).collect())).await
            }
            Some(Outward::Asked(asked)) => send(sink, &TerminalOut::Asked(asked)).await,
            Some(Outward::Paused(why)) => send(sink, &TerminalOut::Paused(why)).await,
            Some(Outward::Closed(Closed { reason, text, code })) => {
                return Some(wire::TerminalClosed { reason, text, code });
            }
            Some(
                Outward::Greeting(..)
                | Outward::Probed(_)
                | Outward::Checked
                | Outward::Screen(_)
                | Outward::Told(_)
                | Outward::Here,
            )
            | None => {
                let text = "the way to the session is lost; it waits to be taken up again".into();
                return Some(wire::TerminalClosed { reason: "lost".into(), text, code: None });
            }
        };
        if !sent {
            return None;
        }
    }
}

/// Sends a message; false where the client is gone or takes nothing.
async fn put(sink: &mut Sink, message: Message) -> bool {
    timeout(sink.patience, sink.socket.send(message)).await.is_ok_and(|sent| sent.is_ok())
}

async fn send(sink: &mut Sink, message: &TerminalOut) -> bool {
    match serde_json::to_string(message) {
        Ok(text) => put(sink, Message::Text(text.into())).await,
        Err(_) => false,
    }
}

/// What the client says, until it is gone.
async fn listen(mut stream: SplitStream<WebSocket>, mut speak: Box<dyn Speak>, heard: &Heard) {
    while let Some(Ok(message)) = stream.next().await {
        heard.now();
        let said = match message {
            Message::Binary(bytes) => type_in(&mut *speak, &bytes).await,
            Message::Text(text) => match serde_json::from_str::<TerminalIn>(&text) {
                Ok(TerminalIn::Resize(size)) => match Size::new(size.cols, size.rows) {
                    Some(size) => speak.say(Inward::Resize(size)).await,
                    None => return,
                },
                Err(_) => return,
            },
            Message::Close(Some(CloseFrame { code: close_code::NORMAL, .. })) => {
                speak.say(Inward::Leave).await;
                return;
            }
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => true,
        };
        if !said {
            // The session ends, and the other way says how.
            std::future::pending::<()>().await;
        }
    }
}

async fn type_in(speak: &mut dyn Speak, bytes: &[u8]) -> bool {
    for piece in bytes.chunks(PIECE) {
        if !speak.pass(piece).await {
            return false;
        }
    }
    true
}

fn outline(opened: Opened, linger: Duration) -> wire::TerminalOpened {
    wire::TerminalOpened {
        session: opened.session.to_string(),
        recording: opened.recording.to_string(),
        expires: Some(opened.expires.to_string()),
        limits: limits(&opened.limits, linger),
    }
}

fn limits(limits: &Limits, linger: Duration) -> wire::TerminalLimits {
    let record = match limits.record {
        Record::Full => "full",
        Record::Strict => "strict",
    };
    wire::TerminalLimits {
        max_duration_seconds: limits.max_duration,
        idle_seconds: limits.idle,
        linger_seconds: u32::try_from(linger.as_secs()).unwrap_or(u32::MAX),
        record: record.into(),
    }
}
