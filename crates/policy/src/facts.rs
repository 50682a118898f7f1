//! What is known when a decision is made, and its form in Cedar: principal, action, resource, context.

use crate::act::{Act, CHANNELS};
use crate::scope::{ANY, key};
use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};
use sallyport_model::inventory::{Account, Class, Identity, IdentityKind, Target};
use sallyport_model::{Address, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::LazyLock;

/// What an act is about.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// An account, on its target.
    Account(&'a Target, &'a Account),
    /// Sallyport itself.
    System,
    /// A target.
    Target(&'a Target),
}

impl<'a> From<Option<(&'a Target, &'a Account)>> for Place<'a> {
    fn from(place: Option<(&'a Target, &'a Account)>) -> Self {
        place.map_or(Self::System, |(target, account)| Self::Account(target, account))
    }
}

/// What is known when a decision is made. Built from verified documents, never from what a client says.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Who acts.
    pub identity: &'a Identity,
    /// On what.
    pub place: Place<'a>,
    /// When.
    pub now: Timestamp,
    /// From where.
    pub from: IpAddr,
    /// The ticket named, if one was.
    pub ticket: Option<&'a str>,
    /// Where a forward goes, as `host:port` or a path.
    pub destination: Option<&'a str>,
    /// Why, in the asker's words.
    pub reason: &'a str,
    /// Factors of the sign-in, such as `ssh-key`.
    pub factors: BTreeSet<String>,
    /// Demands that are met, as `approval:<group>:<n>`, `ticket`, `step-up`, `device`, `break-glass`.
    pub met: BTreeSet<String>,
}

impl<'a> Facts<'a> {
    /// Facts about the product itself, with no reason, factor or met demand.
    #[must_use]
    pub const fn new(identity: &'a Identity, now: Timestamp, from: IpAddr) -> Self {
        Self {
            identity,
            place: Place::System,
            now,
            from,
            ticket: None,
            destination: None,
            reason: "",
            factors: BTreeSet::new(),
            met: BTreeSet::new(),
        }
    }

    /// Whether a demand is met. Any approval by name is also an `approval`.
    pub(crate) fn is_met(&self, fact: &str) -> bool {
        self.met.contains(fact) || (fact == APPROVAL && self.met.iter().any(|fact| by_name(fact)))
    }

    /// The same facts at another place.
    #[must_use]
    pub fn at(self, place: impl Into<Place<'a>>) -> Self {
        Self { place: place.into(), ..self }
    }
}

/// The fact that somebody approved, whoever it was.
const APPROVAL: &str = "approval";

fn by_name(fact: &str) -> bool {
    fact.starts_with("approval:")
}

/// A part of a request that Cedar did not take; a decision then denies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BadFacts(pub(crate) String);

fn bad(error: impl std::fmt::Display) -> BadFacts {
    BadFacts(error.to_string())
}

/// A question in Cedar's form.
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) entities: Entities,
}

impl Question {
    /// The question whether `act` is permitted under these facts, with `assumed` taken as met.
    pub(crate) fn new(facts: &Facts<'_>, act: Act, assumed: &BTreeSet<String>) -> Result<Self, BadFacts> {
        let groups = facts.identity.groups.iter().map(|group| group.as_str());
        Self::with_groups(facts, act, assumed, groups)
    }

    /// The same, for an identity in these groups.
    pub(crate) fn with_groups<'g>(
        facts: &Facts<'_>,
        act: Act,
        assumed: &BTreeSet<String>,
        groups: impl Iterator<Item = &'g str>,
    ) -> Result<Self, BadFacts> {
        let principal = principal(facts.identity, groups)?;
        let action = action(act)?;
        let resource = resource(&facts.place)?;
        let request = Request::new(principal.uid(), action.uid(), resource.uid(), context(facts, assumed)?, None);
        let entities = Entities::from_entities([principal, action, resource], None).map_err(bad)?;
        Ok(Self { request: request.map_err(bad)?, entities })
    }
}

/// The types of the schema that facts speak of, parsed once: parsing a name costs as much as a small policy.
static TYPES: LazyLock<BTreeMap<&str, EntityTypeName>> = LazyLock::new(|| {
    let kinds = ["Account", "Action", "Group", "Identity", "System", "Target"];
    kinds.into_iter().filter_map(|kind| Some((kind, kind.parse().ok()?))).collect()
});

fn uid(kind: &str, id: &str) -> Result<EntityUid, BadFacts> {
    let name = TYPES.get(kind).cloned().ok_or_else(|| bad(format!("`{kind}` is no type of the schema")))?;
    Ok(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn texts<'t>(values: impl Iterator<Item = &'t str>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.map(text))
}

fn entity<'n>(
    uid: EntityUid,
    attributes: impl IntoIterator<Item = (&'n str, RestrictedExpression)>,
    parents: HashSet<EntityUid>,
) -> Result<Entity, BadFacts> {
    let attributes: HashMap<_, _> = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, parents).map_err(bad)
}

/// Groups are the direct parents, already flattened: no hierarchy is walked.
fn principal<'g>(identity: &Identity, groups: impl Iterator<Item = &'g str>) -> Result<Entity, BadFacts> {
    let kind = match identity.kind {
        IdentityKind::User => "user",
        IdentityKind::Workload => "workload",
    };
    let parents = groups.map(|group| uid("Group", group)).collect::<Result<_, _>>()?;
    let attributes = [("handle", text(identity.handle.as_str())), ("kind", text(kind))];
    entity(uid("Identity", identity.handle.as_str())?, attributes, parents)
}

