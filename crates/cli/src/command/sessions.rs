//! Words about sessions.

use clap::{Args, Subcommand};

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
