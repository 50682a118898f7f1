//! The one place that opens sockets to targets: resolves once, refuses what no target may be, then connects.

use crate::socket::Socket;
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

/// Names by which metadata services are known inside clouds (Google Compute Engine, Amazon EC2).
const METADATA_NAMES: [&str; 4] =
    ["metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

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
    /// A name that stands for what no target may be.
    #[error("`{0}` is a metadata service, which no target may be; correct the target's host")]
    Metadata(String),
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
            Self::Unresolved(_) | Self::Forbidden { .. } | Self::Metadata(_) => Kind::Usage,
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
    pub async fn dial(&self, host: &str, port: u16) -> Result<Socket, Error> {
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

    /// Whether a jump host may be asked to connect there. It resolves names in its own network, so that of a name only what
    /// it says itself is known; of an address, in whichever spelling a resolver takes one, everything. Its loopback is not
    /// ours.
    ///
    /// # Errors
    /// When no target may be there.
    pub fn judge(&self, host: &str, port: u16) -> Result<(), Error> {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return Err(Error::Metadata(host.to_owned()));
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let literal = literal.split_once('%').map_or(literal, |(address, _zone)| address);
        let Some(ip) = literal.parse().ok().or_else(|| spelled(&name).map(IpAddr::V4)) else { return Ok(()) };
        let ip: IpAddr = IpAddr::to_canonical(&ip);
        let why = if ip.is_loopback() { None } else { self.forbidden(SocketAddr::new(ip, port)) };
        why.map_or(Ok(()), |why| Err(Error::Forbidden { host: host.to_owned(), address: ip, why }))
    }

    async fn connect(&self, host: &str, address: SocketAddr) -> Result<Socket, Error> {
        if let Some(why) = self.forbidden(address) {
            return Err(Error::Forbidden { host: host.to_owned(), address: address.ip(), why });
        }
        #[expect(clippy::disallowed_methods, reason = "this is the dialler that the lint points to")]
        let connecting = TcpStream::connect(address);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => Ok(Socket::new(stream)),
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

/// An IPv4 address as `inet_aton(3)` reads it, which resolvers take too: one to four numbers, decimal, octal or
/// hexadecimal, of which the last fills what is left.
fn spelled(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match (part.strip_prefix("0x"), part.strip_prefix('0')) {
        (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => part.parse().ok(),
    };
    let parts = text.split('.').map(number).collect::<Option<Vec<_>>>()?;
    let (last, bytes) = parts.split_last()?;
    let mut address = 0_u32;
    for (byte, shift) in bytes.iter().zip([24, 16, 8]) {
        address |= u32::from(u8::try_from(*byte).ok()?) << shift;
    }
    let room = 4_usize.checked_sub(bytes.len()).filter(|room| *room > 0)?;
    let most = u32::MAX.checked_shr(u32::try_from(32_usize.checked_sub(room.checked_mul(8)?)?).ok()?)?;
    (*last <= most).then(|| Ipv4Addr::from(address | last))
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
