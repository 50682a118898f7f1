//! Files that are replaced whole: after a crash there is the old one or the new one, and nothing else.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Fresh files beside one at most.
const MOST_FRESH: u32 = 1000;

/// A file that has its name only once it is whole and durable. Dropped before that, it is gone.
#[derive(Debug)]
pub struct Fresh {
    /// What is written to.
    file: File,
    /// Its name until it has its own.
    beside: Option<PathBuf>,
    path: PathBuf,
}

impl Fresh {
    /// Begins a file beside `path`, readable by its owner alone. Another process, or another node on a shared mount, may
    /// be making the same one; and what a crash left of one is in nobody's way.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        for n in 0..MOST_FRESH {
            let fresh = beside(path, &format!("new-{n}"))?;
            match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh) {
                Ok(file) => return Ok(Self { file, beside: Some(fresh), path: path.to_owned() }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, "too many crashes have left `.new-` files beside it: delete them"))
    }

    /// Makes what was written durable, under no name of its own yet.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all()
    }

    /// Gives the file its name, over one that has it, and returns when that is durable.
    ///
    /// # Errors
    /// When the disk fails; then what had the name still has it.
    pub fn publish(mut self) -> Result<()> {
        self.sync()?;
        if let Some(beside) = &self.beside {
            std::fs::rename(beside, &self.path)?;
        }
        self.beside = None;
        // The rename is durable when its directory is.
        let parent = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        File::open(parent)?.sync_all()
    }
}

impl std::io::Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// Replaces a file, readable by its owner alone, and returns when the new one is durable.
///
/// # Errors
/// When it cannot be written; then the old file is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut fresh = Fresh::create(path)?;
    fresh.write_all(bytes)?;
    fresh.publish()
}

/// Reads a file of at most `most` bytes; none where there is none.
///
/// # Errors
/// When it cannot be read or is longer.
pub fn read(path: &Path, most: usize) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > most { Err(Error::new(ErrorKind::InvalidData, "it is too long")) } else { Ok(Some(bytes)) }
}

/// `NAME.SUFFIX` beside a file.
pub(crate) fn beside(path: &Path, suffix: &str) -> Result<PathBuf> {
    let mut name = path.file_name().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "it names no file"))?.to_owned();
    name.push(".");
    name.push(suffix);
    Ok(path.with_file_name(name))
}
