use super::*;
use crate::testing::{ORIGIN, entry};
use sallyport_model::Env;

struct Ledger {
    entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
}

impl Ledger {
    fn of(entries: &[Entry]) -> Self {
        let entries: Vec<_> = entries.iter().map(|entry| entry.encode().unwrap()).collect();
        let leaves = entries.iter().map(|bytes| leaf_hash(bytes)).collect();
        Self { entries, leaves }
    }

    fn plain(count: i64) -> Self {
        let env = Env::system();
        Self::of(&(0..count).map(|at| entry(&env, at, "target.created", None)).collect::<Vec<_>>())
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut frontier = Frontier::new();
        self.leaves[..size].iter().for_each(|leaf| frontier.push(*leaf));
        Checkpoint::new(ORIGIN, frontier.size(), frontier.root())
    }

    fn replay(&self, checkpoints: &[Checkpoint], tiles: Option<&[Hash]>) -> Result<Summary, Wrong> {
        let mut replayer = Replayer::new(checkpoints.to_vec());
        for (n, bytes) in self.entries.iter().enumerate() {
            replayer.push(bytes, tiles.map(|tiles| &tiles[n]))?;
        }
        replayer.finish()
    }
}

#[test]
fn a_sound_ledger_adds_up() {
    let ledger = Ledger::plain(20);
    let checkpoints = [20, 0, 7, 7].map(|size| ledger.checkpoint(size));
    let summary = ledger.replay(&checkpoints, Some(&ledger.leaves)).unwrap();
    assert_eq!((summary.size, summary.signed, summary.root), (20, 20, checkpoints[0].root));
    let summary = ledger.replay(&checkpoints[2..], None).unwrap();
    assert_eq!((summary.size, summary.signed), (20, 7));
    assert_eq!(Ledger::plain(0).replay(&[], None).unwrap().root, crate::tree::empty_root());
}

#[test]
fn the_first_wrong_entry_is_named() {
    let mut ledger = Ledger::plain(20);
    let checkpoints = [5, 12, 20].map(|size| ledger.checkpoint(size));
    let leaves = ledger.leaves.clone();
    let other = Ledger::plain(20).entries;
    ledger.entries[9].clone_from(&other[9]);
    ledger.entries[15].clone_from(&other[15]);
    assert_eq!(ledger.replay(&checkpoints, Some(&leaves)), Err(Wrong::Leaf(9)));
    assert_eq!(ledger.replay(&checkpoints, None), Err(Wrong::Root { from: 5, size: 12 }));
    assert_eq!(
        Wrong::Root { from: 5, size: 12 }.to_string(),
        "the entries 5 to 11 are not those of the signed checkpoint at 12"
    );
    // Tiles and entries may both be rewritten: the signed checkpoint still tells.
    let rewritten: Vec<_> = ledger.entries.iter().map(|bytes| leaf_hash(bytes)).collect();
    assert_eq!(ledger.replay(&checkpoints, Some(&rewritten)), Err(Wrong::Root { from: 5, size: 12 }));
}

#[test]
fn deleted_inserted_reordered_and_cut_entries_are_found() {
    let ledger = Ledger::plain(20);
    let (checkpoint, leaves) = (ledger.checkpoint(20), ledger.leaves.clone());
    let altered = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut entries = ledger.entries.clone();
        change(&mut entries);
        let tiles: Vec<_> = (0..entries.len()).map(|n| leaves.get(n).copied().unwrap_or([0; 32])).collect();
        Ledger { entries, leaves: Vec::new() }.replay(std::slice::from_ref(&checkpoint), Some(&tiles))
    };
    assert!(altered(&|_| {}).is_ok());
    assert_eq!(altered(&|entries| drop(entries.remove(4))), Err(Wrong::Leaf(4)));
    assert_eq!(altered(&|entries| entries.insert(4, entries[2].clone())), Err(Wrong::Leaf(4)));
    assert_eq!(altered(&|entries| entries.swap(4, 5)), Err(Wrong::Leaf(4)));
    assert_eq!(altered(&|entries| entries.truncate(19)), Err(Wrong::Cut { entries: 19, size: 20 }));
}

#[test]
fn an_entry_that_cannot_be_read_is_wrong_and_stays_so() {
    let ledger = Ledger::plain(2);
    let mut replayer = Replayer::new([]);
    replayer.push(&ledger.entries[0], None).unwrap();
    let trailing = [ledger.entries[1].as_slice(), &[0]].concat();
    let wrong = Err(Wrong::Entry(1, entry::Error::Canonical));
    assert_eq!(replayer.push(&trailing, None), wrong);
    assert_eq!(replayer.push(&ledger.entries[1], None), wrong);
    assert_eq!(replayer.finish().map(|_| ()), wrong.map(|_| ()));
}

#[test]
fn clocks_and_sessions_are_reported() {
    let env = Env::system();
    let [one, two, three] = [1, 2, 3].map(|n| SessionId::from_bytes([n; 16]));
    let elsewhere = Entry { node: "node-2".into(), ..entry(&env, 1, "target.created", None) };
    let ledger = Ledger::of(&[
        entry(&env, 10, "session.opened", Some(one)),
        entry(&env, 30, "session.opened", Some(two)),
        entry(&env, 20, "session.closed", Some(one)),
        elsewhere,
        entry(&env, 29, "session.closed", Some(three)),
        entry(&env, 30, "channel.opened", Some(two)),
    ]);
    let summary = ledger.replay(&[], None).unwrap();
    assert_eq!((summary.regressions, summary.regressed), (2, vec![2, 4]));
    assert_eq!(summary.open, BTreeMap::from([(two, 1)]));
    assert_eq!(summary.unopened, BTreeMap::from([(three, 4)]));
}
