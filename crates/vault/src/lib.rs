//! Seals, key hierarchy, secret versions, generators. Bodies in, bodies out: no file and no SQL.
//!
//! ```text
//! key file | passphrase | shares | token   opens a slot's private key
//!        -> root key             sealed to every slot's public key; in memory only
//!        -> ring key             HKDF-SHA256 of the root key
//!        -> keyring              epoch keys per domain, each wrapped by the ring key
//!        -> data key             one per secret version, wrapped by its domain's active epoch
//!        -> value                AES-256-GCM, with the full identity of the row as AAD
//! ```
//!
//! A [`Vault`] is the unsealed state: dropping it seals. The bodies ([`SlotBody`],
//! [`KeyringBody`], [`VersionBody`]) are JSON documents that the store seals and keeps.

#![forbid(unsafe_code)]

mod crypto;
mod envelope;
mod error;
pub mod generate;
mod keyfile;
mod keyring;
mod person;
mod shamir;
mod slot;
pub mod ssh;
mod text;
mod vault;

pub use envelope::{SecretKind, VersionBody, Where};
pub use error::VaultError;
pub use generate::{Rules, generate};
pub use keyfile::{KeyFile, KeyFileError};
pub use keyring::{AUTHN, DOCUMENTS, EpochState, KeyringBody, RECORDINGS};
pub use person::{PasswordVerifier, RECOVERY_CODES, RecoveryCodes};
pub use shamir::{MAX_SHARES, Share, ShareError};
pub use slot::{Argon, NewSlot, Opener, PreparedSlot, Quorum, SlotBody, SlotMode, TokenPlace, Unlock};
pub use ssh::{SshKey, fingerprint, sign_ed25519};
pub use vault::{DocumentKey, Vault};
