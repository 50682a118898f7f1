//! What can go wrong with seals, keys and envelopes.

use sallyport_model::Kind;

/// A failure of the vault. No message holds a byte of a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VaultError {
    /// Stored bytes fail their check: altered, cut, or not what this place should hold.
    #[error("the {what} is damaged or was altered: restore it from a backup")]
    Damaged {
        /// Which document or part.
        what: &'static str,
    },
    /// The document belongs to another installation.
    #[error("the {what} belongs to another cluster: use the documents and keys of this one")]
    ForeignCluster {
        /// Which document.
        what: &'static str,
    },
    /// Secrets of this environment have no key yet.
    #[error("environment `{0}` has no key yet: make and commit its key domain before sealing a secret there")]
    NoDomain(String),
    /// No slot of the kind that the key opens.
    #[error("no slot of this vault is opened by a {0}: use another way to unseal")]
    NoSlot(&'static str),
    /// Randomness or a primitive of the cryptographic library failed.
    #[error("the cryptographic library failed at {0}: restart, and look at the machine if it happens again")]
    Primitive(&'static str),
    /// A slot is refused before anything costly is done with it.
    #[error("{0}")]
    Refused(String),
    /// The envelope is sound but stands in the wrong place.
    #[error("this secret version was stored in another place: restore the one that belongs here")]
    WrongPlace,
    /// The key file is a sound key file, but not one of this vault's.
    #[error("wrong key file: it is sound, but no slot of this vault was made with it")]
    WrongKeyFile,
    /// The passphrase opens no slot.
    #[error("wrong passphrase: no slot of this vault opens with it")]
    WrongPassphrase,
}

impl VaultError {
    /// Sort of failure, for exit codes and the wire.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Damaged { .. } | Self::ForeignCluster { .. } | Self::Primitive(_) | Self::WrongPlace => Kind::Failed,
            Self::NoDomain(_) => Kind::Conflict,
            Self::NoSlot(_) | Self::Refused(_) => Kind::Usage,
            Self::WrongKeyFile | Self::WrongPassphrase => Kind::Denied,
        }
    }
}
