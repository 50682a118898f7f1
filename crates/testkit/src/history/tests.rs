//! A history in which all is well, and what is done to it so that something is not.

use super::{Asked, Effect, Ending, Fact, Head, History, Kind, Recorded, Seen, Told, judge};
use std::collections::BTreeMap;

fn fact(id: u64, action: &str, object: &str, session: Option<&str>, facts: &[(&str, &str)]) -> Fact {
    Fact {
        id: format!("ent_{id}"),
        at: 1_000_000 * i64::try_from(id).unwrap(),
        node: "node-1".into(),
        action: action.into(),
        object: object.into(),
        session: session.map(Into::into),
        facts: facts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    }
}

fn asked(mark: &str, told: Told) -> Asked {
    Asked { who: "w1".into(), mark: mark.into(), told }
}

/// Two acknowledged changes, one left open, one refused; one session with one command.
fn good() -> History {
    let ledger = vec![
        fact(0, "token.created", "w1", None, &[("token", "t1")]),
        fact(1, "session.opened", "ops@web-1", Some("ses_1"), &[]),
        fact(2, "credential.lent", "ops@web-1", Some("ses_1"), &[]),
        fact(3, "channel.opened", "ops@web-1", Some("ses_1"), &[("detail", "mark=m1 n=3; do")]),
        fact(4, "token.created", "w1", None, &[("token", "open")]),
        fact(5, "session.closed", "ops@web-1", Some("ses_1"), &[("complete", "true")]),
        fact(6, "token.created", "w1", None, &[("token", "t2")]),
    ];
    let head = |size: u64, root: u8| Head { size, root: [root; 32], seen: "anchor".into() };
    History {
        asked: vec![
            asked("t1", Told::Acknowledged),
            asked("", Told::Unknown),
            asked("", Told::Refused),
            asked("t2", Told::Acknowledged),
        ],
        ledger,
        heads: vec![head(3, 3), head(7, 7)],
        roots: BTreeMap::from([(3, [3; 32]), (7, [7; 32])]),
        effects: vec![Effect { mark: "m1".into(), at: 3_500_000 }],
        logins: 1,
        seen: vec![Seen { mark: "m1".into(), lines: 3, last: 3_900_000, ended: true }],
        recorded: vec![Recorded {
            session: "ses_1".into(),
            ending: Ending::Complete,
            lines: BTreeMap::from([("m1".into(), (3, 3_900_000))]),
        }],
        clock_ahead: 0,
        deaths: vec![],
    }
}

fn truncated(history: &mut History, lines: u64) {
    history.recorded[0].ending = Ending::Truncated;
    history.recorded[0].lines.insert("m1".into(), (lines, 3_900_000 - 100_000 * (3 - i64::try_from(lines).unwrap())));
    history.ledger[5].facts.insert("complete".into(), "false".into());
}

#[test]
fn a_good_history_is_good_and_counted() {
    let (found, tally) = judge(&good());
    assert!(found.is_empty(), "{found:?}");
    assert_eq!((tally.acknowledged, tally.unknown, tally.unknown_done), (2, 1, 1));
    assert_eq!((tally.sessions, tally.effects, tally.complete, tally.truncated), (1, 1, 1, 0));
    assert_eq!((tally.heads, tally.entries), (2, 7));
}

#[test]
fn what_a_host_may_lose_with_its_memory_is_no_violation() {
    let mut history = good();
    truncated(&mut history, 2);
    assert_eq!(judge(&history).0.len(), 1, "memory was not lost");
    history.deaths = vec![3_450_000];
    assert_eq!(judge(&history).0.len(), 1, "it was lost before the command began");
    history.deaths.push(3_800_000);
    let (found, tally) = judge(&history);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!((tally.longest_loss, tally.truncated), (100_000, 1));
}

