//! A certificate for the ssh client of this machine: its key is made here, and lives in the agent, or beside the certificate.

use crate::client::Client;
use crate::output::{harmless, remark};
use crate::ssh::word;
use crate::{Fail, Surroundings};
use sallyport_model::{Env, Timestamp};
use sallyport_wire as wire;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A key without a certificate, and one with it.
const FRESH: [&str; 2] = ["new", "new.pub"];
const KEPT: [&str; 3] = [SECRET, PUBLIC, CERTIFICATE];
const SECRET: &str = "id";
const PUBLIC: &str = "id.pub";
const CERTIFICATE: &str = "id-cert.pub";

/// The name by which this machine's client knows every gateway.
const ALIAS: &str = "sallyport";

/// A key that was made for a certificate.
pub(crate) struct Keys {
    directory: PathBuf,
    agent: bool,
    public: String,
}

/// Where key, certificate and known hosts of this machine's client lie.
fn directory(surroundings: &Surroundings) -> PathBuf {
    surroundings.settings.join("ssh")
}

fn failed(what: &str, error: impl std::fmt::Display) -> Fail {
    Fail::failed(format!("{what}: {error}"))
}

impl Keys {
    /// Makes one, beside the last, which stays until there is a certificate. Others can read nothing of it at any moment.
    ///
    /// # Errors
    /// When the directory cannot be written, or there is no `ssh-keygen`.
    pub(crate) fn make(surroundings: &Surroundings) -> Result<Self, Fail> {
        let directory = directory(surroundings);
        fs::create_dir_all(&surroundings.settings).map_err(Fail::failed)?;
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed(&directory.display().to_string(), error));
            }
            _ => {}
        }
        let keys = Self { directory, agent: surroundings.agent, public: String::new() };
        keys.remove(&FRESH);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "sallyport", "-f"]).arg(keys.directory.join("new"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => return Err(Fail::failed("ssh-keygen made no key")),
            Err(error) => return Err(failed("ssh-keygen cannot be started (is OpenSSH installed?)", error)),
        }
        let public = fs::read_to_string(keys.directory.join("new.pub")).map_err(Fail::failed)?;
        Ok(Self { public: public.trim().to_owned(), ..keys })
    }

    /// What is to be asked of the server.
    pub(crate) fn ask(&self) -> wire::CertifyKey {
        wire::CertifyKey { public_key: self.public.clone(), seconds: None, networks: Vec::new() }
    }

    /// Takes the certificate. Where an agent is there it gets both, until the certificate ends, and the key is no file
    /// any more; certificate and public key stay files, by which clients name the one of the agent's that counts.
    ///
    /// # Errors
    /// When it cannot be written, or the agent does not take it.
    pub(crate) fn take(self, certified: &wire::CertifiedKey) -> Result<(), Fail> {
        self.remove(&KEPT);
        for (new, name) in FRESH.into_iter().zip([SECRET, PUBLIC]) {
            fs::rename(self.directory.join(new), self.directory.join(name)).map_err(Fail::failed)?;
        }
        let path = self.directory.join(CERTIFICATE);
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&path).map_err(Fail::failed)?;
        let line = format!("{} sallyport\n", harmless(&certified.certificate));
        std::io::Write::write_all(&mut &file, line.as_bytes()).map_err(Fail::failed)?;
        if !self.agent {
            return Ok(());
        }
        let expires: Timestamp =
            certified.about.expires.parse().map_err(|_| Fail::failed("the certificate has no end"))?;
        let life = expires.since(Env::system().now()).as_secs().to_string();
        let mut command = Command::new("ssh-add");
        command.args(["-q", "-t", &life]).arg(self.directory.join(SECRET));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let added = command.status().is_ok_and(|status| status.success());
        if added {
            self.remove(&[SECRET]);
        } else {
            remark("The ssh-agent did not take the key: it is kept in a file beside its certificate.");
        }
        Ok(())
    }

    /// Lets go of a key that got no certificate.
    pub(crate) fn forget(&self) {
        self.remove(&FRESH);
    }

    fn remove(&self, names: &[&str]) {
        for name in names {
            let _ = fs::remove_file(self.directory.join(name));
        }
    }
}

