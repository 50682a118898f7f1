//! Brings a finished recording from the journal into a file of its own.

use super::journal::{Entry, EntryKind, Journal};
use sallyport_model::{Kind, RecordingId};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A recording could not be put in its place. It stays in the journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] super::journal::Error),
    /// The file could not be written.
    #[error("the recording `{path}` cannot be written: {error}; make room on its disk")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The journal holds no header of it.
    #[error("the journal holds no header of recording {0}")]
    Missing(RecordingId),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::NotFound,
            Self::Journal(_) | Self::Io { .. } => Kind::Unavailable,
        }
    }
}

/// How the name of a recording's file ends.
const ENDING: &str = "sprec";

/// Where the recording's file is or will be.
#[must_use]
pub fn path(directory: &Path, recording: RecordingId) -> PathBuf {
    directory.join(format!("{recording}.{ENDING}"))
}

/// Whether a file is a recording's, whole: one that is being written bears another name.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn is_whole(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == ENDING)
}

/// Copies a recording into its file, makes that durable, and frees the journal. Blocks.
///
/// # Errors
/// When journal or file fail; both are then as before, and it may be tried again.
pub fn ship(journal: &Journal, directory: &Path, recording: RecordingId) -> Result<(), Error> {
    write(directory, recording, journal.read(recording), &[])?;
    journal.forget(recording);
    Ok(())
}

/// Writes entries and what ends them as the recording's file, durably. An existing file is replaced
/// in one step, so that doing it twice is harmless.
///
/// # Errors
/// When an entry cannot be read, the first is no header, or the file cannot be written.
pub fn write(
    directory: &Path,
    recording: RecordingId,
    entries: impl Iterator<Item = Result<Entry, super::journal::Error>>,
    end: &[u8],
) -> Result<(), Error> {
    let place = path(directory, recording);
    let draft = place.with_extension("draft");
    let wrap = |error| Error::Io { path: place.clone(), error };
    let begin = || {
        std::fs::create_dir_all(directory)?;
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)
    };
    let mut entries = entries.peekable();
    if !matches!(entries.peek(), Some(Ok(first)) if first.kind == EntryKind::Header) {
        return Err(Error::Missing(recording));
    }
    let mut file = BufWriter::with_capacity(256 << 10, begin().map_err(wrap)?);
    for entry in entries {
        file.write_all(&entry?.bytes).map_err(wrap)?;
    }
    let finish = || {
        file.write_all(end)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&draft, &place)?;
        File::open(directory)?.sync_all()
    };
    finish().map_err(wrap)
}
