//! Configuration: one TOML file with unknown keys refused, overridden by the environment.
//!
//! `SALLYPORT__SSH__LISTEN=0.0.0.0:2222` overrides `listen` of `[ssh]`. This is the only module that
//! reads the environment.

use crate::private::Private;
use sallyport_cli::Fail;
use sallyport_control::{SignInRules, Site, SpaceRules};
use sallyport_model::Secret;
use sallyport_store::Place;
use serde::Deserialize;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The setting that the environment alone may hold, and that no process but control is given.
pub(crate) const PASSWORD: &str = "STORE__PASSWORD";

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where everything is kept; closed to other users.
    pub(crate) data: PathBuf,
    /// Name of this node in the ledger: 1 to 63 of `a-z 0-9 . _ : / -`.
    pub(crate) node: String,
    /// Where documents and ledger are kept.
    pub(crate) store: Store,
    /// Where people reach this installation, such as `https://pam.example.org`; this host where absent.
    pub(crate) public_url: Option<String>,
    /// The REST API.
    pub(crate) api: Api,
    /// Signing in with a browser.
    pub(crate) sign_in: SignIn,
    /// The SSH listener.
    pub(crate) ssh: Ssh,
    /// How the vault opens at start.
    pub(crate) seal: Seal,
    /// Logs, for operators.
    pub(crate) log: Log,
    /// Where checkpoints of the ledger go, besides the data directory itself.
    pub(crate) anchors: Vec<Anchor>,
    /// A witness for the ledgers of others, run by `sallyport witness`.
    pub(crate) witness: Option<Witness>,
    /// Backups.
    pub(crate) backup: Backup,
    /// What recordings may take, and for how long.
    pub(crate) space: Space,
}

/// `[space]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Space {
    /// Bytes that recordings may take, such as `500MiB` or `2TiB`; what the disk has where absent.
    pub(crate) quota: Option<String>,
    /// How long recordings are kept after their session, by the tier of their target.
    pub(crate) keep: Keep,
}

/// `[space.keep]`: durations such as `90d`; for ever where absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keep {
    /// Of targets of tier 0.
    pub(crate) tier0: Option<String>,
    /// Of targets of tier 1.
    pub(crate) tier1: Option<String>,
    /// Of targets of tier 2.
    pub(crate) tier2: Option<String>,
}

impl Space {
    /// The rules that these are.
    pub(crate) fn rules(&self) -> Result<SpaceRules, String> {
        let quota = self.quota.as_deref().map(|text| {
            bytes(text).ok_or_else(|| format!("[space] quota = {text:?} is no size: write 500MiB, 20GiB or 2TiB"))
        });
        let keep = |text: &Option<String>| {
            let read = |text: &String| {
                let seconds = sallyport_cli::seconds(text).map_err(|e| format!("[space.keep] {e}"))?;
                Ok::<_, String>(Duration::from_secs(seconds.into()))
            };
            text.as_ref().map(read).transpose()
        };
        let Keep { tier0, tier1, tier2 } = &self.keep;
        Ok(SpaceRules { quota: quota.transpose()?, keep: [keep(tier0)?, keep(tier1)?, keep(tier2)?] })
    }
}

/// `500MiB` in bytes.
fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let (number, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    number.trim_end().parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

/// `[backup]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Backup {
    /// Who can open a backup: age recipients, `age1...`.
    pub(crate) recipients: Vec<String>,
    /// How old the last one may be before `doctor` says so, in hours.
    pub(crate) max_age_hours: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Self { recipients: Vec::new(), max_age_hours: 25 }
    }
}

/// `[[anchors]]`: one of `file`, `syslog` and `witness`.
#[derive(Clone, Debug, Default, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Late {
    /// It is told: status, metrics, doctor, ledger.
    #[default]
    Warn,
    /// New sessions are refused until it has caught up.
    Freeze,
}

/// `[witness]`
#[derive(Clone, Debug, Deserialize)]
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

