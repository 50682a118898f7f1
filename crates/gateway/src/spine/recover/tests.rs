use super::{finish, read};
use crate::observe::journal::{Entry, EntryKind, Found, Journal, Sizes};
use crate::observe::tail::Tail;
use crate::observe::{Recorder, WhatRef};
use sallyport_model::authority::RecordingKey;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::{ClusterId, Env, RecordingId, SessionId};
use sallyport_recording::{DataKey, Facts, Opener, Sealer, container, segment};

struct Crashed {
    directory: tempfile::TempDir,
    tail: Tail,
    recording: RecordingId,
    private: PrivateKey,
}

/// A gateway that died with so many segments in its journal and an event in its tail.
async fn crashed(segments: usize) -> Crashed {
    let env = Env::system();
    let directory = tempfile::tempdir().unwrap();
    let tail = Tail::create(2).unwrap();
    let (private, key) = PrivateKey::generate(&env).unwrap();
    let (journal, _) = Journal::open(directory.path(), Sizes::default()).unwrap();
    let recorder = Recorder::start(env.clone(), journal, tail.clone(), &directory.path().join("recordings"));
    let facts = Facts {
        recording: RecordingId::new(&env),
        session: SessionId::new(&env),
        cluster: ClusterId::new(&env),
        started: env.now(),
        handle: "ada".parse().unwrap(),
        target: "web-1".parse().unwrap(),
        account: "root".parse().unwrap(),
        protocol: "ssh".into(),
        size: None,
    };
    let recording = recorder.begin(facts, &RecordingKey { epoch: 1, key }).unwrap();
    for _ in 0..segments {
        recording.push(1, WhatRef::Output(b"sealed")).await.unwrap();
        recording.durable().await.unwrap();
    }
    recording.push(1, WhatRef::Output(b"in the tail")).await.unwrap();
    let id = recording.id();
    drop((recording, recorder));
    Crashed { directory, tail, recording: id, private }
}

impl Crashed {
    fn reopen(&self) -> (Journal, Found) {
        Journal::open(self.directory.path(), Sizes::default()).unwrap()
    }

    fn plain(&self, entries: &[Entry]) -> Vec<u8> {
        let bytes: Vec<u8> = entries.iter().flat_map(|e| e.bytes.clone()).collect();
        let container = container::parse(&bytes).unwrap();
        let key = container.header.open(&self.private).unwrap();
        let mut opener = Opener::new(&key, &container.header).unwrap();
        container.frames().flat_map(|frame| opener.open(frame).unwrap().events).collect()
    }
}

#[tokio::test]
async fn the_tail_is_finished_into_the_journal_once() {
    let crashed = crashed(1).await;
    for _ in 0..3 {
        let (journal, found) = crashed.reopen();
        let remains = finish(&Env::system(), &journal, &crashed.tail, found).await.unwrap();
        let entries = &remains.found[&crashed.recording];
        assert_eq!(read(crashed.recording, entries).unwrap().segments, 2);
        assert!(crashed.plain(entries).windows(11).any(|w| w == b"in the tail"));
        assert!(crashed.tail.left().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_death_between_journal_and_release_doubles_nothing() {
    let crashed = crashed(1).await;
    let (journal, found) = crashed.reopen();
    // What `finish` does, up to the moment before it frees the slot.
    let left = crashed.tail.left().unwrap();
    let more = super::finish_one(&Env::system(), &left[0], &found[&crashed.recording]).unwrap();
    for entry in more {
        let ticket = journal.append(entry, true, None);
        journal.durable(ticket).await.unwrap();
    }
    drop(journal);
    let (journal, found) = crashed.reopen();
    let remains = finish(&Env::system(), &journal, &crashed.tail, found).await.unwrap();
    assert_eq!(read(crashed.recording, &remains.found[&crashed.recording]).unwrap().segments, 2);
}

#[tokio::test]
async fn a_death_between_the_two_halves_of_a_tail_loses_neither() {
    let crashed = crashed(1).await;
    let (_, found) = crashed.reopen();
    let left = &crashed.tail.left().unwrap()[0];
    let mut entries = found[&crashed.recording].clone();
    entries.retain(|entry| entry.kind == EntryKind::Header);
    let env = Env::system();
    let both = super::finish_one(&env, left, &entries).unwrap();
    assert_eq!(both.len(), 2, "the tail has both");
    // Only the first reached the disk before the recovery died too.
    entries.push(both[0].clone());
    let rest = super::finish_one(&env, left, &entries).unwrap();
    assert_eq!(rest.len(), 1);
    let whole = [entries.clone(), rest].concat();
    assert_eq!(read(crashed.recording, &whole).unwrap().segments, 2);
    for text in ["sealed", "in the tail"] {
        assert_eq!(crashed.plain(&whole).windows(text.len()).filter(|w| *w == text.as_bytes()).count(), 1, "{text}");
    }
    // A first segment with other content is somebody else's.
    let key = DataKey::from_bytes(sallyport_model::Secret::new(left.key.expose().clone())).unwrap();
    let header = read(crashed.recording, &entries).unwrap().header;
    let mut sealer = Sealer::resume(&key, &header, 0, header.hash()).unwrap();
    entries[1].bytes = sealer.seal(&env, b"", segment::Kind::Data).unwrap().bytes;
    assert!(matches!(super::finish_one(&env, left, &entries), Err(super::Error::Altered(..))));
}

#[tokio::test]
async fn a_segment_that_only_the_tail_has_left_is_sealed_again() {
    let crashed = crashed(1).await;
    let (journal, mut found) = crashed.reopen();
    found.get_mut(&crashed.recording).unwrap().retain(|entry| entry.kind == EntryKind::Header);
    let remains = finish(&Env::system(), &journal, &crashed.tail, found).await.unwrap();
    let plain = crashed.plain(&remains.found[&crashed.recording]);
    for text in ["sealed", "in the tail"] {
        assert!(plain.windows(text.len()).any(|w| w == text.as_bytes()), "{text}");
    }
}

#[tokio::test]
async fn a_journal_that_was_cut_or_changed_meanwhile_is_not_papered_over() {
    let crashed = crashed(3).await;
    let (journal, mut found) = crashed.reopen();
    *found.get_mut(&crashed.recording).unwrap().last_mut().unwrap().bytes.last_mut().unwrap() ^= 1;
    let remains = finish(&Env::system(), &journal, &crashed.tail, found).await.unwrap();
    assert_eq!(remains.found[&crashed.recording].len(), 4, "nothing is sealed behind altered segments");
    assert_eq!(crashed.tail.left().unwrap().len(), 1, "the tail is kept as evidence");
    let (journal, mut found) = crashed.reopen();
    found.get_mut(&crashed.recording).unwrap().retain(|entry| entry.kind == EntryKind::Header);
    let remains = finish(&Env::system(), &journal, &crashed.tail, found).await.unwrap();
    assert_eq!(remains.found[&crashed.recording].len(), 1, "segments are missing before the tail");
    assert_eq!(crashed.tail.left().unwrap().len(), 1);
}
