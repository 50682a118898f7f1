//! What can go wrong with seals, keys and envelopes.

use crate::shamir::ShareError;
use sallyport_model::{Kind, SlotId};

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
    /// The share is in the quorum already.
    #[error("share {0} was presented already: another one is needed")]
    DuplicateShare(u8),
    /// A share of another set of this installation, or of a slot that is gone.
    #[error(
        "this share belongs to no set of shares that this vault has: it is of a slot that was removed, or of another copy"
    )]
    ForeignShare,
    /// A slot that nobody who held the root key has written.
    #[error(
        "seal slot `{0}` was not written by this vault: somebody altered the store, and the root key is sealed to no such slot; look into it and remove the slot"
    )]
    ForeignSlot(SlotId),
    /// Text that is no share.
    #[error(transparent)]
    MistypedShare(#[from] ShareError),
    /// Too few shares.
    #[error("the shares that were presented are no quorum: present as many different ones as the set demands")]
    NoQuorum,
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
    /// Another node replaced the root key.
    #[error("the root key was replaced elsewhere: open the vault again with one of its slots")]
    RootReplaced,
    /// The envelope is sound but stands in the wrong place.
    #[error("this secret version was stored in another place: restore the one that belongs here")]
    WrongPlace,
    /// The key file is a sound key file, but not one of this vault's.
    #[error("wrong key file: it is sound, but no slot of this vault was made with it")]
    WrongKeyFile,
    /// A share whose number and set are known, but which is not the one that was dealt.
    #[error("share {0} is wrong: it is not the one that was dealt with this number; ask its custodian for the paper")]
    WrongShare(u8),
    /// The token has unwrapped something, but not this slot's secret.
    #[error("the token's key does not open this slot: it is another key than the one the slot was made with")]
    WrongToken,
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
            Self::ForeignSlot(_) => Kind::Failed,
            Self::DuplicateShare(_) | Self::NoDomain(_) | Self::RootReplaced => Kind::Conflict,
            Self::MistypedShare(_) | Self::NoSlot(_) | Self::Refused(_) => Kind::Usage,
            Self::ForeignShare
            | Self::NoQuorum
            | Self::WrongKeyFile
            | Self::WrongPassphrase
            | Self::WrongShare(_)
            | Self::WrongToken => Kind::Denied,
        }
    }
}
