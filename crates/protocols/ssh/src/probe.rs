//! What an SSH server shows to somebody who only looks: its host keys, sort by sort, and its identification.

use crate::config;
use russh::client::{self, Handler};
use russh::keys::PublicKeyOrCertificate;
use russh::{Error, keys};
use sallyport_gateway::dial::Dialer;
use sallyport_gateway::spine::DialError;
use sallyport_model::Kind;
use sallyport_model::door::Probed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a server may take for each look.
const LOOK: Duration = Duration::from_secs(10);
/// Longest identification (RFC 4253 section 4.2).
const BANNER: usize = 255;

/// Takes down the key that is shown, and goes no further.
struct Looker(Arc<Mutex<Option<String>>>);

impl Handler for Looker {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = key {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config::openssh(key);
        }
        Ok(false)
    }
}

/// Looks once for each sort of key: a server shows the one that was agreed on.
pub(crate) async fn probe(dialer: &Dialer, host: &str, port: u16) -> Result<Probed, DialError> {
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
        probed.host_keys.extend(look(stream, sort).await);
    }
    if probed.host_keys.is_empty() {
        let text = format!("the SSH server at {host}:{port} shows no host key of a sort that is safe to use");
        return Err(DialError::new(Kind::Usage, text));
    }
    Ok(probed)
}

async fn look(stream: TcpStream, sort: &[keys::Algorithm]) -> Option<String> {
    let found = Arc::new(Mutex::new(None));
    let looking = client::connect_stream(Arc::new(config::looker(sort)), stream, Looker(found.clone()));
    // It always fails: where the key is taken down, because it is then refused.
    let _ = tokio::time::timeout(LOOK, looking).await;
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    found.take()
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
