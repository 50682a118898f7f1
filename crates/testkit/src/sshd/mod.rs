//! A real OpenSSH server on a temporary directory, with an account of its own.

pub mod accounts;

use crate::faults::process;
use crate::waiting::pause;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// The account that every server here knows.
pub const ACCOUNT: &str = "spt_ops";

const SSHD: &str = "/usr/sbin/sshd";
static MAKING: Mutex<()> = Mutex::new(());

/// A running server; it ends with this value.
pub struct Sshd {
    directory: tempfile::TempDir,
    process: Child,
    port: u16,
}

impl Sshd {
    /// Starts one as root on a free port of the loopback. The account is made if it is missing and
    /// gets this password; a key for it lies at [`Sshd::key`].
    ///
    /// # Errors
    /// When `openssh-server` is not installed, or this is not root. Tests fail then, and loudly.
    pub fn start(password: &str) -> Result<Self> {
        Self::with(password, "")
    }

    /// Starts one whose configuration has these lines too.
    ///
    /// # Errors
    /// As [`Sshd::start`].
    pub fn with(password: &str, lines: &str) -> Result<Self> {
        ensure!(Path::new(SSHD).exists(), "sshd is missing: apt-get install openssh-server");
        ensure!(nix::unistd::geteuid().is_root(), "sshd needs root to switch to its account");
        fs::create_dir_all("/run/sshd")?;
        account(password)?;
        let directory = tempfile::tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        keygen(&directory.path().join("host"))?;
        keygen(&directory.path().join("user"))?;
        fs::copy(directory.path().join("user.pub"), directory.path().join("authorized"))?;
        for _ in 0..5 {
            let port = crate::command::free_port()?;
            let mut process = spawn(directory.path(), port, lines)?;
            if ready(&mut process, port)? {
                return Ok(Self { directory, process, port });
            }
        }
        let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        bail!("sshd does not start: {log}")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its host key: algorithm and base64.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn host_key(&self) -> Result<String> {
        public(&self.directory.path().join("host.pub"))
    }

    /// The public host key's file.
    #[must_use]
    pub fn host_key_file(&self) -> PathBuf {
        self.directory.path().join("host.pub")
    }

    /// The private key that the account accepts, as OpenSSH writes it.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("user")
    }

    /// Its public half: algorithm and base64.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn public_key(&self) -> Result<String> {
        public(&self.directory.path().join("user.pub"))
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// A directory that the account may write to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<PathBuf> {
        let path = self.directory.path().join("scratch");
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        Ok(path)
    }

    /// Ends it and every session that it carries, at once.
    ///
    /// # Errors
    /// When a process cannot be killed.
    pub fn vanish(&mut self) -> Result<()> {
        for child in process::below(self.pid()?)? {
            process::signal(child, Signal::SIGKILL)?;
        }
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Stops the processes that carry sessions, so that they say nothing more but stay connected.
    ///
    /// # Errors
    /// When a process cannot be stopped.
    pub fn stall(&self) -> Result<()> {
        process::below(self.pid()?)?.into_iter().try_for_each(|child| process::signal(child, Signal::SIGSTOP))
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When a process cannot be reached.
    pub fn go_on(&self) -> Result<()> {
        process::below(self.pid()?)?.into_iter().try_for_each(|child| process::signal(child, Signal::SIGCONT))
    }

    fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.process.id())?))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.vanish();
    }
}

/// Makes an Ed25519 key pair at `path` and `path`.pub.
///
/// # Errors
/// When `ssh-keygen` is missing.
pub fn keygen(path: &Path) -> Result<()> {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path).status();
    ensure!(made.context("ssh-keygen is missing: apt-get install openssh-client")?.success(), "ssh-keygen failed");
    Ok(())
}

/// A public key's algorithm and base64.
///
/// # Errors
/// When the file cannot be read.
pub fn public(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}

fn account(password: &str) -> Result<()> {
    let _one = MAKING.lock();
    if nix::unistd::User::from_name(ACCOUNT)?.is_none() {
        let made = Command::new("useradd").args(["-m", "-s", "/bin/bash", ACCOUNT]).status()?;
        ensure!(made.success(), "useradd failed");
    }
    set_password(ACCOUNT, password)
}

fn set_password(account: &str, password: &str) -> Result<()> {
    let mut process = Command::new("chpasswd").stdin(Stdio::piped()).spawn()?;
    let mut input = process.stdin.take().context("chpasswd has no input")?;
    writeln!(input, "{account}:{password}")?;
    drop(input);
    ensure!(process.wait()?.success(), "chpasswd failed");
    Ok(())
}

fn spawn(directory: &Path, port: u16, lines: &str) -> Result<Child> {
    let at = directory.display();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\nUsePAM yes\n\
         PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nPermitRootLogin no\nStrictModes no\n\
         AuthorizedKeysFile {at}/authorized\nMaxStartups 200:30:400\nUseDNS no\n\
         AcceptEnv LANG LC_* COLORTERM TZ\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\n{lines}"
    );
    let file = directory.join("sshd.conf");
    fs::write(&file, config)?;
    let mut command = Command::new(SSHD);
    command.arg("-D").arg("-f").arg(&file).arg("-E").arg(directory.join("log"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}

/// Waits for the server's greeting; false where it died, as when its port was taken meanwhile.
fn ready(process: &mut Child, port: u16) -> Result<bool> {
    for _ in 0..500 {
        if process.try_wait()?.is_some() {
            return Ok(false);
        }
        if greets(port) {
            return Ok(true);
        }
        pause();
    }
    process.kill()?;
    Ok(false)
}

fn greets(port: u16) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a probe of a test component")]
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok_and(|_| line.starts_with("SSH-2.0-"))
}
