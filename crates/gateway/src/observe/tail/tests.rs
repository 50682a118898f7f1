use super::{FRAMES, HALF, Tail, at, start};
use sallyport_model::{Env, RecordingId, SessionId};

const KEY: [u8; 32] = [5; 32];
const CHAIN: [u8; 32] = [6; 32];

#[test]
fn what_was_appended_is_there_for_the_next_process() {
    let env = Env::system();
    let (session, recording) = (SessionId::new(&env), RecordingId::new(&env));
    let parent = Tail::create(4).unwrap();
    let number = parent.share().unwrap();
    let child = Tail::inherit(number).unwrap();
    let mut slot = child.claim(session, recording, &KEY, &CHAIN).unwrap();
    assert!(slot.append(0, b"first ").unwrap());
    assert!(slot.append(0, b"half").unwrap());
    slot.restart(1, 1, &[7; 32]).unwrap();
    assert!(slot.append(1, b"second half").unwrap());
    drop((slot, child));
    let next = Tail::inherit(number).unwrap();
    let left = next.left().unwrap();
    let [left] = left.as_slice() else { panic!("{} slots", left.len()) };
    assert_eq!((left.session, left.recording), (session, recording));
    assert_eq!(left.key.expose(), &KEY);
    let halves: Vec<_> = left.halves.iter().map(|h| (h.seq, h.chain, h.bytes.as_slice())).collect();
    assert_eq!(halves, [(0, CHAIN, b"first half".as_slice()), (1, [7; 32], b"second half".as_slice())]);
    next.release(left).unwrap();
    assert!(next.left().unwrap().is_empty());
    assert!(parent.left().unwrap().is_empty());
}

#[test]
fn a_half_takes_what_fits_and_a_released_slot_holds_no_key() {
    let env = Env::system();
    let tail = Tail::create(1).unwrap();
    let mut slot = tail.claim(SessionId::new(&env), RecordingId::new(&env), &KEY, &CHAIN).unwrap();
    assert!(slot.append(0, &vec![1; HALF - FRAMES]).unwrap());
    assert!(!slot.append(0, b"x").unwrap());
    assert!(tail.claim(SessionId::new(&env), RecordingId::new(&env), &KEY, &CHAIN).is_err());
    slot.release().unwrap();
    let mut bytes = vec![0; 4096];
    std::os::unix::fs::FileExt::read_exact_at(&*tail.file, &mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0));
    assert!(tail.claim(SessionId::new(&env), RecordingId::new(&env), &KEY, &CHAIN).is_ok());
}

#[test]
fn a_half_that_a_flood_filled_gives_its_memory_back_and_takes_more() {
    let env = Env::system();
    let tail = Tail::create(1).unwrap();
    let mut slot = tail.claim(SessionId::new(&env), RecordingId::new(&env), &KEY, &CHAIN).unwrap();
    let used = || std::os::unix::fs::MetadataExt::blocks(&tail.file.metadata().unwrap()) * 512;
    assert!(slot.append(0, &vec![1; HALF - FRAMES]).unwrap() && slot.append(1, b"kept").unwrap());
    assert!(slot.is_larger(0, HALF - 1) && !slot.is_larger(1, 4 + FRAMES) && used() >= u64::try_from(HALF).unwrap());
    slot.shrink(0).unwrap();
    assert!(!slot.is_larger(0, 0) && used() < 16 << 10, "{}", used());
    assert_eq!(tail.left().unwrap()[0].halves.iter().map(|half| half.bytes.clone()).collect::<Vec<_>>(), [b"kept"]);
    slot.restart(0, 2, &CHAIN).unwrap();
    assert!(slot.append(0, b"more").unwrap() && slot.is_larger(0, 3));
    assert_eq!(tail.left().unwrap()[0].halves.len(), 2);
}

/// A process can die in the middle of a write: of what it wrote then nothing counts, and all that was before does.
#[test]
fn a_torn_event_is_none_and_hides_none_before_it() {
    let env = Env::system();
    let tail = Tail::create(1).unwrap();
    let mut slot = tail.claim(SessionId::new(&env), RecordingId::new(&env), &KEY, &CHAIN).unwrap();
    let bytes =
        |slot: &super::Slot| slot.tail.left().unwrap()[0].halves.iter().map(|h| h.bytes.clone()).collect::<Vec<_>>();
    // What lies there of an earlier filling must not be taken for the end of a torn event.
    for _ in 0..8 {
        assert!(slot.append(0, b"old").unwrap());
    }
    slot.restart(0, 2, &CHAIN).unwrap();
    assert_eq!(bytes(&slot), Vec::<Vec<u8>>::new());
    assert!(slot.append(0, b"whole").unwrap());
    let mut event = Vec::new();
    event.extend(super::frame(2, 4));
    event.extend(b"torn");
    event.extend(super::frame(2, 4));
    let place = at(0, start(0)) + u64::try_from(5 + FRAMES).unwrap();
    for written in 1..event.len() {
        std::os::unix::fs::FileExt::write_all_at(&*tail.file, &event[..written], place).unwrap();
        assert_eq!(bytes(&slot), [b"whole"], "after {written} bytes");
    }
    std::os::unix::fs::FileExt::write_all_at(&*tail.file, &event, place).unwrap();
    assert_eq!(bytes(&slot), [b"wholetorn"]);
}
