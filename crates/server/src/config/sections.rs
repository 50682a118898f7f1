//! The sections of the file. What their comments say is what the reference says of each setting.

use crate::edge::Tls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What recordings may take, and for how long.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Space {
    /// What recordings may take, such as `500MiB`, `20GiB` or `2TiB`; what the disk has where absent.
    pub(crate) quota: Option<String>,
    /// How long recordings are kept after their session, by the tier of their target.
    pub(crate) keep: Keep,
}

/// How long recordings are kept after their session, such as `90d`; for ever where absent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keep {
    /// Those of targets of tier 0.
    pub(crate) tier0: Option<String>,
    /// Those of targets of tier 1.
    pub(crate) tier1: Option<String>,
    /// Those of targets of tier 2.
    pub(crate) tier2: Option<String>,
}

/// Backups.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Backup {
    /// Who can open a backup: age recipients, `age1...`.
    pub(crate) recipients: Vec<String>,
    /// How old the last backup may be before `doctor` says so, in hours, where there are recipients.
    pub(crate) max_age_hours: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Self { recipients: Vec::new(), max_age_hours: 25 }
    }
}

/// Where checkpoints of the ledger go, besides the data directory itself: each one of `file`, `syslog` and `witness`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Anchor {
    /// Its name in ledger and messages: 1 to 63 of `a-z 0-9 . _ : / -`.
    pub(crate) name: String,
    /// A file, best on another disk; its directory must exist.
    pub(crate) file: Option<PathBuf>,
    /// `unix:PATH` (a datagram socket) or `tcp:HOST:PORT` (octet counting); only written.
    pub(crate) syslog: Option<String>,
    /// Submission prefix of a witness: https, or http on this host.
    pub(crate) witness: Option<String>,
    /// Public key of the witness.
    pub(crate) key: Option<String>,
    /// How late it may be, in seconds; 60 where absent.
    pub(crate) max_age_seconds: Option<u32>,
    /// What happens when it is later.
    pub(crate) late: Late,
}

/// What a late anchor does.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Late {
    /// It is told: status, metrics, doctor, ledger.
    #[default]
    Warn,
    /// New sessions are refused until it has caught up.
    Freeze,
}

/// A witness for the ledgers of others, run by `sallyport witness serve`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Witness {
    /// Its name in cosignatures, such as `witness.example.org/w1`.
    pub(crate) name: String,
    /// Address and port. Plain http, so it must be on loopback.
    pub(crate) listen: SocketAddr,
    /// Directory of its key and of what it has seen; closed to other users.
    pub(crate) state: PathBuf,
    /// Public keys of the ledgers that it serves.
    pub(crate) logs: Vec<String>,
}

/// Where documents and ledger are kept.
#[derive(Clone, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// `postgres://ROLE@HOST:PORT/DATABASE` of PostgreSQL 15 or newer; a primary and its standbys stand behind commas,
    /// `HOST:PORT,HOST:PORT`. A file in the data directory where absent.
    pub(crate) url: Option<String>,
    /// File with the role's password, closed to other users.
    pub(crate) password_file: Option<PathBuf>,
    /// The password itself: from the environment only.
    #[serde(skip_serializing)]
    #[schemars(skip)]
    pub(super) password: Option<String>,
}

/// Shows where, never the password.
impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("url", &self.url)
            .field("password_file", &self.password_file)
            .finish_non_exhaustive()
    }
}

/// The REST API and the portal.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Api {
    /// Address and port. Without TLS it must be on loopback.
    pub(crate) listen: SocketAddr,
    /// How the API proves itself to clients.
    pub(crate) tls: Tls,
    /// Networks such as `10.0.0.0/8` whose `X-Forwarded-For` is believed, from the right.
    pub(crate) trusted_peers: Vec<String>,
    /// Whether those peers begin each connection with the PROXY protocol, version 1 or 2.
    pub(crate) proxy_protocol: bool,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8022)),
            tls: Tls::Off,
            trusted_peers: Vec::new(),
            proxy_protocol: false,
        }
    }
}

/// Signing in with a browser.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignIn {
    /// After so long without a call a browser is signed out, such as `30m`; 1m to 12h.
    pub(crate) idle: String,
    /// After so long a browser is signed out, whatever it does; 5m to 7d.
    pub(crate) absolute: String,
    /// How long the SSH certificates of people are good at most, such as `8h`; 5m to 24h, and `0s` for none at all.
    pub(crate) certificate: String,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { idle: "30m".into(), absolute: "12h".into(), certificate: "8h".into() }
    }
}

/// The SSH listener.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ssh {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// Where clients reach it, `HOST:PORT` or `HOST` alone, if that is not `listen`: behind NAT or a balancer. Where absent and
    /// `listen` is every address of this host, it is the host of `public_url`. Each node may have another; the certificate of
    /// its host key names it.
    pub(crate) public: Option<String>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 2222)), public: None }
    }
}

/// How the vault opens at start.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Seal {
    /// Key file that opens the vault at start; `keys/vault.key` of the data directory where absent.
    pub(crate) key_file: Option<PathBuf>,
    /// Name of a systemd credential that holds the key file, instead of a path (`LoadCredentialEncrypted=`).
    pub(crate) credential: Option<String>,
    /// Start sealed, and wait for `sallyport vault unseal`.
    pub(crate) manual: bool,
    /// A token that keeps the key of a seal slot.
    pub(crate) pkcs11: Option<Pkcs11>,
}

/// A token that keeps the key of a seal slot.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pkcs11 {
    /// Path of the PKCS#11 module.
    pub(crate) module: PathBuf,
    /// Label of the token.
    pub(crate) token: String,
    /// Label of the key on it; made there with the first slot.
    #[serde(default = "Pkcs11::house_key")]
    pub(crate) key: String,
    /// File with the PIN, closed to other users; where absent it is asked for.
    #[serde(default)]
    pub(crate) pin_file: Option<PathBuf>,
}

impl Pkcs11 {
    fn house_key() -> String {
        "sallyport-seal".into()
    }
}

/// Logs, for operators.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// Form of the logs.
    pub(crate) format: LogFormat,
    /// Filter, such as `info` or `sallyport_gateway=debug,info`.
    pub(crate) level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Traces, for operators: spans to a collector. Absent is off.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Traces {
    /// Where spans are posted by OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`: https, or http on this host.
    /// None are made where absent.
    pub(crate) endpoint: Option<String>,
    /// Which part of them is sent: 0 to 1, such as 0.1 for every tenth request and session.
    pub(crate) sample: f64,
}

impl Default for Traces {
    fn default() -> Self {
        Self { endpoint: None, sample: 1.0 }
    }
}

/// Terminals in browsers.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Terminal {
    /// How long a session waits to be taken up again after its browser was lost, such as `60s`; 1s to 10m.
    pub(crate) linger: String,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { linger: "60s".into() }
    }
}

/// The way between nodes of one installation, which share a database.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nodes {
    /// Address and port for other nodes, who prove themselves by certificates: sessions of this one are watched, joined and
    /// taken up through them. Absent where there is one node, or each is to keep to itself.
    pub(crate) listen: Option<SocketAddr>,
    /// Where they reach it, `HOST:PORT`, if that is another address.
    pub(crate) address: Option<String>,
}
