//! What a use case can answer instead of a result.

use sallyport_model::Kind;
use sallyport_model::access::Denial;

/// A refused or failed use case.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Policy, or a rule of the house, said no.
    #[error("{0}")]
    Denied(Denial),
    /// The input is wrong; the text says what to write instead.
    #[error("{0}")]
    Usage(String),
    /// The same, and which field of what was sent it is about.
    #[error("{1}")]
    Field(&'static str, Box<Self>),
    /// No such thing, or not for the caller to know.
    #[error("{0}")]
    NotFound(String),
    /// It is permitted, once a second factor was presented in these minutes.
    #[error("this needs a fresh second factor: confirm it is you, and repeat")]
    StepUp,
    /// Too much is asked at once; a later try succeeds.
    #[error("{0}")]
    Busy(&'static str),
    /// The vault is sealed.
    #[error("the vault is sealed: unseal it with `sallyport vault unseal`")]
    Sealed,
    /// The database is not what this installation wrote: so many findings.
    #[error(
        "in quarantine: {0} objects in the database are not what this installation wrote, so nothing is decided by it; \
         on the host, `sallyport quarantine show` says which"
    )]
    Quarantined(usize),
    /// The ledger is older than an anchor, or another one.
    #[error("{0}")]
    Rollback(Box<crate::Rollback>),
    /// Something that should not fail did.
    #[error("{0}")]
    Failed(String),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] sallyport_store::Error),
    /// The vault said no.
    #[error(transparent)]
    Vault(#[from] sallyport_vault::VaultError),
}

impl Error {
    /// Sort of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Denied(denial) => denial.kind,
            Self::Usage(_) => Kind::Usage,
            Self::Field(_, error) => error.kind(),
            Self::NotFound(_) => Kind::NotFound,
            Self::StepUp => Kind::Denied,
            Self::Sealed => Kind::Sealed,
            Self::Busy(_) => Kind::Unavailable,
            Self::Quarantined(_) => Kind::Unavailable,
            Self::Failed(_) | Self::Rollback(_) => Kind::Failed,
            Self::Store(error) => error.kind(),
            Self::Vault(error) => error.kind(),
        }
    }

    /// As an answer of the Authority.
    #[must_use]
    pub fn denial(&self) -> Denial {
        match self {
            Self::Denied(denial) => denial.clone(),
            Self::Field(_, error) => error.denial(),
            Self::Store(_) => Denial::unavailable("the ledger"),
            other => Denial::new(other.kind(), other.to_string()),
        }
    }

    /// The field of what was sent that it is about, where it is about one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field(field, _) => Some(*field),
            _ => None,
        }
    }

    /// The same, about a field of what was sent: a form shows it there.
    #[must_use]
    pub fn of_field(self, field: &'static str) -> Self {
        Self::Field(field, Box::new(self))
    }

    pub(crate) fn failed(what: impl std::fmt::Display) -> Self {
        Self::Failed(what.to_string())
    }

    pub(crate) fn usage(what: impl std::fmt::Display) -> Self {
        Self::Usage(what.to_string())
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
