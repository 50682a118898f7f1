//! A program on the target, begun as the client asked for it: as the account that is logged in at, or as the one that it becomes.

use super::Session;
use crate::becoming::{Becoming, Wanted};
use crate::events::string;
use crate::start::{Program, Started};
use bytes::Bytes;
use sallyport_gateway::observe::WhatRef;
use sallyport_gateway::spine::{DialError, Live};
use sallyport_model::Kind;
use sallyport_model::access::{Channel, Denial};
use sallyport_ssh_transport::link;
use sallyport_ssh_transport::wire::Put as _;
use std::sync::PoisonError;

/// Words of a target's before it says that the program runs.
const EARLY: usize = 64;

/// The target's end of a channel whose program runs.
pub(super) struct Running {
    pub(super) read: link::Reader,
    pub(super) write: link::Writer,
    /// What it said before it said that the program runs.
    pub(super) early: Vec<link::Said>,
}

/// Why a program was not begun.
pub(super) enum Fault {
    /// The session goes on without.
    Refused(Denial),
    /// The logon account did not become the account: the session ends.
    NotBecome(Denial),
}

impl From<Denial> for Fault {
    fn from(denial: Denial) -> Self {
        Self::Refused(denial)
    }
}

impl From<DialError> for Fault {
    fn from(error: DialError) -> Self {
        Self::Refused(error.into())
    }
}

/// Starts the program on the target as the client asked for it.
pub(super) async fn run(started: &Started, session: &Session, live: &Live, number: u32) -> Result<Running, Fault> {
    let place = live.clearance().place();
    let becoming = Becoming::of(place, started.terminal.is_some(), &session.random);
    let wrapped = becoming.as_ref().map(|it| it.request(&Wanted::Program(&started.program))).transpose()?;
    let (mut read, write) = session.pool.session(live).await?;
    let gone = |_| Denial::unavailable("the target");
    let mut asked = 1;
    if let Some(terminal) = &started.terminal {
        let [cols, rows, ..] = terminal.size;
        let _ = live.tap().note(number, resize(cols, rows)).await;
        write.request("pty-req", true, terminal.request()).map_err(gone)?;
        asked += 1;
    }
    for (name, value) in &started.env {
        let text = format!("{name}={value}");
        let _ = live.tap().note(number, WhatRef::Mark { kind: "env", text: &text }).await;
        let mut data = Vec::new();
        data.string(name.as_bytes());
        data.string(value.as_bytes());
        write.request("env", false, data.into()).map_err(gone)?;
    }
    for (kind, data) in &started.extras {
        asked += usize::from(extra(*kind, data, (started, session, &write)).await?);
    }
    let (name, data) = match (&wrapped, &started.program) {
        (Some(request), _) => ("exec", string(request)),
        (None, Program::Shell) => ("shell", Bytes::new()),
        (None, Program::Command(command)) => ("exec", string(command)),
        (None, Program::Subsystem(name)) => ("subsystem", string(name.as_bytes())),
    };
    write.request(name, true, data).map_err(gone)?;
    let (mut early, mut answer) = (Vec::new(), false);
    while asked > 0 {
        match read.next().await {
            link::Said::Answer(yes) => (asked, answer) = (asked - 1, yes),
            link::Said::Close => return Err(Denial::unavailable("the target").into()),
            _ if early.len() >= EARLY => return Err(Denial::unavailable("the target").into()),
            said => early.push(said),
        }
    }
    if let (true, Some(becoming)) = (answer, becoming) {
        // Nobody is become while nothing may cross.
        live.tap().thaw().await.map_err(|stop| Denial::new(stop.kind(), stop.to_string()))?;
        let become_it = becoming.become_it((&mut read, &write), early, live.clearance().lease());
        early = become_it.await.map_err(|error| {
            live.tap().not_become(error.why_not_become());
            Fault::NotBecome(error.into())
        })?;
        let _ = live.tap().note(number, WhatRef::Mark { kind: "became", text: &becoming.told() }).await;
        return Ok(Running { read, write, early });
    }
    if answer {
        return Ok(Running { read, write, early });
    }
    let text = match &started.program {
        Program::Subsystem(name) => format!("the target has no subsystem `{name}`"),
        _ => "the target refused to start the program".to_owned(),
    };
    Err(Denial::new(Kind::Unavailable, text).into())
}

/// X11 and the agent: each is a decision of its own, and without it the session goes on without. Whether
/// the target was asked.
async fn extra(
    kind: Channel,
    data: &Bytes,
    (started, session, write): (&Started, &Session, &link::Writer),
) -> Result<bool, Denial> {
    if session.live.clearance().place().logon.is_some() {
        let why = "the display and the agent are the logon account's, and do not go with the one that it becomes";
        session.live.refuse(kind, "", why).await;
        started.say(why).await;
        return Ok(false);
    }
    if let Err(denial) = session.live.channel(kind, "").await {
        started.say(&denial.message).await;
        return Ok(false);
    }
    let name = {
        let mut granted = session.granted.lock().unwrap_or_else(PoisonError::into_inner);
        if kind == Channel::X11 {
            granted.x11 = true;
            "x11-req"
        } else {
            granted.agent = true;
            "auth-agent-req@openssh.com"
        }
    };
    write.request(name, true, data.clone()).map_err(|_| Denial::unavailable("the target"))?;
    Ok(true)
}

pub(super) fn resize(cols: u32, rows: u32) -> WhatRef<'static> {
    let small = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    WhatRef::Resize { cols: small(cols), rows: small(rows) }
}
