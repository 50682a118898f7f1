//! What may this identity reach, over every account at once: bitmaps per policy, ORed and subtracted.
//!
//! A policy is evaluated once per *projection* of the attributes it names: two accounts that agree
//! in those, and are both filed under its key, cannot differ in its outcome. A policy that names a
//! very account in any other way is evaluated account by account. That the result equals decisions in a loop is a property test.

use crate::act::Act;
use crate::decide::refuse;
use crate::facts::{Facts, Place, Question, account_id, class_word, principal_keys, resource_keys};
use crate::index::{Index, Slot};
use crate::scope::{ANY, Reads, key};
use crate::set::{Compiled, PolicySet};
use roaring::RoaringBitmap;
use sallyport_model::inventory::{Account, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

/// Accounts in a fixed order, with what listings need: posting lists and projections.
///
/// It is a snapshot: when a target or an account changes, build a new one (50,000 accounts take
/// a fraction of a second) or decide the changed ones singly.
pub struct Inventory {
    places: Vec<(Arc<Target>, Arc<Account>)>,
    postings: HashMap<String, RoaringBitmap>,
    all: RoaringBitmap,
    /// Made on first use, since few combinations of attributes are ever named.
    partitions: Mutex<BTreeMap<Reads, Arc<Partition>>>,
}

/// Accounts grouped so that those of one group agree in some attributes.
#[derive(Default)]
struct Partition {
    groups: Vec<RoaringBitmap>,
    /// The group of every account that is in one.
    of: HashMap<u32, usize>,
}

impl Partition {
    /// The wanted accounts by group: over the groups where they are few, over the accounts otherwise.
    fn split(&self, wanted: &RoaringBitmap) -> Vec<RoaringBitmap> {
        if usize::try_from(wanted.len()).is_ok_and(|wanted| wanted > 2 * self.groups.len()) {
            return self.groups.iter().map(|group| group & wanted).filter(|members| !members.is_empty()).collect();
        }
        let mut by_group: BTreeMap<usize, RoaringBitmap> = BTreeMap::new();
        for number in wanted {
            if let Some(group) = self.of.get(&number) {
                by_group.entry(*group).or_default().insert(number);
            }
        }
        by_group.into_values().collect()
    }
}

impl Inventory {
    /// Indexes accounts, each with its target. An account's number is its position. An
    /// account beside a target that is not its own is never reached; nor is one beyond 2^32.
    #[must_use]
    pub fn new(places: Vec<(Arc<Target>, Arc<Account>)>) -> Self {
        let mut postings: HashMap<String, RoaringBitmap> = HashMap::new();
        let mut all = RoaringBitmap::new();
        let numbered = (0..=u32::MAX).zip(&places).filter(|(_, (target, account))| account.target == target.id);
        for (number, (target, account)) in numbered {
            all.insert(number);
            for key in resource_keys(&Place::Account(target, account)).into_iter().filter(|key| key != ANY) {
                postings.entry(key).or_default().insert(number);
            }
        }
        Self { places, postings, all, partitions: Mutex::new(BTreeMap::new()) }
    }

    /// How many accounts there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The account with this number, and its target.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<(&Target, &Account)> {
        let (target, account) = self.places.get(usize::try_from(number).ok()?)?;
        Some((target, account))
    }

    /// The accounts that a policy filed under this key can match.
    fn posting(&self, key: &str) -> Option<&RoaringBitmap> {
        if key == ANY { Some(&self.all) } else { self.postings.get(key) }
    }

    /// The accounts grouped by the attributes that are read.
    fn partition(&self, reads: Reads) -> Arc<Partition> {
        // A poisoned lock only says that another listing panicked; the map is whole.
        let mut partitions = self.partitions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let made = partitions.entry(reads).or_insert_with(|| {
            let mut partition = Partition::default();
            let mut named: HashMap<String, usize> = HashMap::new();
            for number in &self.all {
                let Some((target, account)) = self.get(number) else { continue };
                let group = *named.entry(projection(reads, target, account)).or_insert(partition.groups.len());
                if group == partition.groups.len() {
                    partition.groups.push(RoaringBitmap::new());
                }
                if let Some(members) = partition.groups.get_mut(group) {
                    members.insert(number);
                }
                partition.of.insert(number, group);
            }
            Arc::new(partition)
        });
        Arc::clone(made)
    }
}

/// The values of the attributes that are read; label characters make the joints unambiguous.
fn projection(reads: Reads, target: &Target, account: &Account) -> String {
    let mut parts = Vec::new();
    if reads.has(Reads::IDENTITY) {
        parts.push(key("account", &account_id(target, account)));
    }
    if reads.has(Reads::CLASS) {
        parts.push(key("class", class_word(account.class)));
    }
    if reads.has(Reads::ENVIRONMENT) {
        parts.push(key("environment", target.environment.as_str()));
    }
    if reads.has(Reads::PROTOCOL) {
        parts.push(key("protocol", target.protocol.as_str()));
    }
    if reads.has(Reads::TAGS) {
        parts.extend(target.tags.iter().map(|tag| key("tag", tag.as_str())));
    }
    if reads.has(Reads::TIER) {
        parts.push(key("tier", &u8::from(target.tier).to_string()));
    }
    if reads.has(Reads::ZONE) {
        parts.push(key("zone", target.zone.as_str()));
    }
    parts.join("\n")
}