/// Writes down by whose certificates gateways are known, so that nobody is asked whether a host key is right.
///
/// # Errors
/// When the server does not say, or the file cannot be written.
pub(crate) async fn know_gateways(client: &Client, surroundings: &Surroundings) -> Result<(), Fail> {
    let cas: Vec<wire::SshCa> = client.get("/ssh-cas", &[]).await?;
    let keys = cas.iter().filter(|ca| ca.name == "gateways").flat_map(|ca| &ca.keys);
    // The names that `config ssh` and `config known-hosts` lead to, for a client that does not go by the alias. Without them, as
    // before a gateway has its host key, that alone counts.
    let known: Option<wire::KnownHosts> = client.get("/known-hosts", &[]).await.ok();
    let names = names(known.as_ref());
    let lines: String = keys.map(|key| format!("@cert-authority {names} {}\n", harmless(&key.public))).collect();
    fs::write(known_hosts(surroundings), lines).map_err(Fail::failed)
}

/// Under what the authority is believed: the alias, and the names and place of this server's gateway. A server gets no wildcard
/// in, which would have it believed for hosts that are not its own.
fn names(known: Option<&wire::KnownHosts>) -> String {
    let line = known.and_then(|known| known.lines.iter().find_map(|line| line.strip_prefix("@cert-authority ")));
    let told = line.and_then(|line| line.split(' ').next()).unwrap_or_default();
    let mut names = vec![ALIAS];
    names.extend(told.split(',').filter(|name| word(name) && *name != ALIAS));
    names.join(",")
}

fn known_hosts(surroundings: &Surroundings) -> PathBuf {
    directory(surroundings).join("known_hosts")
}

/// Options of ssh, such as `UserKnownHostsFile`, by which its client knows gateways and is known to them. The certificate is
/// offered before whatever else an agent holds: a gateway tries ten. Whoever names one file names all, so that the usual
/// ones follow.
pub(crate) fn options(surroundings: &Surroundings) -> Vec<(&'static str, String)> {
    let mut options = Vec::new();
    let quoted = |path: PathBuf| format!("\"{}\"", path.display());
    let (certificate, key) = (directory(surroundings).join(CERTIFICATE), directory(surroundings).join(SECRET));
    if certificate.exists() && (key.exists() || key.with_file_name(PUBLIC).exists()) {
        options.push(("CertificateFile", quoted(certificate)));
        // Where there is no such file its public half beside it says which of the agent's keys is meant.
        options.push(("IdentityFile", quoted(key)));
        let usual = ["id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_rsa"];
        options.extend(usual.map(|name| ("IdentityFile", format!("~/.ssh/{name}"))));
    }
    let known = known_hosts(surroundings);
    if known.exists() {
        options.push(("HostKeyAlias", ALIAS.to_owned()));
        options.push(("UserKnownHostsFile", format!("{} ~/.ssh/known_hosts", quoted(known))));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_believed_for_its_gateways_and_nothing_else() {
        let known = |names: &str| wire::KnownHosts {
            ssh: None,
            names: Vec::new(),
            public: String::new(),
            fingerprint: String::new(),
            lines: vec![format!("@cert-authority {names} ssh-ed25519 AAAA"), "sallyport ssh-ed25519 AAAA".into()],
        };
        let told = |line: &str| names(Some(&known(line)));
        assert_eq!(
            told("sallyport,gw.example.net,[gw.example.net]:2222"),
            "sallyport,gw.example.net,[gw.example.net]:2222"
        );
        assert_eq!(told("sallyport,[2001:db8::1]:2222"), "sallyport,[2001:db8::1]:2222");
        for evil in ["*", "*.example.net", "!gw", "", "gw?", "|1|salt|hash\n*"] {
            assert!(!names(Some(&known(evil))).contains(['*', '?', '!', '\n']), "{evil}");
        }
        assert_eq!(names(None), "sallyport");
    }
}
