//! Configuration: one TOML file with unknown keys refused, overridden by the environment.
//!
//! `SALLYPORT__SSH__LISTEN=0.0.0.0:2222` overrides `listen` of `[ssh]`.

mod check;
mod environment;
mod gateway;
mod reference;
mod sections;

pub(crate) use check::https_or_here;
pub(crate) use environment::{PASSWORD, ssh_agent, user_settings};
pub(crate) use reference::print as print_reference;
pub(crate) use sections::*;

use crate::private::Private;
use environment::{credentials, environment, set};
use sallyport_cli::Fail;
use sallyport_model::Secret;
use sallyport_store::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What is set outside of any section.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where everything is kept; closed to other users.
    pub(crate) data: PathBuf,
    /// Name of this node in the ledger: 1 to 63 of `a-z 0-9 . _ : / -`.
    pub(crate) node: String,
    /// Where documents and ledger are kept.
    pub(crate) store: Store,
    /// Where people reach this installation, such as `https://pam.example.org`: links, cookies and passkeys are bound to
    /// it. This host, by the port of `[api]`, where absent.
    pub(crate) public_url: Option<String>,
    /// The REST API and the portal.
    pub(crate) api: Api,
    /// Signing in with a browser.
    pub(crate) sign_in: SignIn,
    /// The SSH listener.
    pub(crate) ssh: Ssh,
    /// Terminals in browsers.
    pub(crate) terminal: Terminal,
    /// The way between nodes of one installation, which share a database.
    pub(crate) nodes: Nodes,
    /// How the vault opens at start.
    pub(crate) seal: Seal,
    /// Logs, for operators.
    pub(crate) log: Log,
    /// Traces, for operators: spans to a collector. Absent is off.
    pub(crate) traces: Traces,
    /// Where checkpoints of the ledger go, besides the data directory itself.
    pub(crate) anchors: Vec<Anchor>,
    /// A witness for the ledgers of others, run by `sallyport witness serve`.
    pub(crate) witness: Option<Witness>,
    /// Backups.
    pub(crate) backup: Backup,
    /// What recordings may take, and for how long.
    pub(crate) space: Space,
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
            terminal: Terminal::default(),
            nodes: Nodes::default(),
            seal: Seal::default(),
            log: Log::default(),
            traces: Traces::default(),
            anchors: Vec::new(),
            witness: None,
            backup: Backup::default(),
            space: Space::default(),
        }
    }
}

impl Config {
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

#[cfg(test)]
pub(crate) fn parse_for_test(text: &str, overrides: &[(&str, &str)]) -> Result<Config, String> {
    Config::parse(text, overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}
