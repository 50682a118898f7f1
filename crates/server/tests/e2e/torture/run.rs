//! A run: rounds of clients under faults, then everything healed, quiet, and judged.

use super::clients::{self, Api, Desk};
use super::evidence::{self, Known};
use super::fault::{Fault, Under};
use super::house::{House, Store};
use anyhow::Context as _;
use sallyport_model::Env;
use sallyport_testkit::faults::Chance;
use sallyport_testkit::history::{Fact, Kind, Tally, Violation, judge};
use sallyport_testkit::waiting::{nap, now};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Writers of tokens, whatever the number of nodes.
const WRITERS: usize = 4;
/// Bundles that are verified at the end, of each kind of ending.
const SAMPLES: usize = 8;
/// People at each node.
const PEOPLE: usize = 3;

/// What is to be run.
pub(super) struct Settings {
    pub(super) store: Store,
    pub(super) seed: u64,
    /// How long faults go on, without the time for quiet and judgement.
    pub(super) length: Duration,
    /// How long one round of them goes on.
    pub(super) round: Duration,
    /// One kind of fault alone.
    pub(super) only: Option<String>,
    /// Each fault once, in an order of chance, however long that takes; `length` is not looked at.
    pub(super) each_once: bool,
    /// Where logs and data of a run go that has failed.
    pub(super) keep: Option<PathBuf>,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) tally: Tally,
    pub(super) violations: Vec<Violation>,
    pub(super) restarts: u64,
    pub(super) tried: u64,
    pub(super) rounds: usize,
    pub(super) seconds: u64,
}

struct Run {
    settings: Settings,
    house: House,
    chance: Chance,
    desk: Desk,
    known: Known,
    ledger: Vec<Fact>,
    faults: BTreeMap<&'static str, u64>,
    queue: Vec<Fault>,
    began: Instant,
    clock_ahead: bool,
    deaths: Vec<i64>,
}

/// Runs it. A violation ends it after the round that brought it.
pub(super) fn run(settings: Settings) -> Outcome {
    let faults = Fault::of(settings.store, settings.only.as_deref());
    assert!(!faults.is_empty(), "there is no such fault: {:?}", settings.only);
    let mut chance = Chance::new(settings.seed);
    let queue = if settings.each_once { shuffled(faults.clone(), &mut chance) } else { vec![] };
    let house = House::build(settings.store, WRITERS);
    let desk = Desk::default();
    desk.note(|notes| notes.asked.extend(house.given.iter().cloned()));
    let mut run = Run {
        settings,
        house,
        chance,
        desk,
        known: Known::default(),
        ledger: vec![],
        faults: BTreeMap::new(),
        queue,
        began: now(),
        clock_ahead: false,
        deaths: vec![],
    };
    let mut rounds = 0;
    loop {
        rounds += 1;
        run.round(rounds, &faults);
        let (violations, tally) = run.look();
        run.say(&format!(
            "round {rounds}: {} acknowledged, {} sessions, {} recordings ({} truncated), {} violations",
            tally.acknowledged,
            tally.sessions,
            tally.complete + tally.truncated,
            tally.truncated,
            violations.len()
        ));
        let over =
            if run.settings.each_once { run.queue.is_empty() } else { run.began.elapsed() >= run.settings.length };
        if over || !violations.is_empty() {
            return run.end(rounds, violations, tally);
        }
    }
}

fn shuffled<T>(mut all: Vec<T>, chance: &mut Chance) -> Vec<T> {
    let mut out = Vec::new();
    while !all.is_empty() {
        let at = usize::try_from(chance.next() % 65_536).unwrap() % all.len();
        out.push(all.swap_remove(at));
    }
    out
}

impl Run {
    fn say(&self, text: &str) {
        println!("{:>6.1} s  {text}", self.began.elapsed().as_secs_f64());
    }

