//! Words about recordings and the ledger.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
