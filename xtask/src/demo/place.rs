//! Where the demo lives: `.demo` in the workspace, with its ports, its keys and its sample checkout.

use super::children::private;
use super::target::{Target, keygen, public};
use crate::run;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PEOPLE: &str = include_str!("sample/people/identities.toml");
const INVENTORY: &str = include_str!("sample/targets.toml");
const ACCESS: &str = include_str!("sample/access.cedar");
/// Names of the sample targets.
pub(super) const TARGETS: [&str; 2] = ["web-1", "db-1"];
/// The longest that a command of the story may take.
const LONGEST: Duration = Duration::from_secs(60);

/// Ports, chosen at the start.
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) ssh: u16,
    /// Of the targets, in the order of [`TARGETS`].
    pub(super) targets: [u16; 2],
}

/// The place of one demo.
pub(crate) struct Place {
    /// `.demo`
    pub(crate) home: PathBuf,
    /// Ports.
    pub(crate) ports: Ports,
    data: PathBuf,
    binary: PathBuf,
}

/// `.demo`, whether it is there or not.
pub(super) fn home() -> PathBuf {
    run::root().join(".demo")
}

impl Place {
    /// Makes the directory anew, with configuration and keys, for the program that was built in this
    /// profile (`debug`, `release`).
    pub(crate) fn make(profile: &str) -> Result<Self> {
        Self::make_with(profile, home().join("data"))
    }

    /// The same with its data elsewhere.
    pub(crate) fn make_with(profile: &str, data: PathBuf) -> Result<Self> {
        let home = home();
        let ports = Ports::free()?;
        let binary = target_directory()?.join(profile).join("sallyport");
        let place = Self { home, ports, data, binary };
        for directory in ["keys", "settings", "checkout/people"] {
            std::fs::create_dir_all(place.home.join(directory))?;
        }
        for person in ["ada", "bob"] {
            keygen(&place.key(person))?;
        }
        let config = format!(
            "data = {:?}\nnode = \"demo\"\n\n[api]\nlisten = \"127.0.0.1:{}\"\n\n[ssh]\nlisten = \"127.0.0.1:{}\"\n",
            place.data(),
            place.ports.api,
            place.ports.ssh
        );
        private(&place.config(), &config)?;
        Ok(place)
    }

    /// The sample checkout: people, targets, policies.
    pub(crate) fn checkout(&self, targets: &[Target]) -> Result<PathBuf> {
        let checkout = self.home.join("checkout");
        let people = PEOPLE
            .replace("{ada}", &public(&self.key("ada").with_extension("pub"))?)
            .replace("{bob}", &public(&self.key("bob").with_extension("pub"))?);
        let mut inventory = INVENTORY.to_owned();
        for target in targets {
            let Target { name, port, host_key, account, .. } = target;
            inventory = inventory
                .replace(&format!("{{{name}.port}}"), &port.to_string())
                .replace(&format!("{{{name}.host_key}}"), host_key)
                .replace(&format!("{{{name}.account}}"), account);
        }
        std::fs::write(checkout.join("people/identities.toml"), people)?;
        std::fs::write(checkout.join("targets.toml"), inventory)?;
        std::fs::write(checkout.join("access.cedar"), ACCESS)?;
        Ok(checkout)
    }

    /// Private key of a person.
    pub(crate) fn key(&self, person: &str) -> PathBuf {
        self.home.join("keys").join(person)
    }

    /// Configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.home.join("sallyport.toml")
    }

    /// Data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// A log.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.home.join(format!("{name}.log"))
    }

    /// Files of a sample target.
    pub(super) fn target(&self, name: &str) -> PathBuf {
        self.home.join("targets").join(name)
    }

    /// The program with this configuration and nothing else of our environment.
    pub(crate) fn sallyport(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", self.home.join("settings"));
        command
            .env("SALLYPORT_URL", format!("http://127.0.0.1:{}", self.ports.api))
            .env("SALLYPORT_CONFIG", self.config());
        command.current_dir(&self.home).args(words);
        command
    }

    /// Runs a command of the CLI to its end; its answer as JSON.
    pub(crate) fn ask(&self, token: Option<&str>, words: &[&str], input: &str) -> Result<Value> {
        let mut command = self.sallyport(words);
        command.args(["--output", "json"]);
        if let Some(token) = token {
            command.env("SALLYPORT_TOKEN", token);
        }
        let said = run::succeed(&mut command, input, LONGEST)?;
        serde_json::from_str(&said).with_context(|| format!("`sallyport {}` gave no JSON: {said}", words.join(" ")))
    }

    /// The machine's own ssh client, as a person, to the gateway and through it to a target.
    pub(crate) fn ssh(&self, person: &str, target: &Target, more: &[&str]) -> Result<Command> {
        let mut command = Command::new(run::find("ssh").context("ssh is missing: install the OpenSSH client")?);
        command.args([
            "-F",
            "none",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=accept-new",
            "-o",
            "LogLevel=ERROR",
        ]);
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.home.join("known_hosts").display()));
        command.arg("-p").arg(self.ports.ssh.to_string()).arg("-i").arg(self.key(person));
        command.args(more).arg(format!("{person}+{}@127.0.0.1", target.address()));
        command.env_remove("SSH_AUTH_SOCK");
        Ok(command)
    }
}

impl Ports {
    /// Ports that are free now.
    fn free() -> Result<Self> {
        let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0"));
        let mut ports = Vec::new();
        for listener in &listeners {
            let listener = listener.as_ref().map_err(|e| anyhow::anyhow!("no port is free: {e}"))?;
            ports.push(listener.local_addr()?.port());
        }
        match ports.as_slice() {
            [api, ssh, first, second] => Ok(Self { api: *api, ssh: *ssh, targets: [*first, *second] }),
            _ => anyhow::bail!("no port is free"),
        }
    }
}

/// Where cargo builds.
fn target_directory() -> Result<PathBuf> {
    let output = run::cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let directory =
        metadata.get("target_directory").and_then(Value::as_str).context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(directory))
}
