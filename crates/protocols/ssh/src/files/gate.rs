//! What may cross: the limit `@transfer`, and the file rules of rule sets, by name and size.

use super::place::{Path, Start, beside};
use super::{Deed, Event, Outcome};
use sallyport_model::access::Terms;
use sallyport_model::limits::Crossing;
use sallyport_model::rules::{Act, FileRule, RuleSet};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files of one session whose length is kept, at most.
const LENGTHS: usize = 4096;

/// Which way content goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From the person to the target.
    Up,
    /// From the target to the person.
    Down,
}

impl Way {
    const fn allowed(self, crossing: Crossing) -> bool {
        matches!((self, crossing), (_, Crossing::Both) | (Self::Up, Crossing::Up) | (Self::Down, Crossing::Down))
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Up => "to the target",
            Self::Down => "from the target",
        }
    }
}

/// What the channels of one session know of its files together.
#[derive(Clone, Debug, Default)]
pub struct StandIns(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Files that stand in for others until all of them has come: what is said of the one is meant of the other.
    meant: HashMap<String, String>,
    /// How long files are at least by what was written to them, where rules are about sizes.
    lengths: HashMap<String, u64>,
}

impl StandIns {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One stands in for another, until the guard goes.
    pub(crate) fn begin(&self, stand_in: String, meant: String) -> StandIn {
        self.lock().meant.insert(stand_in.clone(), meant);
        StandIn(self.clone(), stand_in)
    }

    fn meant(&self, path: &str) -> Option<String> {
        self.lock().meant.get(path).cloned()
    }
}

/// One file that stands in for another.
pub(crate) struct StandIn(StandIns, String);

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.lock().meant.remove(&self.1);
    }
}

/// Judges files of one session.
#[derive(Clone, Debug)]
pub struct Gate {
    transfer: Crossing,
    kept: u64,
    rules: Vec<(String, FileRule)>,
    stand_ins: StandIns,
    /// From where paths of this channel are understood: one for all that judge in it.
    start: Arc<Mutex<Start>>,
}

impl Gate {
    /// With the session's limit and rule sets.
    #[must_use]
    pub fn new(transfer: Crossing, sets: &[RuleSet]) -> Self {
        let rules = sets.iter().flat_map(|set| set.files.iter().map(|rule| (set.name.to_string(), rule.clone())));
        let (stand_ins, start) = (StandIns::default(), Arc::default());
        Self { transfer, kept: 0, rules: rules.collect(), stand_ins, start }
    }

    /// Under a session's terms.
    pub(crate) fn of(terms: &Terms) -> Self {
        Self::new(terms.limits.transfer, &terms.rules).keeping(terms.limits.kept_of_files())
    }

    /// The same, where some files stand in for others.
    pub(crate) fn standing_in(self, stand_ins: StandIns) -> Self {
        Self { stand_ins, ..self }
    }

    /// The file that is meant by a path: that which it stands in for, or itself.
    pub(super) fn meant(&self, path: String) -> String {
        self.stand_ins.meant(&path).unwrap_or(path)
    }

    /// The same, where so many bytes of each file are kept.
    #[must_use]
    pub fn keeping(self, kept: u64) -> Self {
        Self { kept, ..self }
    }

    /// How many bytes of each file are kept.
    pub(super) const fn kept(&self) -> u64 {
        self.kept
    }

    /// Whether rules need to know from where paths are understood.
    pub(super) fn asks_where(&self) -> bool {
        self.rules.iter().any(|(_, rule)| rule.name.contains('/'))
    }

