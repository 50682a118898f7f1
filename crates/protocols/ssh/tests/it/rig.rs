//! A gateway with the reference desk, a real sshd, and the stock `ssh`.

use aws_lc_rs::signature::Ed25519KeyPair;
use sallyport_gateway::conformance::bench::TOKEN;
use sallyport_gateway::conformance::desk::{Credential, Sign, Target};
use sallyport_gateway::conformance::{Bench, Entrance, Failure, Fixture, Flood, Oracle, PASSWORD, Transport};
use sallyport_model::authority::SshProof;
use sallyport_model::{Env, Limits, Secret, TargetName};
use sallyport_ssh::Ssh;
use sallyport_ssh_transport::auth;
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// The fixture of the conformance suite, and of the tests here.
pub(crate) struct Fixed {
    protocol: Arc<Ssh>,
    home: tempfile::TempDir,
    scratches: Mutex<HashMap<u16, PathBuf>>,
}

/// A target that can tell what it did.
pub(crate) struct Server {
    pub(crate) sshd: Sshd,
    pub(crate) scratch: PathBuf,
    before: usize,
}

fn connections(sshd: &Sshd) -> usize {
    sshd.log().matches("Connection from").count()
}

impl Oracle for Server {
    fn connections(&self) -> usize {
        connections(&self.sshd) - self.before
    }

    fn heard(&self, text: &str) -> bool {
        std::fs::read_to_string(self.scratch.join("heard")).unwrap_or_default().contains(text)
    }
}

/// Verifies a client's proof as control does.
fn verified(key: &str, proof: &SshProof) -> bool {
    let key = sallyport_ssh_transport::key::parse(key).unwrap();
    auth::proved(&proof.exchange, &proof.user, &proof.algorithm, &key, &proof.signature).is_ok()
}

/// The target of an sshd, with its password.
pub(crate) fn target(sshd: &Sshd) -> Target {
    Target {
        host: "127.0.0.1".into(),
        port: sshd.address().port(),
        login: Some(ACCOUNT.parse().unwrap()),
        host_keys: vec![sshd.host_key().unwrap()],
        credential: Credential::Password(PASSWORD.into()),
        limits: Limits::house(),
        rules: Vec::new(),
        grace: 60,
        anchor: 10,
        freezes: false,
        platform: Default::default(),
        becomes: None,
        hops: Vec::new(),
        accepts: Default::default(),
    }
}

/// Signs as control does, with the key of the sshd's account.
pub(crate) fn key(sshd: &Sshd) -> Credential {
    let private = russh::keys::load_secret_key(sshd.key(), None).unwrap();
    let seed = private.key_data().ed25519().unwrap().private.to_bytes();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let sign: Sign = Arc::new(move |challenge| {
        let mut blob = Vec::new();
        for part in [b"ssh-ed25519".as_slice(), pair.sign(challenge).as_ref()] {
            blob.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
            blob.extend_from_slice(part);
        }
        blob
    });
    Credential::Key(sshd.public_key().unwrap(), sign)
}

impl Fixed {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ask = home.path().join("askpass");
        std::fs::write(&ask, format!("#!/bin/sh\necho {TOKEN}\n")).unwrap();
        std::fs::set_permissions(&ask, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let protocol = Arc::new(Ssh::new(&Secret::new(vec![7; 32]), &Env::system()).unwrap());
        Self { protocol, home, scratches: Mutex::default() }
    }