/// `[store]`
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// `postgres://ROLE@HOST:PORT/DATABASE`; a file in the data directory where absent.
    pub(crate) url: Option<String>,
    /// File with the role's password, closed to other users.
    pub(crate) password_file: Option<PathBuf>,
    /// The password itself: from the environment only.
    password: Option<String>,
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

/// `[api]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Api {
    /// Address and port. Without TLS it must be on loopback.
    pub(crate) listen: SocketAddr,
    /// `"off"`, `"own"`, or `{ cert = FILE, key = FILE }`.
    pub(crate) tls: Tls,
    /// Peers whose forwarded headers are believed: networks such as `10.0.0.0/8`.
    pub(crate) trusted_peers: Vec<String>,
    /// Whether those peers begin each connection with the PROXY protocol.
    pub(crate) proxy_protocol: bool,
}

/// How the API proves itself to clients.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tls {
    /// Plain http.
    #[default]
    Off,
    /// With an authority of this node, made at first start.
    Own,
    /// With files, which are read again when they change.
    #[serde(untagged)]
    Files {
        /// The chain as PEM, the server's own certificate first.
        cert: PathBuf,
        /// The private key as PEM, closed to others.
        key: PathBuf,
    },
}

/// `[sign_in]`: durations such as `30m`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignIn {
    /// After so long without a call a browser is signed out; 1m to 12h.
    pub(crate) idle: String,
    /// After so long a browser is signed out, whatever it does; 5m to 7d.
    pub(crate) absolute: String,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { idle: "30m".into(), absolute: "12h".into() }
    }
}

/// `[ssh]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ssh {
    /// Address and port.
    pub(crate) listen: SocketAddr,
}

/// `[seal]`
#[derive(Clone, Debug, Default, Deserialize)]
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

/// `[seal.pkcs11]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pkcs11 {
    /// Path of the PKCS#11 module.
    pub(crate) module: PathBuf,
    /// Label of the token.
    pub(crate) token: String,
    /// Label of the key on it; made there with the first slot.
    #[serde(default = "Pkcs11::house_key")]
    pub(crate) key: String,
    /// File with the PIN; where absent it is asked for.
    #[serde(default)]
    pub(crate) pin_file: Option<PathBuf>,
}

impl Pkcs11 {
    fn house_key() -> String {
        "sallyport-seal".into()
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `text` or `json`.
    pub(crate) format: LogFormat,
    /// Filter, such as `info` or `sallyport_gateway=debug,info`.
    pub(crate) level: String,
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("/var/lib/sallyport"),
            node: "node-1".into(),
            store: Store::default(),
            public_url: None,
            api: Api::default(),
            sign_in: SignIn::default(),
            ssh: Ssh::default(),
            seal: Seal::default(),
            log: Log::default(),
            anchors: Vec::new(),
            witness: None,
            backup: Backup::default(),
            space: Space::default(),
        }
    }
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

impl Default for Ssh {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 2222)) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

impl Config {
    /// How people sign in with browsers.
    pub(crate) fn sign_in(&self) -> Result<SignInRules, String> {
        let site = match &self.public_url {
            Some(url) => Site::parse(url).map_err(|e| format!("public_url: {e}"))?,
            None if self.api.tls == Tls::Off => Site::local(self.api.listen.port()),
            None => Site::parse(&format!("https://localhost:{}", self.api.listen.port()))?,
        };
        let read = |name: &str, text: &str, least: u64, most: u64| {
            let seconds = sallyport_cli::seconds(text).map_err(|e| format!("[sign_in] {name}: {e}"))?;
            let wrong = || format!("[sign_in] {name} = {text:?} is not within {least} s and {most} s");
            Some(u64::from(seconds)).filter(|s| (least..=most).contains(s)).map(Duration::from_secs).ok_or_else(wrong)
        };
        let idle = read("idle", &self.sign_in.idle, 60, 12 * 3600)?;
        let absolute = read("absolute", &self.sign_in.absolute, 300, 7 * 24 * 3600)?;
        Ok(SignInRules { site, idle, absolute })
    }

