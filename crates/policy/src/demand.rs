//! What a policy may demand before it permits, and how `context.met` spells it.

use sallyport_model::name::Label;
use std::fmt;

/// A fact that a policy demands first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Demand {
    /// One of several facts, as a `forbid ... unless` states them.
    AnyOf(Vec<Self>),
    /// So many members of a group say yes.
    Approval {
        /// The group.
        group: String,
        /// How many.
        count: u8,
    },
    /// A registered device.
    Device,
    /// A fact that a policy names in its own words.
    Fact(String),
    /// A fresh second factor.
    StepUp,
    /// A ticket that the ticket system knows.
    Ticket,
}

impl Demand {
    /// The fact as `context.met` spells it.
    pub(crate) fn fact(&self) -> String {
        match self {
            Self::AnyOf(several) => several.iter().map(Self::fact).collect::<Vec<_>>().join("|"),
            Self::Approval { group, count } => format!("approval:{group}:{count}"),
            Self::Device => "device".into(),
            Self::Fact(fact) => fact.clone(),
            Self::StepUp => "step-up".into(),
            Self::Ticket => "ticket".into(),
        }
    }

    /// The demand that a fact of `context.met` stands for.
    pub(crate) fn of_fact(fact: &str) -> Self {
        let approval = fact.strip_prefix("approval:").and_then(|value| approval(value).ok());
        match (approval, fact) {
            (Some(demand), _) => demand,
            (None, "device") => Self::Device,
            (None, "step-up") => Self::StepUp,
            (None, "ticket") => Self::Ticket,
            (None, other) => Self::Fact(other.to_owned()),
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyOf(several) => {
                let words: Vec<_> = several.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(" or "))
            }
            Self::Approval { group, count } => write!(f, "approval by {count} of {group}"),
            Self::Device => f.write_str("a registered device"),
            Self::Fact(fact) if fact == "approval" => f.write_str("an approval"),
            Self::Fact(fact) => f.write_str(fact),
            Self::StepUp => f.write_str("a fresh second factor"),
            Self::Ticket => f.write_str("a ticket"),
        }
    }
}

/// Reads `group:n`, as `@require_approval` and `context.met` spell it.
pub(crate) fn approval(value: &str) -> Result<Demand, String> {
    let demand = value.rsplit_once(':').and_then(|(group, count)| {
        let group = group.parse::<Label>().ok()?;
        let canonical = count.len() == 1;
        let count = count.parse::<u8>().ok().filter(|n| canonical && (1..=9).contains(n))?;
        Some(Demand::Approval { group: group.to_string(), count })
    });
    demand.ok_or_else(|| {
        format!("@require_approval(\"{value}\") names no group and number: write \"group:1\", with 1 to 9 people")
    })
}
