//! After a crash: the tail is finished into the journal, and what was left open is closed as truncated.

use crate::authority::Authority;
use crate::observe::journal::{Entry, EntryKind, Error as JournalError, Found, Journal};
use crate::observe::ship;
use crate::observe::tail::{self, Left, LeftHalf, Tail};
use sallyport_model::access::EndReason;
use sallyport_model::authority::{Anchor, Call, Close, Orphan};
use sallyport_model::{Env, Kind, RecordingId, SessionId};
use sallyport_recording::container::Ending;
use sallyport_recording::{DataKey, Opener, Sealer, Truncated, container, key, segment};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Recovery could not go on. Nothing was lost by trying.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The tail failed.
    #[error(transparent)]
    Tail(#[from] tail::Error),
    /// A slot's key is no key.
    #[error(transparent)]
    Key(#[from] key::BadKey),
    /// A segment could not be sealed.
    #[error(transparent)]
    Segment(#[from] segment::Error),
    /// The journal's part of a recording was altered.
    #[error("the journal of recording {0} does not read ({1}); keep its files and ask for help")]
    Altered(RecordingId, container::Error),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Journal(_) | Self::Tail(_) => Kind::Unavailable,
            Self::Key(_) | Self::Segment(_) | Self::Altered(..) => Kind::Failed,
        }
    }
}

/// What earlier gateways left, made whole.
pub struct Remains {
    found: Found,
}

/// Finishes the tails that dead gateways left into the journal and frees their slots. To be done
/// before the recorder starts.
///
/// # Errors
/// When tail or journal cannot be used. A recording that does not read is left alone and logged.
pub async fn finish(env: &Env, journal: &Journal, tail: &Tail, mut found: Found) -> Result<Remains, Error> {
    for left in tail.left()? {
        match found.get_mut(&left.recording) {
            Some(entries) => match finish_one(env, &left, entries) {
                Ok(more) => {
                    let mut last = None;
                    for entry in more {
                        entries.push(entry.clone());
                        last = Some(journal.append(entry, true, None));
                    }
                    if let Some(last) = last {
                        journal.durable(last).await?;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, session = %left.session, "a tail cannot be finished; it is kept");
                    continue;
                }
            },
            // Its header never reached the disk, so the session never began.
            None => tracing::info!(session = %left.session, "a tail without a header is dropped"),
        }
        tail.release(&left)?;
    }
    Ok(Remains { found })
}

/// Seals what the journal does not have yet.
fn finish_one(env: &Env, left: &Left, entries: &[Entry]) -> Result<Vec<Entry>, Error> {
    let remains = read(left.recording, entries)?;
    let key = DataKey::from_bytes(sallyport_model::Secret::new(left.key.expose().clone()))?;
    let mut more = Vec::new();
    if remains.ended {
        return Ok(more);
    }
    let mut sealer = Sealer::resume(&key, &remains.header, remains.segments, remains.chain)?;
    let last = left.halves.iter().find(|half| half.seq.checked_add(1) == Some(remains.segments));
    let anew = last.is_some_and(|half| sealed_before(&key, entries, half));
    for half in left.halves.iter().filter(|half| half.seq >= remains.segments) {
        // The tail remembers number and chain: otherwise somebody changed the journal while no gateway
        // ran, and nothing may be sealed over that. Behind a half that is sealed anew the chain differs, now or in an
        // earlier recovery that was cut off between the two.
        let follows = half.seq == sealer.anchor().0 && (!more.is_empty() || half.chain == remains.chain || anew);
        if !follows {
            return Err(Error::Altered(left.recording, container::Error::Record(half.seq)));
        }
        let bytes = sealer.seal(env, &half.bytes, segment::Kind::Data)?.bytes;
        more.push(Entry { recording: left.recording, kind: EntryKind::Segment, bytes });
    }
    Ok(more)
}

/// Whether the journal's last segment holds the very bytes of this half, under the recording's own key.
fn sealed_before(key: &DataKey, entries: &[Entry], half: &LeftHalf) -> bool {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes.iter().copied()).collect();
    let Ok(container) = container::parse(&bytes) else { return false };
    let Ok(mut opener) = Opener::new(key, &container.header) else { return false };
    let mut last = None;
    for frame in container.frames() {
        match opener.open(frame) {
            Ok(opened) => last = Some(opened.events),
            Err(_) => return false,
        }
    }
    last.is_some_and(|events| events == half.bytes)
}

fn read(recording: RecordingId, entries: &[Entry]) -> Result<container::Remains, Error> {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes.iter().copied()).collect();
    container::recover(&bytes).map_err(|error| Error::Altered(recording, error))
}

