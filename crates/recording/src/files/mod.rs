//! Files whose content a recording keeps: which there are, and one of them, put together again.

use crate::event::{Event, File, What};
use crate::{Wrong, sha256};

/// A file of which content is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Microseconds since the start: when it had crossed.
    pub at: u64,
    /// The channel that it crossed in.
    pub channel: u32,
    /// What is known of it.
    pub file: File,
}

/// A file that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording is wrong.
    #[error(transparent)]
    Recording(#[from] Wrong),
    /// What is kept is not what crossed.
    #[error("the content of `{0}` in this recording is not what its own mark says; get an unaltered copy")]
    Misfit(String),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> sallyport_model::Kind {
        match self {
            Self::Recording(wrong) => wrong.kind(),
            Self::Misfit(_) => sallyport_model::Kind::Failed,
        }
    }
}

/// The files of which content is kept, in the order in which they had crossed.
///
/// # Errors
/// Where the events end in an error.
pub fn kept(events: impl IntoIterator<Item = Result<Event, Wrong>>) -> Result<Vec<Kept>, Wrong> {
    let mut files = Vec::new();
    for event in events {
        let Event { at, channel, what } = event?;
        if let What::Kept(file) = what {
            files.push(Kept { at, channel, file });
        }
    }
    Ok(files)
}

/// What is kept of one file; `None` where there is no such file. Of a whole file, the hash is compared.
///
/// # Errors
/// Where the events end in an error, or what is kept is not what crossed.
pub fn content(
    events: impl IntoIterator<Item = Result<Event, Wrong>>,
    (channel, number): (u32, u32),
) -> Result<Option<(Kept, Vec<u8>)>, Error> {
    let mut content = Vec::new();
    for event in events {
        let event = event?;
        if event.channel != channel {
            continue;
        }
        match event.what {
            What::Content { file, bytes } if file == number => content.extend_from_slice(&bytes),
            What::Kept(file) if file.number == number => {
                let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
                let whole = file.kept == file.size;
                let fits = length == file.kept && file.sum.is_none_or(|sum| !whole || sum == sha256(&[&content]));
                return match fits {
                    true => Ok(Some((Kept { at: event.at, channel, file }, content))),
                    false => Err(Error::Misfit(file.path)),
                };
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