fn action(act: Act) -> Result<Entity, BadFacts> {
    let parents = if act.in_channels() { HashSet::from([uid("Action", CHANNELS)?]) } else { HashSet::new() };
    Ok(Entity::new_no_attrs(uid("Action", act.action())?, parents))
}

/// An account's class, as policies spell it.
pub(crate) const fn class_word(class: Class) -> &'static str {
    match class {
        Class::Administrative => "administrative",
        Class::Service => "service",
        Class::Standard => "standard",
    }
}

/// An account's id in policies: the address without a handle.
pub(crate) fn account_id(target: &Target, account: &Account) -> String {
    Address::Place { handle: None, account: account.name.clone(), target: target.name.clone() }.to_string()
}

fn resource(place: &Place<'_>) -> Result<Entity, BadFacts> {
    match place {
        Place::System => Ok(Entity::new_no_attrs(uid("System", "sallyport")?, HashSet::new())),
        Place::Target(target) => {
            let attributes = [("name", text(target.name.as_str()))].into_iter().chain(shared(target));
            entity(uid("Target", target.name.as_str())?, attributes, HashSet::new())
        }
        Place::Account(target, account) => {
            if account.target != target.id {
                return Err(BadFacts("the account is not on this target".into()));
            }
            let own = [
                ("name", text(account.name.as_str())),
                ("class", text(class_word(account.class))),
                ("target", text(target.name.as_str())),
                ("via", texts(jumps(target)?.iter().map(String::as_str))),
            ];
            let logon = account.through.as_ref().map(|through| ("logon", text(through.account.as_str())));
            let attributes = own.into_iter().chain(logon).chain(shared(target));
            let parents = HashSet::from([uid("Target", target.name.as_str())?]);
            entity(uid("Account", &account_id(target, account))?, attributes, parents)
        }
    }
}

/// Every jump host on the way to a target. Whoever asks about one has looked its way up: a policy that forbids a jump host
/// must not be passed by because nobody did.
fn jumps(target: &Target) -> Result<Vec<String>, BadFacts> {
    if target.way.via.is_some() && target.way.jumps.is_empty() {
        return Err(bad("the way to the target is not known"));
    }
    Ok(target.way.jumps.iter().map(ToString::to_string).collect())
}

/// The attributes that a target and its accounts have in common.
fn shared(target: &Target) -> [(&'static str, RestrictedExpression); 6] {
    [
        ("protocol", text(target.protocol.as_str())),
        ("tags", texts(target.tags.iter().map(|tag| tag.as_str()))),
        ("tier", RestrictedExpression::new_long(u8::from(target.tier).into())),
        ("environment", text(target.environment.as_str())),
        ("zone", text(target.zone.as_str())),
        ("platform", text(target.platform.word())),
    ]
}

fn context(facts: &Facts<'_>, assumed: &BTreeSet<String>) -> Result<Context, BadFacts> {
    let epoch = facts.now.0.div_euclid(1_000_000);
    let day = epoch.div_euclid(86_400);
    let number = RestrictedExpression::new_long;
    let time = [
        ("epoch".to_owned(), number(epoch)),
        ("hour".to_owned(), number(epoch.rem_euclid(86_400) / 3600)),
        // 1970-01-01 was a Thursday: day 0 is weekday 4.
        ("weekday".to_owned(), number((day + 3).rem_euclid(7) + 1)),
    ];
    let approved = facts.met.iter().chain(assumed).any(|fact| by_name(fact));
    let met = facts.met.iter().chain(assumed).map(String::as_str).chain(approved.then_some(APPROVAL));
    let mut pairs = vec![
        ("time".to_owned(), RestrictedExpression::new_record(time).map_err(bad)?),
        ("address".to_owned(), RestrictedExpression::new_ip(facts.from.to_canonical().to_string())),
        ("reason".to_owned(), text(facts.reason)),
        ("factors".to_owned(), texts(facts.factors.iter().map(String::as_str))),
        ("met".to_owned(), texts(met)),
    ];
    if let Some(ticket) = facts.ticket {
        pairs.push(("ticket".to_owned(), text(ticket)));
    }
    if let Some(destination) = facts.destination {
        pairs.push(("destination".to_owned(), text(destination)));
    }
    Context::from_pairs(pairs).map_err(bad)
}

/// Every key under which a policy for this identity may be filed.
pub(crate) fn principal_keys(identity: &Identity) -> Vec<String> {
    let groups = identity.groups.iter().map(|group| key("group", group.as_str()));
    [ANY.to_owned(), key("identity", identity.handle.as_str())].into_iter().chain(groups).collect()
}

/// Every key under which a policy for this place may be filed.
pub(crate) fn resource_keys(place: &Place<'_>) -> Vec<String> {
    let mut keys = vec![ANY.to_owned()];
    let target = match place {
        Place::System => return keys,
        Place::Target(target) => target,
        Place::Account(target, account) => {
            keys.push(key("account", &account_id(target, account)));
            keys.push(key("class", class_word(account.class)));
            target
        }
    };
    keys.push(key("target", target.name.as_str()));
    keys.push(key("environment", target.environment.as_str()));
    keys.push(key("protocol", target.protocol.as_str()));
    keys.push(key("zone", target.zone.as_str()));
    keys.extend(target.tags.iter().map(|tag| key("tag", tag.as_str())));
    keys
}
