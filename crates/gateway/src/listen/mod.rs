//! The accept loop: never waits for a handshake, and bounds the half-open connections, each address's and all.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How many connections may be half open.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From one address.
    pub per_address: u32,
    /// From all of them.
    pub total: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { per_address: 32, total: 512 }
    }
}

/// A client's connection, fresh from the listener.
pub struct Downstream {
    /// The socket, without delay.
    pub stream: TcpStream,
    /// Where the client is.
    pub from: SocketAddr,
    /// Counts the connection among the half-open ones until it is dropped, after the login.
    pub half_open: HalfOpen,
}

/// A connection's place among the half-open ones.
pub struct HalfOpen {
    counts: Arc<Mutex<Counts>>,
    address: IpAddr,
}

#[derive(Default)]
struct Counts {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
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
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, from)) => match enter(&counts, bounds, from.ip()) {
                Some(half_open) => {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(carry(Downstream { stream, from, half_open }));
                }
                None => tracing::warn!(%from, "too many half-open connections; this one is dropped"),
            },
            Err(error) => rest(&error).await,
        }
    }
}

fn enter(counts: &Arc<Mutex<Counts>>, bounds: Bounds, address: IpAddr) -> Option<HalfOpen> {
    let address = network(address);
    let mut inner = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let here = inner.by_address.get(&address).copied().unwrap_or(0);
    if inner.all >= bounds.total || here >= bounds.per_address {
        return None;
    }
    inner.all = inner.all.saturating_add(1);
    inner.by_address.insert(address, here.saturating_add(1));
    Some(HalfOpen { counts: counts.clone(), address })
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
