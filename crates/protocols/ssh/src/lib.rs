//! SSH: login, deny, hold, dial, relay.
//!
//! Both legs are [`sallyport_ssh_transport`] links: credit is given when bytes are taken, so what either
//! side may have under way is bounded by windows, and a channel that sleeps stalls no other.

mod agent;
mod becoming;
mod by_browser;
mod chooser;
mod client;
mod config;
mod dial;
mod events;
pub mod files;
mod login;
mod probe;
mod relay;
mod start;
mod waiting;
#[cfg(any(test, fuzzing))]
pub mod walk;

use sallyport_gateway::listen::Downstream;
use sallyport_gateway::spine::{
    Arrival, Choices, Clearance, DialError, Hold, Live, Login, Protocol, Seated, Terminal, Vantage,
};
use sallyport_model::access::{Denial, EndReason};
use sallyport_model::door::Probed;
use sallyport_model::{AccountName, Env, Kind, Secret, TargetName};
use sallyport_ssh_transport::Settings;
use sallyport_ssh_transport::key::{self, HostKey};
use std::sync::{Arc, PoisonError, RwLock};

pub use client::Client;
pub use dial::Upstream;

/// A host key that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a gateway's SSH host key is an Ed25519 seed of 32 bytes, and its certificate one of that key; make new ones")]
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
    settings: RwLock<Arc<Settings>>,
    host_key: Arc<HostKey>,
    public: String,
    env: Env,
}

impl Ssh {
    /// With the gateway's host key, the 32 bytes of an Ed25519 seed.
    ///
    /// # Errors
    /// When it has another length.
    pub fn new(host_key: &Secret<Vec<u8>>, env: &Env) -> Result<Self, BadHostKey> {
        let seed = host_key.expose().first_chunk::<32>().filter(|_| host_key.len() == 32).ok_or(BadHostKey)?;
        let (host_key, public) = config::host_key(seed)?;
        let settings = RwLock::new(Arc::new(Settings::server(host_key.clone(), config::random(env))));
        Ok(Self { settings, host_key, public, env: env.clone() })
    }

    /// Shows this certificate of its key, a line of a `-cert.pub` file, to clients that ask for one from now on.
    ///
    /// # Errors
    /// When it is none, or another key's.
    pub fn certify(&self, line: &str) -> Result<(), BadHostKey> {
        let bare = Settings::server(self.host_key.clone(), config::random(&self.env));
        let settings = key::parse(line).and_then(|certificate| bare.certified(certificate)).map_err(|_| BadHostKey)?;
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        Ok(())
    }

    /// The host key's public half, algorithm and base64, for known-hosts files.
    #[must_use]
    pub fn host_key(&self) -> &str {
        &self.public
    }
}

/// For clients that named no target and have nobody before them who could choose one: commands, and jumps
/// (`ssh -J`), whose inside nobody could see.
const NAME_A_TARGET: &str = "no target was named: connect as account@target, such as `ssh root@web-1@this-gateway`, \
                             in place of a jump through it too";

impl Protocol for Ssh {
    const NAME: &'static str = "ssh";
    type Client = Client;
    type Upstream = Upstream;

    async fn login(&self, io: Downstream, login: Login) -> Result<Arrival<Client>, Denial> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        login::login(settings, io, login).await
    }

    async fn deny(&self, mut client: Client, why: &Denial) {
        waiting::tell(&mut client, why).await;
    }

    async fn hold(&self, client: &mut Client, why: &Denial, any: bool) -> Hold {
        if any { waiting::whatever_it_begins(client, why).await } else { waiting::at_a_terminal(client, why).await }
    }

    async fn choose(&self, client: &mut Client, choices: &Choices<'_>) -> Result<(AccountName, TargetName), Denial> {
        waiting::begin(client, NAME_A_TARGET).await;
        match client.started.as_mut().filter(|started| started.interactive()) {
            Some(started) => chooser::choose(started, choices).await,
            None => Err(Denial::new(Kind::Usage, NAME_A_TARGET)),
        }
    }

    async fn dial(&self, go: &Clearance) -> Result<Upstream, DialError> {
        Box::pin(dial::dial(go, &self.env)).await
    }

    async fn prove(&self, go: &Clearance, upstream: Upstream) -> Result<(), DialError> {
        becoming::prove(go, &upstream.link, &config::random(&self.env)).await
    }

    async fn relay(&self, client: Client, upstream: Upstream, live: Live) -> (EndReason, String) {
        Box::pin(relay::relay(client, upstream, self.env.clone(), live)).await
    }
}

impl Seated for Ssh {
    fn seat(&self, terminal: Terminal) -> Client {
        Client::seated(terminal)
    }

    async fn probe(&self, from: Vantage<'_>, host: &str, port: u16) -> Result<Probed, DialError> {
        Box::pin(probe::probe(from, host, port, &self.env)).await
    }
}
