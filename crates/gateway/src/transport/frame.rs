//! Frames: a `u32` length in network order and one message; refused before allocating.

use sallyport_model::Kind;
use sallyport_model::authority::{self, MAX_FRAME};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// What can be wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// Empty, or more than [`MAX_FRAME`] bytes.
    #[error("a frame of {0} bytes is refused: 1 to {MAX_FRAME} are allowed")]
    Length(usize),
    /// The bytes are no message, or bytes follow it.
    #[error("a frame holds no message: {0}")]
    Message(String),
    /// The other end sent a message that has no place here.
    #[error("unexpected message: {0}")]
    Unexpected(&'static str),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Io(_) => Kind::Unavailable,
            Self::Length(_) | Self::Message(_) | Self::Unexpected(_) => Kind::Failed,
        }
    }
}

/// Bytes of a frame with its length. They may hold a token, so they are zeroed on drop.
pub type Frame = Zeroizing<Vec<u8>>;

/// Bytes of a frame before its message.
const LENGTH: usize = 4;

/// A message as a frame, ready to be written.
///
/// # Errors
/// When it is larger than [`MAX_FRAME`].
pub fn seal<T: minicbor::Encode<()>>(message: &T) -> Result<Frame, Error> {
    // The length is known last, and stands first.
    let mut frame = Zeroizing::new(vec![0; LENGTH]);
    minicbor::encode(message, &mut *frame).map_err(|e| Error::Message(e.to_string()))?;
    let length = checked(frame.len().saturating_sub(LENGTH))?;
    if let Some(first) = frame.first_chunk_mut::<LENGTH>() {
        *first = length.to_be_bytes();
    }
    Ok(frame)
}

/// Writes a message.
///
/// # Errors
/// When it is too large or the connection broke.
pub async fn write<T, W>(to: &mut W, message: &T) -> Result<(), Error>
where
    T: minicbor::Encode<()>,
    W: AsyncWrite + Unpin,
{
    to.write_all(&seal(message)?).await?;
    to.flush().await?;
    Ok(())
}

/// Reads a message; `None` where the other end closed between two frames.
///
/// # Errors
/// When the length is refused, the bytes are no message, or the connection broke inside a frame.
pub async fn read<T, R>(from: &mut R) -> Result<Option<T>, Error>
where
    T: for<'b> minicbor::Decode<'b, ()>,
    R: AsyncRead + Unpin,
{
    let Some(body) = read_bytes(from).await? else { return Ok(None) };
    authority::decode(&body).map(Some).map_err(Error::Message)
}

async fn read_bytes<R: AsyncRead + Unpin>(from: &mut R) -> Result<Option<Frame>, Error> {
    let mut length = [0; 4];
    let (first, rest) = length.split_at_mut(1);
    if from.read(first).await? == 0 {
        return Ok(None);
    }
    from.read_exact(rest).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    checked(length)?;
    let mut body = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut body).await?;
    Ok(Some(body))
}

fn checked(length: usize) -> Result<u32, Error> {
    if (1..=MAX_FRAME).contains(&length) {
        u32::try_from(length).map_err(|_| Error::Length(length))
    } else {
        Err(Error::Length(length))
    }
}
