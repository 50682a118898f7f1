//! The journal's files: entries with a check, appended, rolled over, and removed when nobody needs them.
//!
//! ```text
//! file  = "SPJ1" entry*
//! entry = kind u8 | recording [16] | length u32 (network order) | bytes | check [8]
//! check = the first 8 bytes of SHA-256 over everything of the entry before it
//! ```
//! The check finds torn writes after a power cut; against forgers stand the segments' own seals.

use super::Found;
use super::state::Shared;
use aws_lc_rs::digest;
use sallyport_model::RecordingId;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"SPJ1";
/// Length of a file that holds nothing yet.
const BEGUN: u64 = 4;
const HEAD: usize = 21;
const CHECK: usize = 8;
const LARGEST: usize = 4 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A recording's header: its first entry.
    Header,
    /// A sealed segment.
    Segment,
    /// Nothing more is needed of the recording.
    Forgotten,
}

/// One entry of the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The recording it belongs to.
    pub recording: RecordingId,
    /// What it is.
    pub kind: EntryKind,
    /// Its bytes, in the container's own encoding.
    pub bytes: Vec<u8>,
}

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let length = u32::try_from(self.bytes.len()).map_err(|_| io::Error::other("entry too large"))?;
        if self.bytes.len() > LARGEST {
            return Err(io::Error::other("entry too large"));
        }
        let start = out.len();
        out.push(match self.kind {
            EntryKind::Header => 1,
            EntryKind::Segment => 2,
            EntryKind::Forgotten => 3,
        });
        out.extend_from_slice(self.recording.as_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.bytes);
        let check = check(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&check);
        Ok(())
    }

    /// The first entry of these bytes and its length; `None` where they hold no whole one.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let (kind, rest_of_head) = head.split_first()?;
        let (recording, length) = rest_of_head.split_first_chunk::<16>()?;
        let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
        let kind = match kind {
            1 => EntryKind::Header,
            2 => EntryKind::Segment,
            3 => EntryKind::Forgotten,
            _ => return None,
        };
        if length > LARGEST {
            return None;
        }
        let (body, rest) = rest.split_at_checked(length)?;
        let found = rest.first_chunk::<CHECK>()?;
        if *found != check(bytes.get(..HEAD.checked_add(length)?)?) {
            return None;
        }
        let entry = Self { recording: RecordingId::from_bytes(*recording), kind, bytes: body.to_vec() };
        Some((entry, HEAD.checked_add(length)?.checked_add(CHECK)?))
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().first_chunk::<CHECK>().copied().unwrap_or_default()
}

/// Where an entry lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    file: u64,
    offset: u64,
    length: usize,
}

impl Place {
    pub(super) fn read(&self, directory: &Path) -> io::Result<Entry> {
        let mut bytes = vec![0; self.length];
        File::open(name(directory, self.file))?.read_exact_at(&mut bytes, self.offset)?;
        let (entry, _) = Entry::decode(&bytes).ok_or_else(|| io::Error::other("an entry was altered on disk"))?;
        Ok(entry)
    }
}

/// The files, the last of which is written to.
pub(super) struct Roll {
    directory: PathBuf,
    limit: u64,
    number: u64,
    file: File,
    length: u64,
    pending: Vec<u8>,
    placed: Vec<(RecordingId, Place)>,
    /// Recordings that still need each file; the file is removed with the last of them.
    needed: HashMap<u64, u32>,
    left: HashMap<RecordingId, Vec<Place>>,
}

