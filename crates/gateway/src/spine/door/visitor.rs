//! A visitor: somebody who looks at another's session and types in it too, for as long as their stream lasts.

use super::Entry;
use crate::spine::company::{Knocking, Visit};
use crate::spine::live::{LINES, Typist};
use crate::transport::{Wire, frame};
use sallyport_model::access::Denial;
use sallyport_model::authority::View;
use sallyport_model::company::Guest;
use sallyport_model::door::{Closed, Inward, Outward, PIECE};
use sallyport_model::{Handle, Kind, WatchId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Pieces of what happens that wait for a slow stream; a visitor who takes fewer is shown the screen again.
const VIEWS: usize = 64;

/// Tells the session that a visitor is gone, however that came about.
struct Leaving<'a>(&'a Entry, WatchId);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _ = self.0.knock.send(Knocking::Leaves(self.1));
    }
}

/// Lets a visitor in, if the session does, and carries their stream.
pub(super) async fn attend(
    entry: &Entry,
    guest: Guest,
    (mut from, mut to): (ReadHalf<Wire>, WriteHalf<Wire>),
) -> Result<(), frame::Error> {
    let has_terminal = match &entry.onlooker {
        Some(onlooker) => onlooker.picture().await.is_some(),
        None => false,
    };
    if !has_terminal {
        let why = Denial::new(Kind::Usage, "this session has no terminal to type in: watch it instead");
        return frame::write(&mut to, &Outward::Closed(Closed::refused(&why))).await;
    }
    let (views, shown) = mpsc::channel(VIEWS);
    let (admit, admitted) = oneshot::channel();
    let (lines, told) = mpsc::channel(LINES);
    let (id, handle) = (guest.id, guest.handle.clone());
    let show = Arc::new(move |view: View| views.try_send(view).is_ok());
    let visit = Visit { guest: guest.clone(), show, admit: Some(admit) };
    if entry.knock.send(Knocking::Comes(visit)).is_err() {
        let why = Denial::new(Kind::NotFound, "the session has ended");
        return frame::write(&mut to, &Outward::Closed(Closed::refused(&why))).await;
    }
    let _leaving = Leaving(entry, id);
    frame::write(&mut to, &Outward::Notice("the user of this session is told, or asked, whether you may join".into()))
        .await?;
    let let_in = AtomicBool::new(false);
    let showing = async {
        match admitted.await.unwrap_or_else(|_| Err(Denial::new(Kind::Conflict, "the session has ended"))) {
            Ok(()) => {
                let_in.store(true, Ordering::Release);
                frame::write(&mut to, &Outward::Company(vec![guest])).await?;
                show_all(shown, told, &mut to).await
            }
            Err(why) => frame::write(&mut to, &Outward::Closed(Closed::refused(&why))).await,
        }
    };
    tokio::select! {
        shown = showing => shown,
        typed = type_all(&mut from, (id, &handle, &lines, &let_in), &entry.typed) => typed,
    }
}

/// Shows what happens, until the session ends or lets go of the visitor.
async fn show_all(
    mut shown: mpsc::Receiver<View>,
    mut told: mpsc::Receiver<String>,
    to: &mut WriteHalf<Wire>,
) -> Result<(), frame::Error> {
    let mut last = Closed { reason: "dismissed".into(), text: "you are in this session no more".into(), code: None };
    loop {
        let view = tokio::select! {
            view = shown.recv() => view,
            Some(line) = told.recv() => {
                frame::write(to, &Outward::Notice(line)).await?;
                continue;
            }
        };
        let Some(view) = view else { break };
        if !view.events.is_empty() {
            frame::write(to, &Outward::Events(view.events)).await?;
        }
        if view.last {
            last = Closed { reason: "ended".into(), text: "the session has ended".into(), code: None };
            break;
        }
    }
    frame::write(to, &Outward::Closed(last)).await
}

/// Brings what the visitor types to the session, at its pace.
async fn type_all(
    from: &mut ReadHalf<Wire>,
    (id, handle, lines, let_in): (WatchId, &Handle, &mpsc::Sender<String>, &AtomicBool),
    typed: &mpsc::Sender<super::Typed>,
) -> Result<(), frame::Error> {
    loop {
        match frame::read::<Inward, _>(from).await? {
            None | Some(Inward::Leave) => return Ok(()),
            // What is typed before the answer goes nowhere.
            Some(Inward::Bytes(_)) if !let_in.load(Ordering::Acquire) => {}
            Some(Inward::Bytes(bytes)) if bytes.len() <= PIECE => {
                let typist = Typist { id, handle: handle.clone(), lines: lines.clone() };
                if typed.send((typist, bytes)).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            // Whose terminal it is says how large it is.
            Some(Inward::Resize(_)) => {}
            Some(_) => return Err(frame::Error::Unexpected("what a visitor says is bytes")),
        }
    }
}