/// What every account of an inventory is to a person, by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standings {
    /// Those that may be connected to now.
    pub usable: RoaringBitmap,
    /// Those that may be asked for; disjoint from `usable`. The rest is invisible.
    pub requestable: RoaringBitmap,
}

/// `standing` for every account at once.
#[must_use]
pub fn standings(set: &PolicySet, facts: &Facts<'_>, inventory: &Inventory) -> Standings {
    let (usable, broken) = swept(set, facts, Act::Connect, inventory);
    let mut requestable = reach(set, facts, Act::Request, inventory);
    let mut hoped = facts.clone();
    hoped.met.extend(set.policies.iter().flat_map(|policy| policy.scope.met.iter().cloned()));
    if hoped.met.len() > facts.met.len() {
        // Where a policy cannot be evaluated now, nobody is told to ask: what it would say then, nobody knows.
        requestable |= reach(set, &hoped, Act::Connect, inventory) - broken;
    }
    requestable -= &usable;
    Standings { usable, requestable }
}

/// The accounts for which `decide` permits `act` under these facts, by their number in the
/// inventory. The place in `facts` does not matter.
///
/// An account for which a policy cannot be evaluated is left out, as `decide` would deny it.
#[must_use]
pub fn reach(set: &PolicySet, facts: &Facts<'_>, act: Act, inventory: &Inventory) -> RoaringBitmap {
    swept(set, facts, act, inventory).0
}

/// The same, and the accounts for which a policy cannot be evaluated.
fn swept(set: &PolicySet, facts: &Facts<'_>, act: Act, inventory: &Inventory) -> (RoaringBitmap, RoaringBitmap) {
    let Some((target, account)) = inventory.all.min().and_then(|first| inventory.get(first)) else {
        return (RoaringBitmap::new(), RoaringBitmap::new());
    };
    if refuse(&facts.clone().at(Place::Account(target, account)), act).is_some() {
        return (RoaringBitmap::new(), RoaringBitmap::new());
    }
    let principals = principal_keys(facts.identity);
    let candidates = |index: &Index| index.everywhere(act.action(), &principals);
    let mut sweep = Sweep { facts, act, inventory, questions: HashMap::new(), broken: RoaringBitmap::new() };

    let mut reached = RoaringBitmap::new();
    let mut unenforceable = RoaringBitmap::new();
    for policy in set.get(&candidates(&set.permits)) {
        let matched = sweep.matched(policy, &inventory.all);
        if act.bounded() && policy.terms.bounds.unenforceable().next().is_some() {
            unenforceable |= &matched;
        }
        reached |= matched;
    }
    for policy in set.get(&candidates(&set.forbids)) {
        reached -= sweep.matched(policy, &reached.clone());
    }
    let limits: Vec<Slot> = if act.bounded() { candidates(&set.limits) } else { Vec::new() };
    for policy in set.get(&limits) {
        // A limit matters here only where it denies; its errors deny too.
        let matched = sweep.matched(policy, &reached.clone());
        if policy.terms.bounds.unenforceable().next().is_some() {
            unenforceable |= matched;
        }
    }
    (reached - unenforceable - &sweep.broken, sweep.broken)
}

struct Sweep<'a> {
    facts: &'a Facts<'a>,
    act: Act,
    inventory: &'a Inventory,
    /// Questions at the examples of groups, which policies share.
    questions: HashMap<u32, Option<Question>>,
    /// Accounts at which some policy could not be evaluated.
    broken: RoaringBitmap,
}

impl Sweep<'_> {
    /// The accounts among `wanted` at which a policy matches.
    fn matched(&mut self, policy: &Compiled, wanted: &RoaringBitmap) -> RoaringBitmap {
        let Some(posting) = self.inventory.posting(&policy.scope.resource) else { return RoaringBitmap::new() };
        let wanted = posting & wanted;
        let mut matched = RoaringBitmap::new();
        if policy.scope.reads.has(Reads::IDENTITY) {
            for number in &wanted {
                let question = self.question(number);
                self.note(policy, question.as_ref(), RoaringBitmap::from([number]), &mut matched);
            }
            return matched;
        }
        for members in self.inventory.partition(policy.scope.reads).split(&wanted) {
            // An account of the posting itself: there the conjunct that became the key holds.
            let Some(example) = members.min() else { continue };
            let question = self.questions.remove(&example).unwrap_or_else(|| self.question(example));
            self.note(policy, question.as_ref(), members, &mut matched);
            self.questions.insert(example, question);
        }
        matched
    }

    fn question(&self, number: u32) -> Option<Question> {
        let (target, account) = self.inventory.get(number)?;
        Question::new(&self.facts.clone().at(Place::Account(target, account)), self.act, &BTreeSet::new()).ok()
    }

    /// Evaluates a policy at one account for all that are like it.
    fn note(
        &mut self,
        policy: &Compiled,
        question: Option<&Question>,
        members: RoaringBitmap,
        matched: &mut RoaringBitmap,
    ) {
        match question.map(|question| policy.matches(question)) {
            Some(Ok(true)) => *matched |= members,
            Some(Ok(false)) => {}
            Some(Err(_)) | None => self.broken |= members,
        }
    }
}

#[cfg(test)]
mod tests;
