use super::file::{bytes_of, read_bytes};
use super::{Entry, EntryKind, Error, Health, Journal, Sizes};
use proptest::prelude::*;
use sallyport_model::{Env, RecordingId};
use sallyport_testkit::faults::{Space, space};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn entry(recording: RecordingId, kind: EntryKind, bytes: &[u8]) -> Entry {
    Entry { recording, kind, bytes: bytes.to_vec() }
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

async fn fill(journal: &Journal, recording: RecordingId, segments: u8) {
    journal.append(entry(recording, EntryKind::Header, b"header"), false, None);
    let mut last = None;
    for n in 0..segments {
        last = Some(journal.append(entry(recording, EntryKind::Segment, &[n; 100]), false, None));
    }
    journal.durable(last.unwrap()).await.unwrap();
}

#[tokio::test]
async fn what_is_durable_is_found_again_until_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let env = Env::system();
    let (one, two) = (RecordingId::new(&env), RecordingId::new(&env));
    let (journal, found) = Journal::open(directory.path(), Sizes::default()).unwrap();
    assert!(found.is_empty());
    fill(&journal, one, 3).await;
    fill(&journal, two, 2).await;
    assert_eq!(journal.read(one).count(), 4);
    journal.forget(one);
    let after = journal.append(entry(two, EntryKind::Segment, b"last"), true, None);
    journal.durable(after).await.unwrap();
    assert!(journal.read(one).next().is_none());
    drop(journal);
    let (journal, found) = Journal::open(directory.path(), Sizes::default()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&two]);
    assert_eq!(found[&two].last().unwrap().bytes, b"last");
    assert_eq!(journal.read(two).map(Result::unwrap).collect::<Vec<_>>(), found[&two]);
}

#[tokio::test]
async fn files_roll_over_and_go_when_nobody_needs_them() {
    let directory = tempfile::tempdir().unwrap();
    let env = Env::system();
    let (one, two) = (RecordingId::new(&env), RecordingId::new(&env));
    let (journal, _) = Journal::open(directory.path(), Sizes { file: 200, queue: 1 << 20 }).unwrap();
    for n in 0..10_u8 {
        let last = journal.append(entry(one, EntryKind::Segment, &[n; 150]), true, None);
        journal.durable(last).await.unwrap();
    }
    assert!(files(directory.path()) > 5);
    assert_eq!(journal.read(one).count(), 10);
    journal.forget(one);
    let last = journal.append(entry(two, EntryKind::Segment, &[0; 150]), true, None);
    journal.durable(last).await.unwrap();
    assert!(files(directory.path()) <= 2, "{}", files(directory.path()));
}

#[tokio::test]
async fn a_torn_end_is_cut_and_the_rest_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let recording = RecordingId::new(&Env::system());
    let (journal, _) = Journal::open(directory.path(), Sizes::default()).unwrap();
    fill(&journal, recording, 3).await;
    drop(journal);
    let file = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let (journal, found) = Journal::open(directory.path(), Sizes::default()).unwrap();
    assert_eq!(found[&recording].len(), 3);
    let last = journal.append(entry(recording, EntryKind::Segment, b"again"), true, None);
    journal.durable(last).await.unwrap();
    drop(journal);
    let (_, found) = Journal::open(directory.path(), Sizes::default()).unwrap();
    assert_eq!(found[&recording].len(), 4);
}

#[tokio::test]
async fn a_failure_is_final_and_known_to_all_who_wait() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(directory.path(), Sizes::default()).unwrap();
    journal.break_down();
    let ticket = journal.append(entry(RecordingId::new(&Env::system()), EntryKind::Header, b"x"), true, None);
    assert!(matches!(journal.durable(ticket).await, Err(Error::Failed)) || journal.health() == Health::Failed);
    assert!(!journal.health().good());
}

#[tokio::test]
async fn an_entry_that_cannot_be_written_fails_it() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(directory.path(), Sizes::default()).unwrap();
    let recording = RecordingId::new(&Env::system());
    // Larger than any entry may be.
    let ticket = journal.append(entry(recording, EntryKind::Segment, &vec![0; 5 << 20]), true, None);
    assert!(matches!(journal.durable(ticket).await, Err(Error::Failed)));
    assert_eq!(journal.health(), Health::Failed);
}

