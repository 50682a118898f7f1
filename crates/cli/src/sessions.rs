//! Sessions: list, watch, message, pause, kill.

use crate::Fail;
use crate::client::Client;
use crate::command::{Kill, SessionAct, Sessions, Watch};
use crate::join;
use crate::output::{self, Output, harmless, table};
use crate::play::{Decoder, Screen, session_id};
use futures_util::StreamExt as _;
use reqwest::{Method, Response};
use sallyport_model::Kind;
use sallyport_wire as wire;
use tokio::signal::unix::{SignalKind, signal};

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
            let page: wire::Page<wire::Session> = client.get("/sessions", &[("live", "true".to_owned())]).await?;
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
    let query = [("live", args.live.to_string()), ("limit", args.limit.to_string())];
    let page: wire::Page<wire::Session> = client.get("/sessions", &query).await?;
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
        table(
            &["SESSION", "WHO", "WHERE", "STARTED", "STATE"],
            rows,
            "No sessions yet: `sallyport ssh account@target` opens one.",
        )
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
    let response = client.send(Method::GET, &format!("/sessions/{session}/watch"), &[], None::<&()>).await?;
    output::remark("Watching; Ctrl-C stops watching and leaves the session alone.");
    let mut screen = Screen::default();
    let watched = follow(response, &mut screen).await;
    output::write(&screen.restore())?;
    output::remark(if watched? { "The session has ended." } else { "You stopped watching." });
    Ok(())
}

/// Shows what happens until the session ends (true) or somebody presses Ctrl-C.
async fn follow(response: Response, screen: &mut Screen) -> Result<bool, Fail> {
    let mut stream = response.bytes_stream();
    let mut decoder = Decoder::default();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Fail::failed)?;
    loop {
        let piece = tokio::select! {
            piece = stream.next() => piece,
            _ = interrupt.recv() => return Ok(false),
        };
        let Some(piece) = piece else { return decoder.finish().map(|()| true) };
        for event in decoder.push(&piece.map_err(Fail::failed)?)? {
            output::write(&screen.show(&event.as_ref()))?;
        }
    }
}
