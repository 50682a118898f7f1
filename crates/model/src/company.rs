//! Company: who is with a live session beside its user, and how their coming and going is told.

use crate::{Handle, IdentityId, SessionId, WatchId};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What somebody beside the user does in a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Looks.
    #[n(0)]
    Observer,
    /// Looks, and types too.
    #[n(1)]
    Peer,
}

impl Part {
    /// Stable word, as the ledger and the API spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Peer => "peer",
        }
    }
}

/// Somebody with a session, beside its user.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Guest {
    /// This visit: somebody who comes twice is two guests.
    #[n(0)]
    pub id: WatchId,
    /// Who.
    #[n(1)]
    pub identity: IdentityId,
    /// Who, by name.
    #[n(2)]
    pub handle: Handle,
    /// What they do.
    #[n(3)]
    pub part: Part,
}

/// What has changed in a session's company.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(index_only)]
pub enum Change {
    /// A guest has come.
    #[n(0)]
    Came,
    /// A guest has left.
    #[n(1)]
    Left,
    /// A guest was not let in: the user said no, or nothing in time.
    #[n(2)]
    Refused,
    /// The session waits, since nobody observes it who must.
    #[n(3)]
    Waits,
    /// It goes on: somebody observes it.
    #[n(4)]
    GoesOn,
}

/// Who is with a session now, and what has changed; from its gateway to control, which writes the entry.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Company {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// What has changed.
    #[n(1)]
    pub change: Change,
    /// Whom it concerns; absent where it is nobody in particular.
    #[n(2)]
    pub whom: Option<Guest>,
    /// Why, where there is more to say.
    #[n(3)]
    pub why: String,
    /// Who is there now.
    #[n(4)]
    pub guests: Vec<Guest>,
    /// Whether the session waits for an observer.
    #[n(5)]
    pub waits: bool,
}
