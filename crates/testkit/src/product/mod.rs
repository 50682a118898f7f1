//! The whole product on a temporary directory: parent, control and gateway as they are shipped.

mod commands;
mod process;

use crate::command::text;
pub use crate::command::{free_port, json, outcome};
use crate::postgres::{self, Postgres};
use crate::sshd::{ACCOUNT, Sshd, keygen, public};
pub use crate::waiting::wait_for;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// The password of the account on the target. It must be found nowhere but there.
pub const PASSWORD: &str = "Canary-7f31c0de-b4d9!";

/// A running product with one target, and with ada (who may), bob (who may not), and carol (who audits).
pub struct Product {
    binary: PathBuf,
    directory: tempfile::TempDir,
    parent: Option<Child>,
    surroundings: Vec<(String, PathBuf)>,
    ssh_port: u16,
    url: String,
    token: String,
    /// The recovery passphrase, where this product was founded.
    recovery: String,
    /// URL of the database, where the store is on a server.
    store: Option<String>,
    /// The target.
    pub target: Arc<Sshd>,
}

impl Product {
    /// Founds an installation, starts it, applies the sample checkout and stores the credential.
    ///
    /// # Errors
    /// When a component is missing or anything does not start.
    pub fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, "")
    }

    /// As `start`, with the store in a new database of this server.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_on(binary: &Path, server: &Postgres) -> Result<Self> {
        let url = server.database()?;
        Self::start_at(binary, "", Some(&url))
    }

    /// As `start`, with lines added to the policy file.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_with(binary: &Path, policy: &str) -> Result<Self> {
        Self::start_at(binary, policy, None)
    }

    /// As `start_with`, with the store at this URL: in a file where there is none.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_at(binary: &Path, policy: &str, store: Option<&str>) -> Result<Self> {
        let mut product = Self::unfounded(binary, store)?;
        let founded = product.local(&["init", "--fast", "--output", "json"])?;
        let founded = json(&founded)?;
        (product.token, product.recovery) = (text(&founded, "token")?, text(&founded, "recovery")?);
        product.serve()?;
        product.write_checkout(policy)?;
        product.ok(&["apply", &product.at("checkout").display().to_string()])?;
        product.stdin(&["vault", "put", &format!("{ACCOUNT}@web-1"), "--password-stdin"], PASSWORD)?;
        Ok(product)
    }

    /// Another node of the same installation, with a target of its own that nothing names.
    ///
    /// # Errors
    /// When the store is in a file, or the node does not come up.
    pub fn join(&self, node: &str) -> Result<Self> {
        let store = self.store.as_deref().context("a file holds one node only")?;
        self.join_at(node, store)
    }

    /// As `join`, by a way of its own to the same database.
    ///
    /// # Errors
    /// As `join`.
    pub fn join_at(&self, node: &str, store: &str) -> Result<Self> {
        let mut product = Self::configured(&self.binary, node, Some(store), Arc::new(Sshd::start(PASSWORD)?))?;
        product.token.clone_from(&self.token);
        for name in ["ada", "ada.pub", "bob", "bob.pub"] {
            fs::copy(self.at(name), product.at(name))?;
        }
        product.local(&["init", "--join", "--key-file", &self.data().join("keys/vault.key").display().to_string()])?;
        product.serve()?;
        Ok(product)
    }

    /// A host that is configured, with a target and people's keys, and nothing in its data directory.
    ///
    /// # Errors
    /// When a component is missing.
    pub fn unfounded(binary: &Path, store: Option<&str>) -> Result<Self> {
        let product = Self::configured(binary, "node-1", store, Arc::new(Sshd::start(PASSWORD)?))?;
        for name in ["ada", "bob"] {
            keygen(&product.at(name))?;
        }
        Ok(product)
    }

    /// Acts with this token from here on.
    pub fn sign_in(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// A blank host for the same people and the same target: configured, and nothing in its data directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn blank(&self, store: Option<&str>) -> Result<Self> {
        let mut product = Self::configured(&self.binary, "node-1", store, self.target.clone())?;
        product.token.clone_from(&self.token);
        for name in ["ada", "ada.pub", "bob", "bob.pub"] {
            fs::copy(self.at(name), product.at(name))?;
        }
        Ok(product)
    }

    /// A product that is configured and not founded yet.
    fn configured(binary: &Path, node: &str, store: Option<&str>, target: Arc<Sshd>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (api, ssh_port) = (free_port()?, free_port()?);
        let at = |name: &str| directory.path().join(name);
        let mut text = format!(
            "data = \"{}\"\nnode = \"{node}\"\n[api]\nlisten = \"127.0.0.1:{api}\"\n[ssh]\nlisten = \"127.0.0.1:{ssh_port}\"\n",
            at("data").display()
        );
        if let Some(url) = store {
            let secret = at("database.password");
            fs::write(&secret, format!("{}\n", postgres::PASSWORD))?;
            fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
            text.push_str(&format!("[store]\nurl = \"{url}\"\npassword_file = \"{}\"\n", secret.display()));
        }
        fs::write(at("sallyport.toml"), text)?;
        Ok(Self {
            binary: binary.to_owned(),
            parent: None,
            surroundings: Vec::new(),
            ssh_port,
            url: format!("http://127.0.0.1:{api}"),
            token: String::new(),
            recovery: String::new(),
            store: store.map(str::to_owned),
            target,
            directory,
        })
    }

    /// Writes the sample checkout, with these lines added to its policies.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_checkout(&self, policy: &str) -> Result<()> {
        fs::create_dir_all(self.at("checkout"))?;
        let inventory = format!(
            "[[identity]]\nhandle = \"ada\"\ngroups = [\"ops\"]\nssh_keys = [\"{}\"]\n\
             [[identity]]\nhandle = \"bob\"\nssh_keys = [\"{}\"]\n\
             [[identity]]\nhandle = \"carol\"\ngroups = [\"sallyport:auditor\"]\n\
             [[target]]\nname = \"web-1\"\nhost = \"127.0.0.1\"\nport = {}\nenvironment = \"demo\"\ntier = 1\n\
             tags = [\"web\"]\nhost_keys = [\"{}\"]\n[[target.account]]\nname = \"{ACCOUNT}\"\nclass = \"standard\"\n",
            public(&self.at("ada.pub"))?,
            public(&self.at("bob.pub"))?,
            self.target.address().port(),
            self.target.host_key()?,
        );
        fs::write(self.at("checkout/inventory.toml"), inventory)?;
        let permit = "@id(\"ops-use-web\")\npermit (principal in Group::\"ops\", action in \
            [Action::\"see\", Action::\"connect\", Action::\"channel:shell\", Action::\"channel:exec\"], resource)\n\
            when { resource.tags.contains(\"web\") };\n";
        fs::write(self.at("checkout/ops.cedar"), format!("{permit}{policy}"))?;
        Ok(())
    }

    /// Sets a variable of the server's environment, for its next start.
    pub fn surround(&mut self, name: &str, path: &Path) {
        self.surroundings.push((name.to_owned(), path.to_owned()));
    }

    /// Adds lines to the configuration, for the server's next start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let text = fs::read_to_string(self.at("sallyport.toml"))?;
        Ok(fs::write(self.at("sallyport.toml"), format!("{text}{lines}"))?)
    }

    /// Starts the parent and waits until its gateway has joined control.
    ///
    /// # Errors
    /// When it does not come up within 30 seconds.
    pub fn serve(&mut self) -> Result<()> {
        self.launch()?;
        self.ready()
    }

    fn launch(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.at("log"))?;
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.at("sallyport.toml")).arg("serve");
        command.envs(self.surroundings.iter().map(|(name, path)| (name, path)));
        self.parent = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        Ok(())
    }

    /// Starts it with TLS, under an authority of its own that the command line is told to trust.
    ///
    /// # Errors
    /// When it does not come up within 30 seconds.
    pub fn serve_tls(&mut self) -> Result<()> {
        let port = self.url.rsplit(':').next().context("no port")?.to_owned();
        self.url = format!("https://localhost:{port}");
        self.surround("SALLYPORT__API__TLS", Path::new("own"));
        self.launch()?;
        let print = wait_for("a fingerprint", 30, || self.fingerprint()).with_context(|| self.log())?;
        let trusted = || self.run(&["trust", "--fingerprint", &print]).ok().filter(|(code, ..)| *code == 0);
        wait_for("a server to trust", 30, trusted).with_context(|| self.log())?;
        self.ready()
    }

    /// The fingerprint of its authority, as it logs it.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        let log = self.log();
        let (_, behind) = log.split_once("fingerprint=\"")?;
        Some(behind.split('"').next()?.to_owned())
    }

    /// Starts the parent of a server that will not open its vault, and waits until it answers.
    ///
    /// # Errors
    /// When it does not within 30 seconds.
    pub fn start_sealed(&mut self) -> Result<()> {
        self.launch()?;
        let sealed = |status: &Value| status.get("sealed").and_then(Value::as_bool) == Some(true);
        wait_for("a sealed server", 30, || self.status().ok().filter(sealed)).map(drop).with_context(|| self.log())
    }

    /// Waits until a gateway has joined control.
    ///
    /// # Errors
    /// With the log, when that takes over 30 seconds.
    pub fn ready(&self) -> Result<()> {
        let joined = |status: &Value| status.get("gateways").and_then(Value::as_u64) >= Some(1);
        wait_for("a gateway", 30, || self.status().ok().filter(joined)).map(drop).with_context(|| self.log())
    }

    /// What `sallyport --output json` says of the server.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn status(&self) -> Result<Value> {
        json(&self.ok(&["status", "--output", "json"])?)?.get_mut(0).map(Value::take).context("no status")
    }

    /// Whether its store is on a server and not in a file.
    #[must_use]
    pub const fn on_server(&self) -> bool {
        self.store.is_some()
    }

    /// Name of its database, where the store is on a server.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.store.as_deref().and_then(|url| url.rsplit('/').next())
    }

    /// A path in the product's directory.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.at("data")
    }

    /// What the three processes logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }

    /// Where the API is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The recovery passphrase that the founder was shown.
    #[must_use]
    pub fn recovery(&self) -> &str {
        &self.recovery
    }

    /// Waits until no session is live.
    ///
    /// # Errors
    /// When one still is after 30 seconds.
    pub fn idle(&self) -> Result<()> {
        let empty = |status: &Value| status.get("sessions").and_then(Value::as_u64) == Some(0);
        wait_for("the end of all sessions", 30, || self.status().ok().filter(empty))
            .map(drop)
            .with_context(|| self.log())
    }

    /// The administrator's token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where SSH clients connect to, on the loopback.
    #[must_use]
    pub const fn ssh_port(&self) -> u16 {
        self.ssh_port
    }
}
