//! How both legs are set: algorithms, keys, and what each peer may cost.

use crate::BadHostKey;
use sallyport_gateway::spine::Clearance;
use sallyport_model::Env;
use sallyport_ssh_transport::key::{self, HostKey};
use sallyport_ssh_transport::link::Bounds;
use sallyport_ssh_transport::{Random, Settings};
use std::sync::Arc;
use std::time::Duration;

/// What a client may have open at once, and how long it may be silent: two minutes.
pub(crate) const CLIENT: Bounds = Bounds { channels: 256, quiet: Duration::from_secs(30), patience: 4 };
/// The same for a target: 90 seconds, asked often enough for those that end quiet clients.
pub(crate) const TARGET: Bounds = Bounds { channels: 512, quiet: Duration::from_secs(30), patience: 2 };

/// Randomness for the transport, as it is injected everywhere.
pub(crate) fn random(env: &Env) -> Random {
    let env = env.clone();
    Arc::new(move |out| env.fill(out))
}

/// The gateway's key with this Ed25519 seed; and its public half's text.
pub(crate) fn host_key(seed: &[u8; 32]) -> Result<(Arc<HostKey>, String), BadHostKey> {
    let key = HostKey::from_seed(seed).map_err(|_| BadHostKey)?;
    let public = key::print(key.public()).map_err(|_| BadHostKey)?;
    Ok((Arc::new(key), public))
}

/// The gateway as a client of a target with these pinned keys: other sorts of keys are not asked for.
pub(crate) fn client(go: &Clearance, random: &Random) -> Settings {
    let pinned = go.place().host_keys.iter().filter_map(|key| key::parse(key).ok()).collect();
    Settings::client(pinned, random.clone())
}

/// Sorts of host keys, each of which a server may have one of, by the algorithms of their signatures.
pub(crate) const SORTS: [&[&str]; 3] = [
    &["ssh-ed25519"],
    &["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
    &["rsa-sha2-512", "rsa-sha2-256"],
];
