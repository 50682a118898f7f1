use super::super::journal::{Journal, Sizes};
use super::super::tail::{HALF, Tail};
use super::{Recorder, Recording};
use crate::conformance::bench::until;
use sallyport_model::authority::RecordingKey;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::{ClusterId, Env, RecordingId, SessionId};
use sallyport_recording::{Event, Facts, What, WhatRef, container, replay};
use std::sync::Arc;
use std::time::Duration;

struct Rig {
    directory: tempfile::TempDir,
    journal: Journal,
    recorder: Arc<Recorder>,
    private: PrivateKey,
    public: RecordingKey,
}

fn rig(sizes: Sizes) -> Rig {
    let env = Env::system();
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(&directory.path().join("journal"), sizes).unwrap();
    let (private, key) = PrivateKey::generate(&env).unwrap();
    let tail = Tail::create(4).unwrap();
    let recorder = Recorder::start(env, journal.clone(), tail, &directory.path().join("recordings"));
    Rig { directory, journal, recorder, private, public: RecordingKey { epoch: 1, key } }
}

impl Rig {
    fn begin(&self) -> Arc<Recording> {
        let env = Env::system();
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
        self.recorder.begin(facts, &self.public).unwrap()
    }

    fn read(&self, recording: &Recording) -> Vec<Event> {
        let path = self.directory.path().join(format!("recordings/{}.sprec", recording.id()));
        let bytes = std::fs::read(path).unwrap();
        let key = container::parse(&bytes).unwrap().header.open(&self.private).unwrap();
        replay(&bytes, &key).unwrap().map(Result::unwrap).collect()
    }
}

fn output(event: &Event) -> Vec<u8> {
    if let What::Output(bytes) = &event.what { bytes.clone() } else { Vec::new() }
}

fn total(events: &[Event]) -> usize {
    events.iter().map(|event| if let What::Output(bytes) = &event.what { bytes.len() } else { 0 }).sum()
}

#[tokio::test]
async fn everything_pushed_is_in_the_file_in_order() {
    let rig = rig(Sizes::default());
    let recording = rig.begin();
    recording.opened().await.unwrap();
    for n in 0..200_u32 {
        let bytes = vec![u8::try_from(n % 251).unwrap(); 5000];
        recording.push(n, WhatRef::Output(&bytes)).await.unwrap();
    }
    let at = recording.finish().await.unwrap();
    assert_eq!(at, recording.reached());
    let events = rig.read(&recording);
    assert_eq!(total(&events), 1_000_000);
    assert_eq!(events.iter().map(|e| e.channel).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert!(recording.push(0, WhatRef::Output(b"late")).await.is_err());
}

#[tokio::test]
async fn a_trickle_is_in_the_journal_within_the_pulse() {
    let rig = rig(Sizes::default());
    let recording = rig.begin();
    recording.push(1, WhatRef::Input(b"x")).await.unwrap();
    until(Duration::from_millis(900), || rig.journal.read(recording.id()).count() == 2).await.unwrap();
    let (segments, _) = recording.anchor().await.unwrap();
    assert_eq!(segments, 1);
}

#[tokio::test]
async fn a_small_node_budget_slows_and_loses_nothing() {
    let rig = rig(Sizes { file: 1 << 20, queue: u32::try_from(HALF).unwrap() + 4096 });
    let (one, two) = (rig.begin(), rig.begin());
    let write = async |recording: &Arc<Recording>| {
        for _ in 0..100 {
            recording.push(1, WhatRef::Output(&[7; 30_000])).await.unwrap();
        }
        recording.finish().await.unwrap();
    };
    tokio::join!(write(&one), write(&two));
    assert_eq!((total(&rig.read(&one)), total(&rig.read(&two))), (3_000_000, 3_000_000));
}

#[tokio::test]
async fn a_broken_journal_freezes_and_takes_nothing_new() {
    let rig = rig(Sizes::default());
    let recording = rig.begin();
    recording.opened().await.unwrap();
    rig.journal.break_down();
    let mut frozen = rig.recorder.frozen();
    tokio::time::timeout(Duration::from_secs(2), frozen.wait_for(|frozen| *frozen)).await.unwrap().unwrap();
    assert!(recording.finish().await.is_err());
}

#[tokio::test]
async fn a_journal_that_sticks_freezes_and_loses_nothing() {
    let rig = rig(Sizes::default());
    let recording = rig.begin();
    recording.opened().await.unwrap();
    let mut frozen = rig.recorder.frozen();
    for n in 0..3_u8 {
        let stuck = rig.journal.stick();
        recording.push(1, WhatRef::Output(&[n])).await.unwrap();
        frozen.wait_for(|frozen| *frozen).await.unwrap();
        recording.push(1, WhatRef::Output(b"!")).await.unwrap();
        drop(stuck);
        frozen.wait_for(|frozen| !*frozen).await.unwrap();
    }
    recording.finish().await.unwrap();
    let bytes: Vec<u8> = rig.read(&recording).iter().flat_map(output).collect();
    assert_eq!(bytes, b"\x00!\x01!\x02!");
}

#[tokio::test]
async fn a_recording_whose_file_cannot_be_written_is_whole_and_gets_it_later() {
    let rig = rig(Sizes::default());
    let place = rig.directory.path().join("recordings");
    std::fs::write(&place, "in the way").unwrap();
    let recording = rig.begin();
    recording.push(1, WhatRef::Output(b"kept")).await.unwrap();
    assert_eq!(recording.finish().await.unwrap(), recording.reached());
    assert_eq!(rig.journal.read(recording.id()).count(), 2, "the journal has header and end");
    std::fs::remove_file(&place).unwrap();
    until(Duration::from_secs(5), || rig.journal.read(recording.id()).count() == 0).await.unwrap();
    assert_eq!(total(&rig.read(&recording)), 4);
}
