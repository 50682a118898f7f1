use super::*;
use crate::testing::{Ledger, Sample, bundle as parts, bundled, key, ledger};
use proptest::prelude::*;
use sallyport_ledger::bundle::{Attachment, Bundle, write};
use sallyport_ledger::{Cosigner, Entry, KeySet, Note, Signer, VOUCHED};
use sallyport_model::{ClusterId, Secret, SessionId, Timestamp};
use sallyport_recording::Truncated;
use std::cell::RefCell;

/// Something that is done to evidence.
type Change<'a, T> = &'a dyn Fn(&mut T);

/// What is wrong with a bundle under the key that it should have.
fn wrong(sample: &Sample) -> String {
    bundle(&bundled(sample, &key(1)), Some(key(1).verifier()), &[]).unwrap_err().message
}

fn altered(change: impl FnOnce(&mut Bundle)) -> String {
    let mut parts = parts(&Sample::new(), &key(1));
    change(&mut parts);
    let bytes = write(parts, &key(1)).unwrap();
    bundle(&bytes, Some(key(1).verifier()), &[]).unwrap_err().message
}

#[test]
fn a_bundle_is_verified_under_its_key() {
    let report = bundle(&bundled(&Sample::new(), &key(1)), Some(key(1).verifier()), &[]).unwrap();
    assert!(report.verified && report.pinned && report.wrong.is_none());
    assert_eq!((report.entries, report.recordings, report.size), (7, 1, 8));
    assert!(report.outcome().is_ok());
    let text = report.text();
    assert!(text.starts_with("Verified: session ses_"), "{text}");
    assert!(text.contains("3 segments, 8 events over 0 s, 2 anchors, complete to its end"), "{text}");
    assert!(text.contains("Not checked:\n"), "{text}");
}

#[test]
fn an_attested_truncation_is_verified_and_told() {
    let mut sample = Sample::new();
    sample.truncate();
    let report = bundle(&bundled(&sample, &key(1)), Some(key(1).verifier()), &[]).unwrap();
    assert!(report.verified);
    assert!(report.text().contains("truncated, as node-1 attested"), "{}", report.text());
    assert!(report.unchecked.iter().any(|line| line.contains("it was not stored")));
}

#[test]
fn unpinned_it_is_no_success_and_names_the_key() {
    let report = bundle(&bundled(&Sample::new(), &key(1)), None, &[]).unwrap();
    assert!(!report.verified && !report.pinned && report.wrong.is_none());
    let fingerprint = key(1).verifier().fingerprint();
    assert!(report.text().starts_with("Consistent, and NOT verified"));
    assert!(report.text().contains(&fingerprint));
    let fail = report.outcome().unwrap_err();
    assert_eq!(fail.code(), 1);
    assert!(fail.message.contains(&fingerprint), "{fail}");
}

#[test]
fn signed_again_with_another_key_it_fails_under_the_trusted_one() {
    let forged = bundled(&Sample::new(), &key(2));
    assert!(bundle(&forged, None, &[]).is_ok());
    let fail = bundle(&forged, Some(key(1).verifier()), &[]).unwrap_err();
    assert_eq!(fail.code(), 1);
    assert!(fail.message.contains("not the key you trust"), "{fail}");
}

#[test]
fn a_demanded_cosignature_must_be_there_and_hold() {
    let witness = Cosigner::new("witness.example/w1", &Secret::new(vec![7; 32])).unwrap();
    let trust = Some(key(1));
    let trust = trust.as_ref().map(Signer::verifier);
    let mut parts = parts(&Sample::new(), &key(1));
    let mut note = Note::parse(&parts.checkpoint).unwrap();
    let missing = bundle(&write(parts.clone(), &key(1)).unwrap(), trust, &[witness.key().clone()]).unwrap_err();
    assert!(missing.message.contains("no cosignature of the witness witness.example/w1"), "{missing}");
    note.add(&witness.cosign(&note, 1_679_315_147)).unwrap();
    parts.checkpoint = note.to_string();
    let bytes = write(parts, &key(1)).unwrap();
    let text = bundle(&bytes, trust, &[witness.key().clone()]).unwrap().text();
    assert!(text.contains("the cosignature of the witness witness.example/w1 at 2023-03-20T12:25:47"), "{text}");
    assert!(!text.contains("others see the same ledger"), "{text}");
    let text = bundle(&bytes, trust, &[]).unwrap().text();
    assert!(text.contains("in the name of witness.example/w1: give its key as --witness"), "{text}");
    let other = Cosigner::new("witness.example/w1", &Secret::new(vec![8; 32])).unwrap();
    assert!(bundle(&bytes, trust, &[other.key().clone()]).is_err());
}

