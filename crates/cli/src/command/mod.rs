//! The words of the command line.

mod evidence;
mod sessions;
mod vault;

pub(crate) use evidence::{Export, KeptFiles, Ledger, LedgerList, Play, Recordings, Verify};
pub(crate) use sessions::{Kill, SessionAct, Sessions, Watch};
pub(crate) use vault::{Put, RotateCa, RotateEpoch, Share, Slot, SlotAdd, Unseal, Vault};

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
