//! Limits: what bounds a session after it is permitted. A closed table with one join per key.

use std::collections::BTreeSet;
use std::time::Duration;

/// How much of a session is recorded. There is no "none".
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    minicbor::Encode,
    minicbor::Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Input and output; bytes are durable within 250 ms.
    #[default]
    #[n(0)]
    Full,
    /// Input and output; bytes are held back until they are durable.
    #[n(1)]
    Strict,
}

/// What a recording keeps of data: bytes that are neither a terminal's nor a program's output.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    minicbor::Encode,
    minicbor::Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// How much it was, and of files their names and hashes.
    #[default]
    #[n(0)]
    Standard,
    /// The bytes too: the input of programs, the content of files up to a size, and forwards.
    #[n(1)]
    Enhanced,
}

impl Detail {
    /// Stable word, as policies spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Enhanced => "enhanced",
        }
    }
}

/// Which way something may cross.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    minicbor::Encode,
    minicbor::Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Crossing {
    /// Both ways.
    #[default]
    #[n(0)]
    Both,
    /// From the target to the person only.
    #[n(1)]
    Down,
    /// From the person to the target only.
    #[n(2)]
    Up,
    /// Neither way.
    #[n(3)]
    None,
}

impl Crossing {
    /// The strictest of two: what both allow.
    #[must_use]
    pub const fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Both, x) | (x, Self::Both) => x,
            (Self::Down, Self::Down) => Self::Down,
            (Self::Up, Self::Up) => Self::Up,
            _ => Self::None,
        }
    }
}

/// What the user of a session is asked before somebody types in it too.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    minicbor::Encode,
    minicbor::Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// They are told.
    #[n(0)]
    Notified,
    /// They are asked, and silence is no.
    #[default]
    #[n(1)]
    Asked,
}

impl Consent {
    const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked)
    }
}

/// What the user of a session is asked before the agent that they lend a target signs something.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    minicbor::Encode,
    minicbor::Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Signing {
    /// Nothing: nobody need be there.
    #[n(0)]
    Unattended,
    /// Each time, and silence is no.
    #[default]
    #[n(1)]
    Asked,
}

impl Signing {
    const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked)
    }

    /// Stable word, as policies spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unattended => "unattended",
            Self::Asked => "asked",
        }
    }
}

/// Which legs of a session must have made a post-quantum exchange of keys.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    minicbor::Encode,
    minicbor::Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Legs {
    /// None.
    #[default]
    #[n(0)]
    None,
    /// The client's.
    #[n(1)]
    Client,
    /// Those on both sides of the gateway: the client's, and each to a jump host and the target.
    #[n(2)]
    Both,
}

impl Legs {
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether the client's is one of them.
    #[must_use]
    pub const fn client(self) -> bool {
        !self.is_none()
    }

    /// Whether those towards the target are.
    #[must_use]
    pub const fn target(self) -> bool {
        matches!(self, Self::Both)
    }

    /// Stable word, as policies spell it; empty where there is none.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => "client",
            Self::Both => "both",
        }
    }
}

/// The limits of one decision. `join` is commutative, associative and idempotent, and never widens.
#[derive(Clone, Debug, Eq, PartialEq, minicbor::Encode, minicbor::Decode, serde::Serialize, serde::Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `@max_duration`: seconds a session may last.
    #[n(0)]
    pub max_duration: u32,
    /// `@idle`: seconds of silence after which the session ends. In a terminal only what is typed breaks it; everywhere else
    /// bytes either way do.
    #[n(1)]
    pub idle: u32,
    /// `@hold`: seconds an interactive channel may wait for an approval.
    #[n(2)]
    pub hold: u32,
    /// `@record`.
    #[n(3)]
    pub record: Record,
    /// `@rotate_after_use`.
    #[n(4)]
    pub rotate_after_use: bool,
    /// `@clipboard`.
    #[n(5)]
    pub clipboard: Crossing,
    /// `@transfer`.
    #[n(6)]
    pub transfer: Crossing,
    /// `@commands`: names of command rules, all of which apply.
    #[n(7)]
    pub commands: BTreeSet<String>,
    /// `@recording`.
    #[cbor(n(8), default)]
    #[serde(default)]
    pub recording: Detail,
    /// `@capture`: bytes of each file that an enhanced recording keeps.
    #[cbor(n(9), default)]
    #[serde(default)]
    pub capture: u64,
    /// `@join`.
    #[cbor(n(10), default)]
    #[serde(default, skip_serializing_if = "Consent::is_asked")]
    pub join: Consent,
    /// `@four_eyes`: nothing crosses the session but while somebody else observes it.
    #[cbor(n(11), default)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub four_eyes: bool,
    /// `@post_quantum`.
    #[cbor(n(12), default)]
    #[serde(default, skip_serializing_if = "Legs::is_none")]
    pub post_quantum: Legs,
    /// `@agent`.
    #[cbor(n(13), default)]
    #[serde(default, skip_serializing_if = "Signing::is_asked")]
    pub agent: Signing,
}

/// Bytes of each file that an enhanced recording keeps where no policy says how many.
pub const CAPTURE: u64 = 16 << 20;

impl Limits {
    /// What stands where no policy says otherwise: 4 hours, 15 minutes idle, 10 minutes of hold.
    #[must_use]
    pub const fn house() -> Self {
        Self {
            max_duration: 4 * 3600,
            idle: 15 * 60,
            hold: 10 * 60,
            record: Record::Full,
            rotate_after_use: false,
            clipboard: Crossing::Both,
            transfer: Crossing::Both,
            commands: BTreeSet::new(),
            recording: Detail::Standard,
            capture: CAPTURE,
            join: Consent::Asked,
            four_eyes: false,
            post_quantum: Legs::None,
            agent: Signing::Asked,
        }
    }

    /// The strictest of two, key by key.
    #[must_use]
    pub fn join(self, other: &Self) -> Self {
        Self {
            max_duration: self.max_duration.min(other.max_duration),
            idle: self.idle.min(other.idle),
            hold: self.hold.min(other.hold),
            record: self.record.max(other.record),
            rotate_after_use: self.rotate_after_use || other.rotate_after_use,
            clipboard: self.clipboard.join(other.clipboard),
            transfer: self.transfer.join(other.transfer),
            commands: &self.commands | &other.commands,
            recording: self.recording.max(other.recording),
            capture: self.capture.max(other.capture),
            join: self.join.max(other.join),
            four_eyes: self.four_eyes || other.four_eyes,
            post_quantum: self.post_quantum.max(other.post_quantum),
            agent: self.agent.max(other.agent),
        }
    }

    /// How much of a file is kept: nothing but under `@recording("enhanced")`.
    #[must_use]
    pub const fn kept_of_files(&self) -> u64 {
        match self.recording {
            Detail::Standard => 0,
            Detail::Enhanced => self.capture,
        }
    }

    /// `max_duration` as a duration.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.max_duration.into())
    }

    /// `idle` as a duration.
    #[must_use]
    pub fn idle_time(&self) -> Duration {
        Duration::from_secs(self.idle.into())
    }
}
