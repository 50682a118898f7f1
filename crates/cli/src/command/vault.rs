//! Words about the vault.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `vault`
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Slots and secrets, without values
    Status,
    /// Store or generate the credential of an account
    Put(Put),
    /// Seal the vault: nothing new opens until it is unsealed
    Seal,
    /// Unseal with a passphrase, a key file, or one share of a quorum after the other
    Unseal(Unseal),
    /// Seal slots: the ways to unseal
    #[command(subcommand)]
    Slot(Slot),
    /// The keys: their epochs, and what is left to carry over
    Keys,
    /// Replace the root key; every slot opens the new one, and nobody need be present
    RotateRoot,
    /// Begin a new epoch of keys; what is under the old one is carried over behind it
    RotateEpoch(RotateEpoch),
    /// The authorities of SSH certificates: the public keys to be believed
    Ca,
    /// One step of the rotation of an SSH authority's key: begin, tell whoever believes it, activate, finish
    RotateCa(RotateCa),
}

/// `vault slot`
#[derive(Debug, Subcommand)]
pub enum Slot {
    /// List them
    List,
    /// Add one; what its owners must keep is shown once
    Add(SlotAdd),
    /// Present shares of a new set: it opens the vault once a quorum was presented
    Confirm(Share),
    /// Remove one and replace the root key, so that what opened it opens nothing any more
    Remove {
        /// Slot id
        slot: String,
    },
}

/// `vault slot add`
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("opener").required(true)))]
pub struct SlotAdd {
    /// Who keeps what opens it, and where
    #[arg(long)]
    pub label: String,
    /// It is kept away from every machine
    #[arg(long)]
    pub offline: bool,
    /// Write a new key file here, readable by you alone
    #[arg(long, group = "opener", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Ask for a passphrase of at least 12 characters
    #[arg(long, group = "opener")]
    pub passphrase: bool,
    /// Read the passphrase from standard input
    #[arg(long, group = "opener")]
    pub passphrase_stdin: bool,
    /// Make shares for custodians, such as 3-of-5, shown one at a time
    #[arg(long, group = "opener", value_name = "K-of-N")]
    pub shamir: Option<String>,
    /// Use a key that the server's token keeps
    #[arg(long, group = "opener")]
    pub pkcs11: bool,
    /// Read the token's PIN from standard input, where the server's configuration does not give it
    #[arg(long, requires = "pkcs11")]
    pub pin_stdin: bool,
}

/// `vault slot confirm`
#[derive(Args, Debug)]
pub struct Share {
    /// Read one share from standard input instead of asking
    #[arg(long)]
    pub share_stdin: bool,
}

/// `vault rotate-epoch`
#[derive(Args, Debug)]
pub struct RotateEpoch {
    /// Domain, such as secrets/prod; all where absent
    #[arg(conflicts_with_all = ["pause", "resume"])]
    pub domain: Option<String>,
    /// Pause the work behind a rotation
    #[arg(long, conflicts_with = "resume")]
    pub pause: bool,
    /// Resume it
    #[arg(long)]
    pub resume: bool,
}

/// `vault rotate-ca`
#[derive(Args, Debug)]
pub struct RotateCa {
    /// Which authority
    #[arg(value_parser = ["targets", "people", "gateways"])]
    pub name: String,
    /// begin makes the next key, activate lets it sign, finish lets go of the former one
    #[arg(value_parser = ["begin", "activate", "finish"])]
    pub step: String,
}

/// `vault put`
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("value").required(true)))]
pub struct Put {
    /// account@target
    pub address: String,
    /// Read a password from standard input
    #[arg(long, group = "value")]
    pub password_stdin: bool,
    /// An unencrypted OpenSSH Ed25519 private key
    #[arg(long, group = "value", value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Make it here; nobody ever sees it
    #[arg(long, group = "value", value_name = "KIND", value_parser = ["password", "ssh_key"])]
    pub generate: Option<String>,
}

/// `vault unseal`
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("opener")))]
pub struct Unseal {
    /// Read the passphrase from standard input instead of asking
    #[arg(long, group = "opener")]
    pub passphrase_stdin: bool,
    /// A key file, such as one from a safe
    #[arg(long, group = "opener", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Ask for one share; the vault opens once a quorum was presented
    #[arg(long, group = "opener")]
    pub share: bool,
    /// Read one share from standard input
    #[arg(long, group = "opener")]
    pub share_stdin: bool,
    /// The key that the server's token keeps, with the token's PIN
    #[arg(long, group = "opener")]
    pub pkcs11: bool,
    /// Read the token's PIN from standard input, instead of asking for it
    #[arg(long, requires = "pkcs11")]
    pub pin_stdin: bool,
    /// Forget the shares that were presented; takes a share of the same set
    #[arg(long)]
    pub cancel: bool,
}
