//! The closed table of annotations: preconditions, limits, and what a policy says of itself.
//!
//! INVARIANT: an annotation that this table does not know, a value that it does not accept, or an
//! annotation on the wrong effect refuses the whole set. A demand is never silently dropped.

use crate::demand::{Demand, approval};
use cedar_policy::Effect;
use sallyport_model::Limits;
use sallyport_model::limits::{Consent, Crossing, Detail, Legs, Record, Signing};
use sallyport_model::name::Label;
use std::collections::BTreeSet;

/// What one policy says of limits; `None` where it says nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) max_duration: Option<u32>,
    pub(crate) idle: Option<u32>,
    pub(crate) hold: Option<u32>,
    pub(crate) record: Option<Record>,
    pub(crate) rotate_after_use: bool,
    pub(crate) clipboard: Option<Crossing>,
    pub(crate) transfer: Option<Crossing>,
    pub(crate) commands: BTreeSet<String>,
    pub(crate) recording: Option<Detail>,
    pub(crate) capture: Option<u64>,
    pub(crate) join: Option<Consent>,
    pub(crate) four_eyes: bool,
    pub(crate) post_quantum: Legs,
    pub(crate) agent: Option<Signing>,
}

impl Bounds {
    /// The strictest of both, key by key; what neither names stays unnamed.
    pub(crate) fn join(&self, other: &Self) -> Self {
        fn either<T: Copy>(a: Option<T>, b: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(join(a, b)),
                (one, None) | (None, one) => one,
            }
        }
        Self {
            max_duration: either(self.max_duration, other.max_duration, u32::min),
            idle: either(self.idle, other.idle, u32::min),
            hold: either(self.hold, other.hold, u32::min),
            record: either(self.record, other.record, Record::max),
            rotate_after_use: self.rotate_after_use || other.rotate_after_use,
            clipboard: either(self.clipboard, other.clipboard, Crossing::join),
            transfer: either(self.transfer, other.transfer, Crossing::join),
            commands: &self.commands | &other.commands,
            recording: either(self.recording, other.recording, Detail::max),
            capture: either(self.capture, other.capture, u64::max),
            join: either(self.join, other.join, Consent::max),
            four_eyes: self.four_eyes || other.four_eyes,
            post_quantum: self.post_quantum.max(other.post_quantum),
            agent: either(self.agent, other.agent, Signing::max),
        }
    }

    /// Limits, with the house's where no policy says anything.
    pub(crate) fn limits(&self) -> Limits {
        let house = Limits::house();
        Limits {
            max_duration: self.max_duration.unwrap_or(house.max_duration),
            idle: self.idle.unwrap_or(house.idle),
            hold: self.hold.unwrap_or(house.hold),
            record: self.record.unwrap_or(house.record),
            rotate_after_use: self.rotate_after_use,
            clipboard: self.clipboard.unwrap_or(house.clipboard),
            transfer: self.transfer.unwrap_or(house.transfer),
            commands: self.commands.clone(),
            recording: self.recording.unwrap_or(house.recording),
            capture: self.capture.unwrap_or(house.capture),
            join: self.join.unwrap_or(house.join),
            four_eyes: self.four_eyes,
            post_quantum: self.post_quantum,
            agent: self.agent.unwrap_or(house.agent),
        }
    }

    /// Limits with every key named.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            max_duration: Some(limits.max_duration),
            idle: Some(limits.idle),
            hold: Some(limits.hold),
            record: Some(limits.record),
            rotate_after_use: limits.rotate_after_use,
            clipboard: Some(limits.clipboard),
            transfer: Some(limits.transfer),
            commands: limits.commands.clone(),
            recording: Some(limits.recording),
            capture: Some(limits.capture),
            join: Some(limits.join),
            four_eyes: limits.four_eyes,
            post_quantum: limits.post_quantum,
            agent: Some(limits.agent),
        }
    }

    /// The annotations that this release cannot enforce: a permit that carries one is a denial.
    pub(crate) fn unenforceable(&self) -> impl Iterator<Item = &'static str> {
        let crossing = |c: Option<Crossing>| c.is_some_and(|c| c != Crossing::Both);
        [(crossing(self.clipboard), "@clipboard"), (self.rotate_after_use, "@rotate_after_use")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
    }

    /// Every key that is named, with its value in words.
    pub(crate) fn named(&self) -> Vec<(&'static str, String)> {
        let seconds = |s: Option<u32>| s.map(|s| format!("{s} s"));
        let crossing = |c: Option<Crossing>| c.map(|c| format!("{c:?}").to_lowercase());
        let commands =
            (!self.commands.is_empty()).then(|| self.commands.iter().cloned().collect::<Vec<_>>().join(", "));
        [
            ("max_duration", seconds(self.max_duration)),
            ("idle", seconds(self.idle)),
            ("hold", seconds(self.hold)),
            ("record", self.record.map(|r| format!("{r:?}").to_lowercase())),
            ("rotate_after_use", self.rotate_after_use.then(|| "yes".to_owned())),
            ("clipboard", crossing(self.clipboard)),
            ("transfer", crossing(self.transfer)),
            ("commands", commands),
            ("recording", self.recording.map(|detail| detail.word().to_owned())),
            ("capture", self.capture.map(|bytes| format!("{bytes} bytes"))),
            ("join", self.join.map(|join| format!("{join:?}").to_lowercase())),
            ("four_eyes", self.four_eyes.then(|| "yes".to_owned())),
            ("post_quantum", self.post_quantum.client().then(|| self.post_quantum.word().to_owned())),
            ("agent", self.agent.map(|agent| agent.word().to_owned())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

/// Everything that a policy's annotations say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Terms {
    pub(crate) id: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) demands: BTreeSet<Demand>,
    pub(crate) bounds: Bounds,
    /// Whether it only limits and permits nothing.
    pub(crate) limit: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Sort {
    Word,
    Demand,
    Bound,
    Limit,
}

const KEYS: [(&str, Sort); 21] = [
    ("agent", Sort::Bound),
    ("capture", Sort::Bound),
    ("clipboard", Sort::Bound),
    ("commands", Sort::Bound),
    ("description", Sort::Word),
    ("four_eyes", Sort::Bound),
    ("hold", Sort::Bound),
    ("id", Sort::Word),
    ("idle", Sort::Bound),
    ("join", Sort::Bound),
    ("limit", Sort::Limit),
    ("max_duration", Sort::Bound),
    ("post_quantum", Sort::Bound),
    ("record", Sort::Bound),
    ("recording", Sort::Bound),
    ("require_approval", Sort::Demand),
    ("require_device", Sort::Demand),
    ("require_step_up", Sort::Demand),
    ("require_ticket", Sort::Demand),
    ("rotate_after_use", Sort::Bound),
    ("transfer", Sort::Bound),
];

impl Terms {
    /// Reads the annotations of one policy.
    ///
    /// # Errors
    /// Every mistake, in words that say what to write instead.
    pub(crate) fn read<'a>(
        effect: Effect,
        annotations: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<String>> {
        let mut terms = Self::default();
        let mut wrong = Vec::new();
        let mut sorts = Vec::new();
        for (key, value) in annotations {
            let Some((_, sort)) = KEYS.iter().find(|(known, _)| *known == key) else {
                wrong.push(unknown(key));
                continue;
            };
            sorts.push(*sort);
            if effect == Effect::Forbid && *sort != Sort::Word {
                let text = if *sort == Sort::Demand {
                    format!(
                        "@{key} stands on a permit; to demand a fact over everything, write `unless {{ context.met.contains(...) }}`"
                    )
                } else {
                    format!("@{key} stands on a permit, not on a forbid; a limit over everything is an `@limit permit`")
                };
                wrong.push(text);
                continue;
            }
            if let Err(text) = terms.set(key, value) {
                wrong.push(text);
            }
        }
        if terms.limit && sorts.contains(&Sort::Demand) {
            wrong.push(
                "an @limit policy permits nothing, so it can demand nothing: put the @require_ on the permit".into(),
            );
        }
        if terms.limit && !sorts.contains(&Sort::Bound) {
            wrong.push("an @limit policy names no limit: add one, such as @max_duration(\"1h\")".into());
        }
        if wrong.is_empty() { Ok(terms) } else { Err(wrong) }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "agent" => self.bounds.agent = Some(signing(value)?),
            "capture" => self.bounds.capture = Some(size(value)?),
            "clipboard" => self.bounds.clipboard = Some(crossing(key, value)?),
            "commands" => self.bounds.commands = commands(value)?,
            "description" => self.description = Some(value.to_owned()),
            "four_eyes" => self.bounds.four_eyes = bare(key, value)?,
            "hold" => self.bounds.hold = Some(duration(key, value, 3600)?),
            "id" => self.id = Some(id(value)?),
            "idle" => self.bounds.idle = Some(duration(key, value, DAY)?),
            "join" => self.bounds.join = Some(consent(value)?),
            "limit" => self.limit = bare(key, value)?,
            "max_duration" => self.bounds.max_duration = Some(duration(key, value, DAY)?),
            "post_quantum" => self.bounds.post_quantum = legs(value)?,
            "record" => self.bounds.record = Some(record(value)?),
            "recording" => self.bounds.recording = Some(recording(value)?),
            "require_approval" => {
                self.demands.insert(approval(value)?);
            }
            "require_device" => {
                bare(key, value)?;
                self.demands.insert(Demand::Device);
            }
            "require_step_up" => {
                bare(key, value)?;
                self.demands.insert(Demand::StepUp);
            }
            "require_ticket" => {
                bare(key, value)?;
                self.demands.insert(Demand::Ticket);
            }
            "rotate_after_use" => self.bounds.rotate_after_use = bare(key, value)?,
            "transfer" => self.bounds.transfer = Some(crossing(key, value)?),
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    /// The facts that the demands ask of `context.met`.
    pub(crate) fn facts(&self) -> impl Iterator<Item = String> {
        self.demands.iter().map(Demand::fact)
    }
}

/// Largest `@capture`, in bytes.
const MOST_CAPTURED: u64 = 64 << 20;

const DAY: u32 = 24 * 3600;

fn bare(key: &str, value: &str) -> Result<bool, String> {
    if value.is_empty() { Ok(true) } else { Err(format!("@{key} takes no value: write `@{key}` alone")) }
}

fn id(value: &str) -> Result<String, String> {
    let sound = (1..=64).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':' | b'/'));
    if sound { Ok(value.to_owned()) } else { Err("an @id is 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`, `:`, `/`".into()) }
}

/// A number and `s`, `m`, `h` or `d`, from one second to `most`; without leading zeros or spaces.
fn duration(key: &str, value: &str, most: u32) -> Result<u32, String> {
    let wrong = || {
        format!(
            "@{key}(\"{value}\") is no duration from 1s to {}h: write a number and s, m, h or d, as in \"15m\"",
            most / 3600
        )
    };
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match value.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => DAY,
        _ => return Err(wrong()),
    };
    let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    let seconds = digits.parse::<u32>().ok().filter(|_| canonical).and_then(|n| n.checked_mul(unit));
    seconds.filter(|s| (1..=most).contains(s)).ok_or_else(wrong)
}