    /// Clients at work, and faults among them.
    fn round(&mut self, round: usize, faults: &[Fault]) {
        self.desk.over.store(false, std::sync::atomic::Ordering::SeqCst);
        let mut clients = Vec::new();
        for (number, writer) in self.house.writers.clone().into_iter().enumerate() {
            let (way, desk) = (self.house.way(number), self.desk.clone());
            clients.push(std::thread::spawn(move || clients::writer(&way, &writer, &desk)));
        }
        for number in 0..self.house.nodes.len() {
            let (way, desk) = (self.house.way(number), self.desk.clone());
            let (its, also) = (way.clone(), desk.clone());
            clients.push(std::thread::spawn(move || clients::applier(&its, round, &also)));
            let (its, also) = (way.clone(), desk.clone());
            clients.push(std::thread::spawn(move || clients::watcher(&its, &also)));
            for person in 0..PEOPLE {
                let chance = Chance::new(self.chance.next());
                let (way, desk) = (way.clone(), desk.clone());
                let name = format!("r{round}n{number}p{person}");
                clients.push(std::thread::spawn(move || clients::person(&way, &name, chance, &desk)));
            }
        }
        let until = now() + self.settings.round;
        while now() < until || (self.settings.each_once && !self.queue.is_empty()) {
            let next = if self.settings.each_once { self.queue.pop() } else { self.chance.pick(faults).copied() };
            let Some(next) = next else { break };
            self.fault(next, faults);
        }
        self.desk.over.store(true, std::sync::atomic::Ordering::SeqCst);
        for client in clients {
            client.join().unwrap();
        }
    }

    /// One fault from its beginning to its end; now and then a second one within it.
    fn fault(&mut self, fault: Fault, faults: &[Fault]) {
        let (before, during) = match (self.settings.each_once, self.chance.between(0, 9)) {
            (true, _) => (700, 700),
            // Now and then it lasts: longer than the grace of the most sensitive targets, and than most time limits.
            (false, 0) => (1500, 25_000),
            (false, _) => (1500, 4000),
        };
        self.wait(before);
        let mut under = vec![self.strike(fault)];
        self.wait(during);
        if !self.settings.each_once
            && self.chance.between(0, 3) == 0
            && let Some(second) = self.chance.pick(faults).copied().filter(|second| *second != fault)
        {
            under.push(self.strike(second));
            self.wait(during);
        }
        for one in under.into_iter().rev() {
            one.heal(&mut self.house).with_context(|| format!("{} cannot be healed", one.fault.name())).unwrap();
        }
    }

    fn strike(&mut self, fault: Fault) -> Under {
        let under = fault.strike(&mut self.house, &mut self.chance);
        let under = under.with_context(|| format!("{} cannot be brought about", fault.name())).unwrap();
        self.clock_ahead |= fault == Fault::ClockAhead;
        if fault.loses_memory() {
            self.deaths.push(Env::system().now().0);
        }
        *self.faults.entry(fault.name()).or_default() += 1;
        self.say(&format!("{} at {}", fault.name(), under.place(&self.house)));
        under
    }

    /// Up to so many milliseconds, in which what has ended is started again.
    fn wait(&mut self, most: u64) {
        let until = now() + Duration::from_millis(self.chance.between(most / 5, most));
        while now() < until {
            nap(Duration::from_millis(50));
            self.house.supervise();
        }
    }

    /// Heals, waits for quiet, and judges everything since the beginning.
    fn look(&mut self) -> (Vec<Violation>, Tally) {
        let mut others = Vec::new();
        if let Err(error) = self.house.quiet() {
            others.push(format!("the house does not come to rest: {error:#}"));
        }
        let notes = std::mem::take(&mut *self.desk.notes.lock().unwrap());
        let mut history = evidence::gather(&self.house, &notes, &mut self.known);
        history.clock_ahead = if self.clock_ahead { super::fault::AHEAD } else { 0 };
        history.deaths.clone_from(&self.deaths);
        let (mut violations, tally) = judge(&history);
        others.extend(notes.wrong.iter().cloned());
        others.extend(self.unknown(&notes.made));
        violations.extend(others.into_iter().map(|what| Violation { kind: Kind::Lost, what }));
        *self.desk.notes.lock().unwrap() = notes;
        self.ledger = history.ledger;
        (violations, tally)
    }

