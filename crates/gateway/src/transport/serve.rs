//! Serves a `Desk` over accepted connections: control's half of the conversation.

use super::frame::{self, Frame};
use super::{Accept, Wire};
use sallyport_model::GatewayId;
use sallyport_model::authority::{BEAT, Desk, Down, DownSink, Hello, Reply, Up, VERSION, Welcome};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const HELLO: Duration = Duration::from_secs(10);
const CALLS_AT_ONCE: usize = 256;
const DOWN_QUEUE: usize = 1024;
const CONNECTIONS: usize = 256;

/// Serves every connection of a listener until it fails. Dropping the future ends them all.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: &dyn Accept, desk: Arc<dyn Desk>) -> Result<(), super::Error> {
    let service = Arc::new(Service { desk, latest: Mutex::default(), count: AtomicU64::new(0) });
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            let _ = connections.join_next().await;
        }
        let wire = listener.accept().await?;
        let service = service.clone();
        connections.spawn(async move {
            if let Err(error) = service.converse(wire).await {
                tracing::warn!(%error, "a gateway's connection ended");
            }
        });
    }
}

struct Service {
    desk: Arc<dyn Desk>,
    /// Which connection of each gateway is its newest: an old one may end after the new one began,
    /// and must not take the gateway away.
    latest: Mutex<HashMap<GatewayId, u64>>,
    count: AtomicU64,
}

impl Service {
    /// Serves one connection until the gateway leaves.
    async fn converse(&self, wire: Wire) -> Result<(), frame::Error> {
        let (mut from, mut to) = tokio::io::split(wire);
        let first = tokio::time::timeout(HELLO, frame::read::<Up, _>(&mut from));
        let hello = match first.await {
            Ok(Ok(Some(Up::Hello(hello)))) => hello,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Some(_))) | Err(_) => return Err(frame::Error::Unexpected("a gateway says Hello first")),
        };
        if hello.version != VERSION {
            let text = "gateway and control speak different versions; upgrade the older one";
            return Err(frame::Error::Unexpected(text));
        }
        let gateway = hello.gateway;
        let connection = self.enter(gateway);
        let (queue, frames) = mpsc::channel(DOWN_QUEUE);
        let overrun = CancellationToken::new();
        let served = async {
            let welcome = join(&self.desk, hello, queue.clone(), overrun.clone()).await?;
            frame::write(&mut to, &Down::Welcome(welcome)).await?;
            tokio::select! {
                read = receive(&mut from, &self.desk, gateway, &queue) => read,
                written = send(&mut to, &self.desk, frames) => written,
                () = overrun.cancelled() => Err(frame::Error::Unexpected("the gateway does not take its orders")),
            }
        };
        let outcome = served.await;
        self.leave(gateway, connection);
        outcome
    }

    fn enter(&self, gateway: GatewayId) -> u64 {
        let connection = self.count.fetch_add(1, Ordering::Relaxed);
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert(gateway, connection);
        connection
    }

    fn leave(&self, gateway: GatewayId, connection: u64) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.get(&gateway) == Some(&connection) {
            latest.remove(&gateway);
            self.desk.leave(gateway);
        }
    }
}

async fn join(
    desk: &Arc<dyn Desk>,
    hello: Hello,
    queue: mpsc::Sender<Frame>,
    overrun: CancellationToken,
) -> Result<Welcome, frame::Error> {
    // INVARIANT: an order that finds no room ends the connection, and the gateway says Hello
    // again, so that no order is lost in silence.
    let down: DownSink = Arc::new(move |order| {
        let sent = frame::seal(&order).is_ok_and(|frame| queue.try_send(frame).is_ok());
        if !sent {
            overrun.cancel();
        }
        sent
    });
    match desk.join(hello, down).await {
        Ok(welcome) => Ok(welcome),
        Err(denial) => {
            tracing::warn!(%denial, "a gateway was refused");
            Err(frame::Error::Unexpected("this gateway is not welcome"))
        }
    }
}

async fn receive(
    from: &mut ReadHalf<Wire>,
    desk: &Arc<dyn Desk>,
    gateway: GatewayId,
    queue: &mpsc::Sender<Frame>,
) -> Result<(), frame::Error> {
    let room = Arc::new(Semaphore::new(CALLS_AT_ONCE));
    // Calls of a connection that is gone are answered to its end: the gateway repeats them.
    loop {
        match frame::read::<Up, _>(from).await? {
            None => return Ok(()),
            Some(Up::Hello(_)) => return Err(frame::Error::Unexpected("a second Hello")),
            Some(Up::View(view)) => desk.view(gateway, view),
            Some(Up::Figures(figures)) => desk.figures(gateway, figures),
            Some(Up::Call(id, call)) => {
                let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
                let (desk, queue) = (desk.clone(), queue.clone());
                tokio::spawn(async move {
                    let _place = place;
                    let reply: Reply = desk.call(gateway, id, call).await;
                    match frame::seal(&Down::Reply(id, reply)) {
                        Ok(frame) => drop(queue.send(frame).await),
                        Err(error) => tracing::error!(%error, "a reply cannot be sent"),
                    }
                });
            }
        }
    }
}

async fn send(
    to: &mut WriteHalf<Wire>,
    desk: &Arc<dyn Desk>,
    mut frames: mpsc::Receiver<Frame>,
) -> Result<(), frame::Error> {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            next = frames.recv() => match next {
                Some(frame) => to.write_all(&frame).await?,
                None => return Ok(()),
            },
            _ = beat.tick() => {
                to.write_all(&frame::seal(&desk.pulse().message())?).await?;
            }
        }
        to.flush().await?;
    }
}
