//! The vault's part: slots, shares, keys, secrets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// State of the vault.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Vault {
    /// Whether it is sealed.
    pub sealed: bool,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Secrets, without their values.
    pub secrets: Vec<SecretLine>,
}

/// A way to unseal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Slot {
    /// Id.
    pub id: String,
    /// `key_file`, `passphrase`, `shamir`, `pkcs11`.
    pub kind: String,
    /// Label.
    pub label: String,
    /// Whether it is kept offline.
    pub offline: bool,
    /// When it was made.
    #[serde(default)]
    pub created: String,
    /// Whether it opens the vault: a set of shares does once a quorum was presented.
    #[serde(default)]
    pub confirmed: bool,
    /// `3-of-5`, where it has shares.
    #[serde(default)]
    pub shares: Option<String>,
}

/// Asks for a new slot. What it is opened with is exactly one of the four.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSlot {
    /// Who keeps what opens it, and where.
    pub label: String,
    /// Whether that is kept away from every machine.
    #[serde(default)]
    pub offline: bool,
    /// A key file, made here and shown once.
    #[serde(default)]
    pub key_file: bool,
    /// A passphrase of at least 12 characters.
    #[serde(default)]
    pub passphrase: Option<String>,
    /// Shares, made here and shown once.
    #[serde(default)]
    pub shamir: Option<Shamir>,
    /// A key that the server's token (PKCS#11) keeps.
    #[serde(default)]
    pub pkcs11: bool,
    /// The token's PIN, where the server's configuration does not give it.
    #[serde(default)]
    pub pin: Option<String>,
}

/// Any `needed` of `shares` open together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shamir {
    /// At least 2.
    pub needed: u8,
    /// At most 16.
    pub shares: u8,
}

/// A new slot and what its owners must keep: shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct AddedSlot {
    /// The slot.
    pub slot: Slot,
    /// Text of its key file.
    pub key_file: Option<String>,
    /// Its shares, one a custodian.
    pub shares: Vec<String>,
}

/// One share of a set, as it was typed.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// 16 groups of five characters.
    pub share: String,
}

/// How far a quorum has come.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Quorum {
    /// The slot.
    pub slot: String,
    /// Shares presented.
    pub have: u8,
    /// Shares needed.
    pub need: u8,
}

/// What became of an attempt to unseal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Unsealed {
    /// Whether the vault is still sealed.
    pub sealed: bool,
    /// The quorum so far, where shares are presented and more are needed.
    pub quorum: Option<Quorum>,
}

/// The root key after it was replaced.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Root {
    /// Counts root keys, from 1.
    pub root_version: u32,
}

/// The keys of the vault, without their values.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Keys {
    /// Counts root keys, from 1.
    pub root_version: u32,
    /// Epochs of all domains.
    pub epochs: Vec<KeyEpoch>,
    /// Whether the work behind a rotation pauses.
    pub paused: bool,
}

/// One epoch of a domain of keys.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyEpoch {
    /// Domain, such as `secrets/prod`.
    pub domain: String,
    /// Epoch, from 1.
    pub epoch: u32,
    /// `pending`, `active`, `decrypt_only`, `destroyed`.
    pub state: String,
    /// What is still under it; absent where it is not counted.
    pub left: Option<u64>,
}

/// Begins a new epoch.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateEpoch {
    /// In this domain; in all where absent.
    #[serde(default)]
    pub domain: Option<String>,
}

/// Pauses or resumes the work behind a rotation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRotation {
    /// Whether it pauses.
    pub paused: bool,
}

/// An authority of SSH certificates. All of its keys are to be believed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SshCa {
    /// `targets`: its certificates open accounts on targets.
    pub name: String,
    /// Its keys, the oldest first.
    pub keys: Vec<SshCaKey>,
}

/// By what SSH clients know the gateways.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KnownHosts {
    /// Where SSH clients connect to, `host:port`.
    pub ssh: Option<String>,
    /// The names that the certificate of this node's gateway is good for. `sallyport` is one of every gateway.
    pub names: Vec<String>,
    /// The host key, the same of every gateway: algorithm and base64, as OpenSSH prints it.
    pub public: String,
    /// `SHA256:` and base64, as OpenSSH prints it.
    pub fingerprint: String,
    /// Lines for a `known_hosts` file: the authority of gateways by its keys, then the host key itself for clients that know no
    /// authorities.
    pub lines: Vec<String>,
}

/// One step of the rotation of an authority's key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSshCa {
    /// `begin` makes the next key, `activate` lets it sign, `finish` lets go of the former one.
    pub step: String,
}

/// A key of an authority, without its private half.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SshCaKey {
    /// Counts the keys of its authority, from 1.
    pub version: u64,
    /// Algorithm and base64, as OpenSSH prints it.
    pub public: String,
    /// `SHA256:` and base64, as OpenSSH prints it.
    pub fingerprint: String,
    /// `next`: it is to sign soon; `signs`; `former`: it signs no more.
    pub state: String,
    /// When it was made.
    pub made: String,
}

/// A secret, without its value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretLine {
    /// Id.
    pub id: String,
    /// `account@target`.
    pub account: String,
    /// `password`, `ssh_key`.
    pub kind: String,
    /// Environment: its key domain.
    pub environment: String,
    /// Current version.
    pub version: u64,
    /// When that version was stored.
    pub stored: String,
    /// The public half of an SSH key.
    pub public: Option<String>,
}

/// Unseals the vault, or adds one share to a quorum. Exactly one of the four.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unseal {
    /// Passphrase of a passphrase slot.
    #[serde(default)]
    pub passphrase: Option<String>,
    /// Text of a key file.
    #[serde(default)]
    pub key_file: Option<String>,
    /// One share of a set.
    #[serde(default)]
    pub share: Option<String>,
    /// The key that the server's token (PKCS#11) keeps; needs the `pin`.
    #[serde(default)]
    pub pkcs11: bool,
    /// The token's PIN.
    #[serde(default)]
    pub pin: Option<String>,
}

/// Stores or generates the credential of an account. Exactly one of the three.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// `account@target`.
    pub account: String,
    /// A password.
    #[serde(default)]
    pub password: Option<String>,
    /// An unencrypted OpenSSH Ed25519 private key file.
    #[serde(default)]
    pub ssh_key: Option<String>,
    /// `password` or `ssh_key`: made here, never shown.
    #[serde(default)]
    pub generate: Option<String>,
}
