//! What an SSH server shows to somebody who only looks: its host keys, sort by sort, and its identification.

use crate::{config, dial};
use sallyport_gateway::spine::{DialError, Vantage};
use sallyport_model::door::Probed;
use sallyport_model::{Env, Kind};
use sallyport_ssh_transport::{Error, Leg, Settings, Transport, key};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a server may take for each look.
const LOOK: Duration = Duration::from_secs(10);

/// Looks once for each sort of key: a server shows the one that was agreed on. What is old is spoken only with a server that
/// shows nothing otherwise.
pub(crate) async fn probe(from: Vantage<'_>, host: &str, port: u16, env: &Env) -> Result<Probed, DialError> {
    let jump_host = match from {
        Vantage::Here(_) => None,
        Vantage::Behind(go) => Some((go, dial::dial(go, env).await?)),
    };
    let random = &config::random(env);
    let mut probed = Probed::default();
    let mut needed = None;
    for (old, sort) in [false, true].into_iter().flat_map(|old| config::SORTS.map(|sort| (old, sort))) {
        if old && !probed.host_keys.is_empty() {
            break;
        }
        let settings = Settings::looker(sort.to_vec(), random.clone());
        let settings = if old { settings.speaking_old() } else { settings };
        let Shown { banner, host_key, exceptions } = match (&from, &jump_host) {
            (_, Some((go, at))) => look(at.onward(go, host, port).await?, settings).await,
            (Vantage::Here(dialer), None) => look(dialer.dial(host, port).await?, settings).await,
            (Vantage::Behind(_), None) => Shown::default(),
        };
        if probed.banner.is_empty() {
            probed.banner = banner;
        }
        if probed.banner.is_empty() {
            let text = format!("what listens at {host}:{port} is no SSH server; check the address and the port");
            return Err(DialError::new(Kind::Usage, text));
        }
        if host_key.is_some() && needed.as_ref().is_none_or(|known: &Vec<_>| exceptions.len() < known.len()) {
            needed = Some(exceptions);
        }
        probed.host_keys.extend(host_key);
    }
    // Keys of one sort are enough.
    probed.exceptions = needed.unwrap_or_default();
    if probed.host_keys.is_empty() {
        let text = format!("the SSH server at {host}:{port} shows no host key of a sort that is safe to use");
        return Err(DialError::new(Kind::Usage, text));
    }
    Ok(probed)
}

/// What one look has shown.
#[derive(Default)]
struct Shown {
    /// The identification; empty where what listens is no SSH server.
    banner: String,
    host_key: Option<String>,
    /// Old algorithms that were spoken for it.
    exceptions: Vec<String>,
}

/// Goes as far as the key that is shown, and no further.
async fn look<S>(stream: S, settings: Settings) -> Shown
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(transport) = Transport::new(Arc::new(settings)) else { return Shown::default() };
    let mut leg = Leg::new(stream, transport);
    let seen = tokio::time::timeout(LOOK, leg.receive()).await;
    let host_key = match seen {
        Ok(Err(Error::HostKey(shown))) => key::print(&shown).ok(),
        _ => None,
    };
    let old = leg.transport().agreeing().map(|agreed| agreed.exceptions()).unwrap_or_default();
    let exceptions = old.into_iter().map(str::to_owned).collect();
    let line = String::from_utf8_lossy(leg.transport().identification().unwrap_or_default());
    Shown { banner: line.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect(), host_key, exceptions }
}
