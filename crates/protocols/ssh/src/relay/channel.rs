//! One session channel: a pump each way. A pump waits for its own sink only, never for the other pump.

use super::Session;
use super::begin::{Fault, Running, resize, run};
use super::face::Face;
use super::files::Watched;
use super::typing::{Next, Typing};
use crate::client::{Exit, Reader, Said, Writer, signal, window};
use crate::start::{Program, Started};
use bytes::Bytes;
use sallyport_gateway::observe::WhatRef;
use sallyport_gateway::observe::tap::Stop;
use sallyport_gateway::spine::Live;
use sallyport_model::Kind;
use sallyport_model::access::{Denial, EndReason};
use sallyport_model::limits::Detail;
use sallyport_ssh_transport::link;
use sallyport_ssh_transport::wire::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a target may take to close a channel that the client has closed.
const CLOSE: Duration = Duration::from_secs(5);

/// How a channel ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The client closed it, or it never started.
    ByClient,
    /// The target closed it.
    ByTarget,
    /// We did, and the session goes on.
    Refused(String),
    /// It says nothing of how the session ended.
    Beside,
    /// The session must end.
    Stopped(EndReason, String),
}

/// Carries one channel from its start to its end.
pub(super) async fn carry(started: Started, session: Arc<Session>) -> Outcome {
    let live = session.live.clone();
    let command = started.command();
    let number = match live.channel(started.kind(), &command).await {
        Ok(number) => number,
        Err(denial) => return refused(started, &denial).await,
    };
    if matches!(started.program, Program::Command(_))
        && let Err(stop) = live.tap().command(number, &command).await
    {
        return stopped(started, stop).await;
    }
    // A target may ask the user something as soon as it knows of the channel: they are there, and it is kept until it is shown.
    let (heard, _watched) = (live.clone(), started.interactive().then(|| live.watched()));
    let running = match run(&started, &session, &live, number).await {
        Ok(running) => running,
        Err(Fault::Refused(denial)) => return refused(started, &denial).await,
        Err(Fault::NotBecome(denial)) => {
            live.tap().doom(&denial.message);
            live.refuse(started.kind(), &command, &denial.message).await;
            started.refuse(&denial).await;
            return Outcome::Stopped(EndReason::DialFail, denial.message);
        }
    };
    if started.reply {
        started.write.answer(true);
    }
    if matches!(started.program, Program::Shell) && started.interactive() && matches!(started.write, Writer::Channel(_))
    {
        let permit = live.clearance().permit();
        let what = match permit.terms().limits.recording {
            Detail::Enhanced => "this session and the content of its files are recorded",
            Detail::Standard => "this session is recorded",
        };
        started.say(&format!("{what} ({})", permit.session())).await;
    }
    pump(started, running, (live, heard), number).await
}

async fn refused(started: Started, denial: &Denial) -> Outcome {
    started.refuse(denial).await;
    Outcome::ByClient
}

async fn stopped(started: Started, stop: Stop) -> Outcome {
    if let Stop::Refused(why) = stop {
        return refused(started, &Denial::new(Kind::Denied, why)).await;
    }
    started.refuse(&Denial::new(stop.kind(), stop.to_string())).await;
    Outcome::Stopped(stop.reason(), stop.to_string())
}

/// How a channel ends that the tap stops: where the session is ended from outside, with what is said of that.
fn cut(live: &Live, stop: &Stop) -> Outcome {
    match (stop, live.ending()) {
        (Stop::Ended, Some(ending)) => Outcome::Stopped(ending.reason, ending.text),
        _ => Outcome::Stopped(stop.reason(), stop.to_string()),
    }
}

