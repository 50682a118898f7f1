//! Files that hold secrets: read only where nobody else can read them.

use sallyport_cli::Fail;
use sallyport_model::Secret;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file that must be closed to others.
#[derive(Clone, Debug)]
pub(crate) struct Private {
    path: PathBuf,
    /// Bits of the mode that must not be set.
    open: u32,
}

impl Private {
    /// A file of ours: for its owner alone.
    pub(crate) const fn file(path: PathBuf) -> Self {
        Self { path, open: 0o077 }
    }

    /// A credential of the service manager, which may give it to us by an ACL: the group bits are its mask then.
    pub(crate) const fn credential(path: PathBuf) -> Self {
        Self { path, open: 0o007 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others can read it.
    pub(crate) fn is_open(&self) -> std::io::Result<bool> {
        Ok(std::fs::metadata(&self.path)?.permissions().mode() & self.open != 0)
    }

    /// Its text.
    pub(crate) fn read(&self, what: &str, advice: &str) -> Result<Secret<String>, Fail> {
        let path = self.path.display();
        let cannot = |e: std::io::Error| Fail::usage(format!("cannot read {what} `{path}`: {e}; {advice}"));
        if self.is_open().map_err(cannot)? {
            return Err(Fail::usage(format!("{what} `{path}` is readable by others: run `chmod 600 {path}`")));
        }
        std::fs::read_to_string(&self.path).map(Secret::new).map_err(cannot)
    }
}
