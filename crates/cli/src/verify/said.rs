//! What the ledger says of recordings.

use super::directory::{NOTHING, outside};
use crate::Fail;
use sallyport_ledger::Entry;
use sallyport_model::{RecordingId, SessionId};
use sallyport_recording::verify::End;
use sallyport_recording::{Expect, Hash};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

/// What the ledger says of one recording.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) recording: RecordingId,
    /// Hash of its header.
    pub(super) header: Hash,
    /// Segments and chain of every anchor.
    pub(super) anchors: Vec<(u32, Hash)>,
    /// Its end, once the session is closed.
    pub(super) end: Option<End>,
    /// Whether the ledger says that it went by the rule of retention.
    pub(super) expired: bool,
}

impl Said {
    /// Whether the ledger itself says that nothing of it was found after a crash.
    pub(super) fn lost(&self) -> bool {
        self.end == Some(NOTHING)
    }

    pub(super) fn expect(&self) -> Expect<'_> {
        Expect { header_hash: self.header, anchors: &self.anchors, end: self.end }
    }
}

/// What the ledger says of all recordings, by session.
#[derive(Debug, Default)]
pub struct Sayings(pub(super) BTreeMap<SessionId, Said>);

impl Sayings {
    /// The recordings that the ledger knows, and whether each must be there: its session is closed, and the ledger says
    /// neither that it went by a rule nor that it was lost.
    pub fn recordings(&self) -> impl Iterator<Item = (RecordingId, bool)> {
        self.0.values().map(|said| (said.recording, said.end.is_some() && !said.expired && !said.lost()))
    }

    /// Compares the outside of a recording with what the ledger says: header, anchors, chain and end.
    ///
    /// # Errors
    /// When the ledger does not know it, or it differs.
    pub fn check(&self, recording: RecordingId, bytes: &[u8]) -> Result<(), Fail> {
        let said = self.0.values().find(|said| said.recording == recording);
        outside(bytes, said.ok_or_else(|| Fail::failed("it belongs to no session of the ledger"))?)
    }

    /// Takes what an entry says of a recording, if anything. Entries come in order.
    ///
    /// # Errors
    /// When it contradicts an earlier one.
    pub fn take(&mut self, index: u64, entry: &Entry) -> Result<(), Fail> {
        let wrong = |what: &str| Fail::failed(format!("entry {index} ({}): {what}", entry.action));
        let known = matches!(
            entry.action.as_str(),
            "session.opened" | "recording.anchor" | "session.closed" | "recording.expired"
        );
        let Some(session) = entry.session.filter(|_| known) else {
            return if known { Err(wrong("it names no session")) } else { Ok(()) };
        };
        let facts = Facts(index, entry);
        if entry.action == "session.opened" {
            let said = Said {
                recording: facts.recording()?,
                header: facts.hash("header")?,
                anchors: Vec::new(),
                end: None,
                expired: false,
            };
            return match self.0.entry(session) {
                Slot::Vacant(slot) => {
                    slot.insert(said);
                    Ok(())
                }
                Slot::Occupied(_) => Err(wrong("the session was opened before")),
            };
        }
        let Some(said) = self.0.get_mut(&session) else { return Err(wrong("the session was not opened before")) };
        if entry.action == "recording.expired" {
            if entry.object != said.recording.to_string() || said.end.is_none() {
                return Err(wrong("only the recording of a closed session expires"));
            }
            said.expired = true;
            return Ok(());
        }
        let (segments, chain) = (facts.number("segments")?, facts.hash("chain")?);
        if entry.action == "recording.anchor" {
            if entry.object != said.recording.to_string() {
                return Err(wrong("it anchors another recording than the session opened"));
            }
            said.anchors.push((segments, chain));
            return Ok(());
        }
        if facts.recording()? != said.recording {
            return Err(wrong("it closes another recording than the session opened"));
        }
        if said.end.is_some() {
            return Err(wrong("the session was closed before"));
        }
        said.end = Some(End { segments, chain, complete: facts.flag("complete")? });
        Ok(())
    }
}

/// The facts of the entry at an index.
struct Facts<'a>(u64, &'a Entry);

impl Facts<'_> {
    fn read<T>(&self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Fail> {
        let Self(index, entry) = self;
        read(entry.fact(name))
            .ok_or_else(|| Fail::failed(format!("entry {index} ({}): its fact `{name}` is not readable", entry.action)))
    }

    fn recording(&self) -> Result<RecordingId, Fail> {
        self.read("recording", |text| text.parse().ok())
    }

    fn hash(&self, name: &str) -> Result<Hash, Fail> {
        self.read(name, |text| hex::decode(text).ok()?.try_into().ok())
    }

    fn number(&self, name: &str) -> Result<u32, Fail> {
        self.read(name, |text| text.parse().ok())
    }

    fn flag(&self, name: &str) -> Result<bool, Fail> {
        self.read(name, |text| text.parse().ok())
    }
}
