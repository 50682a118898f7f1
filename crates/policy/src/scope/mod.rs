//! What can be read off a policy without evaluating it: its actions, index keys, the attributes and facts it names.
//!
//! Read from Cedar's JSON form. Everything here may only make the slice *larger* than it need be:
//! a key is taken from a conjunct only where no conjunct before it can fail, so that a policy is
//! left out of a slice only where the whole set would have found it false.

use crate::act::{Act, CHANNELS};
use serde_json::Value;
use std::collections::BTreeSet;

/// A set of attributes of a resource.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Reads(u8);

impl Reads {
    pub(crate) const CLASS: Self = Self(1);
    pub(crate) const ENVIRONMENT: Self = Self(1 << 1);
    pub(crate) const PROTOCOL: Self = Self(1 << 2);
    pub(crate) const TAGS: Self = Self(1 << 3);
    pub(crate) const TIER: Self = Self(1 << 4);
    pub(crate) const ZONE: Self = Self(1 << 5);
    /// Which very account it is, or any use that this analysis does not know.
    pub(crate) const IDENTITY: Self = Self(1 << 6);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn of_attribute(name: &str) -> Self {
        match name {
            "class" => Self::CLASS,
            "environment" => Self::ENVIRONMENT,
            "protocol" => Self::PROTOCOL,
            "tags" => Self::TAGS,
            "tier" => Self::TIER,
            "zone" => Self::ZONE,
            _ => Self::IDENTITY,
        }
    }
}

/// What the index and the listing know of one policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Scope {
    /// The actions; `None` means every one.
    pub(crate) actions: Option<BTreeSet<String>>,
    /// `*`, `identity:<handle>` or `group:<name>`.
    pub(crate) principal: String,
    /// `*` or one of the keys that an index is made by.
    pub(crate) resource: String,
    /// The attributes of the resource on which the outcome can depend among the accounts of the
    /// resource key: what became the key is the same for all of them.
    pub(crate) reads: Reads,
    /// Facts of `context.met` that it names.
    pub(crate) met: BTreeSet<String>,
    /// Whether it asks where a forward goes.
    pub(crate) destination: bool,
}

/// The key under which everything is filed that names no better one.
pub(crate) const ANY: &str = "*";

/// `kind:value`, such as `tag:db`.
pub(crate) fn key(kind: &str, value: &str) -> String {
    let mut key = String::with_capacity(kind.len() + 1 + value.len());
    key.push_str(kind);
    key.push(':');
    key.push_str(value);
    key
}

impl Scope {
    /// Whether it speaks of an act.
    pub(crate) fn names(&self, act: Act) -> bool {
        self.actions.as_ref().is_none_or(|actions| actions.contains(act.action()))
    }

    /// Analyses a policy in Cedar's JSON form.
    pub(crate) fn of(policy: &Value) -> Self {
        let mut keys = Keys { principal: None, resource: None };
        keys.principal = scope_entity(policy, "principal").and_then(principal_key);
        keys.resource = scope_entity(policy, "resource").and_then(entity_resource_key);
        let mut reads = Reads::default();
        let mut met = BTreeSet::new();
        let mut sound = true;
        for condition in policy.get("conditions").and_then(Value::as_array).into_iter().flatten() {
            let Some(body) = condition.get("body") else { continue };
            facts(body, &mut met);
            let when = condition.get("kind").and_then(Value::as_str) == Some("when");
            let mut conjuncts = Vec::new();
            if when {
                split(body, &mut conjuncts)
            } else {
                conjuncts.push(body)
            }
            for conjunct in conjuncts {
                sound = sound && total(conjunct);
                let became_the_key = when && sound && keys.narrow(conjunct);
                if !became_the_key {
                    reads = reads.and(read_by(conjunct));
                }
            }
        }
        Self {
            actions: actions(policy),
            principal: keys.principal.unwrap_or_else(|| ANY.to_owned()),
            resource: keys.resource.unwrap_or_else(|| ANY.to_owned()),
            reads,
            met,
            destination: policy.get("conditions").is_some_and(asks_where),
        }
    }
}

struct Keys {
    principal: Option<String>,
    resource: Option<String>,
}

impl Keys {
    /// Takes a key from a conjunct, where there is none yet. Says whether it became the resource's.
    fn narrow(&mut self, conjunct: &Value) -> bool {
        if self.principal.is_none() {
            self.principal = member(conjunct, "principal").and_then(principal_key);
        }
        if self.resource.is_some() {
            return false;
        }
        self.resource = member(conjunct, "resource").and_then(entity_resource_key).or_else(|| attribute_key(conjunct));
        self.resource.is_some()
    }
}

fn actions(policy: &Value) -> Option<BTreeSet<String>> {
    let action = policy.get("action")?;
    let named = action.get("entities").and_then(Value::as_array).cloned();
    let named = named.or_else(|| action.get("entity").map(|one| vec![one.clone()]))?;
    let names = named.iter().filter_map(|entity| entity.get("id").and_then(Value::as_str));
    let mut all = BTreeSet::new();
    for name in names {
        if name == CHANNELS {
            all.extend(Act::all().filter(|act| act.in_channels()).map(|act| act.action().to_owned()));
        } else {
            all.insert(name.to_owned());
        }
    }
    Some(all)
}

/// The entity that a scope constraint names, with `==`, `in` or `is .. in`.
fn scope_entity<'a>(policy: &'a Value, part: &str) -> Option<&'a Value> {
    let constraint = policy.get(part)?;
    constraint.get("entity").or_else(|| constraint.get("in")?.get("entity"))
}

