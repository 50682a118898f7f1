//! The decision: permit with limits, needs, or deny. Default deny; every error denies.

use crate::act::{Act, Right};
use crate::demand::Demand;
use crate::facts::{Facts, Place, Question, principal_keys, resource_keys};
use crate::index::Slot;
use crate::set::{Compiled, PolicySet};
use crate::terms::Bounds;
use cedar_policy::Effect;
use sallyport_model::access::{Channel, Denial};
use sallyport_model::{Kind, Limits};
use std::collections::BTreeSet;

/// Why not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// The policy that says so, where one does.
    pub policy: Option<String>,
    /// In words.
    pub text: String,
}

impl Reason {
    fn plain(text: impl Into<String>) -> Self {
        Self { policy: None, text: text.into() }
    }
}

/// What the policy says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// No.
    Deny {
        /// Why; never empty.
        reasons: Vec<Reason>,
    },
    /// No as things stand; yes, once the demands are met. A caller who cannot have them met denies.
    Needs {
        /// What is missing; never empty.
        demands: Vec<Demand>,
        /// The policies that would permit it then.
        determining: Vec<String>,
    },
    /// Yes.
    Permit {
        /// What bounds it.
        limits: Limits,
        /// The policies that permit it.
        determining: Vec<String>,
    },
}

impl Decision {
    /// Whether it is a plain yes.
    #[must_use]
    pub const fn permits(&self) -> bool {
        matches!(self, Self::Permit { .. })
    }

    /// The `no` for the person who asked; `None` for a permit. Of all demands this release can have one met, a fresh
    /// second factor; with any other it denies, and says so.
    #[must_use]
    pub fn denial(&self) -> Option<Denial> {
        let text = match self {
            Self::Permit { .. } => return None,
            Self::Needs { demands, .. } if demands.iter().all(|demand| *demand == Demand::StepUp) => {
                "this needs a fresh second factor: confirm in the portal that it is you, and repeat within five minutes"
                    .to_owned()
            }
            Self::Needs { demands, .. } => {
                let demands: Vec<_> = demands.iter().map(ToString::to_string).collect();
                format!("this needs {}, which this version cannot yet give", demands.join(" and "))
            }
            Self::Deny { reasons } => reasons.iter().map(|r| r.text.as_str()).collect::<Vec<_>>().join("; "),
        };
        Some(Denial::new(Kind::Denied, text))
    }

    fn deny(text: impl Into<String>) -> Self {
        Self::Deny { reasons: vec![Reason::plain(text)] }
    }
}

/// What an account is to a person.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Standing {
    /// Not to be told from one that does not exist.
    Invisible,
    /// May be asked for.
    Requestable,
    /// May be connected to now.
    Usable,
}

/// Decides whether `act` is permitted under these facts.
#[must_use]
pub fn decide(set: &PolicySet, facts: &Facts<'_>, act: Act) -> Decision {
    if let Some(refusal) = refuse(facts, act) {
        return refusal;
    }
    let slice = Slice::new(set, facts, act);
    if slice.permits.is_empty() {
        return Decision::deny(NO_POLICY);
    }
    decide_slice(set, facts, act, &slice).unwrap_or_else(|error| {
        Decision::deny(format!("a policy could not be evaluated, so nothing is permitted: {error}"))
    })
}

/// What the account at `facts.place` is to the person: usable where policy permits to connect,
/// requestable where it permits to request or to connect once its demands are met.
#[must_use]
pub fn standing(set: &PolicySet, facts: &Facts<'_>) -> Standing {
    match decide(set, facts, Act::Connect) {
        Decision::Permit { .. } => Standing::Usable,
        Decision::Needs { .. } => Standing::Requestable,
        Decision::Deny { .. } if decide(set, facts, Act::Request).permits() => Standing::Requestable,
        Decision::Deny { .. } => Standing::Invisible,
    }
}

