//! Segments: events compressed, sealed and chained, and opened again.
//!
//! The body of a segment is `7-byte prefix | ciphertext | tag`. AES-256-GCM; the nonce is
//! `prefix | u32 sequence | u8 final` (the STREAM construction, Hoang et al. 2015); the additional data is
//! `recording | u32 sequence | previous chain hash`. The plaintext is `0 | events` or
//! `1 | u32 length | events as one zstd frame`. The chain begins with the header's hash, and each segment makes
//! it `SHA-256(previous | frame)`.

use crate::frame::{self, Frame, HEAD};
use crate::{DataKey, Hash, Header, header, sha256};
use aws_lc_rs::aead::{Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce};
use sallyport_model::{Env, RecordingId};
use zstd::bulk::Decompressor;

mod press;

/// Most events in one segment, in encoded bytes. Writers cut at 260 KiB.
pub const MAX_EVENTS: usize = 1 << 20;

const PREFIX: usize = 7;
const RAW: u8 = 0;
const ZSTD: u8 = 1;
/// Bytes before a compressed payload: the method and the length.
const ZSTD_HEAD: usize = 5;
/// After an incompressible segment, that many are stored raw before the next attempt.
const PAUSE: u32 = 31;

/// A segment that cannot be sealed or opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The data key belongs to another recording.
    #[error("the data key is not the one that the header commits to; take the key of this recording")]
    Key,
    /// More than [`MAX_EVENTS`] bytes.
    #[error("segment {0} has more than {MAX_EVENTS} bytes of events; cut it earlier")]
    TooLong(u32),
    /// The final segment was there already, or 2^32 - 1 segments are full.
    #[error("the recording has ended; nothing can follow segment {0}")]
    Ended(u32),
    /// The library refused; memory is short.
    #[error("segment {0} cannot be sealed; the session must not go on")]
    Library(u32),
    /// Not this key, not this place, or altered.
    #[error("segment {0} was altered or is out of its place; get an unaltered copy")]
    Altered(u32),
    /// It opens, but what is inside is no canonical plaintext.
    #[error("segment {0} holds no events; its writer is faulty")]
    Inside(u32),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> sallyport_model::Kind {
        match self {
            Self::Key | Self::TooLong(_) | Self::Ended(_) => sallyport_model::Kind::Usage,
            Self::Library(_) | Self::Altered(_) | Self::Inside(_) => sallyport_model::Kind::Failed,
        }
    }
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// More is to come.
    Data,
    /// The recording ends here, in good order.
    Final,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Data => frame::DATA,
            Self::Final => frame::FINAL,
        }
    }
}

/// A sealed segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Its number, from 0.
    pub seq: u32,
    /// The whole frame, ready to be appended to the file.
    pub bytes: Vec<u8>,
    /// Chain hash after it.
    pub chain: Hash,
}

/// Where a recording has come to.
struct Place {
    recording: RecordingId,
    key: LessSafeKey,
    seq: u32,
    chain: Hash,
    ended: bool,
}

impl Place {
    fn new(key: &DataKey, header: &Header, seq: u32, chain: Hash) -> Result<Self, Error> {
        header.check(key).map_err(|_: header::Error| Error::Key)?;
        let recording = header.facts.recording;
        let key = key.segments(recording).ok_or(Error::Library(seq))?;
        Ok(Self { recording, key, seq, chain, ended: false })
    }

    fn aad(&self) -> Aad<[u8; 52]> {
        let mut aad = [0; 52];
        let parts = self.recording.as_bytes().iter().copied().chain(self.seq.to_be_bytes()).chain(self.chain);
        aad.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Aad::from(aad)
    }

    fn nonce(&self, prefix: &[u8; PREFIX], kind: Kind) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let last = u8::from(kind == Kind::Final);
        let parts = prefix.iter().copied().chain(self.seq.to_be_bytes()).chain([last]);
        nonce.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Goes past the segment with this frame.
    fn advance(&mut self, frame: &[u8], kind: Kind) {
        self.chain = sha256(&[&self.chain, frame]);
        self.seq = self.seq.saturating_add(1);
        // The number 2^32 - 1 is never used, so that a count of segments always fits.
        self.ended = kind == Kind::Final || self.seq == u32::MAX;
    }
}

/// Seals the segments of one recording, in order.
pub struct Sealer {
    place: Place,
    /// INVARIANT: drawn anew by every sealer, so that a segment which a dead writer sealed and nobody kept never
    /// shares its nonce with the one that takes its place.
    prefix: Option<[u8; PREFIX]>,
    pause: u32,
}

impl Sealer {
    /// Begins behind the header.
    ///
    /// # Errors
    /// When the key is another recording's, or memory is short.
    pub fn new(key: &DataKey, header: &Header) -> Result<Self, Error> {
        Self::resume(key, header, 0, header.hash())
    }

    /// Goes on after `segments` segments, the last of which left `chain`.
    ///
    /// # Errors
    /// When the key is another recording's, or memory is short.
    pub fn resume(key: &DataKey, header: &Header, segments: u32, chain: Hash) -> Result<Self, Error> {
        Ok(Self { place: Place::new(key, header, segments, chain)?, prefix: None, pause: 0 })
    }

    /// Segments so far, and the chain hash after the last of them: what an anchor says.
    #[must_use]
    pub const fn anchor(&self) -> (u32, Hash) {
        (self.place.seq, self.place.chain)
    }

