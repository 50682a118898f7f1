//! The unsealed tail of every session, in memory that outlives this process.
//!
//! The parent makes a memfd and both processes hold it. Each session has a slot with two halves:
//! one fills while the other waits for its sealed form to reach the journal. Each event is one plain
//! `pwritev`, so that a kill -9 in the middle loses nothing that was acknowledged: an event counts only with
//! its frame whole, and the frame's second half is written last. No plaintext lies on a disk.
//!
//! ```text
//! slot  = head | half A | half B                 head = 4096 bytes
//! head  = state u32 | session [16] | recording [16] | data key [32] | ... | at 128: mark A | at 192: mark B
//! mark  = seq u32 | chain [32]
//! half  = event*, up to the first whose frame is not of this seq
//! event = frame | bytes | frame
//! frame = seq u32 | length of the bytes u32
//! ```

use rustix::fs::{FallocateFlags, MemfdFlags};
use sallyport_model::{Kind, RecordingId, Secret, SessionId};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a half holds, frames included: eight of the largest pieces, so that a flood is sealed, written and waited for
/// once in 256 KiB.
pub const HALF: usize = 260 << 10;
/// What an event takes besides its bytes.
pub const FRAMES: usize = 2 * FRAME;
const FRAME: usize = 8;
const HALF_U64: u64 = 260 << 10;
const HEAD: u64 = 4096;
const SLOT: u64 = HEAD + 2 * HALF_U64;
const MARKS: [u64; 2] = [128, 192];
const IN_USE: u32 = 0x5350_5431;

/// The tail cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system said no.
    #[error("the memory of unsealed recordings cannot be used: {0}")]
    Io(#[from] io::Error),
    /// Every slot belongs to a session.
    #[error("this gateway carries as many sessions as it may; try again when one has ended")]
    Full,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Unavailable
    }
}

/// The memory, with its free slots. Clones share it.
#[derive(Clone)]
pub struct Tail {
    file: Arc<File>,
    free: Arc<Mutex<Vec<u64>>>,
}

/// What a dead process left in a slot.
pub struct Left {
    /// The session.
    pub session: SessionId,
    /// Its recording.
    pub recording: RecordingId,
    /// The recording's data key.
    pub key: Secret<Vec<u8>>,
    /// Halves with bytes in them, by sequence number.
    pub halves: Vec<LeftHalf>,
    slot: u64,
}

/// A half that was not known to be in the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftHalf {
    /// The number that its segment has or would have had.
    pub seq: u32,
    /// The chain before that segment.
    pub chain: [u8; 32],
    /// The events.
    pub bytes: Vec<u8>,
}

