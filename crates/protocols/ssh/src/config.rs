//! Algorithms and sizes of both legs.

use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg};
use russh::keys::{PrivateKey, PublicKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use std::borrow::Cow;
use std::time::Duration;

/// The client's and the target's window. Larger ones gain nothing (RELAYS, "Metered russh").
pub(crate) const WINDOW: u32 = 2 << 20;
const PACKET: u32 = 32 << 10;
/// Room for messages that a session loop may leave behind without waiting. Memory is bounded by
/// the meter, which counts every one of them.
const QUEUE: usize = 1 << 20;

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
/// Towards targets, where `kex_done` refuses ChaCha20 without strict key exchange.
const TARGET_CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305];
/// Towards clients, where russh does not tell whether the exchange was strict: CVE-2023-48795 does
/// not reach AES-GCM.
const CLIENT_CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::AES_128_GCM];
/// The ciphers bring their own; a name is offered because some peers want one.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
const COMPRESSION: &[compression::Name] = &[compression::NONE];
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::SkEd25519,
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

fn preferred(keys: Vec<Algorithm>, ciphers: &'static [cipher::Name]) -> Preferred {
    Preferred {
        kex: Cow::Borrowed(KEX),
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(ciphers),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(COMPRESSION),
    }
}

/// The gateway as a server.
pub(crate) fn server(key: PrivateKey) -> russh::server::Config {
    let methods = [MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive];
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Sallyport")),
        methods: MethodSet::from(methods.as_slice()),
        auth_rejection_time: Duration::from_millis(500),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: QUEUE,
        event_buffer_size: 32,
        preferred: preferred(KEYS.to_vec(), CLIENT_CIPHERS),
        max_auth_attempts: 20,
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 4,
        nodelay: true,
        ..Default::default()
    }
}

/// The gateway as a client of a target with these pinned keys: other sorts of keys are not asked for.
pub(crate) fn client(pinned: &[String]) -> russh::client::Config {
    let sort = |name: &str| pinned.iter().any(|key| key.split(' ').next() == Some(name));
    let keys = KEYS.iter().filter(|algorithm| match algorithm {
        Algorithm::Rsa { .. } => sort("ssh-rsa"),
        other => sort(other.as_str()),
    });
    towards(keys.cloned().collect())
}

/// Sorts of host keys, each of which a server may have one of.
pub(crate) const SORTS: [&[Algorithm]; 3] = [
    &[Algorithm::Ed25519],
    &[
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    ],
    &[Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }],
];

/// The gateway as somebody who looks for host keys of one sort.
pub(crate) fn looker(sort: &[Algorithm]) -> russh::client::Config {
    towards(sort.to_vec())
}

fn towards(keys: Vec<Algorithm>) -> russh::client::Config {
    russh::client::Config {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Sallyport")),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: QUEUE,
        preferred: preferred(keys, TARGET_CIPHERS),
        inactivity_timeout: None,
        keepalive_interval: None,
        nodelay: true,
        ..Default::default()
    }
}

/// A key as OpenSSH prints it: algorithm and base64, without a comment.
pub(crate) fn openssh(key: &PublicKey) -> Option<String> {
    let text = key.to_openssh().ok()?;
    let mut words = text.split(' ');
    Some(format!("{} {}", words.next()?, words.next()?))
}