#[test]
fn no_flipped_bit_is_accepted() {
    let key = key(1);
    let bytes = bundled(&Sample::new(), &key);
    let mut altered = bytes.clone();
    for bit in 0..bytes.len() * 8 {
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(bundle(&altered, Some(key.verifier()), &[]).is_err(), "bit {bit}");
        altered[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(altered, bytes);
}

/// The signature covers every byte, so that its holder alone could do this: what is inside must hold by itself.
#[test]
fn no_flipped_bit_of_the_recording_is_accepted_though_it_is_signed() {
    let sample = Sample::new();
    for byte in 0..sample.file.len() {
        let told = altered_file(&sample, |file| file[byte] ^= 1);
        assert!(!told.is_empty(), "byte {byte}");
    }
}

fn altered_file(sample: &Sample, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut parts = parts(sample, &key(1));
    change(&mut parts.attachments[1].bytes);
    let bytes = write(parts, &key(1)).unwrap();
    bundle(&bytes, Some(key(1).verifier()), &[]).unwrap_err().message
}

#[test]
fn a_wrong_recording_or_key_is_named() {
    let (one, two) = (Sample::new(), Sample::new());
    let told = altered_file(&one, |file| *file = two.file.clone());
    assert!(told.contains("the header is not the one in the ledger"), "{told}");
    let told = altered(|b| b.attachments[0].bytes = vec![7; 32]);
    assert!(told.contains("the data key is not the one that the header commits to"), "{told}");
    let told = altered(|b| b.attachments[0].bytes.truncate(31));
    assert!(told.contains("a data key is 32 bytes"), "{told}");
    let told = altered(|b| b.attachments.truncate(1));
    assert!(told.contains("and this one: recording.key"), "{told}");
    let told = altered(|b| b.attachments.push(Attachment { name: "virus.exe".into(), bytes: Vec::new() }));
    assert!(told.contains("virus.exe"), "{told}");
}

#[test]
fn a_cut_recording_is_named() {
    let sample = Sample::new();
    let whole = sample.file.clone();
    let told = altered_file(&sample, |file| file.truncate(whole.len() - 1));
    assert!(told.contains("segment 2 is torn"), "{told}");
    let told = altered_file(&sample, |file| *file = sample.container(2));
    assert!(told.contains("has 2 segments and the ledger says 3; it was cut"), "{told}");
    // A truncation that nobody attested.
    let mut cut = Sample::new();
    let story = cut.entries.clone();
    cut.truncate();
    cut.entries = story;
    assert!(wrong(&cut).contains("it was cut"), "{}", wrong(&cut));
}

#[test]
fn wrong_anchors_and_ends_are_named() {
    let told = |action: &str, facts: &[(&str, &str)]| {
        let mut sample = Sample::new();
        sample.change(action, facts);
        wrong(&sample)
    };
    let other = "00".repeat(32);
    let anchor = told("recording.anchor", &[("chain", &other)]);
    assert!(anchor.contains("after 3 segments the recording differs from its anchor"), "{anchor}");
    let beyond = told("recording.anchor", &[("segments", "4")]);
    assert!(beyond.contains("has 3 segments and the ledger says 4"), "{beyond}");
    let end = told("session.closed", &[("chain", &other)]);
    assert!(end.contains("otherwise than the ledger says"), "{end}");
    let incomplete = told("session.closed", &[("complete", "false")]);
    assert!(incomplete.contains("otherwise than the ledger says"), "{incomplete}");
    for (action, fact) in [
        ("session.opened", "header"),
        ("session.opened", "recording"),
        ("recording.anchor", "chain"),
        ("recording.anchor", "segments"),
        ("session.closed", "complete"),
        ("session.closed", "recording"),
    ] {
        let told = told(action, &[(fact, "x")]);
        assert!(told.contains(&format!("({action}): its fact `{fact}` is not readable")), "{told}");
    }
    let header = told("session.opened", &[("header", &other)]);
    assert!(header.contains("the header is not the one in the ledger"), "{header}");
}

#[test]
fn entries_that_do_not_tell_one_story_are_named() {
    let told = |change: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::new();
        change(&mut sample);
        wrong(&sample)
    };
    let cases: [(Change<'_, Sample>, &str); 8] = [
        (&|s| s.entries.retain(|e| e.action != "session.closed"), "no entry closes the session"),
        (&|s| s.entries.retain(|e| e.action != "session.opened"), "the session was not opened before"),
        (&|s| s.entries.truncate(2), "no entry opens the session"),
        (&|s| s.entries.push(s.entries[6].clone()), "entry 8 (session.closed): the session was closed before"),
        (&|s| s.entries.push(s.entries[2].clone()), "entry 8 (session.opened): the session was opened before"),
        (&|s| s.entries[4].object = "rec_x".into(), "entry 4 (recording.anchor): it anchors another recording"),
        (&|s| s.entries[3].session = Some(SessionId::new(&s.env)), "entry 3 is of another session"),
        (&|s| s.entries[0].object = ClusterId::new(&s.env).to_string(), "entry 0 founds another installation"),
    ];
    for (change, wanted) in cases {
        let told = told(change);
        assert!(told.contains(wanted), "{told} for {wanted}");
    }
    let told = altered(|b| drop(b.entries.remove(0)));
    assert!(told.contains("founds the installation is not in the bundle"), "{told}");
    let told = altered(|b| b.manifest.what = "everything".into());
    assert!(told.contains("it is of no session"), "{told}");
    let told = altered(|b| b.manifest.cluster = ClusterId::from_bytes([1; 16]));
    assert!(told.contains("founds another installation"), "{told}");
}

#[test]
fn the_key_is_a_text_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, text) = (dir.path().join("ledger.pub"), key(1).verifier().to_string());
    std::fs::write(&path, format!("{text}\n")).unwrap();
    assert_eq!(&trusted(&text).unwrap(), key(1).verifier());
    assert_eq!(&trusted(path.to_str().unwrap()).unwrap(), key(1).verifier());
    std::fs::write(&path, "no key").unwrap();
    assert_eq!(trusted(path.to_str().unwrap()).unwrap_err().code(), 2);
    assert_eq!(trusted("/nowhere").unwrap_err().code(), 2);
}