/// Whether a channel of this kind may come to be permitted in a session of which nothing else is known yet. Where a
/// forward goes is not, so that there every policy counts that could permit one.
#[must_use]
pub fn conceivable(set: &PolicySet, facts: &Facts<'_>, channel: Channel) -> bool {
    let act = Act::Channel(channel);
    if channel.forwards() {
        return refuse(facts, act).is_none() && !Slice::new(set, facts, act).permits.is_empty();
    }
    decide(set, facts, act).permits()
}

const NO_POLICY: &str = "no policy permits this";

/// What is refused before any policy is looked at.
pub(crate) fn refuse(facts: &Facts<'_>, act: Act) -> Option<Decision> {
    if facts.identity.disabled {
        return Some(Decision::deny("this identity is disabled"));
    }
    let fits = match (act, &facts.place) {
        (Act::See | Act::Request | Act::Connect | Act::Channel(_), Place::Account(..)) => true,
        (Act::See | Act::Request | Act::Connect | Act::Channel(_), _) => false,
        (Act::Right(Right::InventoryWrite | Right::SessionJoin | Right::VaultWrite | Right::VaultReveal), place) => {
            !matches!(place, Place::System)
        }
        (
            Act::Right(
                Right::InventoryRead
                | Right::SessionList
                | Right::SessionWatch
                | Right::SessionKill
                | Right::SessionMessage
                | Right::SessionPause
                | Right::RecordingPlay
                | Right::RecordingExport
                | Right::Explain,
            ),
            _,
        ) => true,
        (Act::Right(_), place) => matches!(place, Place::System),
    };
    (!fits).then(|| {
        let wants = match act {
            Act::Right(Right::InventoryWrite | Right::SessionJoin | Right::VaultWrite | Right::VaultReveal) => {
                "a target or an account"
            }
            Act::Right(_) => "Sallyport itself",
            _ => "an account",
        };
        Decision::deny(format!("`{}` is decided on {wants}: name the place", act.action()))
    })
}

/// The policies that can matter to one decision.
pub(crate) struct Slice {
    pub(crate) permits: Vec<Slot>,
    pub(crate) forbids: Vec<Slot>,
    pub(crate) limits: Vec<Slot>,
}

impl Slice {
    pub(crate) fn new(set: &PolicySet, facts: &Facts<'_>, act: Act) -> Self {
        let (principals, resources) = (principal_keys(facts.identity), resource_keys(&facts.place));
        let permits = set.permits.candidates(act.action(), &principals, &resources);
        if permits.is_empty() {
            return Self { permits, forbids: Vec::new(), limits: Vec::new() };
        }
        let bounded = act.bounded();
        Self {
            permits,
            forbids: set.forbids.candidates(act.action(), &principals, &resources),
            limits: if bounded { set.limits.candidates(act.action(), &principals, &resources) } else { Vec::new() },
        }
    }

    /// Every policy of the set: what the slice must decide like.
    #[cfg(test)]
    pub(crate) fn whole(set: &PolicySet, act: Act) -> Self {
        let slots = |want: fn(&Compiled) -> bool| {
            set.policies.iter().enumerate().filter(|(_, p)| want(p)).map(|(slot, _)| slot).collect::<Vec<_>>()
        };
        Self {
            permits: slots(|p| p.effect == Effect::Permit && !p.terms.limit),
            forbids: slots(|p| p.effect == Effect::Forbid),
            limits: if act.bounded() { slots(|p| p.terms.limit) } else { Vec::new() },
        }
    }

    fn deciding(&self) -> Vec<Slot> {
        let mut all: Vec<Slot> = self.permits.iter().chain(&self.forbids).copied().collect();
        all.sort_unstable();
        all
    }
}