    /// Acknowledged identities that a node does not know: a plan over them all would add them.
    fn unknown(&self, made: &std::collections::BTreeSet<String>) -> Vec<String> {
        let text: String = made.iter().map(|handle| format!("[[identity]]\nhandle = \"{handle}\"\n")).collect();
        let mut wrong = Vec::new();
        for number in 0..self.house.nodes.len() {
            let way = self.house.way(number);
            let Some((200, body)) = Api::new(&way.url).send(&way.admin, "/plan", Some(&way.desired(&text))) else {
                wrong.push(format!("{} does not plan", way.node));
                continue;
            };
            let plan: Value = serde_json::from_slice(&body).unwrap();
            let missing = plan["lines"].as_array().unwrap().iter().filter(|line| line["sign"] == "+");
            wrong.extend(missing.map(|line| format!("{} does not know the acknowledged {}", way.node, line["name"])));
        }
        wrong
    }

    /// The last word: an auditor verifies what servers that stopped in good order leave, and they start once more.
    fn end(mut self, rounds: usize, mut violations: Vec<Violation>, tally: Tally) -> Outcome {
        if violations.is_empty() {
            let last = self.bundles().and_then(|()| self.directory()).and_then(|()| self.again());
            let what = last.err().map(|error| format!("{error:#}"));
            violations.extend(what.map(|what| Violation { kind: Kind::Forked, what }));
        }
        for node in &mut self.house.nodes {
            let _ = node.product.stop();
        }
        if let Some(keep) = self.settings.keep.as_ref().filter(|_| !violations.is_empty()) {
            self.house.keep(keep);
            println!("logs and data are kept in {}", keep.display());
        }
        let tried = self.desk.note(|notes| notes.tried);
        let seconds = self.began.elapsed().as_secs();
        Outcome { faults: self.faults, tally, violations, restarts: self.house.restarts, tried, rounds, seconds }
    }

    /// Bundles of recordings that end in either way verify under the key of the node that has them.
    fn bundles(&self) -> anyhow::Result<()> {
        for (name, session) in self.known.samples(SAMPLES, &self.ledger) {
            let node = self.house.nodes.iter().find(|node| node.name == name).context("a node that is not there")?;
            let bundle = node.product.at("sample.spb").display().to_string();
            let _ = std::fs::remove_file(&bundle);
            node.product.as_carol(&["export", &session, &bundle])?;
            node.product
                .ok(&["verify", &bundle, "--trust", &node.trust().display().to_string()])
                .with_context(|| format!("the bundle of {session} does not verify"))?;
        }
        Ok(())
    }

    /// What the stopped nodes leave verifies: the whole data directory, or the ledger of the server as one file.
    fn directory(&mut self) -> anyhow::Result<()> {
        for node in &mut self.house.nodes {
            node.product.stop()?;
        }
        let node = &self.house.nodes[0];
        let trust = node.trust().display().to_string();
        let evidence = if self.settings.store == Store::Sqlite {
            node.product.data().display().to_string()
        } else {
            let file = node.product.at("ledger.export").display().to_string();
            node.product.local(&["export-ledger", &file])?;
            file
        };
        node.product.ok(&["verify", &evidence, "--trust", &trust]).context("what is left does not verify")?;
        Ok(())
    }

    /// A start, which verifies every document against the ledger, finds nothing.
    fn again(&mut self) -> anyhow::Result<()> {
        self.house.nodes.iter_mut().try_for_each(|node| node.product.serve().context("a last start"))
    }
}

impl Outcome {
    /// What is measured, with what was run.
    pub(super) fn figures(&self, seed: u64) -> Value {
        let tally = &self.tally;
        json!({
            "seed": seed,
            "seconds": self.seconds,
            "rounds": self.rounds,
            "faults": self.faults,
            "faults_in_all": self.faults.values().sum::<u64>(),
            "servers_started_again": self.restarts,
            "changes_acknowledged": tally.acknowledged,
            "changes_left_open": tally.unknown,
            "of_these_done": tally.unknown_done,
            "entries": tally.entries,
            "checkpoints_compared": tally.heads,
            "sessions_tried": self.tried,
            "sessions_opened": tally.sessions,
            "commands_on_the_target": tally.effects,
            "recordings_complete": tally.complete,
            "recordings_truncated": tally.truncated,
            "longest_loss_of_a_truncated_recording_ms": tally.longest_loss / 1000,
            "violations": self.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}
