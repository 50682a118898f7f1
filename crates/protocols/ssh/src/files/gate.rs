//! What may cross: the limit `@transfer`, and the file rules of rule sets, by name and size.

use super::{Deed, Event, Outcome};
use sallyport_model::access::Terms;
use sallyport_model::limits::Crossing;
use sallyport_model::rules::{Act, FileRule, RuleSet};
use sallyport_statements::glob::{Sense, alternatives};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Files that stand in for others until all of them has come: what is said of the one is meant of the other.
#[derive(Clone, Debug, Default)]
pub struct StandIns(Arc<Mutex<HashMap<String, String>>>);

impl StandIns {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One stands in for another, until the guard goes.
    pub(crate) fn begin(&self, stand_in: String, meant: String) -> StandIn {
        self.lock().insert(stand_in.clone(), meant);
        StandIn(self.clone(), stand_in)
    }

    fn meant(&self, path: &str) -> Option<String> {
        self.lock().get(path).cloned()
    }
}

/// One file that stands in for another.
pub(crate) struct StandIn(StandIns, String);

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Judges files of one session.
#[derive(Clone, Debug)]
pub struct Gate {
    transfer: Crossing,
    kept: u64,
    rules: Vec<(String, FileRule)>,
    stand_ins: StandIns,
}

impl Gate {
    /// With the session's limit and rule sets.
    #[must_use]
    pub fn new(transfer: Crossing, sets: &[RuleSet]) -> Self {
        let rules = sets.iter().flat_map(|set| set.files.iter().map(|rule| (set.name.to_string(), rule.clone())));
        Self { transfer, kept: 0, rules: rules.collect(), stand_ins: StandIns::default() }
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
        let path = plain(path);
        let named =
            |rule: &&(String, FileRule)| rule.1.most.is_none() && concerns(&rule.1, way) && names(&rule.1, &path);
        match self.rules.iter().filter(named).find(|(_, rule)| rule.act.stops()) {
            Some((set, rule)) => Err(format!("the rule {set}/{} keeps it: {}", rule.id, rule.why)),
            None => Ok(()),
        }
    }

    /// Whether this many bytes of this path may have gone this way.
    ///
    /// # Errors
    /// With the reason, for the client.
    pub fn size(&self, way: Way, path: &str, bytes: u64) -> Result<(), String> {
        if self.rules.iter().all(|(_, rule)| rule.most.is_none()) {
            return Ok(());
        }
        let path = plain(path);
        let over = |rule: &&(String, FileRule)| {
            rule.1.most.is_some_and(|most| bytes > most) && concerns(&rule.1, way) && names(&rule.1, &path)
        };
        match self.rules.iter().filter(over).find(|(_, rule)| rule.act.stops()) {
            Some((set, rule)) => Err(format!("the rule {set}/{} keeps it: {}", rule.id, rule.why)),
            None => Ok(()),
        }
    }

    /// Whether something may be changed on the target that is no content: a name, a directory, a mode. It needs the way up.
    ///
    /// # Errors
    /// With the reason, for the client.
    pub fn change(&self, path: &str) -> Result<(), String> {
        self.open(Way::Up, path)
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
        let paths: Vec<String> =
            [Some(&event.path), event.other.as_ref()].into_iter().flatten().map(|p| plain(p)).collect();
        let noted = |rule: &&(String, FileRule)| {
            rule.1.act == Act::Alert
                && rule.1.most.is_none_or(|most| event.size > most)
                && concerns(&rule.1, way)
                && paths.iter().any(|path| names(&rule.1, path))
        };
        let told = |(set, rule): &'_ (String, FileRule)| format!("{set}/{}", rule.id);
        self.rules.iter().filter(noted).map(|rule| (told(rule), rule.1.why.as_str())).collect()
    }
}

fn concerns(rule: &FileRule, way: Way) -> bool {
    way.allowed(rule.way)
}

/// The whole path or, for a pattern without a slash, its last name.
fn names(rule: &FileRule, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let one = |pattern: &str| {
        alternatives(pattern, path, Sense::Exact)
            || (!pattern.contains('/') && alternatives(pattern, name, Sense::Exact))
    };
    rule.name.is_empty() || rule.name.split('|').any(one)
}

/// The path without `.`, `..` and doubled slashes, as far as it says by itself what they mean. What a symbolic link on
/// the target means nobody here knows.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}
