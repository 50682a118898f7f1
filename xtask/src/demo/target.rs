//! The sample targets: real OpenSSH servers with one account, or the built-in ones where there is none.

use super::children::{Children, private};
use super::place::{Place, TARGETS};
use crate::run;
use anyhow::{Context as _, Result};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The account that the demo makes on this machine when it runs as root.
const ACCOUNT: &str = "sallyport-demo";
const MINUTE: Duration = Duration::from_secs(60);

/// A running target.
pub(crate) struct Target {
    /// Its name in the inventory.
    pub(super) name: &'static str,
    /// Its port.
    pub(super) port: u16,
    /// The account's name.
    pub(super) account: String,
    /// Its host key: algorithm and base64.
    pub(super) host_key: String,
    /// The account's password, where this is root; elsewhere it takes a key.
    pub(super) password: Option<String>,
    /// Whether it can give a terminal.
    pub(super) terminal: bool,
    authorized: PathBuf,
}

impl Target {
    /// Starts all of them. They are one machine's, so they share the account and its password.
    pub(super) fn start_all(place: &Place, real: bool, children: &mut Children) -> Result<Vec<Self>> {
        let password = if real && run::is_root() { Some(make_account()?) } else { None };
        if !real {
            let mut build = run::cargo();
            build.args(["build", "--quiet", "--workspace", "--example", "demo_target"]);
            anyhow::ensure!(run::attached(&mut build)?.success(), "the built-in target does not build");
        }
        let mut targets = Vec::new();
        for (name, port) in TARGETS.into_iter().zip(place.ports.targets) {
            targets.push(if real {
                Self::start(place, name, port, password.clone(), children)?
            } else {
                Self::built_in(place, name, port, children)?
            });
        }
        Ok(targets)
    }

    /// How it is named to the gateway: `account@target`.
    pub(super) fn address(&self) -> String {
        format!("{}@{}", self.account, self.name)
    }

    fn start(
        place: &Place,
        name: &'static str,
        port: u16,
        password: Option<String>,
        children: &mut Children,
    ) -> Result<Self> {
        let sshd = run::find("sshd").context("sshd is missing: install the OpenSSH server (package openssh-server)")?;
        let home = place.target(name);
        std::fs::create_dir_all(&home)?;
        keygen(&home.join("host_key"))?;
        let authorized = home.join("authorized_keys");
        private(&authorized, "")?;
        let root = run::is_root();
        let account = if root { ACCOUNT.to_owned() } else { own_name()? };
        let config = config(&home, port, root);
        std::fs::write(home.join("sshd_config"), config)?;
        if root {
            // Its own place for privilege separation, which a package's service would have made.
            std::fs::create_dir_all("/run/sshd")?;
        }
        let mut command = Command::new(sshd);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg("-D").arg("-e").arg("-f").arg(home.join("sshd_config"));
        children.start(name, &mut command, &place.log(name))?;
        run::wait_for("a sample sshd", MINUTE, || {
            children.alive()?;
            Ok(greets(port).then_some(()))
        })?;
        let host_key = public(&home.join("host_key.pub"))?;
        Ok(Self { name, port, account, host_key, password, terminal: root || terminals_need_no_root(), authorized })
    }

    /// Starts the target that Sallyport brings along, for machines without an OpenSSH server. It runs commands as
    /// this very user.
    fn built_in(place: &Place, name: &'static str, port: u16, children: &mut Children) -> Result<Self> {
        let home = place.target(name);
        std::fs::create_dir_all(&home)?;
        keygen(&home.join("host_key"))?;
        let password = fresh_password()?;
        private(&home.join("password"), &password)?;
        let mut command = Command::new(run::root().join("target/debug/examples/demo_target"));
        command.arg(port.to_string()).arg(home.join("host_key")).arg(home.join("password"));
        children.start(name, &mut command, &place.log(name))?;
        run::wait_for("a built-in target", MINUTE, || {
            children.alive()?;
            Ok(greets(port).then_some(()))
        })?;
        let host_key = public(&home.join("host_key.pub"))?;
        let authorized = home.join("authorized_keys");
        let account = own_name()?;
        Ok(Self { name, port, account, host_key, password: Some(password), terminal: true, authorized })
    }

