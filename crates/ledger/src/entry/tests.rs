use super::*;
use crate::testing;
use proptest::prelude::*;
use sallyport_model::Env;

fn sample() -> Entry {
    let session = SessionId::from_bytes([2; 16]);
    Entry {
        id: EntryId::from_bytes([1; 16]),
        ..testing::entry(&Env::system(), 1_000_000, "session.opened", Some(session))
    }
}

#[test]
fn golden() {
    let expected = "a8\
        0050 01010101010101010101010101010101\
        011a000f4240\
        02666e6f64652d31\
        0364616e6e61\
        046e73657373696f6e2e6f70656e6564\
        056a726f6f74407765622d31\
        065002020202020202020202020202020202\
        07a26466726f6d693139322e302e322e37\
        66726561736f6e696469736b2066756c6c"
        .replace(' ', "");
    assert_eq!(hex::encode(sample().encode().unwrap()), expected);
}

#[test]
fn shorter_fact_names_come_first() {
    let facts = [("aa", "1"), ("b", "2"), ("a", "3"), ("", "4")];
    let entry = Entry { facts: facts.map(|(k, v)| (k.into(), v.into())).into(), ..sample() };
    let bytes = entry.encode().unwrap();
    assert!(bytes.ends_with(b"\xa4\x60\x614\x61a\x613\x61b\x612\x62aa\x611"));
    assert_eq!(Entry::decode(&bytes).unwrap(), entry);
}

#[test]
fn other_encodings_are_refused() {
    let entry = Entry { facts: BTreeMap::from([("a".into(), "1".into()), ("bb".into(), "2".into())]), ..sample() };
    let bytes = entry.encode().unwrap();
    let tail = b"\xa2\x61a\x611\x62bb\x612";
    let head = bytes.strip_suffix(tail).unwrap();
    let with = |tail: &[u8]| Entry::decode(&[head, tail].concat());
    assert_eq!(with(tail).unwrap(), entry);
    assert_eq!(with(b"\xa2\x62bb\x612\x61a\x611"), Err(Error::Canonical));
    assert_eq!(with(b"\xb8\x02\x61a\x611\x62bb\x612"), Err(Error::Canonical));
    assert!(with(b"\xa2\x61a\x611\x61a\x612").is_err());
    assert!(with(b"\xbf\x61a\x611\x62bb\x612\xff").is_err());
    assert!(with(b"\xa2\x61a\x611\x62bb\x612\0").is_err());
    assert!(with(b"\xa2\x61a\x611\x62bb").is_err());
    // A field that this version does not know.
    let mut more = bytes.clone();
    more[0] += 1;
    more.extend_from_slice(&[0x08, 0x00]);
    assert_eq!(Entry::decode(&more), Err(Error::Canonical));
}

#[test]
fn entries_have_a_bound() {
    let long = Entry { object: "x".repeat(MAX_ENTRY), ..sample() };
    assert!(matches!(long.encode(), Err(Error::TooLong(_))));
    assert_eq!(Entry::decode(&vec![0; MAX_ENTRY + 1]), Err(Error::TooLong(MAX_ENTRY + 1)));
    let without = Entry { session: None, facts: BTreeMap::new(), ..sample() };
    assert_eq!(Entry::decode(&without.encode().unwrap()).unwrap(), without);
}

#[test]
fn sentences() {
    let told = |action: &str| Entry { action: action.into(), ..sample() }.sentence();
    let knowing = |action: &str, name: &str, value: &str| {
        let facts = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Entry { action: action.into(), facts, ..sample() }.sentence()
    };
    assert_eq!(told("session.opened"), "anna opened a session on root@web-1 from 192.0.2.7");
    assert_eq!(told("session.closed"), "anna's session on root@web-1 ended: disk full");
    assert_eq!(knowing("session.denied", "why", "no permit"), "anna was denied a session on root@web-1: no permit");
    assert_eq!(knowing("channel.opened", "channel", "channel:exec"), "anna opened channel:exec on root@web-1");
    assert_eq!(knowing("channel.denied", "why", "not carried"), "anna was denied a channel on root@web-1: not carried");
    assert_eq!(told("secret.stored"), "anna stored a new version of the secret of root@web-1");
    assert_eq!(knowing("policy.applied", "policy", "5f3a"), "anna applied the policy set 5f3a");
    assert_eq!(knowing("inventory.applied", "objects", "3"), "anna applied 3 objects of the inventory");
    assert_eq!(told("recording.anchor"), "the recording root@web-1 reached some segments");
    assert_eq!(told("target.tag_added"), "anna: target tag added (root@web-1)");
    let facts = [("size", "40"), ("against", "soc 57 "), ("what", "nobody answers")];
    let anchored = Entry { facts: facts.map(|(k, v)| (k.into(), v.into())).into(), object: "soc".into(), ..sample() };
    let told = |action: &str| Entry { action: action.into(), ..anchored.clone() }.sentence();
    assert_eq!(told("anchor.late"), "the anchor soc is late: nobody answers");
    assert_eq!(told("anchor.caught_up"), "the anchor soc has caught up: nobody answers");
    assert_eq!(told("anchor.forged"), "the anchor soc was written by somebody else: nobody answers");
    assert_eq!(
        told("ledger.rollback_accepted"),
        "anna accepted an older ledger of 40 entries, against the anchors soc 57 "
    );
    let facts = [("what", "sign in as `git`"), ("key", "SHA256:ab (ED25519)"), ("why", "they said no"), ("times", "7")];
    let asked = Entry { facts: facts.map(|(k, v)| (k.into(), v.into())).into(), ..sample() };
    let told = |action: &str| Entry { action: action.into(), ..asked.clone() }.sentence();
    let wanted = "sign in as `git`, with the key SHA256:ab (ED25519)";
    assert_eq!(told("agent.allowed"), format!("anna let root@web-1 have their agent {wanted}"));
    assert_eq!(told("agent.signed"), format!("the agent of anna signed for root@web-1, to {wanted}"));
    assert_eq!(
        told("agent.failed"),
        format!("the agent of anna did not sign for root@web-1, to {wanted}: they said no")
    );
    let refused = format!("root@web-1 may not have the agent of anna {wanted} and more, 7 times in all: they said no");
    assert_eq!(told("agent.refused"), refused);
    assert_eq!(knowing("agent.allowed", "by", "policy"), "policy let root@web-1 have the agent of anna use it");
    let hostile = Entry { object: "a\x1b[2Jb\u{202e}c".into(), ..sample() };
    assert_eq!(hostile.sentence(), "anna opened a session on a\u{fffd}[2Jb\u{fffd}c from 192.0.2.7");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn round_trip(at: i64, texts in proptest::collection::vec(".{0,12}", 4), session: Option<[u8; 16]>,
                  facts in proptest::collection::btree_map(".{0,30}", ".{0,30}", 0..8)) {
        let [node, actor, action, object] = <[String; 4]>::try_from(texts).unwrap();
        let session = session.map(SessionId::from_bytes);
        let entry = Entry { id: EntryId::from_bytes([1; 16]), at: Timestamp(at), node, actor, action, object, session, facts };
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(Entry::decode(&bytes).unwrap(), entry);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(Entry::decode(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_never_reads_as_the_same_entry(at: prop::sample::Index, byte: u8) {
        let bytes = sample().encode().unwrap();
        let mut altered = bytes.clone();
        altered[at.index(bytes.len())] = byte;
        if let Ok(entry) = Entry::decode(&altered) {
            prop_assert_eq!(entry == sample(), altered == bytes);
            prop_assert_eq!(entry.encode().unwrap(), altered);
        }
    }
}
