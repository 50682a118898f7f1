//! SSH: login, deny, hold, dial, relay.
//!
//! Two legs of russh, metered: see `meter`. Each channel of the client has a connection to the target
//! of its own, so that one which sleeps stalls no other.

mod client;
mod config;
mod dial;
mod events;
mod leg;
mod login;
mod meter;
mod probe;
mod relay;
mod start;

use events::Arrival as Event;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use sallyport_gateway::dial::Dialer;
use sallyport_gateway::listen::Downstream;
use sallyport_gateway::spine::{Arrival, Clearance, DialError, Hold, Live, Login, Protocol, Seated, Terminal};
use sallyport_model::access::{Denial, EndReason};
use sallyport_model::door::Probed;
use sallyport_model::{Kind, Secret};
use start::Started;
use std::sync::Arc;
use std::time::Duration;

pub use client::Client;
pub use dial::Upstream;

/// A host key that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a gateway's SSH host key is an Ed25519 seed of 32 bytes; make a new one")]
pub struct BadHostKey;

impl BadHostKey {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(self) -> Kind {
        Kind::Usage
    }
}

/// The protocol.
pub struct Ssh {
    config: Arc<russh::server::Config>,
    public: String,
}

impl Ssh {
    /// With the gateway's host key, the 32 bytes of an Ed25519 seed.
    ///
    /// # Errors
    /// When it has another length.
    pub fn new(host_key: &Secret<Vec<u8>>) -> Result<Self, BadHostKey> {
        let seed = host_key.expose().first_chunk::<32>().filter(|_| host_key.len() == 32).ok_or(BadHostKey)?;
        let pair = KeypairData::from(Ed25519Keypair::from_seed(seed));
        let key = PrivateKey::new(pair, "").map_err(|_| BadHostKey)?;
        let public = config::openssh(key.public_key()).ok_or(BadHostKey)?;
        Ok(Self { config: Arc::new(config::server(key)), public })
    }

    /// The host key's public half, algorithm and base64, for known-hosts files.
    #[must_use]
    pub fn host_key(&self) -> &str {
        &self.public
    }
}

/// How long a refused client may take to open the channel in which it is told.
const TELL: Duration = Duration::from_secs(10);
/// How long a refused client may take to leave by itself, which keeps its exit code.
const LEAVE: Duration = Duration::from_secs(2);
/// Between two tries of a held client.
const HOLD: Duration = Duration::from_secs(2);
/// How long a dial may take, with login.
const DIAL: Duration = Duration::from_secs(20);

impl Protocol for Ssh {
    const NAME: &'static str = "ssh";
    type Client = Client;
    type Upstream = Upstream;

    async fn login(&self, io: Downstream, login: Login) -> Result<Arrival<Client>, Denial> {
        let (mut client, who, wish) = login::login(self.config.clone(), io, login).await?;
        match wish {
            Ok(wish) => Ok(Arrival { client, who, wish }),
            Err(denial) => {
                tell(&mut client, &denial).await;
                Err(denial)
            }
        }
    }

    async fn deny(&self, mut client: Client, why: &Denial) {
        tell(&mut client, why).await;
    }

    async fn hold(&self, client: &mut Client, why: &Denial) -> Hold {
        let first = !client.told;
        client.told = true;
        if client.started.is_none() {
            client.started = first_channel(client).await;
        }
        let Some(started) = client.started.as_ref().filter(|started| started.interactive()) else {
            return Hold::Gone;
        };
        if first {
            started.say(&why.message).await;
        }
        tokio::time::sleep(HOLD).await;
        if client.gone() { Hold::Gone } else { Hold::Waiting }
    }

    async fn dial(&self, go: &Clearance) -> Result<Upstream, DialError> {
        let slow = || DialError::new(Kind::Unavailable, "the target's SSH server did not let us in within 20 seconds");
        tokio::time::timeout(DIAL, Box::pin(dial::dial(go))).await.map_err(|_| slow())?
    }

    async fn relay(&self, client: Client, upstream: Upstream, live: Live) -> EndReason {
        Box::pin(relay::relay(client, upstream, live)).await
    }
}

impl Seated for Ssh {
    fn seat(&self, terminal: Terminal) -> Client {
        Client::seated(terminal)
    }

    async fn probe(&self, dialer: &Dialer, host: &str, port: u16) -> Result<Probed, DialError> {
        Box::pin(probe::probe(dialer, host, port)).await
    }
}

/// The first channel that a client starts something in, if it does soon.
async fn first_channel(client: &mut Client) -> Option<Started> {
    let handle = client.handle.clone()?;
    tokio::time::timeout(TELL, start::first(&mut client.arrivals, &handle)).await.ok().flatten()
}

/// Tells a client no in its first channel, with an exit code that says what sort of no it is.
async fn tell(client: &mut Client, why: &Denial) {
    let started = match client.started.take() {
        Some(started) => Some(started),
        None => first_channel(client).await,
    };
    if let Some(started) = started {
        started.refuse(why).await;
    }
    relay::goodbye(client, &why.message, LEAVE).await;
}
