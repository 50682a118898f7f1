//! Histories: what clients asked and were told, what targets saw, and what is left; judged by what must hold of them.
//!
//! Nothing here asks the product: the entries are read from its database, the effects from the target's own files, and
//! the rest was noted by the clients as it happened.

mod check;

pub use check::judge;

use std::collections::BTreeMap;
use std::fmt;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What a client was told of a change that it asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// It is done.
    Acknowledged,
    /// It is not done, and will not be.
    Refused,
    /// Nothing, or something that leaves it open.
    Unknown,
}

/// A change that a client asked for. A client has one on its way at a time.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asked: the object of the entry.
    pub who: String,
    /// The fact that names this change in its entry, where the client was told it.
    pub mark: String,
    /// What it was told.
    pub told: Told,
}

/// A ledger entry, as the database holds it.
#[derive(Clone, Debug, Default)]
pub struct Fact {
    /// Its id.
    pub id: String,
    /// When, in microseconds of the wall clock of its node.
    pub at: i64,
    /// Which node wrote it.
    pub node: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// Within which session.
    pub session: Option<String>,
    /// Everything else.
    pub facts: BTreeMap<String, String>,
}

impl Fact {
    /// A fact by name; empty where there is none.
    #[must_use]
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

/// A checkpoint that somebody has seen, signed by a node of the installation.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Head {
    /// Entries.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// Where it was seen.
    pub seen: String,
}

/// A command that ran on a target, as it wrote down there itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effect {
    /// What names the command.
    pub mark: String,
    /// When it began, in microseconds of the target's wall clock.
    pub at: i64,
}

/// What a client saw of its session.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What names its command.
    pub mark: String,
    /// Numbered lines that it received, from the first.
    pub lines: u64,
    /// The target's clock in the last of them, in microseconds.
    pub last: i64,
    /// Whether the command ended and the client was told so.
    pub ended: bool,
}

/// How a recording says that it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// Nothing is missing.
    Complete,
    /// Its end is missing, and it says so.
    Truncated,
}

/// A recording, read after all is quiet.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The session.
    pub session: String,
    /// What it says of its end.
    pub ending: Ending,
    /// Numbered lines of each command in it, from the first without a gap, and the target's clock in the last.
    pub lines: BTreeMap<String, (u64, i64)>,
}

/// Everything that is known of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What clients asked.
    pub asked: Vec<Asked>,
    /// The whole ledger, in order.
    pub ledger: Vec<Fact>,
    /// Checkpoints that were seen, by anybody.
    pub heads: Vec<Head>,
    /// The root that the ledger above has at each size for which a checkpoint was seen.
    pub roots: BTreeMap<u64, Hash>,
    /// What targets wrote down.
    pub effects: Vec<Effect>,
    /// How often the target let the account in, by its own log.
    pub logins: usize,
    /// What clients of sessions saw.
    pub seen: Vec<Seen>,
    /// What is left of sessions.
    pub recorded: Vec<Recorded>,
    /// The most that a clock of the product was set ahead, in microseconds.
    pub clock_ahead: i64,
    /// When the memory of a host was lost, and with it unsealed tails, in microseconds of the target's clock.
    pub deaths: Vec<i64>,
}

/// Something that must not be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which promise is broken.
    pub kind: Kind,
    /// What shows it.
    pub what: String,
}

/// Promises, by how they break.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// An acknowledged change is not in the ledger.
    Lost,
    /// A change is in the ledger more than once.
    Doubled,
    /// An entry is there that nobody asked for, or that was refused.
    Unasked,
    /// Two checkpoints, or a checkpoint and the ledger, do not belong to one history.
    Forked,
    /// A target saw something that the ledger does not have before it.
    NoIntent,
    /// A session has no end.
    Open,
    /// A session ends twice, or ends without having begun.
    EndedTwice,
    /// A recording holds less than it must, or says that it is whole when it is not.
    Short,
    /// A recording is not there.
    Missing,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// What a run came to, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Changes that were acknowledged.
    pub acknowledged: usize,
    /// Changes of which nobody was told.
    pub unknown: usize,
    /// Those of them that are in the ledger all the same.
    pub unknown_done: usize,
    /// Entries.
    pub entries: usize,
    /// Checkpoints that were compared.
    pub heads: usize,
    /// Sessions that began.
    pub sessions: usize,
    /// Commands that ran on the target.
    pub effects: usize,
    /// Recordings that are whole.
    pub complete: usize,
    /// Recordings that say that their end is missing.
    pub truncated: usize,
    /// The longest time that a client saw and its truncated recording lacks, in microseconds of the target's clock.
    pub longest_loss: i64,
}

#[cfg(test)]
mod tests;