#[test]
fn the_command_fails_unless_it_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.spb");
    std::fs::write(&path, bundled(&Sample::new(), &key(1))).unwrap();
    let run = |path: &Path, trust: Option<u8>| {
        let trust = trust.map(|seed| key(seed).verifier().to_string());
        judge(&Verify { path: path.into(), trust, witness: Vec::new() }, None)
            .and_then(|report| report.outcome())
            .map_err(|fail| fail.code())
    };
    assert_eq!(run(&path, Some(1)), Ok(()));
    assert_eq!(run(&path, Some(2)), Err(1));
    assert_eq!(run(&path, None), Err(1));
    assert_eq!(run(dir.path(), None), Err(2));
    assert_eq!(run(&dir.path().join("nothing"), None), Err(2));
    std::fs::write(&path, b"no bundle").unwrap();
    assert_eq!(run(&path, Some(1)), Err(1));
}

impl LedgerSource for Ledger {
    fn entries(&mut self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Fail> {
        let rows = (0_u64..).zip(&self.entries).filter(|(index, bytes)| *index >= from && !bytes.is_empty());
        Ok(rows.map(|(index, bytes)| (index, bytes.clone())).take(usize::try_from(limit).unwrap()).collect())
    }

    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Fail> {
        let tile = self.tiles.get(&id).filter(|bytes| bytes.len() == id.length());
        tile.cloned().ok_or_else(|| Fail::failed(format!("{id} is missing")))
    }

    fn head(&mut self) -> Result<String, Fail> {
        Ok(self.note.clone())
    }
}

/// A data directory with one session among `padding` further entries.
fn directory(padding: usize) -> (tempfile::TempDir, Sample, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    let filler = sample.entry("policy.applied", "abc", &[]);
    sample.entries.splice(1..1, std::iter::repeat_n(filler, padding));
    let recordings = dir.path().join("recordings");
    std::fs::create_dir(&recordings).unwrap();
    std::fs::write(recordings.join(format!("{}.sprec", sample.header.facts.recording)), &sample.file).unwrap();
    std::fs::write(dir.path().join(DATABASE), b"").unwrap();
    let ledger = ledger(&sample.entries, &key(1));
    (dir, sample, ledger)
}

fn told(dir: &Path, ledger: &mut Ledger) -> String {
    directory::check(dir, ledger, Some(key(1).verifier())).unwrap_err().message
}

#[test]
fn a_data_directory_is_verified() {
    for padding in [0, 248, 249, 600] {
        let (dir, _, mut ledger) = directory(padding);
        let report = directory::check(dir.path(), &mut ledger, Some(key(1).verifier())).unwrap();
        assert!(report.verified);
        assert_eq!((report.entries, report.recordings), (u64::try_from(padding).unwrap() + 8, 1));
        let report = directory::check(dir.path(), &mut ledger, None).unwrap();
        assert!(!report.verified && report.outcome().is_err());
        assert!(directory::check(dir.path(), &mut ledger, Some(key(2).verifier())).is_err());
    }
}

#[test]
fn the_first_wrong_entry_or_tile_is_named() {
    let (dir, sample, _) = directory(300);
    let fresh = || ledger(&sample.entries, &key(1));
    let with = |change: &dyn Fn(&mut Ledger)| {
        let mut ledger = fresh();
        change(&mut ledger);
        told(dir.path(), &mut ledger)
    };
    let cases: [(Change<'_, Ledger>, &str); 8] = [
        (&|l| l.entries[271][9] ^= 1, "entry 271 was altered"),
        (&|l| l.entries.swap(302, 303), "entry 302 was altered"),
        (&|l| l.entries[5].clear(), "entry 5 is missing"),
        (&|l| l.entries.truncate(307), "entry 307 is missing"),
        (&|l| l.entries.push(l.entries[1].clone()), "entry 308 is behind the signed end"),
        (&|l| l.entries[0].clear(), "entry 0 is missing"),
        (&|l| drop(l.tiles.remove(&TileId { level: 0, index: 1, width: 52 })), "tile/0/001.p/52 is missing"),
        (&|l| l.tiles.values_mut().last().unwrap()[3] ^= 1, "tile/1/000.p/1 was altered"),
    ];
    for (change, wanted) in cases {
        let told = with(change);
        assert!(told.contains(wanted), "{told} for {wanted}");
    }
    // Entry and leaf hash altered together: the signed root remains.
    let told = with(&|l| {
        l.entries[7] = sample.entry("policy.applied", "xyz", &[]).encode().unwrap();
        let tile = l.tiles.get_mut(&TileId { level: 0, index: 0, width: 256 }).unwrap();
        tile[7 * 32..8 * 32].copy_from_slice(&sallyport_ledger::leaf_hash(&l.entries[7]));
    });
    assert!(told.contains("was altered") || told.contains("not those of the signed checkpoint"), "{told}");
}

#[test]
fn recordings_that_are_not_what_the_ledger_says_are_named() {
    let (dir, sample, mut ledger) = directory(0);
    let path = dir.path().join(format!("recordings/{}.sprec", sample.header.facts.recording));
    let mut with = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        told(dir.path(), &mut ledger)
    };
    for byte in 0..sample.file.len() {
        let mut altered = sample.file.clone();
        altered[byte] ^= 0x10;
        assert!(with(&altered).contains("recordings/rec_"), "byte {byte}");
    }
    assert!(with(&sample.container(2)).contains("it was cut"));
    assert!(with(&sample.file[..sample.file.len() - 1]).contains("torn"));
    assert!(with(&Sample::new().file).contains("the header is not the one in the ledger"));
    std::fs::remove_file(&path).unwrap();
    assert!(told(dir.path(), &mut ledger).contains("cannot be read"));
    std::fs::write(&path, &sample.file).unwrap();
    std::fs::write(dir.path().join("recordings/other.sprec"), b"").unwrap();
    assert!(told(dir.path(), &mut ledger).contains("belongs to no session"));
}

#[test]
fn a_truncated_recording_and_an_open_session_are_no_errors() {
    let (dir, mut sample, _) = directory(0);
    sample.truncate();
    let path = dir.path().join(format!("recordings/{}.sprec", sample.header.facts.recording));
    std::fs::write(&path, &sample.file).unwrap();
    let mut truncated = ledger(&sample.entries, &key(1));
    assert!(directory::check(dir.path(), &mut truncated, Some(key(1).verifier())).unwrap().verified);
    std::fs::remove_file(&path).unwrap();
    sample.entries.truncate(5);
    let mut open = ledger(&sample.entries, &key(1));
    let report = directory::check(dir.path(), &mut open, Some(key(1).verifier())).unwrap();
    assert!(report.unchecked.iter().any(|line| line.contains("does not close, 1 in number")), "{:?}", report.unchecked);
}

/// A note by which one node's key vouches for others.
fn vouching(by: u8, keys: &[u8]) -> String {
    let keys = keys.iter().map(|seed| key(*seed).verifier().clone()).collect();
    KeySet { origin: key(by).verifier().name().to_owned(), keys }.sign(&key(by)).unwrap()
}

#[test]
fn entries_of_several_nodes_verify_under_one_trusted_key() {
    let (dir, sample, _) = directory(0);
    let vouched = |by: u8, keys: &[u8]| sample.entry(VOUCHED, "nodes", &[("note", vouching(by, keys))]);
    let listed =
        |action: &str, seed: u8| sample.entry(action, "node", &[("ledger_key", key(seed).verifier().to_string())]);
    let check = |more: &[Entry], head: u8, trust: u8| {
        let entries = [sample.entries.clone(), more.to_vec()].concat();
        let report = directory::check(dir.path(), &mut ledger(&entries, &key(head)), Some(key(trust).verifier()));
        report.map(|report| report.text()).map_err(|fail| fail.message)
    };
    let both = [listed("node.joined", 2), vouched(1, &[1, 2])];
    let text = check(&both, 2, 1).unwrap();
    assert!(text.starts_with("Verified") && text.contains("one of 2 nodes"), "{text}");
    assert!(check(&both, 1, 1).is_ok());
    // The second node's key leads nowhere before that node has vouched for the first one's.
    assert!(check(&both, 1, 2).is_err());
    assert!(check(&[both.as_slice(), &[vouched(2, &[1, 2])]].concat(), 1, 2).is_ok());
    // Over two steps, in whatever order the notes were written.
    assert!(check(&[vouched(2, &[3]), vouched(1, &[2])], 3, 1).is_ok());
    // A key that was never listed, or that speaks for itself alone.
    assert!(check(&both, 3, 1).unwrap_err().contains("no trusted key"), "{}", check(&both, 3, 1).unwrap_err());
    assert!(check(&[both.as_slice(), &[vouched(3, &[3])]].concat(), 3, 1).is_err());
    // A removed node signs no head any more, be it the founder's, whose key goes on to lead to the others.
    let gone = |seed| [both.as_slice(), &[listed("node.removed", seed)]].concat();
    assert!(check(&gone(2), 2, 1).is_err());
    assert!(check(&gone(2), 1, 1).is_ok());
    assert!(check(&gone(1), 2, 1).is_ok());
    assert!(check(&gone(1), 1, 1).is_err());
    let again = [gone(2).as_slice(), &[listed("node.joined", 2)]].concat();
    assert!(check(&again, 2, 1).is_ok());
}

#[test]
fn an_exported_ledger_is_verified_without_its_recordings_and_says_so() {
    let (dir, sample, _) = directory(0);
    let exported = dir.path().join("exported");
    std::fs::write(&exported, [MAGIC, b"..."].concat()).unwrap();
    let args = Verify { path: exported, trust: Some(key(1).verifier().to_string()), witness: Vec::new() };
    STORED.set(Some(ledger(&sample.entries, &key(1))));
    let report = judge(&args, Some(stored)).unwrap();
    assert!(report.verified && report.unchecked.iter().any(|line| line.contains("the recordings of 1 sessions")));
    STORED.set(Some(ledger(&sample.entries, &key(2))));
    assert!(judge(&args, Some(stored)).unwrap().outcome().is_err());
    let witness = vec![Cosigner::new("w", &Secret::new(vec![7; 32])).unwrap().key().to_string()];
    assert_eq!(judge(&Verify { witness, ..args }, Some(stored)).unwrap_err().code(), 2);
}

#[test]
fn what_a_crash_left_at_the_begin_of_a_session_is_told_and_no_error() {
    let (dir, mut sample, _) = directory(0);
    let path = dir.path().join(format!("recordings/{}.sprec", sample.header.facts.recording));
    let other = Sample::new();
    let place = dir.path().join(format!("recordings/{}.sprec", other.header.facts.recording));
    let record = Truncated { segments: 0, chain: other.header.hash(), by: "node-1".into(), at: Timestamp(9) };
    let header = [other.container(0), record.frame().unwrap()].concat();
    let check = |ledger: &mut Ledger| directory::check(dir.path(), ledger, Some(key(1).verifier()));
    std::fs::write(&place, &header).unwrap();
    let report = check(&mut ledger(&sample.entries, &key(1))).unwrap();
    assert!(report.checked.iter().any(|line| line.contains("1 recordings without content")), "{:?}", report.checked);
    // With content, or without a word on its end, it is no rest of a crash.
    for bytes in [other.container(0), other.container(1)] {
        std::fs::write(&place, bytes).unwrap();
        assert!(told(dir.path(), &mut ledger(&sample.entries, &key(1))).contains("belongs to no session"));
    }
    std::fs::remove_file(&place).unwrap();

    // The ledger itself says that nothing was recorded: then no file is missing. Otherwise one is.
    std::fs::remove_file(&path).unwrap();
    sample.entries.retain(|entry| entry.action != "recording.anchor");
    for (segments, chain, good) in [("0", "00", true), ("0", "01", false), ("1", "00", false)] {
        sample.change("session.closed", &[("segments", segments), ("chain", &chain.repeat(32)), ("complete", "false")]);
        let outcome = check(&mut ledger(&sample.entries, &key(1)));
        assert_eq!(
            outcome.is_ok_and(|r| r.checked.iter().any(|l| l.contains("nothing was recorded"))),
            good,
            "{segments} {chain}"
        );
    }
}

thread_local! {
    static STORED: RefCell<Option<Ledger>> = const { RefCell::new(None) };
}

fn stored(_: &Path) -> Result<Box<dyn LedgerSource>, Fail> {
    match STORED.take() {
        Some(ledger) => Ok(Box::new(ledger)),
        None => Err(Fail::failed("no ledger")),
    }
}

#[test]
fn the_command_opens_a_data_directory_by_the_port() {
    let (dir, _, ledger) = directory(0);
    STORED.set(Some(ledger));
    let args = Verify { path: dir.path().into(), trust: Some(key(1).verifier().to_string()), witness: Vec::new() };
    let run =
        |open: Option<OpenLedger>| judge(&args, open).and_then(|report| report.outcome()).map_err(|fail| fail.code());
    assert_eq!(run(Some(stored)), Ok(()));
    assert_eq!(run(Some(stored)), Err(1));
    assert_eq!(run(None), Err(2));
}

#[test]
fn programs_get_one_value_that_says_it_all() {
    let report = bundle(&bundled(&Sample::new(), &key(1)), Some(key(1).verifier()), &[]).unwrap();
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!((&value["verified"], &value["pinned"], &value["entries"]), (&true.into(), &true.into(), &7.into()));
    assert_eq!(value["fingerprint"], key(1).verifier().fingerprint());
    assert_eq!(value.get("wrong"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(bundle(&bytes, None, &[]).is_err());
    }
}
