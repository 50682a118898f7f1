//! Sessions: list, watch, message, pause, kill.

use crate::Fail;
use crate::client::Client;
use crate::command::{Kill, SessionAct, Sessions, Watch};
use crate::join;
use crate::output::{self, Output, harmless, table};
use crate::play::{Decoder, Screen, session_id};
use futures_util::StreamExt as _;
use reqwest::Method;
use sallyport_model::Kind;
use sallyport_wire::{self as wire, TerminalOut};
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::tungstenite::Message;

pub(crate) async fn run(args: Sessions, client: &Client, out: Output) -> Result<(), Fail> {
    match args.act {
        None => list(args, client, out).await,
        Some(SessionAct::Message(args)) => {
            let session = session_id(&args.session)?;
            let message = wire::SessionMessage { text: args.text };
            client.act(&format!("/sessions/{session}/message"), &message).await?;
            out.show(&args.session, |session| format!("The user of {session} is told."))
        }
        Some(SessionAct::Pause(args)) => {
            let session = session_id(&args.session)?;
            client.act(&format!("/sessions/{session}/pause"), &wire::PauseSession { reason: args.reason }).await?;
            out.show(&args.session, |session| {
                format!("{session} is paused: `sallyport sessions resume {session}` lets it go on.")
            })
        }
        Some(SessionAct::Dismiss(args)) => {
            let session = session_id(&args.session)?;
            // However many run: all of them are looked at.
            let live = [("live", "true".to_owned())];
            let page: wire::Page<wire::Session> = client.newest("/sessions", &live, u32::MAX).await?;
            let row = page.items.into_iter().find(|row| row.id == args.session);
            let guests = row.map(|row| row.guests).unwrap_or_default();
            let mut sent = 0;
            for guest in guests.iter().filter(|guest| guest.id == args.guest || guest.handle == args.guest) {
                let path = format!("/sessions/{session}/guests/{}", guest.id);
                client.send(Method::DELETE, &path, &[], None::<&()>).await?;
                sent += 1;
            }
            if sent == 0 {
                return Err(Fail::new(Kind::NotFound, format!("`{}` is not with this session", harmless(&args.guest))));
            }
            out.show(&args.guest, |guest| format!("{} is sent away.", harmless(guest)))
        }
        Some(SessionAct::Resume(args)) => {
            let session = session_id(&args.session)?;
            client.act(&format!("/sessions/{session}/resume"), &()).await?;
            out.show(&args.session, |session| format!("{session} goes on."))
        }
    }
}

async fn list(args: Sessions, client: &Client, out: Output) -> Result<(), Fail> {
    let query = [("live", args.live.to_string()), ("own", args.own.to_string())];
    let page: wire::Page<wire::Session> = client.newest("/sessions", &query, args.limit).await?;
    let empty = match args.live {
        true => "No session is live.",
        false => "No sessions yet: `sallyport ssh account@target` opens one.",
    };
    out.show(&page, |page| {
        let rows = page
            .items
            .iter()
            .map(|s| {
                let state = match (&s.reason, &s.paused) {
                    (None, Some(pause)) => format!("paused by {}", pause.by),
                    (None, None) if s.waits => "waits for an observer".into(),
                    (None, None) if s.alerts > 0 => format!("live, {} alerts", s.alerts),
                    (None, None) if s.guests.is_empty() => "live".into(),
                    (None, None) => {
                        let names: Vec<_> = s.guests.iter().map(|guest| harmless(&guest.handle)).collect();
                        format!("live, with {}", names.join(", "))
                    }
                    (Some(reason), _) => {
                        let note = s.note.as_deref().map(|note| format!(": {}", harmless(note)));
                        let cut = if s.complete == Some(false) { ", recording truncated" } else { "" };
                        format!("{reason}{}{cut}", note.unwrap_or_default())
                    }
                };
                let through = s.through.as_deref().map(|way| format!(" ({})", harmless(way))).unwrap_or_default();
                vec![
                    s.id.clone(),
                    s.handle.clone(),
                    format!("{}@{}{through}", harmless(&s.account), s.target),
                    s.started.clone(),
                    state,
                ]
            })
            .collect();
        let table = table(&["SESSION", "WHO", "WHERE", "STARTED", "STATE"], rows, empty);
        if page.next.is_none() {
            return table;
        }
        let (shown, wanted) = (page.items.len(), args.limit.saturating_mul(10));
        format!("{table}\n\nThere are more than these {shown}: `--limit {wanted}` shows older ones.")
    })
}

pub(crate) async fn kill(args: Kill, client: &Client, out: Output) -> Result<(), Fail> {
    let session = session_id(&args.session)?;
    client.act(&format!("/sessions/{session}/kill"), &wire::Kill { reason: args.reason }).await?;
    out.show(&args.session, |session| format!("{session} is being ended."))
}

pub(crate) async fn watch(args: Watch, client: &Client) -> Result<(), Fail> {
    let session = session_id(&args.session)?;
    if args.join {
        return join::join(session, client).await;
    }
    let mut socket = join::connect(&format!("/sessions/{session}/watch?format=events"), client).await?;
    output::remark("Watching; Ctrl-C stops watching and leaves the session alone.");
    let mut screen = Screen::default();
    let watched = follow(&mut socket, &mut screen).await;
    output::write(&screen.restore())?;
    match watched? {
        Some(closed) if closed.reason == "ended" => output::remark("The session has ended."),
        Some(closed) => return Err(Fail::new(Kind::Unavailable, harmless(&closed.text))),
        None => output::remark("You stopped watching."),
    }
    Ok(())
}

/// Shows what happens until it is said why there is no more, or somebody presses Ctrl-C.
async fn follow(socket: &mut join::Socket, screen: &mut Screen) -> Result<Option<wire::TerminalClosed>, Fail> {
    let mut decoder = Decoder::default();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Fail::failed)?;
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            _ = interrupt.recv() => return Ok(None),
        };
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                for event in decoder.push(&bytes)? {
                    output::write(&screen.show(&event.as_ref()))?;
                }
            }
            Some(Ok(Message::Text(text))) => {
                if let Ok(TerminalOut::Closed(closed)) = serde_json::from_str(&text) {
                    return Ok(Some(closed));
                }
            }
            Some(Ok(Message::Close(_))) | None => {
                return Err(Fail::failed("the line to the session broke: watch again"));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Fail::failed(format!("the line to the session broke: {error}"))),
        }
    }
}
