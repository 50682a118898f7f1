//! The file: magic, header, segments, and how it ends. Nothing is read over, nothing is guessed.

use crate::frame::{self, BadFrame, Frame};
use crate::{Hash, Header, header, sha256};
use minicbor::{Decode, Encode};
use sallyport_model::{Kind, Timestamp};

/// First bytes of every recording; the last is the version of the format.
pub const MAGIC: &[u8; 6] = b"SPREC\x01";

/// Longest name in [`Truncated::by`], in bytes.
pub const MAX_BY: usize = 256;

/// A file that is no recording, or not in one piece. Segments are counted from 0.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Another file, or a newer format.
    #[error("this is no recording of format 1; check the path, or read it with a newer version")]
    Magic,
    /// The header cannot be read.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// The file ends inside a frame.
    #[error("segment {0} is torn: the file ends inside it; recover the recording or get a whole copy")]
    Torn(u32),
    /// A frame says to be longer than any may be.
    #[error("segment {0} has an impossible length; get an unaltered copy")]
    TooLong(u32),
    /// A segment is there twice.
    #[error("segment {0} is there twice; get an unaltered copy")]
    Duplicate(u32),
    /// A segment comes later than its number says.
    #[error("segment {0} is out of order; get an unaltered copy")]
    Reordered(u32),
    /// A segment is not there, though later ones are.
    #[error("segment {0} is missing; get an unaltered copy")]
    Missing(u32),
    /// A frame of a kind that does not belong there.
    #[error("segment {0} is of an unknown kind; get an unaltered copy")]
    Unknown(u32),
    /// Bytes after the end.
    #[error("there are bytes after the end, behind segment {0}; get an unaltered copy")]
    AfterEnd(u32),
    /// The record of a truncation contradicts the file.
    #[error("the record of the truncation after {0} segments does not fit the file; get an unaltered copy")]
    Record(u32),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Magic => Kind::Usage,
            Self::Header(e) => e.kind(),
            _ => Kind::Failed,
        }
    }
}

/// What recovery appends to a recording whose writer died. It is not sealed, because whoever recovers does not
/// have the data key: the ledger attests it, by [`Truncated::chain_after`] in the entry that closes the session.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Truncated {
    /// Segments before it.
    #[n(0)]
    pub segments: u32,
    /// Chain hash after the last of them.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub chain: Hash,
    /// Who recovered, at most [`MAX_BY`] bytes.
    #[n(2)]
    pub by: String,
    /// When.
    #[n(3)]
    pub at: Timestamp,
}

impl Truncated {
    /// The frame that ends the file.
    ///
    /// # Errors
    /// When `by` is too long.
    pub fn frame(&self) -> Result<Vec<u8>, Error> {
        let bad = Error::Record(self.segments);
        if self.by.len() > MAX_BY {
            return Err(bad);
        }
        let body = minicbor::to_vec(self).map_err(|_| bad.clone())?;
        frame::put(frame::TRUNCATED, self.segments, &body).ok_or(bad)
    }

    /// Chain hash after the record itself: what the ledger says of the end, so that no field of it can be altered.
    ///
    /// # Errors
    /// When `by` is too long.
    pub fn chain_after(&self) -> Result<Hash, Error> {
        Ok(sha256(&[&self.chain, &self.frame()?]))
    }

    fn decode(frame: &Frame<'_>) -> Result<Self, Error> {
        let bad = Error::Record(frame.seq);
        let record: Self = minicbor::decode(frame.body).map_err(|_| bad.clone())?;
        // INVARIANT: one record has one encoding.
        if record.frame()? == frame.bytes { Ok(record) } else { Err(bad) }
    }
}

/// How a file ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// With its final segment.
    Final,
    /// With the record of a truncation.
    Truncated(Truncated),
    /// With a whole segment and nothing that ends it: still being written, or cut.
    Open,
}

/// A recording in one piece, borrowed from the file. That it is genuine is for [`crate::verify()`] to say.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    /// The header.
    pub header: Header,
    /// How the file ends.
    pub ending: Ending,
    frames: Vec<Frame<'a>>,
}