/// A test in a thread of its own, with a full disk of so many MiB at a path that nobody else sees.
fn on_a_small_disk(mib: u32, test: impl AsyncFnOnce(PathBuf, &Space) + Send + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    std::fs::create_dir(&path).unwrap();
    let alone = std::thread::spawn(move || {
        space::own_mounts().unwrap();
        let space = Space::under(&path, mib).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(path, &space));
    });
    alone.join().unwrap();
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    on_a_small_disk(4, async |path, space| {
        let recording = RecordingId::new(&Env::system());
        // Files so short that there is no room for a next one either.
        let (journal, _) = Journal::open(&path, Sizes { file: 100 << 10, queue: 64 << 20 }).unwrap();
        let segment = |n: u8| entry(recording, EntryKind::Segment, &vec![n; 50 << 10]);
        let before = journal.append(segment(0), false, None);
        journal.written(before).await.unwrap();
        for round in 0..3 {
            space.fill().unwrap();
            let held: Vec<_> = (1..9_u8).map(|n| journal.append(segment(round * 8 + n), n == 8, None)).collect();
            while journal.health() != Health::Full {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(!journal.health().good(), "sessions are not frozen");
            journal.durable(before).await.unwrap();
            assert!(!journal.is_written(held[7]));
            space.free().unwrap();
            journal.durable(held[7]).await.unwrap();
            assert!(journal.health().good(), "sessions stay frozen");
        }
        let read: Vec<_> = journal.read(recording).map(|entry| entry.unwrap().bytes[0]).collect();
        assert_eq!(read, (0..25).collect::<Vec<_>>());
        assert!(files(&path) > 3, "no file was begun after the room came back");
        drop(journal);
        let (_, found) = Journal::open(&path, Sizes::default()).unwrap();
        assert_eq!(found[&recording].iter().map(|entry| entry.bytes[0]).collect::<Vec<_>>(), read);
    });
}

#[test]
fn a_journal_that_nobody_holds_does_not_wait_for_room() {
    on_a_small_disk(2, async |path, space| {
        let (journal, _) = Journal::open(&path, Sizes::default()).unwrap();
        space.fill().unwrap();
        journal.append(entry(RecordingId::new(&Env::system()), EntryKind::Segment, &[0; 9000]), true, None);
        let mut progress = journal.progress();
        while journal.health() != Health::Full {
            progress.changed().await.unwrap();
        }
        drop(journal);
        while progress.changed().await.is_ok() {}
    });
}

#[tokio::test]
async fn room_is_bounded_and_comes_back_once_written() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(directory.path(), Sizes { file: 1 << 20, queue: 1000 }).unwrap();
    let room = journal.try_reserve(800);
    assert!(room.is_some() && journal.try_reserve(300).is_none());
    let ticket = journal.append(entry(RecordingId::new(&Env::system()), EntryKind::Segment, &[0; 800]), false, room);
    journal.written(ticket).await.unwrap();
    assert!(journal.reserve(900).await.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_bytes_make_an_entry_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_bytes(&bytes);
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = bytes_of(&entry(RecordingId::new(&Env::system()), EntryKind::Segment, b"some bytes"));
    for bit in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(read_bytes(&altered).is_none(), "bit {bit}");
    }
}

#[tokio::test]
async fn lag_is_what_the_oldest_entry_waits() {
    let shared = super::state::Shared::new(std::collections::HashMap::new());
    assert_eq!(shared.health(), Health::Lag(Duration::ZERO));
    shared.appended(|_| true);
    // Too close to the first to be noted by itself.
    shared.appended(|_| true);
    assert!(shared.health().good() && shared.health().prompt());
    tokio::time::sleep(Health::LATE + Duration::from_millis(10)).await;
    assert!(
        !shared.health().prompt(),
        "clients' bytes wait before a quarter of a second is over since the sync was due"
    );
    assert!(Health::LATE < super::GROUP + Duration::from_millis(250));
    tokio::time::sleep(Health::MOST - Health::LATE).await;
    assert!(!shared.health().good());
    shared.synced(1);
    assert!(shared.health().good() && shared.health() != Health::Lag(Duration::ZERO));
    // The disk sticks now and nothing more arrives: the second entry is not forgotten.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert!(!shared.health().good());
    shared.synced(2);
    assert_eq!(shared.health(), Health::Lag(Duration::ZERO));
    shared.fail();
    assert_eq!(shared.health(), Health::Failed);
}
