//! What an SSH server shows to somebody who only looks: its host keys, sort by sort, and its identification.

use crate::config;
use sallyport_gateway::dial::Dialer;
use sallyport_gateway::spine::DialError;
use sallyport_model::Kind;
use sallyport_model::door::Probed;
use sallyport_ssh_transport::{Error, Leg, Random, Settings, Transport, key};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a server may take for each look.
const LOOK: Duration = Duration::from_secs(10);
/// Longest identification (RFC 4253 section 4.2).
const BANNER: usize = 255;

/// Looks once for each sort of key: a server shows the one that was agreed on.
pub(crate) async fn probe(dialer: &Dialer, host: &str, port: u16, random: &Random) -> Result<Probed, DialError> {
    let mut probed = Probed::default();
    for sort in config::SORTS {
        let stream = dialer.dial(host, port).await?;
        if probed.banner.is_empty() {
            probed.banner = tokio::time::timeout(LOOK, banner(&stream)).await.unwrap_or_default();
            if !probed.banner.starts_with("SSH-") {
                let text = format!("what listens at {host}:{port} is no SSH server; check the address and the port");
                return Err(DialError::new(Kind::Usage, text));
            }
        }
        probed.host_keys.extend(look(stream, sort, random).await);
    }
    if probed.host_keys.is_empty() {
        let text = format!("the SSH server at {host}:{port} shows no host key of a sort that is safe to use");
        return Err(DialError::new(Kind::Usage, text));
    }
    Ok(probed)
}

/// Goes as far as the key that is shown, and no further.
async fn look(stream: TcpStream, sort: &[&'static str], random: &Random) -> Option<String> {
    let transport = Transport::new(Arc::new(Settings::looker(sort.to_vec(), random.clone()))).ok()?;
    let mut leg = Leg::new(stream, transport);
    match tokio::time::timeout(LOOK, leg.receive()).await.ok()? {
        Err(Error::HostKey(shown)) => key::print(&shown).ok(),
        _ => None,
    }
}

/// The identification, left on the stream for the library to read.
async fn banner(stream: &TcpStream) -> String {
    let mut seen = [0; BANNER];
    let mut before = 0;
    loop {
        let Ok(length) = stream.peek(&mut seen).await else { return String::new() };
        let line = seen.get(..length).unwrap_or_default();
        let whole = line.iter().position(|byte| *byte == b'\n');
        if whole.is_some() || length == BANNER || length == 0 {
            let text = line.get(..whole.unwrap_or(length)).unwrap_or_default();
            return String::from_utf8_lossy(text).chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        }
        if length == before {
            // The rest of the line is on its way.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        before = length;
    }
}
