//! Accounts of the machine that become others: by `su`, and by `sudo` in several ways.

use super::{MAKING, SSHD, set_password};
use anyhow::{Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The account that others become. Its profile prints, to both streams.
pub const BECOME: &str = "spt_app";
/// Its password, which `su` asks for. It must be found nowhere.
pub const BECOME_PASSWORD: &str = "Become-5b1d0f4e9c";
/// It may run everything by `sudo` with its own password, after a lecture; its shells print when they start.
pub const SUDOER: &str = "spt_sudo";
/// Its password, which `sudo` asks for.
pub const SUDOER_PASSWORD: &str = "Sudoer-93ae77c1d2";
/// It may run everything by `sudo`, which asks for nothing.
pub const FREE: &str = "spt_free";
/// The same, from a terminal only, and in one of `sudo`'s own.
pub const TERMINAL: &str = "spt_tty";
/// Its login shell is tcsh.
pub const CSH: &str = "spt_csh";
/// Its login shell is fish.
pub const FISH: &str = "spt_fish";
/// It has a password and is locked.
pub const LOCKED: &str = "spt_lock";

const RULES: &str = "/etc/sudoers.d/sallyport-tests";

/// Makes them, where they are missing.
///
/// # Errors
/// When this is not root, or `sudo`, `tcsh` or `fish` is not installed.
pub fn make() -> Result<()> {
    static MADE: OnceLock<()> = OnceLock::new();
    let _one = MAKING.lock();
    if MADE.get().is_some() {
        return Ok(());
    }
    ensure!(Path::new(SSHD).exists(), "sshd is missing: apt-get install openssh-server");
    ensure!(Path::new("/usr/bin/sudo").exists(), "sudo is missing: apt-get install sudo");
    ensure!(Path::new("/usr/bin/tcsh").exists(), "tcsh is missing: apt-get install tcsh");
    ensure!(Path::new("/usr/bin/fish").exists(), "fish is missing: apt-get install fish");
    for (name, shell, password) in [
        (BECOME, "/bin/bash", BECOME_PASSWORD),
        (SUDOER, "/bin/bash", SUDOER_PASSWORD),
        (FREE, "/bin/dash", SUDOER_PASSWORD),
        (TERMINAL, "/bin/bash", SUDOER_PASSWORD),
        (CSH, "/usr/bin/tcsh", SUDOER_PASSWORD),
        (FISH, "/usr/bin/fish", SUDOER_PASSWORD),
        (LOCKED, "/bin/bash", BECOME_PASSWORD),
    ] {
        if nix::unistd::User::from_name(name)?.is_none() {
            ensure!(Command::new("useradd").args(["-m", "-s", shell, name]).status()?.success(), "useradd failed");
        }
        set_password(name, password)?;
    }
    ensure!(Command::new("usermod").args(["-L", LOCKED]).status()?.success(), "usermod failed");
    fs::write(format!("/home/{BECOME}/.bash_profile"), "echo a profile prints; echo and warns >&2\n")?;
    // Read by a shell that sshd starts for a command, too.
    fs::write(format!("/home/{SUDOER}/.bashrc"), "echo a bashrc prints; echo Password: >&2\n")?;
    let rules = format!(
        "{SUDOER} ALL=(ALL) ALL\nDefaults:{SUDOER} lecture=always\n\
         {FREE},{CSH},{FISH} ALL=(ALL) NOPASSWD: ALL\nDefaults:{FREE} !use_pty\n\
         {TERMINAL} ALL=(ALL) NOPASSWD: ALL\nDefaults:{TERMINAL} requiretty,use_pty\n"
    );
    let new = format!("{RULES}.new~");
    fs::write(&new, rules)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o440))?;
    ensure!(Command::new("visudo").args(["-qcf", &new]).status()?.success(), "these are no rules for sudo");
    fs::rename(&new, RULES)?;
    let _ = MADE.set(());
    Ok(())
}