impl Roll {
    /// Reads what is there and begins a new file: a torn one is never appended to.
    pub(super) fn open(directory: &Path, limit: u64) -> io::Result<(Self, Found)> {
        let mut numbers: Vec<u64> = std::fs::read_dir(directory)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".journal")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let (mut found, mut left) = (Found::new(), HashMap::<RecordingId, Vec<Place>>::new());
        for number in &numbers {
            for (entry, place) in read_file(directory, *number)? {
                if entry.kind == EntryKind::Forgotten {
                    found.remove(&entry.recording);
                    left.remove(&entry.recording);
                } else {
                    left.entry(entry.recording).or_default().push(place);
                    found.entry(entry.recording).or_default().push(entry);
                }
            }
        }
        let mut needed = HashMap::<u64, u32>::new();
        for place in left.values().flatten() {
            let count = needed.entry(place.file).or_default();
            *count = count.saturating_add(1);
        }
        for number in &numbers {
            if !needed.contains_key(number) {
                std::fs::remove_file(name(directory, *number))?;
            }
        }
        let number = numbers.last().map_or(1, |last| last.saturating_add(1));
        let file = begin(directory, number)?;
        let directory = directory.to_owned();
        let roll =
            Self { directory, limit, number, file, length: BEGUN, pending: vec![], placed: vec![], needed, left };
        Ok((roll, found))
    }

    pub(super) fn index(&mut self) -> HashMap<RecordingId, Vec<Place>> {
        std::mem::take(&mut self.left)
    }

    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let waiting = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        let offset = self.length.saturating_add(waiting);
        let start = self.pending.len();
        entry.encode(&mut self.pending)?;
        let length = self.pending.len().saturating_sub(start);
        if entry.kind != EntryKind::Forgotten {
            self.placed.push((entry.recording, Place { file: self.number, offset, length }));
        }
        Ok(())
    }

    /// Writes what was appended, and rolls over to the next file where this one is long enough. Where the disk is full
    /// ([`is_full`]) it may be called again: nothing of what was appended is lost, and the file ends where it ended.
    pub(super) fn flush(&mut self, shared: &Shared) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.pending) {
            // A write may have taken a part. Where that cannot be cut off again, the error is another one.
            self.file.set_len(self.length).map_err(io::Error::other)?;
            return Err(error);
        }
        self.length = self.length.saturating_add(u64::try_from(self.pending.len()).unwrap_or(u64::MAX));
        self.pending.clear();
        self.pending.shrink_to(1 << 20);
        for (recording, place) in self.placed.drain(..) {
            let count = self.needed.entry(place.file).or_default();
            *count = count.saturating_add(1);
            shared.placed(recording, place);
        }
        if self.length > self.limit {
            self.sync()?;
            let next = self.number.saturating_add(1);
            match begin(&self.directory, next) {
                Ok(file) => (self.number, self.file, self.length) = (next, file, BEGUN),
                // This file serves a little longer.
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        synced(self.file.sync_data())
    }

    /// Removes the files that nobody needs, now that the recording that lay at these places is forgotten.
    pub(super) fn forget(&mut self, places: &[Place]) -> io::Result<()> {
        for place in places {
            if let Some(count) = self.needed.get_mut(&place.file) {
                *count = count.saturating_sub(1);
            }
        }
        let free: Vec<u64> =
            self.needed.iter().filter(|(n, c)| **c == 0 && **n != self.number).map(|(n, _)| *n).collect();
        for number in free {
            self.needed.remove(&number);
            std::fs::remove_file(name(&self.directory, number))?;
        }
        Ok(())
    }
}

fn read_file(directory: &Path, number: u64) -> io::Result<Vec<(Entry, Place)>> {
    let mut bytes = Vec::new();
    File::open(name(directory, number))?.read_to_end(&mut bytes)?;
    let (mut entries, mut offset) = (Vec::new(), MAGIC.len());
    if !bytes.starts_with(MAGIC) {
        return Ok(entries);
    }
    while let Some((entry, length)) = bytes.get(offset..).and_then(Entry::decode) {
        entries.push((entry, Place { file: number, offset: u64::try_from(offset).unwrap_or(u64::MAX), length }));
        offset = offset.saturating_add(length);
    }
    if offset != bytes.len() {
        tracing::warn!(number, offset, length = bytes.len(), "the journal ends in a torn entry");
    }
    Ok(entries)
}

fn name(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:012}.journal"))
}

fn begin(directory: &Path, number: u64) -> io::Result<File> {
    let path = name(directory, number);
    let mut file = OpenOptions::new().append(true).create_new(true).read(true).mode(0o600).open(&path)?;
    if let Err(error) = file.write_all(MAGIC) {
        std::fs::remove_file(&path).map_err(io::Error::other)?;
        return Err(error);
    }
    synced(file.sync_data())?;
    synced(File::open(directory)?.sync_all())?;
    Ok(file)
}

/// Whether a write found no room, and took nothing: it may be tried again.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A sync that failed, for want of room or otherwise, may have lost what was written before: never one to try again.
fn synced(result: io::Result<()>) -> io::Result<()> {
    result.map_err(io::Error::other)
}

#[cfg(test)]
pub(super) fn read_bytes(bytes: &[u8]) -> Option<(Entry, usize)> {
    Entry::decode(bytes)
}

#[cfg(test)]
pub(super) fn bytes_of(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    entry.encode(&mut out).unwrap();
    out
}