impl Tail {
    /// Makes the memory, for `slots` sessions at once. It costs what is used of it.
    ///
    /// # Errors
    /// When the system has no memory files.
    pub fn create(slots: u32) -> Result<Self, Error> {
        let file =
            File::from(rustix::fs::memfd_create("sallyport-tail", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
        file.set_len(SLOT.saturating_mul(slots.into()))?;
        Self::over(file)
    }

    /// Takes the memory that the parent left open under this descriptor number.
    ///
    /// # Errors
    /// When the descriptor is not open.
    pub fn inherit(descriptor: i32) -> Result<Self, Error> {
        Self::over(OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{descriptor}"))?)
    }

    fn over(file: File) -> Result<Self, Error> {
        let slots = file.metadata()?.len().checked_div(SLOT).unwrap_or(0);
        let tail = Self { file: Arc::new(file), free: Arc::default() };
        let mut free = Vec::new();
        for slot in (0..slots).rev() {
            if tail.word(slot, 0)? != IN_USE {
                free.push(slot);
            }
        }
        *tail.free.lock().unwrap_or_else(PoisonError::into_inner) = free;
        Ok(tail)
    }

    /// The descriptor's number, made to survive `exec`, for handing it to a child.
    ///
    /// # Errors
    /// When the descriptor's flags cannot be changed.
    pub fn share(&self) -> Result<i32, Error> {
        rustix::io::fcntl_setfd(&*self.file, rustix::io::FdFlags::empty()).map_err(io::Error::from)?;
        Ok(self.file.as_raw_fd())
    }

    /// A descriptor of the memory, for handing it to a child as one of its standard streams.
    ///
    /// # Errors
    /// When no further descriptor can be had.
    pub fn handle(&self) -> Result<std::os::fd::OwnedFd, Error> {
        Ok(self.file.try_clone()?.into())
    }

    /// A slot for a session. The key lies in it, so that a later process can finish the recording.
    ///
    /// # Errors
    /// When every slot is taken or the memory cannot be written.
    pub fn claim(
        &self,
        session: SessionId,
        recording: RecordingId,
        key: &[u8; 32],
        chain: &[u8; 32],
    ) -> Result<Slot, Error> {
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or(Error::Full)?;
        let mut slot = Slot { tail: self.clone(), number, seqs: [0; 2], lengths: [0; 2], touched: [0; 2] };
        slot.put(4, session.as_bytes())?;
        slot.put(20, recording.as_bytes())?;
        slot.put(36, key)?;
        slot.restart(0, 0, chain)?;
        slot.put(0, &IN_USE.to_be_bytes())?;
        Ok(slot)
    }

    /// What earlier processes left. Their slots stay taken until `release`.
    ///
    /// # Errors
    /// When the memory cannot be read.
    pub fn left(&self) -> Result<Vec<Left>, Error> {
        let slots = self.file.metadata()?.len().checked_div(SLOT).unwrap_or(0);
        let mut all = Vec::new();
        for slot in 0..slots {
            if self.word(slot, 0)? == IN_USE {
                all.push(self.read(slot)?);
            }
        }
        Ok(all)
    }

    /// Wipes a slot that an earlier process left, once its bytes are durable elsewhere.
    ///
    /// # Errors
    /// When the memory cannot be written.
    pub fn release(&self, left: &Left) -> Result<(), Error> {
        self.wipe(left.slot)
    }

    fn read(&self, slot: u64) -> Result<Left, Error> {
        let mut halves = Vec::new();
        for (half, mark) in MARKS.into_iter().enumerate() {
            let seq = self.word(slot, mark)?;
            let mut bytes = vec![0; HALF];
            self.file.read_exact_at(&mut bytes, at(slot, start(half)))?;
            let bytes = events(&bytes, seq);
            if !bytes.is_empty() {
                halves.push(LeftHalf { seq, chain: self.get(slot, mark.saturating_add(4))?, bytes });
            }
        }
        halves.sort_by_key(|half| half.seq);
        Ok(Left {
            session: SessionId::from_bytes(self.get(slot, 4)?),
            recording: RecordingId::from_bytes(self.get(slot, 20)?),
            key: Secret::new(self.get::<32>(slot, 36)?.to_vec()),
            halves,
            slot,
        })
    }

    fn wipe(&self, slot: u64) -> Result<(), Error> {
        self.file.write_all_at(&[0; 256], at(slot, 0))?;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&*self.file, flags, at(slot, 0), SLOT).map_err(io::Error::from)?;
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        Ok(())
    }

    fn get<const N: usize>(&self, slot: u64, offset: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at(slot, offset))?;
        Ok(bytes)
    }

    fn word(&self, slot: u64, offset: u64) -> io::Result<u32> {
        self.get::<4>(slot, offset).map(u32::from_be_bytes)
    }
}

/// A session's slot.
pub struct Slot {
    tail: Tail,
    number: u64,
    seqs: [u32; 2],
    lengths: [u32; 2],
    /// Bytes of each half that have memory.
    touched: [u32; 2],
}

impl Slot {
    /// Adds an event to a half; false where it does not fit. An empty one is nothing.
    ///
    /// # Errors
    /// When the memory cannot be written.
    pub fn append(&mut self, half: usize, bytes: &[u8]) -> Result<bool, Error> {
        let (Some(length), Some(seq)) = (self.lengths.get(half).copied(), self.seqs.get(half)) else {
            return Ok(false);
        };
        let more = u32::try_from(bytes.len().saturating_add(FRAMES)).unwrap_or(u32::MAX);
        let new = length.saturating_add(more);
        if u64::from(new) > HALF_U64 {
            return Ok(false);
        }
        let frame = frame(*seq, bytes.len());
        let pieces = &mut [IoSlice::new(&frame), IoSlice::new(bytes), IoSlice::new(&frame)];
        self.put_all(start(half).saturating_add(length.into()), pieces)?;
        if let Some(length) = self.lengths.get_mut(half) {
            *length = new;
        }
        if let Some(touched) = self.touched.get_mut(half) {
            *touched = new.max(*touched);
        }
        Ok(true)
    }

