//! The accept loop: never waits for a handshake, and bounds the half-open connections, each address's and all.

use crate::socket::Socket;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is told that connections are dropped, however many are.
const TELL: Duration = Duration::from_secs(1);

/// How many connections may be half open.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From one address: whoever has more is refused.
    pub per_address: usize,
    /// From all of them: then the oldest of the address that has most gives way to who comes from elsewhere.
    pub total: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { per_address: 32, total: 512 }
    }
}

/// A client's connection, fresh from the listener.
pub struct Downstream {
    /// The socket.
    pub stream: Socket,
    /// Where the client is.
    pub from: SocketAddr,
    /// Counts the connection among the half-open ones until it is dropped, after the login.
    pub half_open: HalfOpen,
}

/// A connection's place among the half-open ones.
pub struct HalfOpen {
    counts: Arc<Mutex<Counts>>,
    address: IpAddr,
    number: u64,
}

impl HalfOpen {
    /// The connection is counted on, and gives way to nobody any more.
    pub fn stay(&self) {
        let mut counts = lock(&self.counts);
        if let Some(places) = counts.by_address.get_mut(&self.address) {
            places.stay(self.number);
        }
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        lock(&self.counts).leave(self.address, self.number);
    }
}

/// Connections by address.
#[derive(Default)]
struct Counts {
    all: usize,
    last: u64,
    by_address: HashMap<IpAddr, Places>,
}

/// Those of one address by number, which grows; with each what ends it, as long as it may have to give way.
#[derive(Default)]
struct Places {
    held: BTreeMap<u64, Option<CancellationToken>>,
    /// How many of them may have to give way.
    crowd: usize,
}

impl Places {
    /// From here on it does not have to give way.
    fn stay(&mut self, number: u64) {
        if self.held.get_mut(&number).is_some_and(|place| place.take().is_some()) {
            self.crowd = self.crowd.saturating_sub(1);
        }
    }

    fn oldest(&self) -> Option<u64> {
        self.held.iter().find(|(_, place)| place.is_some()).map(|(number, _)| *number)
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    fn leave(&mut self, address: IpAddr, number: u64) -> Option<CancellationToken> {
        let places = self.by_address.get_mut(&address)?;
        let place = places.held.remove(&number)?;
        if place.is_some() {
            places.crowd = places.crowd.saturating_sub(1);
        }
        if places.held.is_empty() {
            self.by_address.remove(&address);
        }
        self.all = self.all.saturating_sub(1);
        place
    }

    /// Makes room for one more of an address; whether there was somebody to give way.
    fn make_room(&mut self, address: IpAddr) -> bool {
        let here = self.by_address.get(&address).map_or(0, |places| places.crowd);
        let most = self.by_address.values().map(|places| places.crowd).max().unwrap_or(0);
        if most <= here {
            return false;
        }
        let largest = self.by_address.iter().filter(|(_, places)| places.crowd == most);
        let oldest = largest.filter_map(|(address, places)| Some((places.oldest()?, *address))).min();
        let Some((number, address)) = oldest else { return false };
        if let Some(end) = self.leave(address, number) {
            end.cancel();
        }
        true
    }
}

/// Accepts until `stop`; each connection runs in a task of its own, which outlives the loop.
pub async fn listen<F>(
    listener: TcpListener,
    bounds: Bounds,
    stop: CancellationToken,
    mut carry: impl FnMut(Downstream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let counts = Arc::new(Mutex::new(Counts::default()));
    let mut dropped = Dropped::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, from)) => match enter(&counts, bounds, from.ip()) {
                Some((half_open, gives_way)) => {
                    let carried = carry(Downstream { stream: Socket::new(stream), from, half_open });
                    tokio::spawn(async move {
                        tokio::select! {
                            () = carried => {}
                            () = gives_way.cancelled() => tracing::debug!(%from, "A half-open connection gave way"),
                        }
                    });
                }
                None => dropped.tell(from),
            },
            Err(error) => rest(&error).await,
        }
    }
}

/// Connections that were dropped and not told of yet.
#[derive(Default)]
struct Dropped {
    count: u64,
    told: Option<Instant>,
}

impl Dropped {
    /// A crowd must not fill the log either.
    fn tell(&mut self, from: SocketAddr) {
        self.count = self.count.saturating_add(1);
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            tracing::warn!(%from, dropped = self.count, "too many half-open connections; the latest are dropped");
            *self = Self { count: 0, told: Some(Instant::now()) };
        }
    }
}

/// A place for one more, and what is cancelled when it has to give way.
fn enter(counts: &Arc<Mutex<Counts>>, bounds: Bounds, address: IpAddr) -> Option<(HalfOpen, CancellationToken)> {
    let address = network(address);
    let mut inner = lock(counts);
    if inner.by_address.get(&address).map_or(0, |places| places.held.len()) >= bounds.per_address {
        return None;
    }
    if inner.all >= bounds.total && !inner.make_room(address) {
        return None;
    }
    let gives_way = CancellationToken::new();
    let number = inner.last.saturating_add(1);
    inner.last = number;
    inner.all = inner.all.saturating_add(1);
    let places = inner.by_address.entry(address).or_default();
    places.held.insert(number, Some(gives_way.clone()));
    places.crowd = places.crowd.saturating_add(1);
    Some((HalfOpen { counts: counts.clone(), address, number }, gives_way))
}

/// One IPv6 customer holds a /64, so that is what counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// After a failed accept: out of descriptors is waited out, everything else concerns one client only.
async fn rest(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[cfg(test)]
mod tests;
