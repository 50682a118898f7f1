//! What must hold of every history, however bad the day was.

use super::{Ending, Fact, History, Kind, Recorded, Tally, Told, Violation};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a recording may lack of what its client has seen, when a host and its memory died, in microseconds: the
/// journal's group of 250 ms, the recorder's pulse of 200 ms, and a loaded machine's lateness with both.
const MAY_LACK: i64 = 2_000_000;

/// Everything in a history that must not be, and what the history comes to.
#[must_use]
pub fn judge(history: &History) -> (Vec<Violation>, Tally) {
    let mut judge = Judge { history, found: Vec::new(), tally: Tally::default() };
    judge.tally.entries = history.ledger.len();
    judge.ids();
    judge.changes();
    judge.heads();
    judge.sessions();
    judge.effects();
    judge.recordings();
    (judge.found, judge.tally)
}

/// Whether the ledger says of a session's recording that nothing of it was ever durable.
fn nothing(closed: &Fact) -> bool {
    closed.fact("complete") == "false"
        && closed.fact("segments") == "0"
        && closed.fact("chain").bytes().all(|b| b == b'0')
}

struct Judge<'a> {
    history: &'a History,
    found: Vec<Violation>,
    tally: Tally,
}

/// Where the entries of one session are.
#[derive(Default)]
struct Session<'a> {
    opened: Vec<usize>,
    lent: Vec<usize>,
    channels: Vec<(usize, &'a Fact)>,
    closed: Vec<usize>,
    aborted: usize,
}

impl<'a> Judge<'a> {
    fn wrong(&mut self, kind: Kind, what: String) {
        self.found.push(Violation { kind, what });
    }

    fn ids(&mut self) {
        let mut known = HashSet::new();
        for (index, fact) in self.history.ledger.iter().enumerate() {
            if !known.insert(&fact.id) {
                self.wrong(Kind::Doubled, format!("entry {index} has the id {}, which an earlier one has", fact.id));
            }
        }
    }

    /// Every acknowledged change exactly once, in the order in which its client asked; every other at most once.
    fn changes(&mut self) {
        let history = self.history;
        let mut entries: HashMap<&str, Vec<(usize, &str)>> = HashMap::new();
        for (index, fact) in history.ledger.iter().enumerate().filter(|(_, fact)| fact.action == "token.created") {
            entries.entry(&fact.object).or_default().push((index, fact.fact("token")));
        }
        let mut asked: BTreeMap<&str, Vec<&super::Asked>> = BTreeMap::new();
        for ask in &history.asked {
            asked.entry(&ask.who).or_default().push(ask);
        }
        for (who, asks) in asked {
            let its = entries.remove(who).unwrap_or_default();
            let mut last = None;
            let mut acknowledged = 0;
            for ask in asks.iter().filter(|ask| ask.told == Told::Acknowledged) {
                acknowledged += 1;
                let at: Vec<usize> =
                    its.iter().filter(|(_, mark)| *mark == ask.mark).map(|(index, _)| *index).collect();
                match at.as_slice() {
                    [] => self.wrong(Kind::Lost, format!("{who} was told that {} is done", ask.mark)),
                    [one] if last.is_some_and(|last| last > *one) => {
                        self.wrong(
                            Kind::Forked,
                            format!("{who}'s {} stands before what was acknowledged earlier", ask.mark),
                        );
                    }
                    [one] => last = Some(*one),
                    more => self.wrong(Kind::Doubled, format!("{who}'s {} is in entries {more:?}", ask.mark)),
                }
            }
            let open = asks.iter().filter(|ask| ask.told == Told::Unknown).count();
            let others = its.len().saturating_sub(acknowledged);
            if others > open {
                let count = its.len();
                let text = format!("{count} changes of {who}: {acknowledged} were acknowledged and {open} left open");
                self.wrong(Kind::Unasked, text);
            }
            self.tally.acknowledged += acknowledged;
            self.tally.unknown += open;
            self.tally.unknown_done += others.min(open);
        }
    }

    /// All checkpoints are of this very ledger.
    fn heads(&mut self) {
        let history = self.history;
        let size = u64::try_from(history.ledger.len()).unwrap_or(u64::MAX);
        self.tally.heads = history.heads.len();
        for head in &history.heads {
            if head.size > size {
                self.wrong(
                    Kind::Lost,
                    format!("{} showed a checkpoint of {} entries; {size} are left", head.seen, head.size),
                );
            } else if history.roots.get(&head.size) != Some(&head.root) {
                self.wrong(Kind::Forked, format!("{} showed another tree of {} entries", head.seen, head.size));
            }
        }
    }

    fn by_session(&self) -> BTreeMap<&'a str, Session<'a>> {
        let mut sessions: BTreeMap<&str, Session<'_>> = BTreeMap::new();
        for (index, fact) in self.history.ledger.iter().enumerate() {
            let Some(session) = fact.session.as_deref() else { continue };
            let its = sessions.entry(session).or_default();
            match fact.action.as_str() {
                "session.opened" => its.opened.push(index),
                "credential.lent" | "credential.signed" => its.lent.push(index),
                "channel.opened" => its.channels.push((index, fact)),
                "session.closed" => its.closed.push(index),
                "session.aborted" => its.aborted += 1,
                _ => {}
            }
        }
        sessions
    }

