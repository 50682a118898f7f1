//! A real PostgreSQL server on a temporary directory, under an account of its own.

use crate::product::wait_for;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// The account that every server here runs as: PostgreSQL refuses root.
const ACCOUNT: &str = "spt_pg";
/// Where Debian and Ubuntu keep the server's programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// The server's own administrator.
const SUPERUSER: &str = "postgres";
/// The role that owns the databases of tests: no superuser.
pub const ROLE: &str = "sallyport";
/// Its password. It must be found nowhere but there.
pub const PASSWORD: &str = "Canary-pg-51d0f2!";

static MAKING: Mutex<()> = Mutex::new(());

/// A running server; it ends with this value, and with the process of the test in any case.
pub struct Postgres {
    directory: PathBuf,
    port: u16,
    keeper: Option<Child>,
    /// Whether what it says is durable survives a loss of power: tests need it to survive a kill only.
    durable: bool,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one on a free port of the loopback, with the role [`ROLE`].
    ///
    /// # Errors
    /// When `postgresql-15` is not installed, or this is not root. Tests fail then, and loudly.
    pub fn start() -> Result<Self> {
        Self::start_as(false)
    }

    /// As [`Postgres::start`], on a disk that is synchronised: for measurements.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_durable() -> Result<Self> {
        Self::start_as(true)
    }

    fn start_as(durable: bool) -> Result<Self> {
        ensure!(Path::new(PROGRAMS).join("postgres").exists(), "PostgreSQL is missing: apt-get install postgresql-15");
        ensure!(nix::unistd::geteuid().is_root(), "PostgreSQL needs root to switch to its account");
        account()?;
        let directory = tempfile::Builder::new().prefix("spt-pg-").tempdir()?.keep();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        own(&directory)?;
        let home = directory.join("home");
        fs::create_dir(&home)?;
        own(&home)?;
        fs::write(home.join("pw"), PASSWORD)?;
        let mut init = program("initdb", &home);
        init.args([
            "-U",
            SUPERUSER,
            "-A",
            "scram-sha-256",
            "--pwfile=pw",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        success("initdb", init.args(["-D", "data"]).output()?)?;
        let mut server = Self { directory, port: 0, keeper: None, durable, databases: AtomicU32::new(0) };
        for _ in 0..5 {
            server.port = crate::command::free_port()?;
            if server.run().is_ok() {
                server.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"))?;
                return Ok(server);
            }
        }
        bail!("PostgreSQL does not start: {}", server.log())
    }

    /// A standby of this server, which has all that this one acknowledges from now on: a commit waits for it.
    ///
    /// # Errors
    /// When it cannot be made, or does not catch up within 30 seconds.
    pub fn standby(&self) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("spt-pg-").tempdir()?.keep();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        let home = directory.join("home");
        fs::create_dir(&home)?;
        own(&home)?;
        let mut copied = program("pg_basebackup", &home);
        copied.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-U", SUPERUSER, "-p", &self.port.to_string()]);
        copied.args(["-D", "data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        success("pg_basebackup", copied.output()?)?;
        let mut standby =
            Self { directory, port: 0, keeper: None, durable: self.durable, databases: AtomicU32::new(1000) };
        standby.port = crate::command::free_port()?;
        standby.run()?;
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
        wait_for("the standby", 30, || self.sql("postgres", state).ok().filter(|count| count == "1"))?;
        Ok(standby)
    }

    /// Makes a standby the primary.
    ///
    /// # Errors
    /// When it is none, or does not become one.
    pub fn promote(&self) -> Result<()> {
        let promoted = self.sql("postgres", "SELECT pg_promote()")?;
        ensure!(promoted == "t", "the standby was not promoted: {}", self.log());
        Ok(())
    }

    /// Where a database of this server is, or, once that one is gone, of its standby.
    #[must_use]
    pub fn url_with(&self, standby: &Self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{},127.0.0.1:{}/{database}", self.port, standby.port)
    }

    /// Starts the server again, after [`Postgres::crash`] or [`Postgres::stop`].
    ///
    /// # Errors
    /// With its log, when it does not answer within 30 seconds.
    pub fn run(&mut self) -> Result<()> {
        self.release();
        // The keeper ends the server when it is told to, or when the process of the test is gone: then it
        // also removes what a value that was never dropped would leave behind.
        let settings = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} -c fsync={} -c shared_buffers=32MB \
             -c max_connections=60 -c logging_collector=off",
            self.port,
            self.home().display(),
            if self.durable { "on" } else { "off" },
        );
        let keeper = format!(
            "{PROGRAMS}/postgres -D data {settings} >>log 2>&1 </dev/null & p=$!; read told; kill -QUIT $p 2>/dev/null; wait $p; [ \"$told\" = end ] || rm -rf \"{}\"",
            self.directory.display()
        );
        self.keeper = Some(program_at("/bin/sh", &self.home()).args(["-c", &keeper]).stdin(Stdio::piped()).spawn()?);
        let port = self.port.to_string();
        let home = self.home();
        wait_for("PostgreSQL", 30, || {
            let mut asked = program("pg_isready", &home);
            asked.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().ok().filter(|s| s.success())
        })
        .map(drop)
        .with_context(|| self.log())
    }

    /// kill -9 of the server; what it had in memory is gone.
    ///
    /// # Errors
    /// When it was not running.
    pub fn crash(&mut self) -> Result<()> {
        let pid = self.pid()?;
        kill(pid, Signal::SIGKILL)?;
        // Its children end by themselves; a new server waits for them.
        wait_for("the end of PostgreSQL", 30, || self.alone().then_some(()))?;
        self.release();
        Ok(())
    }

    /// Where its data are.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// Its first process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&self) -> Result<Pid> {
        self.pid()
    }

    /// Stops the server in good order.
    ///
    /// # Errors
    /// When it was not running, or does not stop.
    pub fn stop(&mut self) -> Result<()> {
        kill(self.pid()?, Signal::SIGINT)?;
        wait_for("the end of PostgreSQL", 30, || self.alone().then_some(()))?;
        self.release();
        Ok(())
    }

    /// Makes the server a standby at its next start: it answers, and takes no writes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn mark_standby(&self) -> Result<()> {
        Ok(fs::write(self.home().join("data/standby.signal"), "")?)
    }

    /// Turns TLS on, with a certificate for 127.0.0.1; the file with its authority. A second call replaces both.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn secure(&self) -> Result<PathBuf> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
        for (name, text) in [("server.crt", leaf.pem()), ("server.key", key.serialize_pem())] {
            let path = self.home().join("data").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            own(&path)?;
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        let issuer = self.directory.join("authority.pem");
        fs::write(&issuer, authority.pem())?;
        Ok(issuer)
    }

    /// A new, empty database of [`ROLE`]; its URL, without a password.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn database(&self) -> Result<String> {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.database_with(&name, &["--encoding=UTF8"])
    }

    /// A new database of this name, made with these arguments of `createdb`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn database_with(&self, name: &str, more: &[&str]) -> Result<String> {
        let mut made = self.client("createdb");
        made.args(["--owner", ROLE, "--template=template0"]).args(more).arg(name);
        success("createdb", made.output()?)?;
        Ok(self.url(name))
    }

    /// Puts a copy of one database in the place of another, which nobody may be using.
    ///
    /// # Errors
    /// With what the server says.
    pub fn copy_database(&self, from: &str, to: &str) -> Result<()> {
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", "SET client_min_messages = error"]);
        psql.args(["-c", &format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)")]);
        psql.args(["-c", &format!("CREATE DATABASE {to} TEMPLATE {from} OWNER {ROLE}")]);
        success("psql", psql.output()?).map(drop)
    }

    /// Dumps a database as text, with `pg_dump`.
    ///
    /// # Errors
    /// With what the program says.
    pub fn dump(&self, database: &str) -> Result<String> {
        success("pg_dump", self.client("pg_dump").arg(database).output()?)
    }

    /// Makes a database of a dump, as [`ROLE`], in the place of one of this name, which nobody may be using.
    ///
    /// # Errors
    /// With what the programs say.
    pub fn restore(&self, dump: &str, database: &str) -> Result<()> {
        self.copy_database("template0", database)?;
        let file = self.directory.join("dump.sql");
        fs::write(&file, dump)?;
        let mut psql = self.client("psql");
        psql.env("PGUSER", ROLE).args(["-X", "-q", "-d", database, "-f"]).arg(file);
        success("psql", psql.output()?).map(drop)
    }

    /// Where a database is.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
    }

    /// The server's port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the server's administrator, each in a transaction of its own; what they print.
    ///
    /// # Errors
    /// With what the server says.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        self.sql_as(SUPERUSER, database, statements)
    }

    /// The same as this role, which has the password of all here.
    ///
    /// # Errors
    /// With what the server says.
    pub fn sql_as(&self, role: &str, database: &str, statements: &str) -> Result<String> {
        let mut psql = self.client("psql");
        psql.env("PGUSER", role);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statements]);
        success("psql", psql.output()?)
    }

    /// What the server logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.home().join("log")).unwrap_or_default()
    }

    /// Everything that the server has on disk, its log too.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    fn client(&self, name: &str) -> Command {
        let mut command = program(name, &self.home());
        command.env("PGPASSWORD", PASSWORD).env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", SUPERUSER);
        command
    }

    fn pid(&self) -> Result<Pid> {
        let text = fs::read_to_string(self.home().join("data/postmaster.pid")).context("PostgreSQL is not running")?;
        Ok(Pid::from_raw(text.lines().next().unwrap_or_default().trim().parse()?))
    }

    /// Whether no process of the server is left.
    fn alone(&self) -> bool {
        let data = self.home().join("data");
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        !processes.flatten().any(|process| {
            fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data)
                && fs::read(process.path().join("cmdline")).is_ok_and(|line| !line.is_empty())
        })
    }

    /// Lets the keeper end, and the server with it.
    fn release(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.stdin.take().map(|mut told| told.write_all(b"end\n"));
            let _ = keeper.wait();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.release();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn account() -> Result<()> {
    let _one = MAKING.lock();
    if nix::unistd::User::from_name(ACCOUNT)?.is_none() {
        let made = Command::new("useradd").args(["-r", "-M", "-s", "/usr/sbin/nologin", ACCOUNT]).output()?;
        // Another process may have made it meanwhile.
        ensure!(nix::unistd::User::from_name(ACCOUNT)?.is_some(), "useradd: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}

fn own(path: &Path) -> Result<()> {
    let user = nix::unistd::User::from_name(ACCOUNT)?.context("the account is gone")?;
    Ok(std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?)
}

fn program(name: &str, home: &Path) -> Command {
    program_at(&format!("{PROGRAMS}/{name}"), home)
}

/// A program under the server's account, in its directory, without our environment.
fn program_at(path: &str, home: &Path) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "--", path]).current_dir(home);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null());
    command
}

fn success(what: &str, output: Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
