//! Who stands behind a proxy: the PROXY protocol and forwarded headers, believed from listed peers alone.

use axum::http::HeaderMap;
use sallyport_cli::Fail;
use sallyport_model::Network;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line of version 1 (section 2.1 of the PROXY protocol).
const LINE: usize = 107;
/// What version 2 begins with (section 2.2).
const MAGIC: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest tail of version 2 that is read.
const TAIL: usize = 536;

/// The peers that may speak for others.
#[derive(Debug)]
pub(super) struct Peers {
    trusted: Vec<Network>,
    proxy: bool,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no PROXY protocol: {what}"))
}

impl Peers {
    pub(super) fn new(trusted: &[String], proxy: bool) -> Result<Self, Fail> {
        let trusted = trusted.iter().map(|text| text.parse()).collect::<Result<_, String>>();
        Ok(Self { trusted: trusted.map_err(|e| Fail::usage(format!("[api] trusted_peers: {e}")))?, proxy })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.holds(address))
    }

    /// Where a connection comes from: where the PROXY protocol is on, a listed peer says it first, and nobody else may.
    pub(super) async fn behind(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        from: SocketAddr,
    ) -> io::Result<SocketAddr> {
        if !self.proxy || !self.trusts(from.ip()) {
            return Ok(from);
        }
        let mut head = [0; MAGIC.len()];
        stream.read_exact(&mut head).await?;
        let said = if head == MAGIC { second(stream).await? } else { first(stream, &head).await? };
        Ok(said.unwrap_or(from))
    }

    /// Where a request comes from: the nearest address that the headers name and that is no listed peer itself.
    pub(super) fn client(&self, from: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.trusts(from.ip()) {
            return from;
        }
        let lists = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let named: Vec<&str> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
        let mut nearest = from;
        // From the right: each entry is what the peer behind it says, and is believed as long as that one is.
        for text in named.into_iter().rev() {
            let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else { break };
            nearest = SocketAddr::new(address, 0);
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 1 2`; `None` where the peer speaks for itself.
async fn first(stream: &mut (impl AsyncRead + Unpin), head: &[u8]) -> io::Result<Option<SocketAddr>> {
    let mut line = head.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE {
            return Err(bad("the line has no end"));
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| bad("the line is no text"))?.trim_end();
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", "TCP4" | "TCP6", source, _, port, _] => {
            let address = source.parse().map_err(|_| bad("the address is none"))?;
            Ok(Some(SocketAddr::new(address, port.parse().map_err(|_| bad("the port is none"))?)))
        }
        _ => Err(bad("this is not its line")),
    }
}

async fn second(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let (command, family, length) = (stream.read_u8().await?, stream.read_u8().await?, stream.read_u16().await?);
    let mut tail = vec![0; usize::from(length)];
    if tail.len() > TAIL {
        return Err(bad("its tail is too long"));
    }
    stream.read_exact(&mut tail).await?;
    match (command, family) {
        // LOCAL: the peer speaks for itself, to see whether we are there.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => {
            let mut parts = tail.as_slice();
            let source = Ipv4Addr::from_bits(parts.read_u32().await?);
            let _target = parts.read_u32().await?;
            Ok(Some(SocketAddr::new(source.into(), parts.read_u16().await?)))
        }
        (0x21, 0x21) => {
            let mut parts = tail.as_slice();
            let source = Ipv6Addr::from_bits(parts.read_u128().await?);
            let _target = parts.read_u128().await?;
            Ok(Some(SocketAddr::new(source.into(), parts.read_u16().await?)))
        }
        _ => Err(bad("only TCP is carried here")),
    }
}

#[cfg(test)]
mod tests;