    /// Every session that began has one end, behind everything else of it.
    fn sessions(&mut self) {
        for (id, session) in self.by_session() {
            let begins = session.opened.first().copied();
            let ends = session.closed.first().copied();
            self.tally.sessions += session.opened.len().min(1);
            match (begins, ends) {
                (Some(_), None) if session.aborted == 0 => {
                    self.wrong(Kind::Open, format!("session {id} began and has no end; its lease did not return"));
                }
                (None, Some(_)) => self.wrong(Kind::EndedTwice, format!("session {id} ended and never began")),
                (Some(begin), Some(end)) if end < begin => {
                    self.wrong(Kind::EndedTwice, format!("session {id} ended before it began"));
                }
                _ => {}
            }
            if session.closed.len() > 1 || session.opened.len() > 1 {
                self.wrong(Kind::EndedTwice, format!("session {id} began or ended more than once"));
            }
            let used = session.lent.iter().chain(session.channels.iter().map(|(index, _)| index));
            for index in used.filter(|index| begins.is_none_or(|begin| **index < begin)) {
                self.wrong(Kind::NoIntent, format!("entry {index} uses session {id}, which had not begun"));
            }
        }
    }

    /// Nothing happened at the target of which the ledger does not say before that it would.
    fn effects(&mut self) {
        let history = self.history;
        let sessions = self.by_session();
        let lent: usize = sessions.values().map(|session| session.lent.len()).sum();
        if history.logins > lent {
            self.wrong(
                Kind::NoIntent,
                format!("the target let {} in; credentials were lent {lent} times", history.logins),
            );
        }
        let mut intents: HashMap<&str, Vec<(usize, &Fact, &Session<'_>)>> = HashMap::new();
        for session in sessions.values() {
            for (index, fact) in &session.channels {
                let marks = fact.fact("detail").split_whitespace().filter_map(|word| word.strip_prefix("mark="));
                for mark in marks {
                    intents.entry(mark).or_default().push((*index, fact, session));
                }
            }
        }
        let mut ran: HashMap<&str, usize> = HashMap::new();
        for effect in &history.effects {
            self.tally.effects += 1;
            let times = ran.entry(&effect.mark).or_default();
            *times += 1;
            let twice = *times > 1;
            if twice {
                self.wrong(Kind::Doubled, format!("{} ran on the target more than once", effect.mark));
            }
            let Some((index, fact, session)) = intents.get(effect.mark.as_str()).and_then(|found| found.first()) else {
                self.wrong(Kind::NoIntent, format!("{} ran on the target, and no entry says so", effect.mark));
                continue;
            };
            if fact.at.saturating_sub(history.clock_ahead) > effect.at {
                let text = format!("{} ran at {}, entry {index} is of {}", effect.mark, effect.at, fact.at);
                self.wrong(Kind::NoIntent, text);
            }
            if session.lent.first().is_none_or(|lent| lent > index) {
                self.wrong(Kind::NoIntent, format!("{} ran before its credential was lent", effect.mark));
            }
            if session.closed.iter().any(|closed| closed < index) {
                self.wrong(Kind::NoIntent, format!("{} ran in a session that had ended", effect.mark));
            }
        }
    }

    /// What a client has seen is recorded; what is not is told.
    fn recordings(&mut self) {
        let history = self.history;
        let sessions = self.by_session();
        let recorded: HashMap<&str, &Recorded> = history.recorded.iter().map(|r| (r.session.as_str(), r)).collect();
        let mut of: HashMap<&str, &str> = HashMap::new();
        for (id, session) in &sessions {
            for (_, fact) in &session.channels {
                let marks = fact.fact("detail").split_whitespace().filter_map(|word| word.strip_prefix("mark="));
                of.extend(marks.map(|mark| (mark, *id)));
            }
            let Some(closed) = session.closed.first().and_then(|index| history.ledger.get(*index)) else { continue };
            let Some(found) = recorded.get(id) else {
                if nothing(closed) {
                    self.tally.truncated += 1;
                    continue;
                }
                self.wrong(Kind::Missing, format!("the recording of session {id} is not there"));
                continue;
            };
            match found.ending {
                Ending::Complete => self.tally.complete += 1,
                Ending::Truncated => self.tally.truncated += 1,
            }
            if (closed.fact("complete") == "true") != (found.ending == Ending::Complete) {
                let text = format!(
                    "the ledger says complete={} of session {id}, its recording {:?}",
                    closed.fact("complete"),
                    found.ending
                );
                self.wrong(Kind::Short, text);
            }
        }
        for seen in history.seen.iter().filter(|seen| seen.lines > 0) {
            let Some(session) = of.get(seen.mark.as_str()) else {
                self.wrong(Kind::NoIntent, format!("a client saw output of {}, and no entry names it", seen.mark));
                continue;
            };
            let Some(found) = recorded.get(session) else {
                self.wrong(
                    Kind::Missing,
                    format!("a client saw {} lines of {}, and nothing is recorded", seen.lines, seen.mark),
                );
                continue;
            };
            let (lines, last) = found.lines.get(&seen.mark).copied().unwrap_or((0, 0));
            let lacks = seen.lines > lines;
            if found.ending == Ending::Complete && lacks {
                let text = format!(
                    "{}: a client saw {} lines, the recording says it is whole and has {lines}",
                    seen.mark, seen.lines
                );
                self.wrong(Kind::Short, text);
            }
            if found.ending == Ending::Truncated && lacks {
                // Where nothing of it was recorded the loss is counted from the beginning of the command.
                let began =
                    history.effects.iter().find(|effect| effect.mark == seen.mark).map_or(0, |effect| effect.at);
                let loss = seen.last.saturating_sub(if last == 0 { began } else { last });
                self.tally.longest_loss = self.tally.longest_loss.max(loss);
                if loss > MAY_LACK || !history.deaths.iter().any(|death| *death > began) {
                    let text = format!(
                        "{}: a client saw {} lines, the truncated recording has {lines}, {} ms less",
                        seen.mark,
                        seen.lines,
                        loss / 1000
                    );
                    self.wrong(Kind::Short, text);
                }
            }
        }
    }
}