#[test]
fn every_mutation_of_it_is_refused_for_its_own_reason() {
    type Mutation = fn(&mut History);
    let mutations: [(&str, Kind, Mutation); 26] = [
        ("an acknowledged change is dropped", Kind::Lost, |h| h.ledger[0].action = "token.removed".into()),
        ("it stands under another name", Kind::Lost, |h| h.ledger[0].object = "w2".into()),
        ("it is there twice", Kind::Doubled, |h| h.ledger[4].facts = h.ledger[0].facts.clone()),
        ("an entry is appended again", Kind::Doubled, |h| h.ledger[4].id = h.ledger[0].id.clone()),
        ("two changes are swapped", Kind::Forked, |h| {
            let facts = std::mem::take(&mut h.ledger[0].facts);
            h.ledger[0].facts = std::mem::replace(&mut h.ledger[6].facts, facts);
        }),
        ("a refused change is done", Kind::Unasked, |h| {
            h.ledger.push(fact(7, "token.created", "w1", None, &[("token", "refused")]));
        }),
        ("what was left open is done twice", Kind::Unasked, |h| h.asked.retain(|ask| ask.told != Told::Unknown)),
        ("a checkpoint is of more than is left", Kind::Lost, |h| h.heads[1].size = 8),
        ("a checkpoint has another root", Kind::Forked, |h| h.heads[0].root[31] ^= 1),
        ("the ledger has another root", Kind::Forked, |h| {
            h.roots.insert(7, [8; 32]);
        }),
        ("the ledger has no root there", Kind::Forked, |h| h.roots.clear()),
        ("a session does not end", Kind::Open, |h| h.ledger[5].action = "session.watched".into()),
        ("a session ends twice", Kind::EndedTwice, |h| {
            h.ledger.push(fact(7, "session.closed", "ops@web-1", Some("ses_1"), &[("complete", "true")]));
        }),
        ("a session never began", Kind::EndedTwice, |h| h.ledger[1].action = "session.denied".into()),
        ("a command ran without an entry", Kind::NoIntent, |h| h.ledger[3].action = "channel.denied".into()),
        ("a command ran that nobody asked for", Kind::NoIntent, |h| {
            h.effects.push(Effect { mark: "m2".into(), at: 3_500_000 });
        }),
        ("a command ran before its entry", Kind::NoIntent, |h| h.effects[0].at = 2_900_000),
        ("a command ran twice", Kind::Doubled, |h| h.effects.push(h.effects[0].clone())),
        ("the target let more in than were lent", Kind::NoIntent, |h| h.logins = 2),
        ("a credential was used after the command", Kind::NoIntent, |h| h.ledger.swap(2, 3)),
        ("a channel opened after the end", Kind::NoIntent, |h| {
            let end = h.ledger.remove(5);
            h.ledger.insert(3, end);
        }),
        ("a recording is gone", Kind::Missing, |h| h.recorded.clear()),
        ("a recording is short and says it is whole", Kind::Short, |h| {
            h.recorded[0].lines.insert("m1".into(), (2, 3_800_000));
        }),
        ("a recording was cut and the ledger does not say so", Kind::Short, |h| {
            h.recorded[0].ending = Ending::Truncated;
        }),
        ("a client saw what the ledger calls nothing", Kind::Missing, |h| {
            h.recorded.clear();
            let zeros = "0".repeat(64);
            h.ledger[5].facts.extend(
                [("complete", "false"), ("segments", "0"), ("chain", &zeros)].map(|(k, v)| (k.into(), v.into())),
            );
        }),
        ("a truncated recording lacks more than it may", Kind::Short, |h| {
            truncated(h, 1);
            h.deaths.push(3_800_000);
            h.seen[0].last += 3_000_000;
        }),
    ];
    for (what, kind, mutate) in mutations {
        let mut history = good();
        mutate(&mut history);
        let (found, _) = judge(&history);
        assert!(found.iter().any(|violation| violation.kind == kind), "{what}: {found:?}");
    }
}