async fn pump(started: Started, running: Running, (live, heard): (Live, Live), number: u32) -> Outcome {
    let shows = started.interactive();
    let files = Watched::of(&started, live.clearance().permit().terms());
    let files = files.as_ref();
    let Started { mut read, write, .. } = started;
    let mut ended = live.clone();
    let (mut exit, left) = (None, AtomicBool::new(false));
    let outcome = {
        let target = running.write.clone();
        let up = async {
            let closed = up(&live, (number, shows), (&mut read, &write), (&target, files)).await;
            left.store(true, Ordering::Relaxed);
            target.close();
            closed
        };
        let face = Face::new(heard, number, (&write, shows));
        let down = down((&live, number, files), running, (&write, &left), (face, &mut exit));
        tokio::pin!(up, down);
        let mut closing: Option<Instant> = None;
        loop {
            tokio::select! {
                stop = &mut up, if closing.is_none() => match stop {
                    Ok(()) => closing = Some(Instant::now() + CLOSE),
                    Err(Stop::Refused(why)) => break Outcome::Refused(why),
                    Err(stop) => break cut(&live, &stop),
                },
                outcome = &mut down => break outcome,
                () = tokio::time::sleep_until(closing.unwrap_or_else(Instant::now)), if closing.is_some() => {
                    break Outcome::ByClient;
                }
                ending = ended.ended() => break Outcome::Stopped(ending.reason, ending.text),
            }
        }
    };
    let (status, signal) = match &exit {
        Some(Exit::Status(status)) => (Some(*status), None),
        Some(Exit::Signal(signal)) => (None, Some(signal.as_str())),
        None => (None, None),
    };
    if let Some(files) = files {
        files.end(&live, number).await;
    }
    let _ = live.tap().note(number, WhatRef::Close { exit: status, signal }).await;
    match &outcome {
        Outcome::Stopped(reason, text) => {
            let kind = if *reason == EndReason::Block { Kind::Denied } else { Kind::Unavailable };
            write.refuse(&Denial::new(kind, text.as_str())).await;
        }
        Outcome::Refused(why) => write.refuse(&Denial::new(Kind::Denied, why.as_str())).await,
        _ => write.end(),
    }
    outcome
}

/// Client to target, until the client closes.
async fn up(
    live: &Live,
    (number, shows): (u32, bool),
    (from, back): (&mut Reader, &Writer),
    (to, files): (&link::Writer, Option<&Watched>),
) -> Result<(), Stop> {
    let mut typing = Typing::new(live, (number, shows), back, to);
    let sent = async |data| {
        if to.data(data).await.is_err() {
            // The target has closed; the other pump sees it and says how.
            std::future::pending::<()>().await;
        }
    };
    loop {
        let said = match files {
            None => match typing.next(from).await? {
                Next::Said(said) => said,
                Next::Typed(peer, piece) => {
                    typing.typed(Some(&peer), piece).await?;
                    continue;
                }
            },
            Some(files) => tokio::select! {
                biased;
                piece = files.for_target() => {
                    sent(piece).await;
                    continue;
                }
                said = from.next() => said,
            },
        };
        match said {
            Said::Bytes(data) => match files.filter(|files| files.takes(&data)) {
                Some(files) => files.client(live, number, &data).await?,
                None => typing.typed(None, data).await?,
            },
            Said::Eof => {
                live.tap().thaw().await?;
                typing.end().await?;
                let _ = to.eof();
            }
            Said::Request(name, reply, data) => {
                let known = request(live, number, &name, &data).await?;
                if known {
                    let _ = to.request(&name, false, data);
                }
                if reply {
                    back.answer(known);
                }
            }
            Said::Close => return Ok(()),
        }
    }
}

/// Whether a request in a running channel goes on to the target.
async fn request(live: &Live, number: u32, name: &str, data: &[u8]) -> Result<bool, Stop> {
    if !matches!(name, "window-change" | "signal" | "break" | "eow@openssh.com") {
        return Ok(false);
    }
    live.tap().touch();
    live.tap().thaw().await?;
    match name {
        "window-change" => match window(data) {
            Some((cols, rows)) => live.tap().note(number, resize(cols, rows)).await?,
            None => return Ok(false),
        },
        "signal" => {
            let name = signal(Cursor::new(data).string().unwrap_or_default());
            live.tap().note(number, WhatRef::Signal(&name)).await?;
        }
        "break" => {
            let text = format!("{} ms", Cursor::new(data).uint32().unwrap_or_default());
            live.tap().note(number, WhatRef::Mark { kind: "break", text: &text }).await?;
        }
        _ => {}
    }
    Ok(true)
}

