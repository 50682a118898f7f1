//! Why a decision is as it is: what determined it, where each limit comes from, and what came near.
//!
//! The slow path: every policy for the action is evaluated singly, not only the slice.

use crate::act::Act;
use crate::decide::{Decision, decide, refuse};
use crate::facts::{Facts, Question, principal_keys, resource_keys};
use crate::scope::Scope;
use crate::set::{Compiled, PolicySet};
use crate::terms::Bounds;
use cedar_policy::Effect;
use std::collections::BTreeSet;

/// Most near misses that are told.
const MOST: usize = 5;

/// A policy and where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyAt {
    /// Its `@id`, or `file:line`.
    pub name: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// Its `@description`, where it has one.
    pub description: Option<String>,
}

impl PolicyAt {
    fn of(policy: &Compiled) -> Self {
        Self {
            name: policy.name.clone(),
            file: policy.file.clone(),
            line: policy.line,
            description: policy.terms.description.clone(),
        }
    }
}

/// A limit and where it comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LimitFrom {
    /// The limit's name, such as `max_duration`.
    pub key: &'static str,
    /// Its value in words.
    pub value: String,
    /// The policies that set this very value; empty where the house does.
    pub policies: Vec<PolicyAt>,
}

/// A permit that did not match, and what was missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NearMiss {
    /// The permit.
    pub policy: PolicyAt,
    /// What would make it match.
    pub text: String,
}

/// Why a decision is as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// The decision itself, as `decide` makes it.
    pub decision: Decision,
    /// Permits that match.
    pub permits: Vec<PolicyAt>,
    /// Forbids that match.
    pub forbids: Vec<PolicyAt>,
    /// Every limit with its source; empty where nothing is permitted.
    pub limits: Vec<LimitFrom>,
    /// Permits that nearly match, nearest first; empty where something is permitted.
    pub near_misses: Vec<NearMiss>,
    /// Policies that could not be evaluated: one is enough to deny.
    pub errors: Vec<PolicyAt>,
    /// Policies by which the answer hangs on where a forward goes, which was not said.
    pub depends: Vec<PolicyAt>,
}

/// Explains the decision on `act` under these facts.
#[must_use]
pub fn explain(set: &PolicySet, facts: &Facts<'_>, act: Act) -> Explanation {
    let mut told = Explanation {
        decision: decide(set, facts, act),
        permits: Vec::new(),
        forbids: Vec::new(),
        limits: Vec::new(),
        near_misses: Vec::new(),
        errors: Vec::new(),
        depends: Vec::new(),
    };
    let Ok(question) = Question::new(facts, act, &BTreeSet::new()) else { return told };
    if refuse(facts, act).is_some() {
        return told;
    }
    if matches!(act, Act::Channel(channel) if channel.forwards() && facts.destination.is_none()) {
        told.depends = depends(set, (facts, &question), act, told.decision.permits());
    }
    let mut bounding = Vec::new();
    let mut unmatched = Vec::new();
    for policy in set.policies.iter().filter(|policy| concerns(&policy.scope, act)) {
        match (policy.matches(&question), policy.effect, policy.terms.limit) {
            (Err(_), ..) => told.errors.push(PolicyAt::of(policy)),
            (Ok(true), Effect::Forbid, _) => told.forbids.push(PolicyAt::of(policy)),
            (Ok(true), Effect::Permit, limit) => {
                bounding.push(policy);
                if !limit {
                    told.permits.push(PolicyAt::of(policy));
                }
            }
            (Ok(false), Effect::Permit, false) => unmatched.push(policy),
            (Ok(false), ..) => {}
        }
    }
    if told.decision.permits() {
        if act.bounded() {
            told.limits = limits(&bounding);
        }
    } else if told.permits.is_empty() {
        told.near_misses = near_misses(&unmatched, facts, act);
    }
    told
}

/// Policies that may turn the answer once it is known where the forward goes: where it is no, permits that ask for that, unless
/// something forbids it wherever it goes; and forbids that do.
fn depends(set: &PolicySet, (facts, question): (&Facts<'_>, &Question), act: Act, permits: bool) -> Vec<PolicyAt> {
    let (principals, resources) = (principal_keys(facts.identity), resource_keys(&facts.place));
    let here = |policy: &&Compiled| {
        concerns(&policy.scope, act)
            && principals.contains(&policy.scope.principal)
            && resources.contains(&policy.scope.resource)
    };
    let mut asking = Vec::new();
    for policy in set.policies.iter().filter(here) {
        let matches = policy.matches(question) == Ok(true);
        match (policy.effect, policy.scope.destination) {
            (Effect::Forbid, false) if matches => return Vec::new(),
            (Effect::Forbid, true) if matches != permits => asking.push(PolicyAt::of(policy)),
            (Effect::Permit, true) if !permits && !matches && !policy.terms.limit => asking.push(PolicyAt::of(policy)),
            _ => {}
        }
    }
    asking
}

fn concerns(scope: &Scope, act: Act) -> bool {
    scope.actions.as_ref().is_none_or(|actions| actions.contains(act.action()))
}

fn limits(bounding: &[&Compiled]) -> Vec<LimitFrom> {
    let joined = bounding.iter().fold(Bounds::default(), |all, policy| all.join(&policy.terms.bounds));
    let joined_limits = Bounds::of(&joined.limits());
    joined_limits
        .named()
        .into_iter()
        .map(|(key, value)| {
            let sets = |policy: &&&Compiled| {
                let named = policy.terms.bounds.named();
                // A list and a crossing are joined from several, so each one that names them counts.
                let merged = matches!(key, "commands" | "clipboard" | "transfer");
                named.iter().any(|(k, v)| *k == key && (merged || *v == value))
            };
            let policies = bounding.iter().filter(sets).map(|policy| PolicyAt::of(policy)).collect();
            LimitFrom { key, value, policies }
        })
        .collect()
}

/// Permits that would match if the demands were met, or if the identity were in the group that
/// they name.
fn near_misses(unmatched: &[&Compiled], facts: &Facts<'_>, act: Act) -> Vec<NearMiss> {
    let own: Vec<&str> = facts.identity.groups.iter().map(|group| group.as_str()).collect();
    let mut found = Vec::new();
    for policy in unmatched {
        let missing: Vec<&str> =
            policy.scope.met.iter().filter(|fact| !facts.is_met(fact)).map(String::as_str).collect();
        let group = policy.scope.principal.strip_prefix("group:").filter(|group| !own.contains(group));
        let mut wants = Vec::new();
        if let Some(group) = group {
            wants.push(format!("if {} were in the group {group}", facts.identity.handle));
        }
        if !missing.is_empty() {
            let demands: Vec<_> = missing.iter().map(|fact| crate::Demand::of_fact(fact).to_string()).collect();
            wants.push(format!("with {}", demands.join(" and ")));
        }
        if wants.is_empty() {
            continue;
        }
        let groups = own.iter().copied().chain(group);
        let question = Question::with_groups(facts, act, &policy.scope.met, groups);
        if question.is_ok_and(|question| policy.matches(&question) == Ok(true)) {
            let text = format!("would be permitted {}", wants.join(" and "));
            found.push((wants.len(), NearMiss { policy: PolicyAt::of(policy), text }));
        }
    }
    found.sort_by_key(|(missing, _)| *missing);
    found.into_iter().take(MOST).map(|(_, near)| near).collect()
}

#[cfg(test)]
mod tests;