/// Decides by a slice. `Err` is an evaluation error, which denies.
pub(crate) fn decide_slice(set: &PolicySet, facts: &Facts<'_>, act: Act, slice: &Slice) -> Result<Decision, String> {
    let deciding = slice.deciding();
    let question = Question::new(facts, act, &BTreeSet::new()).map_err(|bad| bad.0)?;
    let outcome = set.evaluate(&deciding, &question)?;
    if outcome.permitted {
        return permit(set, act, slice, &question, &outcome.determining);
    }
    // A second look with every fact assumed that these policies name tells "needs" from "no".
    let assumed: BTreeSet<String> = set.get(&deciding).flat_map(|policy| policy.scope.met.iter().cloned()).collect();
    if !assumed.is_subset(&facts.met) {
        let question = Question::new(facts, act, &assumed).map_err(|bad| bad.0)?;
        let hoped = set.evaluate(&deciding, &question)?;
        if hoped.permitted {
            // What would be denied even then is no matter of demands.
            return Ok(match permit(set, act, slice, &question, &hoped.determining)? {
                Decision::Permit { .. } => needs(set, facts, &hoped.determining, &outcome.determining),
                denied => denied,
            });
        }
    }
    let reasons: Vec<Reason> = set
        .get(&outcome.determining)
        .map(|policy| {
            let text = policy.terms.description.clone().unwrap_or_else(|| format!("policy {} forbids it", policy.name));
            Reason { policy: Some(policy.name.clone()), text }
        })
        .collect();
    Ok(if reasons.is_empty() { Decision::deny(NO_POLICY) } else { Decision::Deny { reasons } })
}

fn permit(
    set: &PolicySet,
    act: Act,
    slice: &Slice,
    question: &Question,
    determining: &[Slot],
) -> Result<Decision, String> {
    let mut bounding = Vec::new();
    if act.bounded() {
        bounding.extend_from_slice(determining);
        if !slice.limits.is_empty() {
            bounding.extend(set.evaluate(&slice.limits, question)?.determining);
        }
    }
    let reasons: Vec<Reason> = set
        .get(&bounding)
        .flat_map(|policy| {
            policy.terms.bounds.unenforceable().map(|key| Reason {
                policy: Some(policy.name.clone()),
                text: format!("policy {} sets {key}, which this version cannot yet enforce", policy.name),
            })
        })
        .collect();
    if !reasons.is_empty() {
        return Ok(Decision::Deny { reasons });
    }
    let bounds = set.get(&bounding).fold(Bounds::default(), |all, policy| all.join(&policy.terms.bounds));
    Ok(Decision::Permit { limits: bounds.limits(), determining: set.names(determining) })
}

/// What is missing: the facts of the hoped-for permit that misses fewest (permits are alternatives),
/// and for each forbid that stands in the way now, one of those it names.
fn needs(set: &PolicySet, facts: &Facts<'_>, permits: &[Slot], forbids: &[Slot]) -> Decision {
    let missing = |policy: &Compiled| -> Vec<Demand> {
        policy.scope.met.iter().filter(|fact| !facts.is_met(fact)).map(|fact| Demand::of_fact(fact)).collect()
    };
    let nearest = set.get(permits).map(|policy| (missing(policy), policy)).min_by_key(|(missing, _)| missing.len());
    let (demands, determining) =
        nearest.map_or_else(Default::default, |(missing, policy)| (missing, vec![policy.name.clone()]));
    let mut demands: BTreeSet<Demand> = demands.into_iter().collect();
    let approval = demands.iter().any(|demand| matches!(demand, Demand::Approval { .. }));
    for policy in set.get(forbids).filter(|policy| policy.effect == Effect::Forbid) {
        let mut several = missing(policy);
        // An approval that a permit demands by name meets a forbid that wants any approval.
        if approval && several.contains(&Demand::Fact("approval".into())) {
            continue;
        }
        if several.len() > 1 {
            demands.insert(Demand::AnyOf(several));
        } else if let Some(one) = several.pop() {
            demands.insert(one);
        }
    }
    Decision::Needs { demands: demands.into_iter().collect(), determining }
}

#[cfg(test)]
pub(crate) mod tests;
