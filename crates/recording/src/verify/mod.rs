//! Judging a recording against what the ledger says of it, and playing it back.

use crate::container::{self, Container, Ending, Truncated};
use crate::event::{self, Event};
use crate::frame::Frame;
use crate::{DataKey, Hash, Opener, header, segment};
use sallyport_model::Kind;
use std::vec;

/// What the ledger says of a recording.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// Hash of the header, from the entry that opened the session.
    pub header_hash: Hash,
    /// Segments and chain hash of every anchor.
    pub anchors: &'a [(u32, Hash)],
    /// From the entry that closed the session, where there is one.
    pub end: Option<End>,
}

/// The end of a recording, as the ledger has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct End {
    /// Number of segments.
    pub segments: u32,
    /// Chain hash after the last of them; after the record of a truncation, where there is one.
    pub chain: Hash,
    /// Whether the last one is final.
    pub complete: bool,
}

/// Why a recording is not what the ledger says.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// The file is not in one piece.
    #[error(transparent)]
    Container(#[from] container::Error),
    /// The header is another one than the ledger knows.
    #[error("the header is not the one in the ledger; this is another recording, or it was altered")]
    Header,
    /// The data key is another recording's.
    #[error(transparent)]
    Key(header::Error),
    /// A segment does not open.
    #[error(transparent)]
    Segment(#[from] segment::Error),
    /// A segment holds what is no event.
    #[error("segment {0}: {1}")]
    Event(u32, event::Error),
    /// The chain differs from an anchor.
    #[error("after {0} segments the recording differs from its anchor in the ledger; it was altered")]
    Anchor(u32),
    /// There is less than the ledger says.
    #[error("the recording has {segments} segments and the ledger says {anchored}; it was cut")]
    Cut {
        /// Segments in the file.
        segments: u32,
        /// Segments in the ledger.
        anchored: u32,
    },
    /// It ends otherwise than the ledger says.
    #[error("the recording ends after {0} segments, otherwise than the ledger says; it was altered")]
    End(u32),
    /// Nothing ends it.
    #[error("the recording has no end after {0} segments; its session is open, or it must be recovered, or it was cut")]
    Unfinished(u32),
}

impl Wrong {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Container(e) => e.kind(),
            Self::Key(e) => e.kind(),
            Self::Segment(e) => e.kind(),
            Self::Unfinished(_) => Kind::Conflict,
            Self::Header | Self::Event(..) | Self::Anchor(_) | Self::Cut { .. } | Self::End(_) => Kind::Failed,
        }
    }
}

/// What a verified recording is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It ends with its final segment, which only the holder of the data key could write.
    Complete,
    /// Its writer died. What was not durable then is lost; everything before is there.
    Truncated(Truncated),
}

/// A verified recording.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// What it is.
    pub verdict: Verdict,
    /// Whether the ledger has the end. Without that, a [`Verdict::Truncated`] proves nothing after the last anchor.
    pub attested: bool,
    /// Number of segments.
    pub segments: u32,
    /// Chain hash at the end.
    pub chain: Hash,
    /// Segments that the last anchor covers.
    pub anchored: u32,
    /// Number of events.
    pub events: u64,
    /// Microseconds from the start to the last event.
    pub duration: u64,
}

/// Decrypts the whole recording, follows its chain and compares it with what the ledger says.
///
/// # Errors
/// The first thing that is wrong. A file without an end is [`Wrong::Unfinished`], never a short success.
pub fn verify(bytes: &[u8], key: &DataKey, expect: Expect<'_>) -> Result<Report, Wrong> {
    let container = container::parse(bytes)?;
    if container.header.hash() != expect.header_hash {
        return Err(Wrong::Header);
    }
    let segments = container.segments();
    let anchored = expect.anchors.iter().map(|(count, _)| *count).max().unwrap_or(0);
    let promised = expect.end.map_or(anchored, |end| end.segments.max(anchored));
    if promised > segments {
        return Err(Wrong::Cut { segments, anchored: promised });
    }
    let (mut walk, ending) = Segments::new(key, container)?;
    check_anchors(expect.anchors, walk.opener.anchor())?;
    let (mut events, mut duration) = (0_u64, 0);
    while let Some(opened) = walk.next() {
        let opened = opened?;
        for event in event::events(&opened.events) {
            let event = event.map_err(|e| Wrong::Event(opened.seq, e))?;
            events += 1;
            duration = event.at.max(duration);
        }
        check_anchors(expect.anchors, walk.opener.anchor())?;
    }
    let (_, chain) = walk.opener.anchor();
    let (verdict, chain) = end_of(ending, segments, chain)?;
    let attested = match expect.end {
        None => false,
        Some(End { segments: count, chain: wanted, complete })
            if count == segments && wanted == chain && complete == (verdict == Verdict::Complete) =>
        {
            true
        }
        Some(_) => return Err(Wrong::End(segments)),
    };
    Ok(Report { verdict, attested, segments, chain, anchored, events, duration })
}

