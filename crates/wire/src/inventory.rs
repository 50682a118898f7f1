//! What is managed: targets, accounts, policies.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a listing that can be searched.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Listing<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass it as `cursor` for the next page; absent on the last one.
    pub next: Option<String>,
    /// Rows on all pages.
    pub total: u64,
}

/// A target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Unique name.
    pub name: String,
    /// `ssh`, ...
    pub protocol: String,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Network area whose gateways reach it.
    pub zone: String,
    /// Environment: the key domain of its secrets.
    pub environment: String,
    /// Tier, 0 to 2.
    pub tier: u8,
    /// Tags that policies select by.
    pub tags: Vec<String>,
    /// Pinned host keys.
    pub host_keys: Vec<HostKey>,
    /// What sort of system it is, which says how lines are read: `posix`, `cisco_ios`, `junos`, `device`.
    pub platform: String,
    /// The jump host next to it, as `account@target`; absent where gateways reach it directly.
    pub via: Option<String>,
    /// Authorities whose certificates of its host key count like pinned keys.
    pub host_authorities: Vec<HostKey>,
    /// Names beside its host that such a certificate may be of.
    pub host_aliases: Vec<String>,
    /// Old algorithms that are spoken with it by exception.
    pub exceptions: Option<Exceptions>,
    /// Whether nothing but a post-quantum key exchange is spoken with it.
    pub post_quantum: bool,
    /// Its accounts, by name.
    pub accounts: Vec<Account>,
}

/// Old algorithms that are spoken with one target, why, and until when.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// Names of SSH algorithms, of a closed table: one that it does not have is refused with what there is.
    pub algorithms: Vec<String>,
    /// Why.
    pub reason: String,
    /// When they end: an instant (RFC 3339); when written also a day, which is the last.
    pub until: String,
}

/// A host key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostKey {
    /// `ssh-ed25519`, ...
    pub algorithm: String,
    /// Algorithm and base64, as OpenSSH prints it.
    pub key: String,
    /// `SHA256:` and base64, as OpenSSH prints it; empty where the text is no key.
    pub fingerprint: String,
}

/// An account on a target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its name there.
    pub name: String,
    /// `administrative`, `service`, `standard`.
    pub class: String,
    /// Whether a credential is stored for it, or made for each session.
    pub has_secret: bool,
    /// Whether a certificate that is made for each session opens it.
    pub certificate: bool,
    /// What those certificates say; absent where none are made.
    pub certificate_terms: Option<CertificateTerms>,
    /// That it is become by way of another account; absent where it is logged in at.
    pub through: Option<Through>,
    /// Who answers for it.
    pub owner: Option<String>,
}

/// What the certificates say that open an account.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateTerms {
    /// The name that they are good for on the target; the account's where absent.
    #[serde(default)]
    pub principal: Option<String>,
    /// Networks that they may be used from, as the target sees it; anywhere where empty.
    #[serde(default)]
    pub source_addresses: Vec<String>,
    /// The one command that the target runs, whatever is asked for.
    #[serde(default)]
    pub force_command: Option<String>,
}

/// The way to an account that nobody logs in at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Through {
    /// The logon account, on the same target.
    pub account: String,
    /// `su` or `sudo`.
    pub by: String,
}

/// Says of an account what is to be known of it; it is added where it is not there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAccount {
    /// `administrative`, `service`, `standard`.
    pub class: String,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<String>,
    /// That a certificate made for each session opens it, and what that says.
    #[serde(default)]
    pub certificate: Option<CertificateTerms>,
    /// That it is become by way of another account.
    #[serde(default)]
    pub through: Option<Through>,
}

/// Asks what a place shows of itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeTarget {
    /// Host name or IP address.
    pub host: String,
    /// TCP port; 22 where absent.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// What it should speak; `ssh` where absent.
    #[serde(default = "ssh")]
    pub protocol: String,
    /// The jump host to look from, as `account@target`; absent where gateways look directly.
    #[serde(default)]
    pub via: Option<String>,
}

/// What a place has shown of itself. Nothing of it is proven: compare the fingerprints with what its owner says.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProbedTarget {
    /// Its host keys.
    pub host_keys: Vec<HostKey>,
    /// What it says it is.
    pub banner: String,
    /// Old algorithms without which it cannot be spoken to: its `exceptions` would have to name them.
    pub exceptions: Vec<String>,
}

