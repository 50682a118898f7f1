//! The words of the command line.

use crate::output::Format;
use clap::{Args, Subcommand};
use sallyport_model::AccountName;
use sallyport_model::inventory::Tier;
use sallyport_model::name::Label;
use std::path::PathBuf;

/// Heading of the options that every command has, in its help.
pub const EVERYWHERE: &str = "Everywhere";

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = EVERYWHERE)]
pub struct Common {
    /// Where the API is; remembered by `login`
    #[arg(long, global = true, env = "SALLYPORT_URL", value_name = "URL")]
    pub url: Option<String>,
    /// Token to sign in with; remembered by `login`. Other users of this machine see arguments: prefer the variable
    #[arg(long, global = true, env = "SALLYPORT_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Form of the output
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// Commands that speak to a server, or to nobody.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in with a token, or with a password and a code, and remember it; get an SSH certificate for some hours
    Login(Login),
    /// Make this machine's commands trust a server that has a certificate authority of its own
    Trust(Trust),
    /// Make a short-lived token, for yourself or (by right) for somebody else
    Token(Token),
    /// Where am I: signed in as whom, how the installation is
    Status,
    /// List what you may use or ask for
    Ls(Ls),
    /// Open a shell or run a command on a target, with the ssh client of this machine
    Ssh(Ssh),
    /// Show what the policy and inventory files of a directory would change
    Plan(Files),
    /// Make it so
    Apply(Files),
    /// Make an inventory file of what ssh_config, known_hosts and CSV files know; nothing is sent anywhere
    Import(Import),
    /// Explain why somebody may or may not connect
    Why(Why),
    /// List sessions, newest first; speak to one's user, pause one, let it go on
    Sessions(Sessions),
    /// Look over the shoulder of a live session
    Watch(Watch),
    /// End a live session
    Kill(Kill),
    /// List recordings, newest first, and find text in them
    Recordings(Recordings),
    /// Replay a recording in this terminal
    Play(Play),
    /// Save a session's evidence bundle, its asciicast, or its text
    Export(Export),
    /// The files whose content a recording keeps: list them, take one out
    Files(KeptFiles),
    /// SSH certificates by which somebody signs in: list, revoke
    #[command(subcommand)]
    Certificates(Certificates),
    /// The vault: status, put, seal, unseal, slots and keys
    #[command(subcommand)]
    Vault(Vault),
    /// Rules over commands and files: list, show, try
    #[command(subcommand)]
    Rules(Rules),
    /// The nodes of the installation: list, remove
    #[command(subcommand)]
    Node(Node),
    /// The ledger: entries, the checkpoint, and where it is anchored
    #[command(subcommand)]
    Ledger(Ledger),
    /// The space for recordings: used, room, forecast, and what goes next
    Space,
    /// Verify an evidence bundle or a data directory, offline
    Verify(Verify),
}

/// `login`
#[derive(Args, Debug)]
pub struct Login {
    /// Read the token from standard input instead of asking
    #[arg(long, conflicts_with = "password")]
    pub token_stdin: bool,
    /// Ask for user name, password and a code of your app (or a recovery code), and make a token of them
    #[arg(long)]
    pub password: bool,
    /// User name, instead of asking
    #[arg(long, requires = "password", value_name = "HANDLE")]
    pub handle: Option<String>,
    /// How long the token lives, such as 1h, 8h, 30d
    #[arg(long, default_value = "8h", requires = "password")]
    pub ttl: String,
    /// Do not get an SSH certificate for this machine's client
    #[arg(long)]
    pub no_certificate: bool,
}

/// `token`
#[derive(Args, Debug)]
pub struct Token {
    /// For whom; yourself where absent
    pub handle: Option<String>,
    /// How long it lives, such as 1h, 8h, 30d
    #[arg(long, default_value = "8h")]
    pub ttl: String,
    /// What it is for
    #[arg(long, default_value = "")]
    pub label: String,
}

/// `ls`
#[derive(Args, Debug)]
pub struct Ls {
    /// Only lines that contain this text
    pub filter: Option<String>,
    /// Only the few places where you were lately, the newest first
    #[arg(long)]
    pub recent: bool,
}