impl<'a> Container<'a> {
    /// Number of segments.
    #[must_use]
    pub fn segments(&self) -> u32 {
        // The parser has counted them in a u32.
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// The whole frames, for [`crate::Opener::open`].
    pub fn frames(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.frames.iter().map(|frame| frame.bytes)
    }

    pub(crate) fn into_parts(self) -> (Header, Ending, Vec<Frame<'a>>) {
        (self.header, self.ending, self.frames)
    }
}

/// The first bytes of a file: magic and header. Segments follow as they are sealed.
///
/// # Errors
/// When the header is too long, which one made by [`Header::seal`] is not.
pub fn begin(header: &Header) -> Result<Vec<u8>, header::Error> {
    let body = header.encode();
    if body.len() > header::MAX_HEADER {
        return Err(header::Error::TooLong);
    }
    let frame = frame::put(frame::HEADER, 0, &body).ok_or(header::Error::TooLong)?;
    Ok([MAGIC.as_slice(), &frame].concat())
}

/// Reads a file and refuses whatever is not in one piece and in order.
///
/// # Errors
/// The first thing that is wrong, with its segment.
pub fn parse(bytes: &[u8]) -> Result<Container<'_>, Error> {
    let walk = walk(bytes)?;
    if walk.torn { Err(Error::Torn(walk.container.segments())) } else { Ok(walk.container) }
}

/// What is left of a file whose writer died.
#[derive(Clone, Debug)]
pub struct Remains {
    /// The header.
    pub header: Header,
    /// Whole segments.
    pub segments: u32,
    /// Chain hash after the last of them.
    pub chain: Hash,
    /// Bytes of the file that are whole; what follows is a torn frame and must be cut off before anything is appended.
    pub keep: usize,
    /// Whether the file already has its end.
    pub ended: bool,
}

/// Finds the whole segments of a file that may be torn at its end, without the data key.
///
/// # Errors
/// Whatever a crash cannot cause.
pub fn recover(bytes: &[u8]) -> Result<Remains, Error> {
    let Walk { container, keep, .. } = walk(bytes)?;
    let chain = container.frames().fold(container.header.hash(), |chain, frame| sha256(&[&chain, frame]));
    let segments = container.segments();
    Ok(Remains { segments, chain, keep, ended: container.ending != Ending::Open, header: container.header })
}

struct Walk<'a> {
    container: Container<'a>,
    keep: usize,
    torn: bool,
}

fn walk(bytes: &[u8]) -> Result<Walk<'_>, Error> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(Error::Magic)?;
    let (head, after) = frame::take(rest).map_err(|bad| named(bad, 0))?;
    if head.kind != frame::HEADER || head.seq != 0 {
        return Err(Error::Unknown(0));
    }
    let header = Header::decode(head.body)?;
    rest = after;
    let mut container = Container { header, ending: Ending::Open, frames: Vec::new() };
    let mut torn = false;
    while !rest.is_empty() {
        let wanted = container.segments();
        if container.ending != Ending::Open {
            return Err(stray(rest, wanted));
        }
        let (frame, after) = match frame::take(rest) {
            Ok(taken) => taken,
            Err(BadFrame::Torn) => {
                torn = true;
                break;
            }
            Err(bad) => return Err(named(bad, wanted)),
        };
        place(&frame, after, wanted)?;
        match frame.kind {
            frame::DATA => container.frames.push(frame),
            frame::FINAL => {
                container.frames.push(frame);
                container.ending = Ending::Final;
            }
            frame::TRUNCATED => container.ending = Ending::Truncated(Truncated::decode(&frame)?),
            _ => return Err(Error::Unknown(wanted)),
        }
        rest = after;
    }
    Ok(Walk { container, keep: bytes.len() - rest.len(), torn })
}

/// Whether the frame is the one that is wanted, and if not, what became of that one.
fn place(frame: &Frame<'_>, mut after: &[u8], wanted: u32) -> Result<(), Error> {
    if frame.seq == wanted {
        return if wanted == u32::MAX { Err(Error::TooLong(wanted)) } else { Ok(()) };
    }
    if frame.seq < wanted {
        return Err(Error::Duplicate(frame.seq));
    }
    while let Ok((later, rest)) = frame::take(after) {
        if later.seq == wanted {
            return Err(Error::Reordered(wanted));
        }
        after = rest;
    }
    Err(Error::Missing(wanted))
}

/// What stands after the end.
fn stray(rest: &[u8], segments: u32) -> Error {
    match frame::take(rest) {
        Ok((frame, _)) if frame.seq < segments => Error::Duplicate(frame.seq),
        _ => Error::AfterEnd(segments.saturating_sub(1)),
    }
}

const fn named(bad: BadFrame, segment: u32) -> Error {
    match bad {
        BadFrame::Torn => Error::Torn(segment),
        BadFrame::TooLong => Error::TooLong(segment),
    }
}

#[cfg(test)]
mod tests;
