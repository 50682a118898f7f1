//! What sort of failure an error is: the one mapping to exit codes and HTTP status.

/// Classifies an error for people and programs. Every module's error enum has a `kind()`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// Two writers met, or the object is not in the state that the act needs.
    #[n(0)]
    Conflict,
    /// Policy or a missing right said no.
    #[n(1)]
    Denied,
    /// Something broke that is not the caller's fault.
    #[n(2)]
    Failed,
    /// A precondition is unmet that a person can still meet, such as an approval.
    #[n(3)]
    NeedsApproval,
    /// Not found, or not for the caller to know: the same text, code and time.
    #[n(4)]
    NotFound,
    /// The vault is sealed.
    #[n(5)]
    Sealed,
    /// Evidence or storage cannot be written now; a later try may succeed.
    #[n(6)]
    Unavailable,
    /// The caller's input is wrong; the message says what to write instead.
    #[n(7)]
    Usage,
}

impl Kind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Conflict,
        Self::Denied,
        Self::Failed,
        Self::NeedsApproval,
        Self::NotFound,
        Self::Sealed,
        Self::Unavailable,
        Self::Usage,
    ];

    /// The kind of a word; [`Self::Failed`] where it is none.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Failed)
    }

    /// Exit code of the command line.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Conflict | Self::Failed | Self::Unavailable => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NeedsApproval => 4,
            Self::Sealed => 5,
            Self::NotFound => 6,
        }
    }

    /// HTTP status of the REST API.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Conflict => 409,
            Self::Denied | Self::NeedsApproval => 403,
            Self::Failed => 500,
            Self::NotFound => 404,
            Self::Sealed | Self::Unavailable => 503,
            Self::Usage => 400,
        }
    }

    /// Stable word for the wire, such as `needs_approval`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::NeedsApproval => "needs_approval",
            Self::NotFound => "not_found",
            Self::Sealed => "sealed",
            Self::Unavailable => "unavailable",
            Self::Usage => "usage",
        }
    }
}
