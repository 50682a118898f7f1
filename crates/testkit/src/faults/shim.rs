//! Syncs that fail or take long, and a wall clock that steps, by a library that is loaded before the C library.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOURCE: &str = include_str!("shim.c");
/// Bytes of one role's words.
const ROLE: u64 = 128;

/// A process of the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The parent.
    Parent,
    /// Vault, store, ledger.
    Control,
    /// Sessions and recordings.
    Gateway,
}

/// Both processes that write.
pub const WRITERS: [Role; 2] = [Role::Control, Role::Gateway];

/// The library and the page that tells it what is wrong.
pub struct Shim {
    library: PathBuf,
    page: PathBuf,
    file: File,
}

impl Shim {
    /// Compiles the library into this directory, and makes a page on which nothing is wrong.
    ///
    /// # Errors
    /// When there is no C compiler, with what to install.
    pub fn build(directory: &Path) -> Result<Self> {
        let (source, library, page) = (directory.join("shim.c"), directory.join("shim.so"), directory.join("faults"));
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let output = compiler.output().context("there is no C compiler: apt-get install gcc libc6-dev")?;
        ensure!(output.status.success(), "the shim does not compile: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&page, [0; 4096])?;
        let file = OpenOptions::new().read(true).write(true).open(&page)?;
        Ok(Self { library, page, file })
    }

    /// What a process needs in its environment.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.library.clone()), ("FAULTS", self.page.clone())]
    }

    /// Every sync of this process fails with `EIO` until it is told otherwise.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn fail_syncs(&self, role: Role, fail: bool) -> Result<()> {
        self.put(role, 0, if fail { i64::from(nix::libc::EIO) } else { 0 })
    }

    /// Every sync of this process takes so much longer.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn slow_syncs(&self, role: Role, longer: Duration) -> Result<()> {
        self.put(role, 1, i64::try_from(longer.as_micros())?)
    }

    /// This process dies by SIGKILL at its `nth` sync from here on: before it, or once it is done.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn die_at_sync(&self, role: Role, nth: u32, done: bool) -> Result<()> {
        self.put(role, if done { 4 } else { 3 }, nth.into())
    }

    /// The wall clock of all processes is ahead by so many microseconds, or behind.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn step_clock(&self, micros: i64) -> Result<()> {
        [Role::Parent, Role::Control, Role::Gateway].into_iter().try_for_each(|role| self.put(role, 2, micros))
    }

    /// Syncs that a process has asked for, and those that failed.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub fn syncs(&self, role: Role) -> Result<(u64, u64)> {
        Ok((self.get(role, 8)?, self.get(role, 9)?))
    }

    /// Nothing is wrong any more.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn heal(&self) -> Result<()> {
        for role in [Role::Parent, Role::Control, Role::Gateway] {
            (0..5).try_for_each(|word| self.put(role, word, 0))?;
        }
        Ok(())
    }

    fn put(&self, role: Role, word: u64, value: i64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_ne_bytes(), at(role, word))?)
    }

    fn get(&self, role: Role, word: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at(role, word))?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

const fn at(role: Role, word: u64) -> u64 {
    let role = match role {
        Role::Parent => 0,
        Role::Control => 1,
        Role::Gateway => 2,
    };
    ROLE.wrapping_mul(role).wrapping_add(word.wrapping_mul(8))
}