/// Plays a recording back. The key is checked here, each segment when it is reached.
///
/// # Errors
/// When the file is not in one piece or the key is another recording's.
pub fn replay<'a>(bytes: &'a [u8], key: &DataKey) -> Result<Replay<'a>, Wrong> {
    let container = container::parse(bytes)?;
    let segments = container.segments();
    let (walk, ending) = Segments::new(key, container)?;
    Ok(Replay { walk, ready: Vec::new().into_iter(), segments, ending: Some(ending) })
}

/// Iterator over the events of a recording. Its last item is an error where the file has no end, or a false one.
pub struct Replay<'a> {
    walk: Segments<'a>,
    ready: vec::IntoIter<Event>,
    segments: u32,
    ending: Option<Ending>,
}

impl Replay<'_> {
    fn load(&mut self) -> Option<Result<(), Wrong>> {
        let opened = match self.walk.next() {
            Some(Ok(opened)) => opened,
            Some(Err(wrong)) => return Some(Err(wrong)),
            None => {
                let (_, chain) = self.walk.opener.anchor();
                return end_of(self.ending.take()?, self.segments, chain).err().map(Err);
            }
        };
        let events: Result<Vec<_>, _> = event::events(&opened.events).map(|e| e.map(|e| e.to_owned())).collect();
        Some(events.map(|events| self.ready = events.into_iter()).map_err(|e| Wrong::Event(opened.seq, e)))
    }
}

impl Iterator for Replay<'_> {
    type Item = Result<Event, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready.next() {
                return Some(Ok(event));
            }
            if let Err(wrong) = self.load()? {
                self.walk.stop();
                self.ending = None;
                return Some(Err(wrong));
            }
        }
    }
}

struct Segments<'a> {
    opener: Opener,
    frames: vec::IntoIter<Frame<'a>>,
}

impl<'a> Segments<'a> {
    fn new(key: &DataKey, container: Container<'a>) -> Result<(Self, Ending), Wrong> {
        let (header, ending, frames) = container.into_parts();
        header.check(key).map_err(Wrong::Key)?;
        Ok((Self { opener: Opener::new(key, &header)?, frames: frames.into_iter() }, ending))
    }

    fn next(&mut self) -> Option<Result<segment::Opened, Wrong>> {
        let frame = self.frames.next()?;
        Some(self.opener.open_frame(&frame).map_err(Wrong::Segment))
    }

    fn stop(&mut self) {
        self.frames = Vec::new().into_iter();
    }
}

fn check_anchors(anchors: &[(u32, Hash)], (segments, chain): (u32, Hash)) -> Result<(), Wrong> {
    match anchors.iter().any(|(count, anchor)| *count == segments && *anchor != chain) {
        true => Err(Wrong::Anchor(segments)),
        false => Ok(()),
    }
}

/// The verdict on an ending, and the chain hash after it.
fn end_of(ending: Ending, segments: u32, chain: Hash) -> Result<(Verdict, Hash), Wrong> {
    match ending {
        Ending::Final => Ok((Verdict::Complete, chain)),
        Ending::Open => Err(Wrong::Unfinished(segments)),
        Ending::Truncated(record) if record.segments == segments && record.chain == chain => {
            let chain = record.chain_after()?;
            Ok((Verdict::Truncated(record), chain))
        }
        Ending::Truncated(record) => Err(container::Error::Record(record.segments).into()),
    }
}

#[cfg(test)]
mod tests;