/// Target to client, until the target closes. A client leaves as soon as it has the exit status, often
/// before the target closes; one that leaves before has ended the channel itself.
async fn down(
    (live, number, files): (&Live, u32, Option<&Watched>),
    mut from: Running,
    (to, left): (&Writer, &AtomicBool),
    (mut face, exit): (Face<'_>, &mut Option<Exit>),
) -> Outcome {
    let mut early = std::mem::take(&mut from.early).into_iter();
    let mut outcome = None;
    let gone = |from: &Running| {
        // The client has closed; what it said before goes on to the target in the other pump.
        left.store(true, Ordering::Relaxed);
        from.write.close();
    };
    loop {
        let said = match (early.next(), files) {
            (Some(said), _) => said,
            (None, None) => tokio::select! {
                biased;
                due = face.due() => {
                    face.act(due).await;
                    continue;
                }
                said = from.read.next() => said,
            },
            (None, Some(files)) => tokio::select! {
                biased;
                due = face.due() => {
                    face.act(due).await;
                    continue;
                }
                piece = files.for_client() => {
                    if to.output(piece).await.is_err() {
                        gone(&from);
                    }
                    continue;
                }
                said = from.read.next() => said,
            },
        };
        if let Err(stop) = held(live, &mut face).await {
            return cut(live, &stop);
        }
        let (passed, sent) = match said {
            link::Said::Data(data) => match files.filter(|files| files.on()) {
                Some(files) => (files.target(live, number, &data).await, Ok(())),
                None => match live.tap().output(number, &data).await {
                    Ok(()) => {
                        face.sent(&data);
                        (Ok(()), to.output(data).await)
                    }
                    Err(stop) => (Err(stop), Ok(())),
                },
            },
            link::Said::Extended(code, data) => match live.tap().stderr(number, &data).await {
                Ok(()) => (Ok(()), to.error(code, data).await),
                Err(stop) => (Err(stop), Ok(())),
            },
            link::Said::Eof => {
                to.eof();
                continue;
            }
            link::Said::Request(name, reply, data) => {
                if ended(to, &name, &data, exit).await {
                    outcome.get_or_insert(by(left));
                } else if reply {
                    // Whether we are there, sshd asks by a request that nobody needs to know.
                    let _ = from.write.answer(false);
                }
                continue;
            }
            link::Said::Answer(_) => continue,
            link::Said::Close => return outcome.unwrap_or_else(|| by(left)),
        };
        match passed {
            Ok(()) => {}
            Err(Stop::Refused(why)) => return Outcome::Refused(why),
            Err(stop) => return cut(live, &stop),
        }
        if sent.is_err() {
            gone(&from);
        }
    }
}

/// What the target said waits while the session is paused, and while the user is asked about something that it wants: it draws
/// nothing over the question. Lines of the gateway's do not wait behind it.
async fn held(live: &Live, face: &mut Face<'_>) -> Result<(), Stop> {
    let mut told = true;
    while !told || live.tap().is_paused() || face.asks() {
        told = true;
        tokio::select! {
            biased;
            due = face.due() => face.act(due).await,
            // How the question ended is shown before what waited behind it.
            () = live.lets_target_go_on(), if face.asks() => told = false,
            flows = live.tap().flowing(), if !face.asks() => flows?,
        }
    }
    Ok(())
}

/// Passes on what the target says of its program; whether it has ended.
async fn ended(to: &Writer, name: &str, data: &Bytes, exit: &mut Option<Exit>) -> bool {
    match name {
        "exit-status" | "exit-signal" => {
            *exit = Exit::read(name, data);
            to.tell(name, data.clone()).await;
            true
        }
        "eow@openssh.com" | "xon-xoff" => {
            to.tell(name, data.clone()).await;
            false
        }
        _ => false,
    }
}

/// By whom a channel ends that ends now.
fn by(left: &AtomicBool) -> Outcome {
    if left.load(Ordering::Relaxed) { Outcome::ByClient } else { Outcome::ByTarget }
}