    /// Lets a public key in.
    pub(super) fn authorize(&self, public: &str) -> Result<()> {
        // sshd reads the file as the account, which cannot look into a private directory of root.
        let Some(user) = nix::unistd::User::from_name(&self.account)?.filter(|_| nix::unistd::geteuid().is_root())
        else {
            return private(&self.authorized, &with(&self.authorized, public));
        };
        std::fs::create_dir_all(user.dir.join(".ssh"))?;
        let file = user.dir.join(".ssh/authorized_keys");
        let text = with(&file, public);
        Ok(std::fs::write(file, text)?)
    }
}

/// A file of keys and one more.
fn with(file: &Path, public: &str) -> String {
    format!("{}{public}\n", std::fs::read_to_string(file).unwrap_or_default())
}

/// An sshd without root cannot give a terminal to the group `tty`; it need not where the system
/// mounts terminals with that group (devpts, option `gid`).
fn terminals_need_no_root() -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.contains(" /dev/pts devpts ") && line.contains("gid="))
}

fn config(home: &Path, port: u16, root: bool) -> String {
    let at = home.display();
    let (pam, passwords) = if root { ("yes", "yes") } else { ("no", "no") };
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\nPidFile none\nUsePAM {pam}\n\
         PasswordAuthentication {passwords}\nKbdInteractiveAuthentication no\nPermitRootLogin no\nStrictModes no\n\
         AuthorizedKeysFile {at}/authorized_keys .ssh/authorized_keys\nPrintMotd no\nUseDNS no\nMaxStartups 1000\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\n"
    )
}

/// Makes the account with a password that nobody has seen, and gives the password.
fn make_account() -> Result<String> {
    if nix::unistd::User::from_name(ACCOUNT)?.is_none() {
        run::succeed(
            Command::new("useradd").args(["-m", "-c", "Sallyport demo", "-s", "/bin/bash", ACCOUNT]),
            "",
            MINUTE,
        )?;
    }
    // Keys of a demonstration before this one are nobody's.
    if let Some(user) = nix::unistd::User::from_name(ACCOUNT)? {
        let _ = std::fs::remove_file(user.dir.join(".ssh/authorized_keys"));
    }
    let password = fresh_password()?;
    run::succeed(&mut Command::new("chpasswd"), &format!("{ACCOUNT}:{password}\n"), MINUTE)?;
    Ok(password)
}

/// 24 bytes of the machine's randomness, in hexadecimal.
pub(super) fn fresh_password() -> Result<String> {
    let mut bytes = [0; 24];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes the account and its home directory.
pub(super) fn remove_account() -> Result<()> {
    if run::is_root() && nix::unistd::User::from_name(ACCOUNT)?.is_some() {
        let output = run::output(Command::new("userdel").args(["-r", ACCOUNT]), "", MINUTE)?;
        // userdel complains about a missing mail spool after it has removed the account.
        anyhow::ensure!(
            nix::unistd::User::from_name(ACCOUNT)?.is_none(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn own_name() -> Result<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective())?;
    Ok(user.context("this user has no name on this machine")?.name)
}

/// Makes an Ed25519 key pair at `path` and `path`.pub.
pub(super) fn keygen(path: &Path) -> Result<()> {
    let mut command =
        Command::new(run::find("ssh-keygen").context("ssh-keygen is missing: install the OpenSSH client")?);
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path);
    run::succeed(&mut command, "", MINUTE).map(drop)
}

/// A public key's algorithm and base64.
pub(super) fn public(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Whether an SSH server says hello there.
pub(super) fn greets(port: u16) -> bool {
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut hello = [0; 8];
    stream.read_exact(&mut hello).is_ok() && hello == *b"SSH-2.0-"
}