fn principal_key(entity: &Value) -> Option<String> {
    let (kind, id) = typed(entity)?;
    match kind {
        "Group" => Some(key("group", id)),
        "Identity" => Some(key("identity", id)),
        _ => None,
    }
}

fn entity_resource_key(entity: &Value) -> Option<String> {
    let (kind, id) = typed(entity)?;
    match kind {
        "Account" => Some(key("account", id)),
        "Target" => Some(key("target", id)),
        _ => None,
    }
}

fn typed(entity: &Value) -> Option<(&str, &str)> {
    Some((entity.get("type")?.as_str()?, entity.get("id")?.as_str()?))
}

/// `principal in Group::"x"` and its kin: the entity on the right.
fn member<'a>(expression: &'a Value, variable: &str) -> Option<&'a Value> {
    let operands = expression.get("in").or_else(|| expression.get("=="))?;
    let named = operands.get("left")?.get("Var")?.as_str()? == variable;
    if named { operands.get("right")?.get("Value")?.get("__entity") } else { None }
}

/// `resource.tags.contains("x")` or `resource.environment == "x"`.
fn attribute_key(expression: &Value) -> Option<String> {
    if let Some(operands) = expression.get("contains") {
        let tags = attribute(operands.get("left")?, "resource")? == "tags";
        let value = operands.get("right")?.get("Value")?.as_str()?;
        return tags.then(|| key("tag", value));
    }
    let operands = expression.get("==")?;
    let (left, right) = (operands.get("left")?, operands.get("right")?);
    let (name, value) = match (attribute(left, "resource"), attribute(right, "resource")) {
        (Some(name), None) => (name, right.get("Value")?.as_str()?),
        (None, Some(name)) => (name, left.get("Value")?.as_str()?),
        _ => return None,
    };
    matches!(name, "class" | "environment" | "protocol" | "zone").then(|| key(name, value))
}

/// The attribute in `variable.attribute`.
fn attribute<'a>(expression: &'a Value, variable: &str) -> Option<&'a str> {
    let access = expression.get(".")?;
    let named = access.get("left")?.get("Var")?.as_str()? == variable;
    if named { access.get("attr")?.as_str() } else { None }
}

/// The operands of a chain of `&&`, in the order of evaluation.
fn split<'a>(expression: &'a Value, out: &mut Vec<&'a Value>) {
    match expression.get("&&").map(|both| (both.get("left"), both.get("right"))) {
        Some((Some(left), Some(right))) => {
            split(left, out);
            split(right, out);
        }
        _ => out.push(expression),
    }
}

/// Whether the evaluation of a strictly validated expression cannot fail: no arithmetic, which
/// may overflow, and no extension call but those on addresses.
fn total(expression: &Value) -> bool {
    const TOTAL: [&str; 26] = [
        "!",
        "!=",
        "&&",
        ".",
        "<",
        "<=",
        "==",
        ">",
        ">=",
        "Set",
        "Value",
        "Var",
        "contains",
        "containsAll",
        "containsAny",
        "has",
        "if-then-else",
        "in",
        "ip",
        "is",
        "isEmpty",
        "isInRange",
        "isIpv4",
        "isIpv6",
        "like",
        "||",
    ];
    match expression {
        Value::Object(node) => node.iter().all(|(operator, operands)| {
            operator == "Value" || operator == "Var" || (TOTAL.contains(&operator.as_str()) && operands_total(operands))
        }),
        _ => true,
    }
}

fn operands_total(operands: &Value) -> bool {
    match operands {
        Value::Array(several) => several.iter().all(total),
        Value::Object(named) => named.values().all(|operand| !operand.is_object() || total(operand)),
        _ => true,
    }
}

/// The attributes of `resource` that an expression can depend on.
fn read_by(expression: &Value) -> Reads {
    match expression {
        Value::Object(node) => {
            if node.get("Var").and_then(Value::as_str) == Some("resource") {
                return Reads::IDENTITY;
            }
            if node.contains_key("Value") {
                return Reads::default();
            }
            if let Some(name) = attribute(expression, "resource") {
                return Reads::of_attribute(name);
            }
            let whole_type = node.get("is").filter(|is| is.get("in").is_none());
            if whole_type.and_then(|is| is.get("left")?.get("Var")?.as_str()) == Some("resource") {
                return Reads::default();
            }
            node.values().fold(Reads::default(), |all, child| all.and(read_by(child)))
        }
        Value::Array(several) => several.iter().fold(Reads::default(), |all, child| all.and(read_by(child))),
        _ => Reads::default(),
    }
}

/// Whether an expression looks at `context.destination`.
fn asks_where(expression: &Value) -> bool {
    match expression {
        Value::Object(node) => attribute(expression, "context") == Some("destination") || node.values().any(asks_where),
        Value::Array(several) => several.iter().any(asks_where),
        _ => false,
    }
}

/// The facts that an expression asks of `context.met`.
pub(crate) fn facts(expression: &Value, out: &mut BTreeSet<String>) {
    match expression {
        Value::Object(node) => {
            for operator in ["contains", "containsAll", "containsAny"] {
                let Some(operands) = node.get(operator) else { continue };
                let Some((left, right)) = operands.get("left").zip(operands.get("right")) else { continue };
                if attribute(left, "context") == Some("met") {
                    let several = right.get("Set").and_then(Value::as_array).map_or(std::slice::from_ref(right), |s| s);
                    out.extend(several.iter().filter_map(|fact| fact.get("Value")?.as_str()).map(str::to_owned));
                }
            }
            node.values().for_each(|child| facts(child, out));
        }
        Value::Array(several) => several.iter().for_each(|child| facts(child, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
