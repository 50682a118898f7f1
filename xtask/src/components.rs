//! Real components that tests and the demo need: found, or installed from the distribution's packages.

use crate::run;
use anyhow::{Context as _, Result, bail};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

/// A program, and the package of Debian and Ubuntu that brings it.
struct Component {
    program: &'static str,
    package: &'static str,
}

const SERVER: Component = Component { program: "sshd", package: "openssh-server" };

const CLIENTS: [Component; 3] = [
    Component { program: "ssh", package: "openssh-client" },
    Component { program: "ssh-keygen", package: "openssh-client" },
    Component { program: "script", package: "bsdutils" },
];

/// What tests need besides. The server's programs are not on the path.
const FOR_TESTS: [Component; 11] = [
    Component { program: "setsid", package: "util-linux" },
    Component { program: "ip", package: "iproute2" },
    Component { program: "sudo", package: "sudo" },
    // Login shells that are no POSIX shells.
    Component { program: "fish", package: "fish" },
    Component { program: "tcsh", package: "tcsh" },
    Component { program: "systemd-analyze", package: "systemd" },
    Component { program: "softhsm2-util", package: "softhsm2" },
    Component { program: "/usr/lib/postgresql/15/bin/postgres", package: "postgresql-15" },
    Component { program: "chromium", package: "chromium" },
    Component { program: "/usr/lib/python3.11/ensurepip/__init__.py", package: "python3-venv" },
    Component { program: "pebble", package: "pebble" },
];

/// Other people's SSH clients, each of which logs in through the gateway.
const OTHER_CLIENTS: [Component; 13] = [
    Component { program: "ansible", package: "ansible-core" },
    Component { program: "curl", package: "curl" },
    Component { program: "dbclient", package: "dropbear-bin" },
    Component { program: "git", package: "git" },
    Component { program: "plink", package: "putty-tools" },
    Component { program: "rsync", package: "rsync" },
    Component { program: "sshpass", package: "sshpass" },
    Component { program: "tmux", package: "tmux" },
    Component { program: "vim.tiny", package: "vim-tiny" },
    Component { program: "xauth", package: "xauth" },
    Component { program: "/usr/include/libssh/libssh.h", package: "libssh-dev" },
    Component { program: "/usr/lib/python3/dist-packages/asyncssh/__init__.py", package: "python3-asyncssh" },
    Component { program: "/usr/lib/python3/dist-packages/paramiko/__init__.py", package: "python3-paramiko" },
];

/// What makes load.
const LOAD: Component = Component { program: "wrk", package: "wrk" };

/// What builds the portal: Debian 12's own are new enough.
const FOR_PORTAL: [Component; 2] =
    [Component { program: "node", package: "nodejs" }, Component { program: "npm", package: "npm" }];

/// Asked by `apt` before it starts a service of a new package.
const GUARD: &str = "/usr/sbin/policy-rc.d";

/// Makes sure that every component is there: asks, then installs. What cannot be had is an error.
pub(crate) fn ensure(yes: bool) -> Result<()> {
    ensure_these(&CLIENTS.iter().chain([&SERVER]).collect::<Vec<_>>(), yes)
}

/// The same for the demo, which has a target of its own for machines on which no OpenSSH server can be had; whether
/// there is one.
pub(crate) fn ensure_for_demo(yes: bool) -> Result<bool> {
    if CLIENTS.iter().any(|c| run::find(c.program).is_none()) {
        return ensure(yes).map(|()| true);
    }
    Ok(ensure_these(&[&SERVER], yes)
        .inspect_err(|error| eprintln!("{error:#}.\nThe demo goes on with a built-in target in its place."))
        .is_ok())
}

/// The same with what only tests need.
pub(crate) fn ensure_for_tests(yes: bool) -> Result<()> {
    ensure_these(
        &CLIENTS.iter().chain([&SERVER]).chain(&FOR_TESTS).chain(&OTHER_CLIENTS).chain(&FOR_PORTAL).collect::<Vec<_>>(),
        yes,
    )
}

/// What only measurements need.
pub(crate) fn ensure_for_bench(yes: bool) -> Result<()> {
    let all = CLIENTS.iter().chain([&SERVER]).chain(&FOR_TESTS).chain([&LOAD]);
    ensure_these(&all.collect::<Vec<_>>(), yes)
}

/// What builds the portal.
pub(crate) fn ensure_for_portal(yes: bool) -> Result<()> {
    ensure_these(&FOR_PORTAL.iter().collect::<Vec<_>>(), yes)
}

fn ensure_these(needed: &[&Component], yes: bool) -> Result<()> {
    let missing = || needed.iter().filter(|c| run::find(c.program).is_none());
    let mut packages: Vec<&str> = missing().map(|c| c.package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if run::find("apt-get").is_none() {
        bail!("these are missing: {list}. Install them with this system's package manager and start again");
    }
    let sudo = !run::is_root();
    if sudo && run::find("sudo").is_none() {
        bail!("these packages are missing: {list}. Ask an administrator of this machine to install them");
    }
    eprintln!("These packages are needed and missing: {list}");
    if !run::consent(yes) && !asked("Install them with apt now? No service is started. [y/N] ")? {
        bail!("without {list} this cannot go on; `--yes` installs without asking");
    }
    install(&packages, sudo)?;
    match missing().next() {
        Some(missing) => bail!("`{}` is still missing after installing {}", missing.program, missing.package),
        None => Ok(()),
    }
}

/// Asks a person; nobody there means no.
fn asked(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn install(packages: &[&str], sudo: bool) -> Result<()> {
    // A directory of our own: another apt at work on this machine may empty the shared one.
    let archives = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir()?;
    std::fs::create_dir(archives.path().join("partial"))?;
    let placed = guard(sudo)?;
    let outcome = apt(&["install", "-y", "--no-install-recommends"], packages, archives.path(), sudo).or_else(|_| {
        apt(&["update"], &[], archives.path(), sudo)?;
        apt(&["install", "-y", "--no-install-recommends"], packages, archives.path(), sudo)
    });
    if placed {
        privileged("rm", sudo).arg("-f").arg(GUARD).status().context("cannot remove the guard against services")?;
    }
    outcome
}

/// Keeps new packages from starting services; tells whether the guard is ours to remove.
fn guard(sudo: bool) -> Result<bool> {
    if Path::new(GUARD).exists() {
        return Ok(false);
    }
    let text = "#!/bin/sh\nexit 101\n";
    if sudo {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let status = privileged("install", true).args(["-m", "755"]).arg(file.path()).arg(GUARD).status()?;
        anyhow::ensure!(status.success(), "cannot keep services from starting: {GUARD} cannot be written");
    } else {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(GUARD)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(true)
}

fn privileged(program: &str, sudo: bool) -> Command {
    if !sudo {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

fn apt(verb: &[&str], packages: &[&str], archives: &Path, sudo: bool) -> Result<()> {
    let mut command = privileged("env", sudo);
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o"])
        .arg(format!("Dir::Cache::archives={}", archives.display()))
        .args(["-o", "DPkg::Lock::Timeout=900"])
        .args(verb)
        .args(packages);
    let output = command.output().context("cannot run apt-get")?;
    if !output.status.success() {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("apt-get {} failed: {}", verb.join(" "), run::last_lines(&said, 12));
    }
    Ok(())
}