    /// Seals the next segment from events as [`crate::event::encode`] wrote them. `events` may be empty.
    ///
    /// # Errors
    /// When they are too many, the recording has ended, or the library refuses; the sealer is as before.
    pub fn seal(&mut self, env: &Env, events: &[u8], kind: Kind) -> Result<Segment, Error> {
        let seq = self.place.seq;
        if self.place.ended {
            return Err(Error::Ended(seq));
        }
        if events.len() > MAX_EVENTS {
            return Err(Error::TooLong(seq));
        }
        let prefix = *self.prefix.get_or_insert_with(|| env.random());
        let mut bytes = self.pack(&prefix, events);
        let (nonce, aad) = (self.place.nonce(&prefix, kind), self.place.aad());
        let plain = bytes.get_mut(HEAD + PREFIX..).ok_or(Error::Library(seq))?;
        let tag = self.place.key.seal_in_place_separate_tag(nonce, aad, plain).map_err(|_| Error::Library(seq))?;
        bytes.extend_from_slice(tag.as_ref());
        let head = frame::head(bytes.len() - HEAD, kind.code(), seq).ok_or(Error::TooLong(seq))?;
        bytes.get_mut(..HEAD).ok_or(Error::Library(seq))?.copy_from_slice(&head);
        self.place.advance(&bytes, kind);
        Ok(Segment { seq, bytes, chain: self.place.chain })
    }

    /// Room for the head, the prefix, and the plaintext: compressed where that makes it shorter.
    fn pack(&mut self, prefix: &[u8; PREFIX], events: &[u8]) -> Vec<u8> {
        let frame = |method: &[&[u8]], payload: &[u8]| {
            let length = HEAD + PREFIX + ZSTD_HEAD + payload.len() + MAX_TAG_LEN;
            let mut bytes = Vec::with_capacity(length);
            bytes.resize(HEAD, 0);
            bytes.extend_from_slice(prefix);
            method.iter().for_each(|part| bytes.extend_from_slice(part));
            bytes.extend_from_slice(payload);
            bytes
        };
        if self.pause > 0 {
            self.pause -= 1;
            return frame(&[&[RAW]], events);
        }
        let length = u32::try_from(events.len()).unwrap_or(u32::MAX).to_be_bytes();
        let packed = press::press(events, |packed| {
            (packed.len() + ZSTD_HEAD <= events.len()).then(|| frame(&[&[ZSTD], &length], packed))
        });
        packed.flatten().unwrap_or_else(|| {
            self.pause = PAUSE;
            frame(&[&[RAW]], events)
        })
    }
}

/// What a segment held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Its number, from 0.
    pub seq: u32,
    /// Whether more is to come.
    pub kind: Kind,
    /// The events, for [`crate::event::events`].
    pub events: Vec<u8>,
}

/// Opens the segments of one recording, in order, and follows the chain.
pub struct Opener {
    place: Place,
    decompressor: Decompressor<'static>,
}

impl Opener {
    /// Begins behind the header.
    ///
    /// # Errors
    /// When the key is not the one that the header commits to, or memory is short.
    pub fn new(key: &DataKey, header: &Header) -> Result<Self, Error> {
        let place = Place::new(key, header, 0, header.hash())?;
        Ok(Self { place, decompressor: Decompressor::new().map_err(|_| Error::Library(0))? })
    }

    /// Segments so far, and the chain hash after the last of them.
    #[must_use]
    pub const fn anchor(&self) -> (u32, Hash) {
        (self.place.seq, self.place.chain)
    }

    /// Opens the next segment from its whole frame, as [`Segment::bytes`] has it.
    ///
    /// # Errors
    /// When it is not the next segment of this recording, unaltered; the opener is as before.
    pub fn open(&mut self, segment: &[u8]) -> Result<Opened, Error> {
        match frame::take(segment) {
            Ok((frame, [])) => self.open_frame(&frame),
            _ => Err(Error::Altered(self.place.seq)),
        }
    }

    pub(crate) fn open_frame(&mut self, frame: &Frame<'_>) -> Result<Opened, Error> {
        let seq = self.place.seq;
        if self.place.ended {
            return Err(Error::Ended(seq));
        }
        let kind = match frame.kind {
            frame::DATA => Kind::Data,
            frame::FINAL => Kind::Final,
            _ => return Err(Error::Altered(seq)),
        };
        let (prefix, sealed) = frame.body.split_first_chunk::<PREFIX>().ok_or(Error::Altered(seq))?;
        if frame.seq != seq || sealed.len() < MAX_TAG_LEN {
            return Err(Error::Altered(seq));
        }
        let mut sealed = sealed.to_vec();
        let (nonce, aad) = (self.place.nonce(prefix, kind), self.place.aad());
        let plain = self.place.key.open_in_place(nonce, aad, &mut sealed).map_err(|_| Error::Altered(seq))?;
        let events = unpack(&mut self.decompressor, plain).ok_or(Error::Inside(seq))?;
        self.place.advance(frame.bytes, kind);
        Ok(Opened { seq, kind, events })
    }
}

/// The events in a plaintext; none where its length is not what it says, or too long.
fn unpack(decompressor: &mut Decompressor<'static>, plain: &[u8]) -> Option<Vec<u8>> {
    let (method, rest) = plain.split_first()?;
    match *method {
        RAW if rest.len() <= MAX_EVENTS => Some(rest.to_vec()),
        ZSTD => {
            let (length, packed) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= MAX_EVENTS)?;
            let events = decompressor.decompress(packed, length).ok()?;
            (events.len() == length).then_some(events)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