/// Adds a target with its first account, all of it or nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTarget {
    /// Unique name.
    pub name: String,
    /// Host name or IP address.
    pub host: String,
    /// TCP port; 22 where absent.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// `ssh` where absent.
    #[serde(default = "ssh")]
    pub protocol: String,
    /// Environment; `default` where absent.
    #[serde(default = "default_environment")]
    pub environment: String,
    /// Tier, 0 to 2.
    pub tier: u8,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Host keys to be pinned: algorithm and base64.
    #[serde(default)]
    pub host_keys: Vec<String>,
    /// What sort of system it is; `posix` where absent.
    #[serde(default)]
    pub platform: Option<String>,
    /// The jump host next to it, as `account@target`; absent where gateways reach it directly.
    #[serde(default)]
    pub via: Option<String>,
    /// Keys of authorities whose certificates of its host key count like pinned keys: lines of `.pub` files.
    #[serde(default)]
    pub host_authorities: Vec<String>,
    /// Names beside its host that such a certificate may be of.
    #[serde(default)]
    pub host_aliases: Vec<String>,
    /// Old algorithms that are spoken with it by exception.
    #[serde(default)]
    pub exceptions: Option<Exceptions>,
    /// Whether nothing but a post-quantum key exchange is spoken with it.
    #[serde(default)]
    pub post_quantum: bool,
    /// Its first account.
    pub account: NewAccount,
    /// What opens that account; absent where it is to be stored later.
    #[serde(default)]
    pub credential: Option<NewCredential>,
}

/// An account to be added.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its name on the target.
    pub name: String,
    /// `administrative`, `service`, `standard`.
    pub class: String,
}

/// A credential to be stored: exactly one of these.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// A password.
    #[serde(default)]
    pub password: Option<String>,
    /// An OpenSSH private key, unencrypted Ed25519.
    #[serde(default)]
    pub private_key: Option<String>,
    /// Makes an Ed25519 key here; its public half is then to be put on the target.
    #[serde(default)]
    pub generate: bool,
    /// Nothing is stored: a certificate opens it that is made for each session, by the authority that the target must believe.
    #[serde(default)]
    pub certificate: bool,
}

/// Changes a target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTarget {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Tier, 0 to 2.
    pub tier: u8,
    /// Tags.
    pub tags: Vec<String>,
    /// Pinned host keys: algorithm and base64. Where absent they stay as they are, or go where `via` changes: they were seen
    /// on another way.
    #[serde(default)]
    pub host_keys: Option<Vec<String>>,
    /// The jump host next to it, as `account@target`; absent where gateways reach it directly.
    #[serde(default)]
    pub via: Option<String>,
    /// Keys of authorities whose certificates of its host key count like pinned keys: lines of `.pub` files.
    #[serde(default)]
    pub host_authorities: Vec<String>,
    /// Names beside its host that such a certificate may be of.
    #[serde(default)]
    pub host_aliases: Vec<String>,
    /// Old algorithms that are spoken with it by exception; absent where there are none.
    #[serde(default)]
    pub exceptions: Option<Exceptions>,
    /// Whether nothing but a post-quantum key exchange is spoken with it.
    #[serde(default)]
    pub post_quantum: bool,
    /// What sort of system it is; as before where absent.
    #[serde(default)]
    pub platform: Option<String>,
}

/// Which account's credential is to be checked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckAccount {
    /// The account on the target.
    pub account: String,
}

/// Whether a stored credential opens its account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// Whether the target let us in.
    pub ok: bool,
    /// Why not, and what to do.
    pub detail: String,
}

/// The enforced policies.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Policies {
    /// SHA-256 over all of them: what sessions name as evidence.
    pub hash: String,
    /// Their files.
    pub files: Vec<crate::File>,
    /// The schema that they are written against, in Cedar's own words.
    pub schema: String,
}

/// Somebody who may do something.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WhoCan {
    /// Who.
    pub handle: String,
    /// `usable`, or `requestable` where somebody has to grant it first.
    pub state: String,
    /// The policies that permit it.
    pub policies: Vec<String>,
}

fn ssh_port() -> u16 {
    22
}

fn ssh() -> String {
    "ssh".into()
}

fn default_environment() -> String {
    "default".into()
}
