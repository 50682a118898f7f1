//! Agents: what a target has the agent sign that its user lends it, and what became of that.

use crate::SessionId;
use minicbor::{Decode, Encode};

/// What became of what a target wants of an agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// It may go on to the agent: told before it does.
    #[n(0)]
    Allowed,
    /// The agent has signed.
    #[n(1)]
    Signed,
    /// It may not go on.
    #[n(2)]
    Refused,
    /// It went on, and no signature came of it.
    #[n(3)]
    Failed,
}

impl Outcome {
    /// Stable word, as metrics spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Signed => "signed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// The action of its entry in the ledger.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Allowed => "agent.allowed",
            Self::Signed => "agent.signed",
            Self::Refused => "agent.refused",
            Self::Failed => "agent.failed",
        }
    }
}

/// By whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(index_only)]
pub enum By {
    /// The session's user, who was asked.
    #[n(0)]
    User,
    /// Policy, under which nobody is asked.
    #[n(1)]
    Policy,
    /// The gateway, which asked nobody or does not carry it.
    #[n(2)]
    Gateway,
}

impl By {
    /// Stable word, as the ledger spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Policy => "policy",
            Self::Gateway => "gateway",
        }
    }
}

/// What a target wants of the agent of its user; from the session's gateway to control, which writes the entry.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Signature {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// What became of it.
    #[n(1)]
    pub outcome: Outcome,
    /// By whom it was allowed or refused.
    #[n(2)]
    pub by: By,
    /// What the target wants, such as to sign in somewhere, in words that follow `to`.
    #[n(3)]
    pub what: String,
    /// The key that it wants to be used, by its fingerprint and sort; empty where it is about none.
    #[n(4)]
    pub key: String,
    /// Why it was refused or failed; empty elsewhere.
    #[n(5)]
    pub why: String,
    /// How many such requests of the session the entry stands for: more than one where a flood of them was refused.
    #[n(6)]
    pub times: u32,
}
