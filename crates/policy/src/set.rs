//! A loaded policy set: immutable, indexed, with the hash that sessions pin as evidence.

use crate::facts::{Place, Question, resource_keys};
use crate::index::{Index, Slot};
use crate::rules::READY;
use crate::scope::Scope;
use crate::terms::Terms;
use crate::{BUILTIN, SCHEMA};
use aws_lc_rs::digest::{Context, SHA256};
use cedar_policy::{Authorizer, Decision as Verdict, Effect, Policy, PolicySet as CedarSet};
use sallyport_model::TargetName;
use sallyport_model::inventory::{Account, Target};
use sallyport_model::name::Label;
use sallyport_model::rules::{Grammar, RuleSet};
use std::collections::{BTreeMap, BTreeSet};

/// One policy, ready to be evaluated.
pub(crate) struct Compiled {
    /// Its `@id`, or `file:line`.
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) effect: Effect,
    pub(crate) terms: Terms,
    pub(crate) scope: Scope,
    /// With its preconditions compiled into its condition; its Cedar id is its slot.
    pub(crate) policy: Policy,
    /// It alone, for listings and explanations.
    pub(crate) alone: CedarSet,
}

/// Every policy that is in force, the built-in ones among them.
pub struct PolicySet {
    files: Vec<(String, String)>,
    hash: String,
    rules: BTreeMap<String, RuleSet>,
    pub(crate) policies: Vec<Compiled>,
    pub(crate) permits: Index,
    pub(crate) forbids: Index,
    pub(crate) limits: Index,
}

/// A rule set that is in force where other lines are typed than it reads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Misread<'a> {
    /// The policy that names it.
    pub policy: String,
    /// The rule set.
    pub rules: Label,
    /// What it reads.
    pub reads: Grammar,
    /// Where.
    pub targets: BTreeSet<&'a TargetName>,
}

/// What Cedar said of a slice.
pub(crate) struct Outcome {
    pub(crate) permitted: bool,
    /// The determining policies: on a permit the permits that match, otherwise the forbids.
    pub(crate) determining: Vec<Slot>,
}

impl PolicySet {
    /// Indexes compiled policies. `files` are sorted by name.
    pub(crate) fn build(
        files: Vec<(String, String)>,
        policies: Vec<Compiled>,
        rules: BTreeMap<String, RuleSet>,
    ) -> Self {
        let (mut permits, mut forbids, mut limits) = (Index::default(), Index::default(), Index::default());
        for (slot, policy) in policies.iter().enumerate() {
            let index = match (policy.effect, policy.terms.limit) {
                (Effect::Forbid, _) => &mut forbids,
                (Effect::Permit, false) => &mut permits,
                (Effect::Permit, true) => &mut limits,
            };
            index.add(slot, &policy.scope);
        }
        Self { hash: hash(&files), files, rules, policies, permits, forbids, limits }
    }

    /// SHA-256 over the schema, the built-in policies and rule sets, and the files in the order of their names,
    /// each part prefixed by its length; hexadecimal.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The files, sorted by name, as they were loaded.
    #[must_use]
    pub fn files(&self) -> &[(String, String)] {
        &self.files
    }

    /// The rule sets of these names. Every name that a policy says has one.
    #[must_use]
    pub fn rules(&self, names: &BTreeSet<String>) -> Vec<RuleSet> {
        names.iter().filter_map(|name| self.rules.get(name)).cloned().collect()
    }

    /// Every rule set, by name, the ready ones among them.
    pub fn rule_sets(&self) -> impl Iterator<Item = &RuleSet> {
        self.rules.values()
    }

    /// The policies that put a rule set into force, by name.
    #[must_use]
    pub fn rules_of(&self, name: &str) -> Vec<String> {
        let says = |policy: &&Compiled| policy.terms.bounds.commands.contains(name);
        self.policies.iter().filter(says).map(|policy| policy.name.clone()).collect()
    }

    /// Where a policy that may reach a target puts a rule set into force which reads other lines than are typed there: policy,
    /// rule set, and the names of those targets.
    #[must_use]
    pub fn misread<'a>(&self, places: &[(&'a Target, &'a Account)]) -> Vec<Misread<'a>> {
        let mut found = Vec::new();
        for policy in &self.policies {
            for set in policy.terms.bounds.commands.iter().filter_map(|name| self.rules.get(name)) {
                let other = |target: &Target| !set.commands.is_empty() && target.platform.grammar() != set.grammar;
                let reached = places.iter().filter(|(target, _)| other(target));
                let reached = reached.filter(|(target, account)| {
                    let keys = resource_keys(&Place::Account(target, account));
                    keys.contains(&policy.scope.resource)
                });
                let targets: BTreeSet<_> = reached.map(|(target, _)| &target.name).collect();
                if !targets.is_empty() {
                    found.push(Misread {
                        policy: policy.name.clone(),
                        rules: set.name.clone(),
                        reads: set.grammar,
                        targets,
                    });
                }
            }
        }
        found
    }

    /// How many policies there are, the built-in ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Never: the built-in policies are always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    pub(crate) fn get(&self, slots: &[Slot]) -> impl Iterator<Item = &Compiled> {
        slots.iter().filter_map(|slot| self.policies.get(*slot))
    }

    /// Names of policies, for people and the ledger.
    pub(crate) fn names(&self, slots: &[Slot]) -> Vec<String> {
        self.get(slots).map(|policy| policy.name.clone()).collect()
    }

    /// Evaluates these policies. An error in any of them is an error of the whole: it denies.
    pub(crate) fn evaluate(&self, slots: &[Slot], question: &Question) -> Result<Outcome, String> {
        let mut slice = CedarSet::new();
        for policy in self.get(slots) {
            slice.add(policy.policy.clone()).map_err(|error| error.to_string())?;
        }
        judge(&slice, question)
    }
}

impl Compiled {
    /// Whether it matches, be it a permit or a forbid.
    pub(crate) fn matches(&self, question: &Question) -> Result<bool, String> {
        Ok(!judge(&self.alone, question)?.determining.is_empty())
    }
}

fn judge(policies: &CedarSet, question: &Question) -> Result<Outcome, String> {
    let response = Authorizer::new().is_authorized(&question.request, policies, &question.entities);
    if let Some(error) = response.diagnostics().errors().next() {
        return Err(error.to_string());
    }
    let slots = response.diagnostics().reason().map(|id| id.to_string().parse::<Slot>());
    let mut determining = slots.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    determining.sort_unstable();
    Ok(Outcome { permitted: response.decision() == Verdict::Allow, determining })
}

fn hash(files: &[(String, String)]) -> String {
    let mut context = Context::new(&SHA256);
    let mut part = |text: &str| {
        context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(text.as_bytes());
    };
    part("sallyport-policy-v1");
    part(SCHEMA);
    part(BUILTIN);
    for (name, text) in READY {
        part(name);
        part(text);
    }
    for (name, text) in files {
        part(name);
        part(text);
    }
    hex::encode(context.finish())
}