fn record(value: &str) -> Result<Record, String> {
    match value {
        "full" => Ok(Record::Full),
        "strict" => Ok(Record::Strict),
        "none" => {
            Err("@record has no \"none\": a session without a recording does not exist; write \"full\" or leave it out"
                .into())
        }
        _ => Err(format!("@record(\"{value}\") is unknown: write \"full\" or \"strict\"")),
    }
}

fn recording(value: &str) -> Result<Detail, String> {
    let known = [Detail::Standard, Detail::Enhanced].into_iter().find(|detail| detail.word() == value);
    known.ok_or_else(|| format!("@recording(\"{value}\") is unknown: write \"standard\" or \"enhanced\""))
}

/// A number and `KiB` or `MiB`, up to 64 MiB; without leading zeros or spaces.
fn size(value: &str) -> Result<u64, String> {
    let (digits, unit) = match (value.strip_suffix("KiB"), value.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => ("", 0),
    };
    let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    let bytes = digits.parse::<u64>().ok().filter(|_| canonical).and_then(|n| n.checked_mul(unit));
    bytes.filter(|bytes| (1..=MOST_CAPTURED).contains(bytes)).ok_or_else(|| {
        format!("@capture(\"{value}\") is no size from 1KiB to 64MiB: write a number and KiB or MiB, as in \"16MiB\"")
    })
}