    /// A target whose sshd has these lines in its configuration.
    pub(crate) fn target_with(&self, lines: &str) -> Result<(Server, Target), Failure> {
        let sshd = Sshd::with(PASSWORD, lines)?;
        let scratch = sshd.scratch()?;
        self.scratches.lock().unwrap().insert(sshd.address().port(), scratch.clone());
        let known = target(&sshd);
        let before = connections(&sshd);
        Ok((Server { sshd, scratch, before }, known))
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The gateway's host key, as known-hosts files have it.
    pub(crate) fn host_key(&self) -> &str {
        self.protocol.host_key()
    }

    /// The stock client, logging in with the suite's token.
    pub(crate) fn ssh(&self, gateway: SocketAddr, account: &str, target: &str, options: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        self.options(&mut command, gateway);
        command.args(options).arg(format!("{account}@{target}@127.0.0.1"));
        command
    }

    /// What every client of OpenSSH here needs.
    pub(crate) fn options(&self, command: &mut Command, gateway: SocketAddr) {
        let known = self.home.path().join("known_hosts");
        let line = format!("[127.0.0.1]:{} {}\n", gateway.port(), self.protocol.host_key());
        // Once: clients that were started before may be reading it.
        if std::fs::read_to_string(&known).ok().as_ref() != Some(&line) {
            std::fs::write(&known, line).unwrap();
        }
        command.env("SSH_ASKPASS", self.home.path().join("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        command.env("DISPLAY", "none").env_remove("SSH_AUTH_SOCK").args([
            "-F",
            "none",
            "-o",
            &format!("Port={}", gateway.port()),
        ]);
        command.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        for option in ["StrictHostKeyChecking=yes", "NumberOfPasswordPrompts=1"] {
            command.args(["-o", option]);
        }
        command.args(["-o", "PreferredAuthentications=password"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    }
}

/// A gateway, an sshd that it knows, and a client.
pub(crate) struct Rig {
    pub(crate) fixed: Fixed,
    pub(crate) bench: Bench,
    pub(crate) server: Server,
    pub(crate) name: TargetName,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// With a target that was changed before the desk knew it.
    pub(crate) async fn with(change: impl FnOnce(&mut Target, &Sshd)) -> Self {
        Self::configured("", change).await
    }

    /// With lines in the configuration of the target's sshd, too.
    pub(crate) async fn configured(lines: &str, change: impl FnOnce(&mut Target, &Sshd)) -> Self {
        let fixed = Fixed::new();
        let bench = Bench::start(fixed.protocol(), Transport::Unix).await.unwrap();
        bench.desk.verify_by(Arc::new(verified));
        let (server, mut known) = fixed.target_with(lines).unwrap();
        change(&mut known, &server.sshd);
        let name = bench.know(known).await.unwrap();
        Self { fixed, bench, server, name }
    }

    pub(crate) fn ssh(&self, options: &[&str], command: &str) -> Command {
        let mut ssh = self.fixed.ssh(self.bench.address, "ops", self.name.as_str(), options);
        if !command.is_empty() {
            ssh.arg(command);
        }
        ssh
    }

    /// A client that takes OpenSSH's options, such as `scp`, with what every client here needs.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.fixed.options(&mut command, self.bench.address);
        command
    }

    /// `ops@target@127.0.0.1`
    pub(crate) fn user_at_host(&self) -> String {
        format!("ops@{}@127.0.0.1", self.name)
    }

    /// A directory that the target's account may write to.
    pub(crate) fn scratch(&self) -> &Path {
        &self.server.scratch
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, options: &[&str], command: &str) -> Output {
        finish(self.ssh(options, command).spawn().unwrap()).await
    }
}

/// What a pipe has given so far.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    pub(crate) fn of(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let heard = Self::default();
        let all = heard.0.clone();
        tokio::spawn(async move {
            let mut piece = [0; 4096];
            while let Ok(size @ 1..) = pipe.read(&mut piece).await {
                all.lock().unwrap().extend_from_slice(&piece[..size]);
            }
        });
        heard
    }

    pub(crate) fn has(&self, wanted: &str) -> bool {
        self.all().contains(wanted)
    }

    pub(crate) fn all(&self) -> String {
        text(&self.0.lock().unwrap())
    }
}

pub(crate) async fn finish(child: Child) -> Output {
    tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await.expect("the client hangs").unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

struct Reading {
    child: Child,
    bytes: Arc<AtomicU64>,
}

impl Flood for Reading {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn vanish(mut self: Box<Self>) {
        let _ = self.child.start_kill();
    }
}

impl Fixture for Fixed {
    type Protocol = Ssh;
    type Target = Server;

    fn protocol(&self) -> Arc<Ssh> {
        self.protocol.clone()
    }

    async fn target(&self) -> Result<(Server, Target), Failure> {
        self.target_with("")
    }

    async fn talk(&self, at: &Entrance, account: &str, target: &TargetName, command: &str) -> Result<String, Failure> {
        let port: u16 = target.as_str().rsplit_once('-').ok_or("no port")?.1.parse()?;
        let scratch = self.scratches.lock().unwrap().get(&port).cloned().unwrap_or_default();
        let run = format!("echo {command} >>{}/heard; echo {command}", scratch.display());
        let child = self.ssh(at.gateway, account, target.as_str(), &[]).arg(run).spawn()?;
        let output = finish(child).await;
        Ok(text(&output.stdout) + &text(&output.stderr))
    }

    async fn flood(&self, at: &Entrance, target: &TargetName) -> Result<Box<dyn Flood>, Failure> {
        let mut child = self.ssh(at.gateway, "ops", target.as_str(), &[]).arg("cat /dev/zero").spawn()?;
        let mut output = child.stdout.take().ok_or("no output")?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 65536];
            while let Ok(read @ 1..) = output.read(&mut buffer).await {
                counted.fetch_add(u64::try_from(read).unwrap(), Ordering::Relaxed);
            }
        });
        Ok(Box::new(Reading { child, bytes }))
    }

    async fn busy(&self, at: &Entrance, target: &TargetName, bytes: usize) -> Result<(), Failure> {
        let run = format!("exec 3<&0; cat <&3 | wc -c >&2 & head -c {bytes} /dev/zero; wait");
        let mut ssh = self.ssh(at.gateway, "ops", target.as_str(), &[]);
        let mut child = ssh.arg(run).stdin(Stdio::piped()).spawn()?;
        let (mut input, mut output) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let sending = tokio::spawn(async move { input.write_all(&vec![b'y'; bytes]).await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut all = Vec::new();
        output.read_to_end(&mut all).await?;
        sending.await??;
        let rest = finish(child).await;
        let counted: usize = text(&rest.stderr).trim().parse().unwrap_or(0);
        if all.len() == bytes && counted == bytes {
            Ok(())
        } else {
            Err(Failure(format!("{} down, {counted} up, of {bytes}: {}", all.len(), text(&rest.stderr))))
        }
    }
}
