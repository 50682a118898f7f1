//! One channel: a pump each way. A pump waits for its own sink only, never for the other pump.

use super::connect;
use crate::client::{Reader, Said, Writer, name};
use crate::dial::Upstream;
use crate::start::{Program, Started};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};
use sallyport_gateway::observe::WhatRef;
use sallyport_gateway::observe::tap::Stop;
use sallyport_gateway::spine::Live;
use sallyport_model::Kind;
use sallyport_model::access::{Denial, EndReason};
use std::time::Duration;

/// How long the target's end-of-file waits for its exit status: russh answers the client's close
/// at once and drops a later exit status.
const EOF: Duration = Duration::from_secs(1);
/// How often a quiet or paused target is told that we are there.
const KEEP: Duration = Duration::from_secs(15);
/// How long a target may give no byte at all, answers to keep-alives among them.
const SILENT: Duration = Duration::from_secs(75);

/// How a channel ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The client closed it, or it never started.
    ByClient,
    /// The target closed it.
    ByTarget,
    /// The session must end.
    Stopped(EndReason, String),
}

/// How a program on the target ended.
#[derive(Default)]
struct Exit {
    status: Option<u32>,
    signal: Option<String>,
}

/// Carries one channel from its start to its end.
pub(crate) async fn carry(started: Started, ready: Option<Upstream>, live: Live) -> Outcome {
    let command = started.command();
    let number = match live.channel(started.kind(), &command).await {
        Ok(number) => number,
        Err(denial) => return refused(started, &denial).await,
    };
    if !command.is_empty()
        && let Err(stop) = live.tap().command(number, &command).await
    {
        return stopped(started, stop).await;
    }
    // The connection that was made ahead may have died of waiting.
    let upstream = match ready.filter(|upstream| !upstream.handle.is_closed()) {
        Some(upstream) => upstream,
        None => match connect(&live).await {
            Ok(upstream) => upstream,
            Err(error) => return refused(started, &Denial::new(error.kind(), error.to_string())).await,
        },
    };
    let (target_read, target_write) = match run(&started, &upstream, &live, number).await {
        Ok(halves) => halves,
        Err(error) => {
            let text = format!("the target did not start the program: {error}");
            return refused(started, &Denial::new(Kind::Unavailable, text)).await;
        }
    };
    pump(started, upstream, (target_read, target_write), live, number).await
}

async fn refused(started: Started, denial: &Denial) -> Outcome {
    started.refuse(denial).await;
    Outcome::ByClient
}

async fn stopped(started: Started, stop: Stop) -> Outcome {
    started.refuse(&Denial::new(stop.kind(), stop.to_string())).await;
    Outcome::Stopped(stop.reason(), stop.to_string())
}

type TargetHalves = (ChannelReadHalf, ChannelWriteHalf<client::Msg>);

/// Starts the program on the target as the client asked for it.
async fn run(started: &Started, upstream: &Upstream, live: &Live, number: u32) -> Result<TargetHalves, russh::Error> {
    let channel = upstream.handle.channel_open_session().await?;
    if let Some(terminal) = &started.terminal {
        let (cols, rows, width, height) = terminal.size;
        let _ = live.tap().note(number, resize(cols, rows)).await;
        channel.request_pty(false, &terminal.term, cols, rows, width, height, &terminal.modes).await?;
    }
    for (name, value) in &started.env {
        let text = format!("{name}={value}");
        let _ = live.tap().note(number, WhatRef::Mark { kind: "env", text: &text }).await;
        channel.set_env(false, name.clone(), value.clone()).await?;
    }
    match &started.program {
        Program::Shell => channel.request_shell(true).await?,
        Program::Command(command) => channel.exec(true, command.clone()).await?,
    }
    Ok(channel.split())
}

fn resize(cols: u32, rows: u32) -> WhatRef<'static> {
    let small = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    WhatRef::Resize { cols: small(cols), rows: small(rows) }
}

async fn pump(started: Started, upstream: Upstream, target: TargetHalves, live: Live, number: u32) -> Outcome {
    let shows = started.interactive();
    let Started { mut read, write, .. } = started;
    let (mut target_read, target_write) = target;
    let mut heard = live.clone();
    let mut ended = live.clone();
    let mut exit = Exit::default();
    let outcome = {
        let up = up(&live, number, &mut read, &target_write);
        let down = down(&live, number, (&mut target_read, &write), &upstream, &mut exit);
        tokio::pin!(up, down);
        loop {
            tokio::select! {
                outcome = &mut up => break outcome,
                outcome = &mut down => break outcome,
                line = heard.notice(), if shows => write.say(&line).await,
                ending = ended.ended() => break Outcome::Stopped(ending.reason, ending.text),
            }
        }
    };
    let close = WhatRef::Close { exit: exit.status, signal: exit.signal.as_deref() };
    let _ = live.tap().note(number, close).await;
    match &outcome {
        Outcome::Stopped(reason, text) => {
            let kind = if *reason == EndReason::Block { Kind::Denied } else { Kind::Unavailable };
            write.refuse(&Denial::new(kind, text.as_str())).await;
        }
        Outcome::ByTarget | Outcome::ByClient => write.end().await,
    }
    // The client closes as soon as it has the exit status, often before the target does.
    let exited = exit.status.is_some() || exit.signal.is_some();
    if outcome == Outcome::ByClient && exited { Outcome::ByTarget } else { outcome }
}

