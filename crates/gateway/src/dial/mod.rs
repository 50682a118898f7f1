//! The one place that opens sockets to targets: resolves once, refuses what no target may be, then connects.

use sallyport_model::Kind;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

const CONNECT: Duration = Duration::from_secs(10);
/// The metadata service of EC2 over IPv6 (Amazon EC2 User Guide, "Instance metadata").
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// A target could not be reached, or may not be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address, or none that may be reached.
    #[error("`{0}` does not resolve; check the target's host name")]
    Unresolved(String),
    /// The address is one that no target may have.
    #[error("`{host}` is at {address}, which no target may be ({why}); correct the target's host")]
    Forbidden {
        /// The host as the target names it.
        host: String,
        /// What it resolved to.
        address: IpAddr,
        /// Why it is refused.
        why: &'static str,
    },
    /// No connection was made.
    #[error("the target at {address} is not reached: {error}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// It took longer than 10 seconds.
    #[error("the target at {0} did not answer within 10 seconds")]
    Slow(SocketAddr),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Unresolved(_) | Self::Forbidden { .. } => Kind::Usage,
            Self::Connect { .. } | Self::Slow(_) => Kind::Unavailable,
        }
    }
}

/// Opens sockets to targets.
#[derive(Debug, Default)]
pub struct Dialer {
    own: Mutex<HashSet<SocketAddr>>,
}

impl Dialer {
    /// Names an address that the product itself listens on: no target may be there. An unspecified
    /// address stands for its port on every address of this machine.
    pub fn own(&self, address: SocketAddr) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
    }

    /// Connects to a target. The name is resolved once, and the address that was checked is the
    /// one that is connected to, so that a name cannot change its meaning in between.
    ///
    /// # Errors
    /// When the host does not resolve, may be no target, or does not answer within 10 seconds.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let found = tokio::time::timeout(CONNECT, tokio::net::lookup_host((host, port))).await;
        let found = found.ok().and_then(Result::ok).ok_or_else(|| Error::Unresolved(host.to_owned()))?;
        let mut last = Error::Unresolved(host.to_owned());
        for address in found {
            match self.connect(host, address).await {
                Ok(stream) => return Ok(stream),
                Err(error @ Error::Forbidden { .. }) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect(&self, host: &str, address: SocketAddr) -> Result<TcpStream, Error> {
        if let Some(why) = self.forbidden(address) {
            return Err(Error::Forbidden { host: host.to_owned(), address: address.ip(), why });
        }
        #[expect(clippy::disallowed_methods, reason = "this is the dialler that the lint points to")]
        let connecting = TcpStream::connect(address);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Ok(Err(error)) => Err(Error::Connect { address, error }),
            Err(_) => Err(Error::Slow(address)),
        }
    }

    fn forbidden(&self, address: SocketAddr) -> Option<&'static str> {
        let ip = address.ip().to_canonical();
        let never = match ip {
            IpAddr::V4(v4) => never_v4(v4),
            IpAddr::V6(v6) => never_v6(v6),
        };
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = own.iter().any(|own| {
            own.port() == address.port()
                && (own.ip().to_canonical() == ip || (own.ip().is_unspecified() && is_local(ip)))
        });
        never.or_else(|| ours.then_some("this product's own address"))
    }
}

fn never_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip {
        ip if ip.is_link_local() => Some("link-local: metadata services live there"),
        ip if ip.is_multicast() => Some("multicast"),
        ip if ip.is_unspecified() || ip.octets().first() == Some(&0) => Some("unspecified"),
        ip if ip.is_broadcast() => Some("broadcast"),
        _ => None,
    }
}

fn never_v6(ip: Ipv6Addr) -> Option<&'static str> {
    // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address that the same rules hold for.
    let embedded = match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            never_v4(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    };
    match ip {
        ip if ip.is_unicast_link_local() => Some("link-local"),
        ip if ip.is_multicast() => Some("multicast"),
        ip if ip.is_unspecified() => Some("unspecified"),
        METADATA_V6 => Some("a metadata service"),
        _ => embedded,
    }
}

/// Whether an address is surely this machine's. Other interfaces' addresses are named by `own`.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests;