/// Closes what control names as orphans, whenever it does, and ships every recording that was left.
/// Runs as long as the gateway.
pub async fn close(env: Env, authority: Arc<dyn Authority>, journal: Journal, directory: PathBuf, remains: Remains) {
    let Remains { mut found } = remains;
    let mut welcome = authority.welcome();
    loop {
        let orphans = match welcome.wait_for(Option::is_some).await {
            Ok(welcome) => welcome.as_ref().map(|w| w.orphans.clone()).unwrap_or_default(),
            Err(_) => return,
        };
        let mut sessions: HashMap<RecordingId, SessionId> =
            orphans.iter().map(|Orphan { session, recording }| (*recording, *session)).collect();
        for (recording, entries) in std::mem::take(&mut found) {
            let session = sessions.remove(&recording);
            match end(&env, &journal, &directory, recording, &entries).await {
                Some(end) => {
                    if let Some(session) = session {
                        let close = end.close(session, "");
                        crate::spine::drive::tell(&*authority, session, &|| Call::Close(close.clone())).await;
                    }
                }
                None => drop(found.insert(recording, entries)),
            }
        }
        for (recording, session) in sessions {
            if !found.contains_key(&recording) {
                // Its gateway died after it had shipped the recording and before control took the end.
                let close = match shipped(&directory, recording).await {
                    Some(end) => end.close(session, ""),
                    None => End { segments: 0, chain: vec![0; 32], complete: false }
                        .close(session, "nothing of its recording was found on this node"),
                };
                crate::spine::drive::tell(&*authority, close.session, &|| Call::Close(close.clone())).await;
            }
        }
        if welcome.changed().await.is_err() {
            return;
        }
    }
}

struct End {
    segments: u32,
    chain: Vec<u8>,
    complete: bool,
}

impl End {
    fn close(self, session: SessionId, note: &str) -> Close {
        let anchor = Anchor { session, segments: self.segments, chain: self.chain };
        let complete = self.complete;
        let (reason, note, exchanges) = (EndReason::Orphan, note.to_owned(), Vec::new());
        Close { session, reason, anchor, complete, bytes: (0, 0), note, frozen: 0, exchanges, not_become: None }
    }
}

/// How a recording ends that is in its own file already.
async fn shipped(directory: &Path, recording: RecordingId) -> Option<End> {
    let path = ship::path(directory, recording);
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let bytes = read.ok()?.ok()?;
    let remains = container::recover(&bytes).ok()?;
    let segments = remains.segments;
    match container::parse(&bytes).ok()?.ending {
        Ending::Final => Some(End { segments, chain: remains.chain.to_vec(), complete: true }),
        Ending::Truncated(record) => {
            Some(End { segments, chain: record.chain_after().ok()?.to_vec(), complete: false })
        }
        Ending::Unfinished => None,
    }
}

/// Writes a recording's file, with the record of its truncation where it has no end.
async fn end(env: &Env, journal: &Journal, directory: &Path, recording: RecordingId, entries: &[Entry]) -> Option<End> {
    let (end, frame) = match ending(env, recording, entries) {
        Ok(ending) => ending,
        Err(error) => {
            tracing::error!(%error, %recording, "a recording cannot be ended; it is kept in the journal");
            return None;
        }
    };
    let (entries, place) = (entries.to_vec(), directory.to_owned());
    let written =
        tokio::task::spawn_blocking(move || ship::write(&place, recording, entries.into_iter().map(Ok), &frame)).await;
    match written {
        Ok(Ok(())) => {
            journal.forget(recording);
            Some(end)
        }
        Ok(Err(error)) => {
            tracing::error!(%error, %recording, "a recording cannot be shipped; it is kept in the journal");
            None
        }
        Err(_) => None,
    }
}

fn ending(env: &Env, recording: RecordingId, entries: &[Entry]) -> Result<(End, Vec<u8>), Error> {
    let remains = read(recording, entries)?;
    let (segments, chain) = (remains.segments, remains.chain);
    if remains.ended {
        return Ok((End { segments, chain: chain.to_vec(), complete: true }, Vec::new()));
    }
    let record = Truncated { segments, chain, by: "gateway recovery".into(), at: env.now() };
    let altered = |error| Error::Altered(recording, error);
    let after = record.chain_after().map_err(altered)?;
    Ok((End { segments, chain: after.to_vec(), complete: false }, record.frame().map_err(altered)?))
}

#[cfg(test)]
mod tests;
