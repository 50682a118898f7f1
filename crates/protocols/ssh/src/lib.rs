//! SSH: login, deny, hold, dial, relay.
//!
//! Both legs are [`sallyport_ssh_transport`] links: credit is given when bytes are taken, so what either
//! side may have under way is bounded by windows, and a channel that sleeps stalls no other.

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
use sallyport_ssh_transport::link::{Arrival as Begun, code};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

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
/// For clients that would have to wait and begin nothing that could: forwards alone, and jumps.
const CANNOT_WAIT: &str = "a client that begins neither a shell nor a command (`ssh -N`, `-W`, a jump) cannot wait for that: \
                           connect with one, and with the forwards beside it";
/// For commands, where somebody at a terminal would be kept waiting.
const NO_TERMINAL: &str = "a command does not wait for that: run it again once it is so";
/// How long a refused client may take to open the channel in which it is told.
const TELL: Duration = Duration::from_secs(10);
/// How long a refused client may take to leave by itself, which keeps its exit code.
const LEAVE: Duration = Duration::from_secs(2);
/// Between two tries of a held client.
const HOLD: Duration = Duration::from_secs(2);

impl Protocol for Ssh {
    const NAME: &'static str = "ssh";
    type Client = Client;
    type Upstream = Upstream;

    async fn login(&self, io: Downstream, login: Login) -> Result<Arrival<Client>, Denial> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        login::login(settings, io, login).await
    }

    async fn deny(&self, mut client: Client, why: &Denial) {
        tell(&mut client, why).await;
    }

    async fn hold(&self, client: &mut Client, why: &Denial, any: bool) -> Hold {
        let first = !client.told;
        client.told = true;
        let mut left = false;
        if client.started.is_none() {
            let text = if any { format!("{}; {CANNOT_WAIT}", why.message) } else { why.message.clone() };
            let refused = begin(client, &text).await;
            left = client.gone() && !refused;
        }
        let Some(started) = client.started.as_ref().filter(|started| any || started.interactive()) else {
            let how = if client.started.is_some() { NO_TERMINAL } else { CANNOT_WAIT };
            return if left { Hold::Gone } else { Hold::Unfit(how) };
        };
        if first {
            started.say(&why.message).await;
        }
        tokio::time::sleep(HOLD).await;
        if client.gone() { Hold::Gone } else { Hold::Waiting }
    }

    async fn choose(&self, client: &mut Client, choices: &Choices<'_>) -> Result<(AccountName, TargetName), Denial> {
        begin(client, NAME_A_TARGET).await;
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

/// Waits for the first channel that a client starts something in, if it does soon. What else it begins meanwhile is
/// refused with this text: nothing opens before the decision. Whether something was.
async fn begin(client: &mut Client, text: &str) -> bool {
    let mut refused = false;
    if client.started.is_some() || client.begins_nothing {
        return refused;
    }
    let first = async {
        loop {
            match client.next().await? {
                Begun::Open(opening) if opening.kind == "session" => {
                    if let Some(started) = start::start(opening.accept()?).await {
                        return Some(started);
                    }
                }
                Begun::Open(opening) => {
                    opening.refuse(code::PROHIBITED, text);
                    refused = true;
                }
                Begun::Global(_) => {}
            }
        }
    };
    client.started = tokio::time::timeout(TELL, first).await.ok().flatten();
    client.begins_nothing = client.started.is_none();
    refused
}

/// Tells a client no in its first channel, with an exit code that says what sort of no it is.
async fn tell(client: &mut Client, why: &Denial) {
    begin(client, &why.message).await;
    let leave = match client.started.take() {
        Some(started) => {
            started.refuse(why).await;
            LEAVE
        }
        // It has no exit code to keep.
        None => Duration::ZERO,
    };
    relay::goodbye(client, &why.message, leave).await;
}
