//! Between nodes: a conversation at the door over mutual TLS, each end known by its certificate.

use super::knock::{Ear, Mouth};
use super::pinned::{self, Acceptor, Shown};
use super::{Wire, frame};
use sallyport_model::Kind;
use sallyport_model::access::Denial;
use sallyport_model::authority::Boxed;
use sallyport_model::door::{Closed, Hear, Inward, Outward, Speak};
use sallyport_model::relay::{Asked, Line, Nodes, Pin, Relayed};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

/// How long a node may take to say what it wants.
const FIRST: Duration = Duration::from_secs(10);
/// Conversations that other nodes have here at once.
const CONNECTIONS: usize = 4096;
/// How often each end shows that it is there, and how long the other waits for a sign of it.
const BEAT: Duration = Duration::from_secs(2);
const SILENT: Duration = Duration::from_secs(8);

/// The way to other nodes.
pub struct Peers {
    own: Shown,
    pin: Pin,
    address: String,
}

impl Peers {
    /// For a node that shows this and is reached there.
    #[must_use]
    pub fn new(own: Shown, address: String) -> Self {
        Self { pin: pinned::pin(&own.certificate), own, address }
    }
}

impl Nodes for Peers {
    fn pin(&self) -> Pin {
        self.pin
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn ask<'a>(&'a self, address: &'a str, pin: Pin, relayed: Relayed) -> Boxed<'a, Result<Line, Denial>> {
        Box::pin(async move {
            let away = |why: &dyn std::fmt::Display| {
                tracing::warn!(%why, address, "another node is not reached");
                Denial::new(Kind::Unavailable, "the node of this session is not reached from here; try again shortly")
            };
            let wire = pinned::connect(address, pin, &self.own).await.map_err(|error| away(&error))?;
            let (from, mut to) = tokio::io::split(wire);
            frame::write(&mut to, &Inward::Relayed(Box::new(relayed))).await.map_err(|error| away(&error))?;
            Ok(Line { speak: Box::new(Beating::new(Mouth(to))), hear: Box::new(Listening(Ear(from))) })
        })
    }
}

/// Speaks, and shows in between that this end is there.
struct Beating {
    mouth: Arc<Mutex<Mouth>>,
    _beats: AbortOnDropHandle<()>,
}

impl Beating {
    fn new(mouth: Mouth) -> Self {
        let mouth = Arc::new(Mutex::new(mouth));
        let beating = mouth.clone();
        let beats = async move {
            let mut due = beats();
            loop {
                due.tick().await;
                if !beating.lock().await.say(Inward::Here).await {
                    return;
                }
            }
        };
        Self { mouth, _beats: AbortOnDropHandle::new(tokio::spawn(beats)) }
    }
}

fn beats() -> tokio::time::Interval {
    let mut due = interval(BEAT);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due
}

impl Speak for Beating {
    fn say(&mut self, message: Inward) -> Boxed<'_, bool> {
        Box::pin(async move { self.mouth.lock().await.say(message).await })
    }

    fn pass<'a>(&'a mut self, bytes: &'a [u8]) -> Boxed<'a, bool> {
        Box::pin(async move { self.mouth.lock().await.pass(bytes).await })
    }
}

/// Hears, and takes an end that gives no sign for gone.
struct Listening(Ear);

impl Hear for Listening {
    fn hear(&mut self) -> Boxed<'_, Option<Outward>> {
        Box::pin(async {
            loop {
                match timeout(SILENT, self.0.hear()).await {
                    Ok(Some(Outward::Here)) => {}
                    Ok(heard) => return heard,
                    Err(_) => return None,
                }
            }
        })
    }
}

/// Answers other nodes, until the listener fails.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, own: Shown, asked: Arc<dyn Asked>) -> Result<(), super::Error> {
    let known = asked.clone();
    let acceptor = Acceptor::new(own, move |pin| known.knows(pin))?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
        let (stream, from) = listener.accept().await?;
        let (acceptor, asked) = (acceptor.clone(), asked.clone());
        tokio::spawn(async move {
            let _place = place;
            let answered = match acceptor.accept(stream).await {
                Ok((wire, pin)) => answer(wire, pin, &*asked).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = answered {
                tracing::warn!(%error, %from, "another node was not answered");
            }
        });
    }
}

/// Answers one node.
async fn answer(wire: Wire, pin: Pin, asked: &dyn Asked) -> Result<(), frame::Error> {
    let (mut from, mut to) = tokio::io::split(wire);
    let first = timeout(FIRST, frame::read::<Inward, _>(&mut from)).await;
    let relayed = match first.map_err(|_| frame::Error::Unexpected("a node said nothing of what it wants"))?? {
        Some(Inward::Relayed(relayed)) => *relayed,
        None => return Ok(()),
        Some(_) => return Err(frame::Error::Unexpected("a node says first what it wants")),
    };
    match asked.relayed(pin, relayed).await {
        Ok(line) => carry(line, (from, to)).await,
        Err(why) => frame::write(&mut to, &Outward::Closed(Closed::refused(&why))).await,
    }
}

/// Carries a conversation both ways until either end is gone. Each way waits for its own sink only.
async fn carry(line: Line, (mut from, mut to): (ReadHalf<Wire>, WriteHalf<Wire>)) -> Result<(), frame::Error> {
    let Line { mut speak, mut hear } = line;
    let inward = async {
        loop {
            let read = timeout(SILENT, frame::read::<Inward, _>(&mut from)).await;
            match read.map_err(|_| frame::Error::Unexpected("the other node gives no sign"))?? {
                None => return Ok(()),
                Some(Inward::Here) => {}
                Some(message) => {
                    if !speak.say(message).await {
                        // What is heard last says why.
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    };
    let outward = async {
        let mut due = beats();
        loop {
            let mut next = hear.hear();
            let heard = loop {
                tokio::select! {
                    heard = &mut next => break heard,
                    _ = due.tick() => frame::write(&mut to, &Outward::Here).await?,
                }
            };
            match heard {
                Some(message) => frame::write(&mut to, &message).await?,
                None => return Ok(()),
            }
        }
    };
    tokio::select! {
        done = inward => done,
        done = outward => done,
    }
}