    /// The file, where there is one, then the environment.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Fail> {
        let (text, name) = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| Fail::usage(format!("cannot read the configuration `{}`: {e}", path.display())))?;
                (text, path.display().to_string())
            }
            None => (String::new(), "the environment".into()),
        };
        Self::parse(&text, environment()).map_err(|e| Fail::usage(format!("{name}: {e}")))
    }

    fn parse(text: &str, overrides: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        if table.get("store").is_some_and(|store| store.get("password").is_some()) {
            return Err(format!(
                "[store] password does not belong in a file that others may read: name a `password_file`, or set SALLYPORT__{PASSWORD}"
            ));
        }
        for (path, value) in overrides {
            set(&mut table, &path, &value)?;
        }
        let config: Self = table.try_into().map_err(|e: toml::de::Error| e.to_string().trim().to_owned())?;
        config.check()?;
        Ok(config)
    }

    /// Nothing leaves the machine in plain text, and what people open is what the certificate is for.
    fn check_edge(&self) -> Result<(), String> {
        let (listen, plain) = (self.api.listen, self.api.tls == Tls::Off);
        if plain && !listen.ip().is_loopback() {
            return Err(format!(
                "[api] listen = \"{listen}\" is not on loopback: set tls = \"own\", or name your certificate, or listen on 127.0.0.1 behind a TLS proxy"
            ));
        }
        if !listen.ip().is_loopback() && self.public_url.is_none() {
            return Err("`public_url` is missing: write where people reach this installation, https://NAME".into());
        }
        if !plain && !self.sign_in()?.site.secure() {
            return Err("`public_url` is http, and the API speaks TLS: write https://".into());
        }
        for network in &self.api.trusted_peers {
            network.parse::<crate::edge::Network>().map_err(|e| format!("[api] trusted_peers: {e}"))?;
        }
        if self.api.proxy_protocol && self.api.trusted_peers.is_empty() {
            return Err("[api] proxy_protocol needs `trusted_peers`: write whose word is believed".into());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        self.check_edge()?;
        if self.store.url.is_none() && (self.store.password_file.is_some() || self.store.password.is_some()) {
            return Err(
                "[store] has a password and no `url`: write url = \"postgres://ROLE@HOST:PORT/DATABASE\"".into()
            );
        }
        if self.node.parse::<sallyport_model::name::Label>().is_err() {
            return Err("`node` is 1 to 63 of a-z, 0-9, `.`, `_`, `:`, `/`, `-`".into());
        }
        if let Some(witness) = self.witness.as_ref().filter(|w| !w.listen.ip().is_loopback()) {
            return Err(format!(
                "[witness] listen = \"{}\" is not on loopback, and a witness has no TLS of its own: listen on 127.0.0.1 and put a TLS proxy before it",
                witness.listen
            ));
        }
        crate::backup::recipients(&self.backup.recipients).map_err(|e| format!("[backup] {e}"))?;
        self.space.rules().map(drop)?;
        self.sign_in().map(drop)?;
        // Wrong anchors are named when the configuration is read, not when a checkpoint is due.
        crate::anchors::all(self).map(drop)?;
        if let Some(name) = &self.seal.credential {
            if self.seal.key_file.is_some() {
                return Err("[seal] has both `key_file` and `credential`: keep the one that holds the key file".into());
            }
            if name.is_empty() || name.contains('/') {
                return Err(format!(
                    "[seal] credential = {name:?} is no name of a credential: it is the part before the colon in `LoadCredentialEncrypted=`"
                ));
            }
        }
        Ok(())
    }

    /// The key file that opens the vault.
    ///
    /// # Errors
    /// When it is a credential, and the service manager has given none.
    pub(crate) fn key_file(&self) -> Result<Private, Fail> {
        if let Some(name) = &self.seal.credential {
            let directory = credentials().ok_or_else(|| {
                Fail::usage(format!(
                    "[seal] credential = \"{name}\", but there is no $CREDENTIALS_DIRECTORY: start the service with `LoadCredentialEncrypted={name}:FILE`"
                ))
            })?;
            return Ok(Private::credential(directory.join(name)));
        }
        Ok(Private::file(self.seal.key_file.clone().unwrap_or_else(|| self.data.join("keys/vault.key"))))
    }

    /// Where the store is: a file in the data directory, or a server.
    pub(crate) fn place(&self) -> Result<Place, Fail> {
        match &self.store.url {
            Some(url) => self.server(url),
            None => Ok(Place::file(&self.data.join("sallyport.db"))),
        }
    }

    /// Another database than this node's own: a file, or a URL where the configured password opens.
    pub(crate) fn place_of(&self, text: &str) -> Result<Place, Fail> {
        if text.contains("://") { self.server(text) } else { Ok(Place::file(Path::new(text))) }
    }

    fn server(&self, url: &str) -> Result<Place, Fail> {
        let password = match (&self.store.password, &self.store.password_file) {
            (Some(password), _) => Some(Secret::new(password.clone())),
            (None, Some(path)) => Some(password(path)?),
            (None, None) => None,
        };
        Place::server(url, password.as_ref()).map_err(|e| Fail::usage(format!("[store] {e}")))
    }

    /// Whether the data directory is that of an installation, or of a node of one.
    pub(crate) fn is_founded(&self) -> bool {
        self.data.join(if self.store.url.is_some() { "keys/ledger.key" } else { "sallyport.db" }).exists()
    }

    /// Control's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.data.join("run/authority.sock")
    }

    /// The gateway's door.
    pub(crate) fn door(&self) -> PathBuf {
        self.data.join("run/door.sock")
    }
}