fn consent(value: &str) -> Result<Consent, String> {
    match value {
        "asked" => Ok(Consent::Asked),
        "notified" => Ok(Consent::Notified),
        _ => Err(format!("@join(\"{value}\") is unknown: write \"asked\" or \"notified\"")),
    }
}

fn signing(value: &str) -> Result<Signing, String> {
    let known = [Signing::Asked, Signing::Unattended].into_iter().find(|signing| signing.word() == value);
    known.ok_or_else(|| format!("@agent(\"{value}\") is unknown: write \"asked\" or \"unattended\""))
}

fn legs(value: &str) -> Result<Legs, String> {
    let known = [Legs::Client, Legs::Both].into_iter().find(|legs| legs.word() == value);
    known.ok_or_else(|| format!("@post_quantum(\"{value}\") is unknown: write \"client\" or \"both\""))
}

fn crossing(key: &str, value: &str) -> Result<Crossing, String> {
    match value {
        "both" => Ok(Crossing::Both),
        "down" => Ok(Crossing::Down),
        "none" => Ok(Crossing::None),
        "up" => Ok(Crossing::Up),
        _ => Err(format!("@{key}(\"{value}\") is unknown: write \"both\", \"down\", \"up\" or \"none\"")),
    }
}

fn commands(value: &str) -> Result<BTreeSet<String>, String> {
    let names: Vec<&str> = value.split(',').map(str::trim).collect();
    if names.iter().all(|name| name.parse::<Label>().is_ok()) {
        Ok(names.into_iter().map(str::to_owned).collect())
    } else {
        Err(format!(
            "@commands(\"{value}\") is no list of rule names: write names of a-z, 0-9, `.`, `_`, `-`, split by commas"
        ))
    }
}

fn unknown(key: &str) -> String {
    let nearest = KEYS.iter().map(|(known, _)| (distance(key, known), *known)).min();
    match nearest {
        Some((distance, known)) if distance <= 3 => format!("@{key} is unknown: did you mean @{known}?"),
        _ => {
            let known: Vec<_> = KEYS.iter().map(|(known, _)| format!("@{known}")).collect();
            format!("@{key} is unknown: the annotations are {}", known.join(", "))
        }
    }
}

/// Levenshtein's distance, over bytes.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.bytes().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