    /// Whether a half has more memory than `bytes`.
    #[must_use]
    pub fn is_larger(&self, half: usize, bytes: usize) -> bool {
        self.touched.get(half).is_some_and(|touched| usize::try_from(*touched).unwrap_or(usize::MAX) > bytes)
    }

    /// Gives the memory of a half back, of which nothing is needed any more.
    ///
    /// # Errors
    /// When the memory cannot be given back.
    pub fn shrink(&mut self, half: usize) -> Result<(), Error> {
        let Some(length) = self.lengths.get_mut(half) else { return Ok(()) };
        *length = 0;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&*self.tail.file, flags, at(self.number, start(half)), HALF_U64)
            .map_err(io::Error::from)?;
        if let Some(touched) = self.touched.get_mut(half) {
            *touched = 0;
        }
        Ok(())
    }

    /// Empties a half whose segment is in the journal, and begins it anew.
    ///
    /// # Errors
    /// When the memory cannot be written.
    pub fn restart(&mut self, half: usize, seq: u32, chain: &[u8; 32]) -> Result<(), Error> {
        let (Some(length), Some(now)) = (self.lengths.get_mut(half), self.seqs.get_mut(half)) else { return Ok(()) };
        (*length, *now) = (0, seq);
        let Some(mark) = MARKS.get(half) else { return Ok(()) };
        // What lies in the half is of another number, and so nothing from here on.
        self.put_all(*mark, &mut [IoSlice::new(&seq.to_be_bytes()), IoSlice::new(chain)])
    }

    /// Wipes the slot: everything in it is durable elsewhere.
    ///
    /// # Errors
    /// When the memory cannot be written.
    pub fn release(self) -> Result<(), Error> {
        self.tail.wipe(self.number)
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.tail.file.write_all_at(bytes, at(self.number, offset))?)
    }

    /// The same for several pieces, one behind the other.
    fn put_all(&self, offset: u64, mut pieces: &mut [IoSlice<'_>]) -> Result<(), Error> {
        let mut at = at(self.number, offset);
        while !pieces.is_empty() {
            match rustix::io::pwritev(&*self.tail.file, pieces, at) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(wrote) => {
                    at = at.saturating_add(u64::try_from(wrote).unwrap_or(u64::MAX));
                    IoSlice::advance_slices(&mut pieces, wrote);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }
}

fn frame(seq: u32, length: usize) -> [u8; FRAME] {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    ((u64::from(seq) << 32) | u64::from(length)).to_be_bytes()
}

/// The bytes of the whole events at the beginning of a half.
fn events(half: &[u8], seq: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = half;
    while let Some((event, after)) = event(rest, seq) {
        bytes.extend_from_slice(event);
        rest = after;
    }
    bytes
}

/// The first event, and what lies behind it; `None` where it is not there as a whole.
fn event(half: &[u8], seq: u32) -> Option<(&[u8], &[u8])> {
    let (head, rest) = half.split_first_chunk::<FRAME>()?;
    let length = usize::try_from(u64::from_be_bytes(*head) & u64::from(u32::MAX)).ok()?;
    let (event, rest) = rest.split_at_checked(length).filter(|_| length > 0 && *head == frame(seq, length))?;
    let (foot, rest) = rest.split_first_chunk::<FRAME>()?;
    (foot == head).then_some((event, rest))
}

/// Where a half begins in its slot.
fn start(half: usize) -> u64 {
    HEAD.saturating_add(HALF_U64.saturating_mul(u64::try_from(half).unwrap_or(0)))
}

const fn at(slot: u64, offset: u64) -> u64 {
    slot.saturating_mul(SLOT).saturating_add(offset)
}

#[cfg(test)]
mod tests;
