//! Clients whose session may not begin: what they begin meanwhile, what they are told, and which of them wait.

use crate::client::Client;
use crate::relay;
use crate::start::{self, Started};
use sallyport_gateway::spine::Hold;
use sallyport_model::access::Denial;
use sallyport_ssh_transport::link::{Arrival, code};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// For clients that would have to wait and begin nothing that could: forwards alone, and jumps.
const CANNOT_WAIT: &str = "a client that begins neither a shell nor a command (`ssh -N`, `-W`, a jump) cannot wait for that: \
                           connect with one, and with the forwards beside it";
/// For commands, where somebody at a terminal would be kept waiting.
const NO_TERMINAL: &str = "a command does not wait for that: run it again once it is so";
/// How long a refused client may take to open the channel in which it is told.
const TELL: Duration = Duration::from_secs(10);
/// How long a refused client may take to leave by itself, which keeps its exit code.
const LEAVE: Duration = Duration::from_secs(2);
/// Between two tries of a held client.
const HOLD: Duration = Duration::from_secs(2);
/// Questions about the whole connection that are kept of a client that waits, and the longest of them. What is more is answered
/// with no.
const KEPT: usize = 32;
const QUESTION: usize = 4 << 10;

/// A person at a terminal waits for a while; nobody else does.
pub(crate) async fn at_a_terminal(client: &mut Client, why: &Denial) -> Hold {
    let mut left = false;
    if client.started.is_none() {
        let refused = begin(client, &why.message).await;
        left = client.gone() && !refused;
    }
    if !client.started.as_ref().is_some_and(Started::interactive) {
        let how = if client.started.is_some() { NO_TERMINAL } else { CANNOT_WAIT };
        return if left { Hold::Gone } else { Hold::Unfit(how) };
    }
    say(client, why).await;
    tokio::time::sleep(HOLD).await;
    if client.gone() { Hold::Gone } else { Hold::Waiting }
}

/// Any client waits for a while, whatever it begins: its program, where it has one, is told why. What it has begun before one is
/// kept without an answer, so that nothing of it crosses, and goes on with the session.
pub(crate) async fn whatever_it_begins(client: &mut Client, why: &Denial) -> Hold {
    let until = Instant::now() + HOLD;
    while client.started.is_none() {
        say(client, why).await;
        let Ok(arrival) = timeout_at(until, client.arrives()).await else { break };
        match arrival {
            Some(Arrival::Open(opening)) if opening.kind == "session" => {
                if let Some(channel) = opening.accept() {
                    client.started = timeout(TELL, start::start(channel)).await.ok().flatten();
                    client.told = None;
                }
            }
            // A jump, or standard input and output: all that the client is here for. To refuse it would end it.
            Some(arrival @ Arrival::Open(_)) if client.kept.is_empty() => client.kept.push_back(arrival),
            Some(Arrival::Open(opening)) => {
                opening.refuse(code::PROHIBITED, &format!("{}: connect through here again then", why.message));
            }
            Some(Arrival::Global(global)) => {
                if client.kept.len() < KEPT && global.data.len() <= QUESTION {
                    client.kept.push_back(Arrival::Global(global));
                }
            }
            None => return Hold::Gone,
        }
    }
    client.begins_nothing = client.started.is_none();
    say(client, why).await;
    sleep_until(until).await;
    match &client.connected {
        _ if client.gone() => return Hold::Gone,
        // Whoever asks whether we are there is answered in turn, and so not while an earlier question is kept.
        Some(connected) if !client.kept.is_empty() => connected.link.pulse(),
        _ => {}
    }
    Hold::Waiting
}

/// Tells a client why it waits, once: in its channel, or beside its connection where it has none.
async fn say(client: &mut Client, why: &Denial) {
    if client.told.as_ref() == Some(&why.message) {
        return;
    }
    client.told = Some(why.message.clone());
    match (&client.started, &client.connected) {
        (Some(started), _) => started.say(&why.message).await,
        (None, Some(connected)) => connected.link.remark(&format!("sallyport: {}", why.message)),
        (None, None) => {}
    }
}

/// Waits for the first channel that a client starts something in, if it does soon. What else it begins meanwhile is
/// refused with this text: nothing opens before the decision. Whether something was.
pub(crate) async fn begin(client: &mut Client, text: &str) -> bool {
    let mut refused = false;
    if client.started.is_some() || client.begins_nothing {
        return refused;
    }
    let first = async {
        loop {
            match client.next().await? {
                Arrival::Open(opening) if opening.kind == "session" => {
                    if let Some(started) = start::start(opening.accept()?).await {
                        return Some(started);
                    }
                }
                Arrival::Open(opening) => {
                    opening.refuse(code::PROHIBITED, text);
                    refused = true;
                }
                Arrival::Global(_) => {}
            }
        }
    };
    client.started = timeout(TELL, first).await.ok().flatten();
    client.begins_nothing = client.started.is_none();
    refused
}

/// Tells a client no in its first channel, with an exit code that says what sort of no it is.
pub(crate) async fn tell(client: &mut Client, why: &Denial) {
    for kept in client.kept.drain(..) {
        if let Arrival::Open(opening) = kept {
            opening.refuse(code::PROHIBITED, &why.message);
        }
    }
    begin(client, &why.message).await;
    let leave = match client.started.take() {
        Some(started) => {
            started.refuse(why).await;
            LEAVE
        }
        // It has no exit code to keep.
        None => Duration::ZERO,
    };
    relay::goodbye(client, &why.message, leave).await;
}
