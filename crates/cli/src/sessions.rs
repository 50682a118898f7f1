//! Sessions: list, watch, kill.

use crate::Fail;
use crate::client::Client;
use crate::command::{Kill, Sessions, Watch};
use crate::output::{self, Output, harmless, table};
use crate::play::Screen;
use futures_util::StreamExt as _;
use reqwest::Method;
use sallyport_recording::event::Events;
use sallyport_wire as wire;

pub(crate) async fn list(args: Sessions, client: &Client, out: Output) -> Result<(), Fail> {
    let query = [("live", args.live.to_string()), ("limit", args.limit.to_string())];
    let page: wire::Page<wire::Session> = client.get("/sessions", &query).await?;
    out.show(&page, |page| {
        let rows = page
            .items
            .iter()
            .map(|s| {
                let state = match (&s.reason, s.complete) {
                    (None, _) => "live".into(),
                    (Some(reason), Some(false)) => format!("{reason}, recording truncated"),
                    (Some(reason), _) => reason.clone(),
                };
                vec![s.id.clone(), s.handle.clone(), format!("{}@{}", harmless(&s.account), s.target), s.started.clone(), state]
            })
            .collect();
        table(&["SESSION", "WHO", "WHERE", "STARTED", "STATE"], rows, "No sessions yet: `sallyport ssh account@target` opens one.")
    })
}

pub(crate) async fn kill(args: Kill, client: &Client, out: Output) -> Result<(), Fail> {
    client.act(&format!("/sessions/{}/kill", args.session), &wire::Kill { reason: args.reason }).await?;
    out.show(&args.session, |session| format!("{session} is being ended."))
}

pub(crate) async fn watch(args: Watch, client: &Client) -> Result<(), Fail> {
    let response = client.send(Method::GET, &format!("/sessions/{}/watch", args.session), &[], None::<&()>).await?;
    output::remark("Watching; Ctrl-C stops watching and leaves the session alone.");
    let mut screen = Screen::default();
    let mut stream = response.bytes_stream();
    let mut held = Vec::new();
    while let Some(piece) = stream.next().await {
        held.extend_from_slice(&piece.map_err(Fail::failed)?);
        let mut used = 0;
        let mut events = Events::new(&held);
        // A piece may end inside an event: what does not decode yet waits for more.
        while let Some(Ok(event)) = events.next() {
            output::write(&screen.show(&event))?;
            used = events.position();
        }
        held.drain(..used);
    }
    output::remark("The session has ended.");
    Ok(())
}
