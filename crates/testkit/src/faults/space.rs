//! A disk that fills up: a small file system in memory, mounted where only this test and what it starts see it.

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILLER: &str = ".filler";
const PAGE: [u8; 4096] = [0xa5; 4096];

/// From here on this thread, and every thread and process that it starts, has mounts of its own. They end with them.
///
/// # Errors
/// When this is not root.
pub fn own_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace of one's own needs root (CAP_SYS_ADMIN)")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    Ok(mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?)
}

/// A directory on a small file system of its own. It is taken away with this value.
pub struct Space {
    path: PathBuf,
}

impl Space {
    /// Mounts a file system of so many MiB over a directory and puts there what the directory held, owners included.
    /// To be called after [`own_mounts`], while nobody writes there.
    ///
    /// # Errors
    /// When it cannot be mounted, or the content does not fit.
    pub fn under(path: &Path, mib: u32) -> Result<Self> {
        let aside = path.with_extension("aside");
        let copy = |from: &Path, to: &Path| -> Result<()> {
            let status = Command::new("cp").arg("-aT").arg(from).arg(to).status()?;
            ensure!(status.success(), "cannot copy {} to {}", from.display(), to.display());
            Ok(())
        };
        copy(path, &aside)?;
        let size = format!("size={mib}m,mode=0700");
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .with_context(|| format!("cannot mount a file system at {}", path.display()))?;
        let space = Self { path: path.to_owned() };
        copy(&aside, path)?;
        fs::remove_dir_all(&aside)?;
        Ok(space)
    }

    /// Takes all the room that is left.
    ///
    /// # Errors
    /// When the filler cannot be made at all.
    pub fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.path.join(FILLER)).context("no room for a filler")?;
        while filler.write_all(&PAGE).is_ok() {}
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When the filler cannot be removed.
    pub fn free(&self) -> Result<()> {
        match fs::remove_file(self.path.join(FILLER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}