/// A password in a file of its own, without the end of its line.
fn password(path: &Path) -> Result<Secret<String>, Fail> {
    let cannot = |e: std::io::Error| {
        Fail::usage(format!(
            "cannot read the password of the database, `[store] password_file = \"{}\"`: {e}",
            path.display()
        ))
    };
    let mode = std::fs::metadata(path).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Fail::usage(format!("`{0}` is readable by others: run `chmod 600 {0}`", path.display())));
    }
    let mut text = std::fs::read_to_string(path).map_err(cannot)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(Secret::new(text))
}

/// Puts a value at `A__B`; what parses as TOML is taken as such, the rest as text.
fn set(table: &mut toml::Table, path: &str, value: &str) -> Result<(), String> {
    let mut parts: Vec<String> = path.split("__").map(str::to_lowercase).collect();
    let last = parts.pop().unwrap_or_default();
    let mut at = table;
    for part in parts {
        at = at
            .entry(part.clone())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("SALLYPORT__{path}: `{part}` is no section"))?;
    }
    if path == PASSWORD {
        // A password is text, whatever else it may look like.
        at.insert(last, toml::Value::String(value.to_owned()));
        return Ok(());
    }
    let parsed = format!("x = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("x"));
    at.insert(last, parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter_map(|(name, value)| name.strip_prefix("SALLYPORT__").map(|path| (path.to_owned(), value)))
}

/// Where the service manager puts the credentials of this service.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn credentials() -> Option<PathBuf> {
    std::env::var("CREDENTIALS_DIRECTORY").ok().map(PathBuf::from)
}

/// Directory of this user's settings.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn user_settings() -> PathBuf {
    let home = || std::env::var("HOME").map_or_else(|_| PathBuf::from("."), |home| PathBuf::from(home).join(".config"));
    std::env::var("XDG_CONFIG_HOME").map_or_else(|_| home(), PathBuf::from).join("sallyport")
}

#[cfg(test)]
pub(crate) fn parse_for_test(text: &str, overrides: &[(&str, &str)]) -> Result<Config, String> {
    Config::parse(text, overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}