/// Client to target.
async fn up(live: &Live, number: u32, from: &mut Reader, to: &ChannelWriteHalf<client::Msg>) -> Outcome {
    loop {
        let sent = match from.next().await {
            Said::Bytes(data) => match live.tap().input(number, &data).await {
                Ok(()) => to.data_bytes(data).await,
                Err(stop) => return Outcome::Stopped(stop.reason(), stop.to_string()),
            },
            Said::Eof => match live.tap().thaw().await {
                Ok(()) => to.eof().await,
                Err(stop) => return Outcome::Stopped(stop.reason(), stop.to_string()),
            },
            Said::Resize(cols, rows, width, height) => {
                live.tap().touch();
                if let Err(stop) = live.tap().thaw().await {
                    return Outcome::Stopped(stop.reason(), stop.to_string());
                }
                let _ = live.tap().note(number, resize(cols, rows)).await;
                to.window_change(cols, rows, width, height).await
            }
            Said::Signal(signal) => {
                live.tap().touch();
                if let Err(stop) = live.tap().thaw().await {
                    return Outcome::Stopped(stop.reason(), stop.to_string());
                }
                let _ = live.tap().note(number, WhatRef::Signal(&name(&signal))).await;
                to.signal(signal).await
            }
            Said::Close => return Outcome::ByClient,
        };
        if sent.is_err() {
            // The target's leg is gone; the other pump sees its end and says how.
            std::future::pending::<()>().await;
        }
    }
}

/// Target to client.
async fn down(
    live: &Live,
    number: u32,
    (from, to): (&mut ChannelReadHalf, &Writer),
    upstream: &Upstream,
    exit: &mut Exit,
) -> Outcome {
    let mut eof = None;
    loop {
        let message = match next(from, upstream, eof).await {
            Next::Message(message) => message,
            Next::Silent => return Outcome::ByTarget,
            Next::EofDue => {
                eof = None;
                to.eof().await;
                continue;
            }
        };
        let Some(message) = message else { return Outcome::ByTarget };
        let counted = match &message {
            ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => Some(data.len()),
            _ => None,
        };
        let passed = match message {
            ChannelMsg::Data { data } => match live.tap().output(number, &data).await {
                Ok(()) => awake(upstream, to.output(data)).await,
                Err(stop) => return Outcome::Stopped(stop.reason(), stop.to_string()),
            },
            ChannelMsg::ExtendedData { data, ext: 1 } => match live.tap().stderr(number, &data).await {
                Ok(()) => awake(upstream, to.error(data)).await,
                Err(stop) => return Outcome::Stopped(stop.reason(), stop.to_string()),
            },
            ChannelMsg::Eof => {
                eof = Some(tokio::time::Instant::now() + EOF);
                Ok(())
            }
            ChannelMsg::ExitStatus { exit_status } => {
                exit.status = Some(exit_status);
                to.exited(exit_status).await
            }
            ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag } => {
                exit.signal = Some(name(&signal_name));
                to.killed(signal_name, core_dumped, error_message, lang_tag).await
            }
            ChannelMsg::Failure => {
                to.say("the target refused to start the program").await;
                Ok(())
            }
            ChannelMsg::Close => return Outcome::ByTarget,
            _ => Ok(()),
        };
        if let Some(bytes) = counted {
            upstream.meter.sub(bytes);
        }
        if passed.is_err() {
            return Outcome::ByClient;
        }
    }
}

enum Next {
    Message(Option<ChannelMsg>),
    EofDue,
    Silent,
}

/// The target's next message. A quiet target is asked whether it is there.
async fn next(from: &mut ChannelReadHalf, upstream: &Upstream, eof: Option<tokio::time::Instant>) -> Next {
    loop {
        let due = tokio::time::Instant::now() + KEEP;
        let at = eof.map_or(due, |eof| eof.min(due));
        match tokio::time::timeout_at(at, from.wait()).await {
            Ok(message) => return Next::Message(message),
            Err(_) if eof.is_some_and(|eof| eof <= at) => return Next::EofDue,
            Err(_) if upstream.meter.silent() > SILENT => return Next::Silent,
            Err(_) => drop(upstream.handle.send_keepalive(true).await),
        }
    }
}

/// Waits for the client to take bytes. The target's socket may be paused meanwhile, so that it hears
/// from us only what we send: a keep-alive that wants no answer.
async fn awake<T>(upstream: &Upstream, sending: impl Future<Output = T>) -> T {
    tokio::pin!(sending);
    loop {
        match tokio::time::timeout(KEEP, &mut sending).await {
            Ok(sent) => return sent,
            Err(_) => drop(upstream.handle.send_keepalive(false).await),
        }
    }
}