/// `ssh`
#[derive(Args, Debug)]
pub struct Ssh {
    /// account@target
    pub address: String,
    /// Further arguments of ssh, then the command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// `plan` and `apply`
#[derive(Args, Debug)]
pub struct Files {
    /// Directory with *.cedar policies and *.toml inventory files
    #[arg(default_value = ".")]
    pub directory: PathBuf,
    /// Delete what no file names
    #[arg(long)]
    pub prune: bool,
    /// Exit with 1 when something would change (plan)
    #[arg(long)]
    pub check: bool,
}

/// `import`
#[derive(Args, Debug)]
pub struct Import {
    /// A configuration of OpenSSH's client; `ssh -G` says what it means for each name
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// Where host keys are known that you have verified; may be given several times
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Vec<PathBuf>,
    /// A table with the columns name, host, and port, account, class, owner, tier, environment, zone, tags where it has them
    #[arg(long, value_name = "FILE")]
    pub csv: Vec<PathBuf>,
    /// Tier where the source says none
    #[arg(long, default_value = "1", value_parser = tier)]
    pub tier: Tier,
    /// Environment where the source says none
    #[arg(long, default_value = "default")]
    pub environment: Label,
    /// Zone where the source says none
    #[arg(long, default_value = "default")]
    pub zone: Label,
    /// A tag for all of them; may be given several times
    #[arg(long)]
    pub tag: Vec<Label>,
    /// Account where a table says none, and in place of the users of an ssh_config
    #[arg(long)]
    pub account: Option<AccountName>,
    /// Write the inventory file; without it, it is only shown what would be in it
    #[arg(long, value_name = "FILE")]
    pub into: Option<PathBuf>,
}

fn tier(text: &str) -> Result<Tier, String> {
    text.parse::<u8>().map_err(|_| "write 0, 1 or 2".to_owned()).and_then(Tier::try_from)
}

/// `why`
#[derive(Args, Debug)]
pub struct Why {
    /// [handle+]account@target
    pub address: String,
    /// connect, see, request, or a channel such as channel:shell
    #[arg(default_value = "connect")]
    pub action: String,
    /// Where a forward goes, as the client is told it: host:port, or a path for channel:forward_socket
    #[arg(long, value_name = "HOST:PORT")]
    pub destination: Option<String>,
}

/// `sessions`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Sessions {
    /// What to do with one; without it they are listed
    #[command(subcommand)]
    pub act: Option<SessionAct>,
    /// Only live ones
    #[arg(long)]
    pub live: bool,
    /// Only your own, also where you may see all of them
    #[arg(long)]
    pub own: bool,
    /// Rows; a line below says where there are more
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// What staff do with a live session.
#[derive(Debug, Subcommand)]
pub enum SessionAct {
    /// Say a line to the user of a live session
    Message(SayTo),
    /// Hold a live session: nothing crosses it in either direction, and nothing is lost
    Pause(PauseSession),
    /// Let a paused session go on where it was
    Resume(ResumeSession),
    /// Send a guest of a live session away
    Dismiss(Dismiss),
}

/// `sessions message`
#[derive(Args, Debug)]
pub struct SayTo {
    /// Session id
    pub session: String,
    /// The line, as from security staff with your name
    pub text: String,
}

/// `sessions pause`
#[derive(Args, Debug)]
pub struct PauseSession {
    /// Session id
    pub session: String,
    /// Told to the person and written to the ledger
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `sessions resume`
#[derive(Args, Debug)]
pub struct ResumeSession {
    /// Session id
    pub session: String,
}

/// `sessions dismiss`
#[derive(Args, Debug)]
pub struct Dismiss {
    /// Session id
    pub session: String,
    /// The guest's id, as `sessions --output json` lists it, or their name for every visit of theirs
    pub guest: String,
}

/// `watch`
#[derive(Args, Debug)]
pub struct Watch {
    /// Session id
    pub session: String,
    /// Ask its user to let you in, and type there too; Ctrl-] leaves
    #[arg(long)]
    pub join: bool,
}

/// `kill`
#[derive(Args, Debug)]
pub struct Kill {
    /// Session id
    pub session: String,
    /// Told to the person and written to the ledger
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `recordings`
#[derive(Args, Debug)]
pub struct Recordings {
    /// Only this user's
    #[arg(long, value_name = "HANDLE")]
    pub user: Option<String>,
    /// Only those of this target
    #[arg(long)]
    pub target: Option<String>,
    /// Only those that ended then or later: a day, such as 2027-01-31, or a time, such as 2027-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only those that ended before
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only those in which this text stands, and where; the ledger says who searched for what
    #[arg(long)]
    pub text: Option<String>,
    /// Rows; a line below says where there are more
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// `play`
#[derive(Args, Debug)]
pub struct Play {
    /// Session id, or the path of an evidence bundle
    pub session: String,
    /// How many times faster
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// Cut pauses to this many seconds
    #[arg(long, default_value_t = 2.0)]
    pub idle: f64,
    /// Begin at the first event at or after this many seconds
    #[arg(long, default_value_t = 0.0)]
    pub from: f64,
    /// Print the index of events instead of playing
    #[arg(long)]
    pub index: bool,
}

/// `export`
#[derive(Args, Debug)]
pub struct Export {
    /// Session id
    pub session: String,
    /// Where to write: *.spb for an evidence bundle, *.cast for asciicast v3, *.txt for plain text
    pub file: PathBuf,
}

/// `files`
#[derive(Args, Debug)]
pub struct KeptFiles {
    /// Session id
    pub session: String,
    /// Take this one out, by its id in the list
    #[arg(long, value_name = "ID", requires = "to")]
    pub take: Option<String>,
    /// Where to write it
    #[arg(long, value_name = "FILE", requires = "take")]
    pub to: Option<PathBuf>,
}

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

/// `rules`
#[derive(Debug, Subcommand)]
pub enum Rules {
    /// The rule sets of the policy, those that come with the product among them
    List,
    /// The rules of one set
    Show {
        /// Its name
        name: String,
    },
    /// Say what a set would make of a command; nothing is run
    Try {
        /// Its name
        name: String,
        /// The command, as one word
        command: String,
    },
}

/// `node`
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Those whose keys sign the ledger
    List,
    /// Let go of one that is gone for good: its key signs nothing more, and its sessions are closed
    Remove {
        /// Its name
        name: String,
    },
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

/// `ledger`
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Entries, newest first
    List(LedgerList),
    /// The newest checkpoint and the key that signed it
    Head,
    /// Places outside the database that hold the newest checkpoint, and how late each is
    Anchors,
}

/// `ledger list`
#[derive(Args, Debug)]
pub struct LedgerList {
    /// Only these actions, separated by commas
    #[arg(long)]
    pub actions: Option<String>,
    /// Only this session
    #[arg(long)]
    pub session: Option<String>,
    /// Rows
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// `certificates`
#[derive(Debug, Subcommand)]
pub enum Certificates {
    /// List those that are good
    List(ListCertificates),
    /// Make one worthless at once, on every node
    Revoke(RevokeCertificate),
}

/// `certificates list`
#[derive(Args, Debug)]
pub struct ListCertificates {
    /// Another user's, by right, instead of your own
    #[arg(long, value_name = "HANDLE")]
    pub user: Option<String>,
}

/// `certificates revoke`
#[derive(Args, Debug)]
pub struct RevokeCertificate {
    /// Its serial, as `certificates list` shows it
    pub serial: u64,
    /// Another user's, by right, instead of your own
    #[arg(long, value_name = "HANDLE")]
    pub user: Option<String>,
}

/// `verify`
#[derive(Args, Debug)]
pub struct Verify {
    /// An evidence bundle, a data directory of a stopped node, or a ledger that `export-ledger` wrote
    pub path: PathBuf,
    /// The ledger's public key: its text, or a file that holds it. Without it only consistency is checked
    #[arg(long, value_name = "KEY|FILE")]
    pub trust: Option<String>,
    /// A witness's public key, its text or a file: the bundle's checkpoint must carry its cosignature. May be repeated
    #[arg(long, value_name = "KEY|FILE")]
    pub witness: Vec<String>,
}

/// `trust`
#[derive(Args, Debug)]
pub struct Trust {
    /// What the server has logged at its start as `fingerprint`: the authority is trusted if this is its own
    #[arg(long, value_name = "SHA256:..")]
    pub fingerprint: Option<String>,
    /// Print the authority's certificate as PEM, for a browser or for this machine's store, once the fingerprint fits
    #[arg(long, requires = "fingerprint")]
    pub print: bool,
}