    /// From where paths are understood from now on.
    pub(super) fn starts(&self, start: Start) {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    fn place(&self, path: &str) -> Path {
        Path::of(path, &self.start.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A path out of a command line, whose shell has its own way with stars.
    fn loose(&self, path: &str) -> Path {
        Path::loose(path, &self.start.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether anything at all may go this way.
    ///
    /// # Errors
    /// With the reason, for the client.
    pub fn way(&self, way: Way) -> Result<(), String> {
        if way.allowed(self.transfer) { Ok(()) } else { Err(format!("policy lets no files go {}", way.words())) }
    }

    /// Whether content of this path may go this way.
    ///
    /// # Errors
    /// With the reason, for the client.
    pub fn open(&self, way: Way, path: &str) -> Result<(), String> {
        self.way(way)?;
        let path = self.place(path);
        self.first(|rule| rule.most.is_none() && concerns(rule, way) && names(rule, &path))
    }

    /// Whether this many bytes of this path may have gone this way.
    ///
    /// # Errors
    /// With the reason, for the client.
    pub fn size(&self, way: Way, path: &str, bytes: u64) -> Result<(), String> {
        if !self.has_sizes() {
            return Ok(());
        }
        self.sized(way, &self.place(path), bytes)
    }

    fn sized(&self, way: Way, path: &Path, bytes: u64) -> Result<(), String> {
        self.first(|rule| rule.most.is_some_and(|most| bytes > most) && concerns(rule, way) && names(rule, path))
    }

    /// Whether a file of so many bytes may go this way, whose path is in part a shell's to make.
    pub(super) fn of_command(&self, way: Way, path: &str, bytes: u64) -> Result<(), String> {
        self.way(way)?;
        let path = self.loose(path);
        self.first(|rule| rule.most.is_none() && concerns(rule, way) && names(rule, &path))?;
        self.sized(way, &path, bytes)
    }

    /// Whether something may be changed on the target that is no content: a name, a directory, a mode. It needs the way up.
    ///
    /// # Errors
    /// With the reason, for the client.
    pub fn change(&self, path: &str) -> Result<(), String> {
        self.open(Way::Up, path)
    }

    /// Whether what lies under one path may be had under another: not where a rule names it here and would not there.
    pub(super) fn another(&self, deed: Deed, from: &str, to: &str) -> Result<(), String> {
        let (here, there) = self.both(deed, from, to);
        self.first(|rule| loses(rule, &here, &there))?;
        self.carries(deed, from, to);
        Ok(())
    }

    /// Both places of what gets another name. What a symbolic link leads to is understood from the link or, of another
    /// link, from the start.
    fn both(&self, deed: Deed, from: &str, to: &str) -> (Path, Path) {
        let place = self.place(from);
        let from = if deed == Deed::Link { place.or(self.place(&beside(to, from))) } else { place };
        (from, self.place(to))
    }

    /// Whether any rule is about sizes.
    pub(super) fn has_sizes(&self) -> bool {
        self.rules.iter().any(|(_, rule)| rule.most.is_some())
    }

    /// How long a file is at least, by what was written to it in this session.
    pub(super) fn length(&self, path: &str) -> u64 {
        self.stand_ins.lock().lengths.get(path).copied().unwrap_or(0)
    }

    /// Notes how long it becomes; what is added to a file's end must be.
    pub(super) fn lengthens(&self, path: &str, end: u64, adds: bool) -> Result<(), String> {
        let mut known = self.stand_ins.lock();
        if known.lengths.len() < LENGTHS || known.lengths.contains_key(path) {
            let length = known.lengths.entry(path.to_owned()).or_default();
            *length = end.max(*length);
            return Ok(());
        }
        if adds { Err(format!("more than {LENGTHS} files were written in one session: begin another")) } else { Ok(()) }
    }

    /// What is known of a file's length goes with it to another name; a copy may be added to what is there.
    fn carries(&self, deed: Deed, from: &str, to: &str) {
        let there = if deed == Deed::Copy { self.length(to) } else { 0 };
        let length = self.length(from).saturating_add(there);
        if length > 0 {
            // Where no more are kept, nothing can be added to it either.
            let _ = self.lengthens(to, length, false);
        }
    }

    /// The first rule that stops something, in words for the client.
    fn first(&self, concerned: impl Fn(&FileRule) -> bool) -> Result<(), String> {
        match self.rules.iter().find(|(_, rule)| rule.act.stops() && concerned(rule)) {
            Some((set, rule)) => Err(format!("the rule {set}/{} keeps it: {}", rule.id, rule.why)),
            None => Ok(()),
        }
    }

    /// The rules that let a deed pass and want it noted, as `set/id`, each with its reason.
    #[must_use]
    pub fn alerts(&self, event: &Event) -> Vec<(String, &str)> {
        let way = match event.deed {
            Deed::Get => Way::Down,
            Deed::List => return Vec::new(),
            _ => Way::Up,
        };
        // What stood in for a file was noted as that file when it came.
        let stood_in = self.stand_ins.meant(&event.path).is_some();
        if stood_in || matches!(event.outcome, Outcome::Refused(_)) {
            return Vec::new();
        }
        let paths: Vec<Path> =
            [Some(&event.path), event.other.as_ref()].into_iter().flatten().map(|path| self.place(path)).collect();
        let renamed = match (event.deed, &event.other) {
            (Deed::Link, Some(leads)) => Some(self.both(event.deed, leads, &event.path)),
            (deed, Some(to)) => Some(self.both(deed, &event.path, to)),
            _ => None,
        };
        let noted = |rule: &&(String, FileRule)| {
            let rule = &rule.1;
            let named = rule.most.is_none_or(|most| event.size.max(event.reach) > most)
                && concerns(rule, way)
                && paths.iter().any(|path| names(rule, path));
            rule.act == Act::Alert && (named || renamed.as_ref().is_some_and(|(from, to)| loses(rule, from, to)))
        };
        let told = |(set, rule): &'_ (String, FileRule)| format!("{set}/{}", rule.id);
        self.rules.iter().filter(noted).map(|rule| (told(rule), rule.1.why.as_str())).collect()
    }
}

fn concerns(rule: &FileRule, way: Way) -> bool {
    way.allowed(rule.way)
}

fn names(rule: &FileRule, path: &Path) -> bool {
    rule.name.is_empty() || rule.name.split('|').any(|pattern| path.may_be(pattern))
}

/// Whether what a rule names would have a name that it does not.
fn loses(rule: &FileRule, from: &Path, to: &Path) -> bool {
    rule.name.split('|').any(|pattern| !pattern.is_empty() && from.is_lost(pattern, to))
}
