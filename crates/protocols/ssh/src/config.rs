//! How both legs are set: algorithms, keys, and what each peer may cost.

use crate::BadHostKey;
use sallyport_model::Env;
use sallyport_model::inventory::HostKey as HostKeyText;
use sallyport_model::way::Accepts;
use sallyport_ssh_transport::key::{self, HostKey};
use sallyport_ssh_transport::link::Bounds;
use sallyport_ssh_transport::{Authorities, Random, Settings};
use std::sync::Arc;
use std::time::Duration;

/// What a client may have open at once, and how long it may be silent: two minutes.
pub(crate) const CLIENT: Bounds = Bounds { channels: 256, quiet: Duration::from_secs(30), patience: 4 };
/// The same for a target: 90 seconds, asked often enough for those that end quiet clients.
pub(crate) const TARGET: Bounds = Bounds { channels: 512, quiet: Duration::from_secs(30), patience: 2 };
/// The same for a jump host: what is gone through carries one channel, or a few while it is looked through.
pub(crate) const HOP: Bounds = Bounds { channels: 8, ..TARGET };

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

/// The gateway as a client of a server with these pinned keys, which may show and speak this beside them: other sorts of
/// keys are not asked for.
pub(crate) fn client(host_keys: &[HostKeyText], accepts: &Accepts, env: &Env) -> Settings {
    let keys = |texts: &[HostKeyText]| texts.iter().filter_map(|key| key::parse(key).ok()).collect();
    let mut settings = Settings::client(keys(host_keys), random(env)).excepting(&accepts.exceptions);
    if !accepts.authorities.is_empty() {
        let env = env.clone();
        let now = Arc::new(move || u64::try_from(env.now().0.div_euclid(1_000_000)).unwrap_or_default());
        let (keys, names) = (keys(&accepts.authorities), accepts.names.clone());
        settings = settings.believing(Authorities { keys, names, now });
    }
    if accepts.post_quantum { settings.post_quantum() } else { settings }
}

/// Sorts of host keys, each of which a server may have one of, by the algorithms of their signatures.
pub(crate) const SORTS: [&[&str]; 3] = [
    &["ssh-ed25519"],
    &["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
    &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
];
