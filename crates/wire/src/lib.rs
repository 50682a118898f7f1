//! REST and JSON types, the only public serde types.
//!
//! Times are RFC 3339 in UTC, durations are whole seconds, sizes are bytes, binary values are
//! base64. Unknown fields of a request are refused; clients must ignore unknown fields of an answer.

mod evidence;
mod files;
mod identity;
mod import;
mod inventory;
mod live;
mod rules;
mod vault;

pub use evidence::*;
pub use files::*;
pub use identity::*;
pub use import::{Imported, ImportedTarget, LeftOut};
pub use inventory::*;
pub use live::*;
pub use rules::*;
pub use vault::*;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Where the API lives under the public URL.
pub const BASE: &str = "/api/v1";

/// The one error shape: problem details (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable word: `denied`, `needs_approval`, `not_found`, `sealed`, `usage`, `conflict`, `unavailable`, `failed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same word, under the name that programs look for.
    #[serde(rename = "kind", default)]
    pub word: String,
    /// HTTP status.
    pub status: u16,
    /// What happened and what to do, in a sentence.
    pub detail: String,
    /// Ties the answer to log lines.
    pub correlation: String,
    /// Whether it is permitted once a second factor was presented again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub step_up: bool,
    /// Field of the body that is wrong, such as `via`, where it is one: a form shows the sentence there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// How the installation is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// The installation's id; absent while sealed.
    pub cluster: Option<String>,
    /// Whether the vault is sealed.
    pub sealed: bool,
    /// Entries in the ledger.
    pub entries: u64,
    /// Gateways that are connected.
    pub gateways: u32,
    /// Live sessions.
    pub sessions: u32,
    /// Live sessions, of every node, that wait for an observer.
    #[serde(default)]
    pub sessions_waiting: u32,
    /// Where SSH clients connect to, `host:port`.
    pub ssh: Option<String>,
    /// Places outside the database that hold the newest checkpoint.
    pub anchors: u32,
    /// Those of them that are later than they may be.
    pub anchors_late: u32,
    /// Whether new sessions are refused, because an anchor that must not be late is.
    pub frozen: bool,
    /// Objects of the database that are not what this installation wrote; nothing is decided while there is one.
    pub quarantined: u32,
    /// What is possible: `well`; `deaf` where the vault is sealed or the database away; `mute` where the ledger
    /// takes no entry, `full` where recordings have no room, so that sessions are frozen.
    pub pulse: String,
    /// When the last backup was made, RFC 3339; absent while sealed, and where there is none.
    pub backup: Option<String>,
    /// How many hours ago that was.
    pub backup_age_hours: Option<u64>,
    /// Until when the rights of an administrator are lent by a recovery on the host, RFC 3339.
    pub recovery: Option<String>,
    /// Whether one person administers this installation, by a choice at its founding.
    #[serde(default)]
    pub solo: bool,
    /// How near recordings are to the end of their room: `fine`, `refuse` (no session begins), `freeze`.
    pub space: String,
    /// SSH authorities whose next key waits to be activated.
    #[serde(default)]
    pub ssh_cas_waiting: u32,
    /// When the SSH certificate of this node's gateway ends, RFC 3339, where it should have been renewed by now.
    #[serde(default)]
    pub host_certificate_late: Option<String>,
}

/// The authority of a node's certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trust {
    /// `SHA256` and the hash of the certificate, two digits behind two, with colons.
    pub fingerprint: String,
    /// The certificate, PEM.
    pub certificate: String,
}

/// The space for recordings on this node.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Space {
    /// Bytes of recordings.
    pub used: u64,
    /// Bytes that they may take: the quota, or what they have and the disk is free of, whichever is less.
    pub room: u64,
    /// Recordings in files of their own.
    pub recordings: u64,
    /// Bytes that come in a day, by the last seven.
    pub per_day: u64,
    /// Days until new sessions are refused, at that growth; absent where nothing grows.
    pub days_to_refuse: Option<u64>,
    /// Days until running sessions freeze.
    pub days_to_freeze: Option<u64>,
    /// `fine`, `refuse`, `freeze`.
    pub level: String,
    /// What goes next by the rules of retention, at most ten.
    pub next: Vec<Leaving>,
}

/// A recording that goes by the rule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Leaving {
    /// Which.
    pub recording: String,
    /// Of which session.
    pub session: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it is over its time, RFC 3339.
    pub due: String,
}

/// A place outside the database that holds the newest checkpoint of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Anchor {
    /// Its name in the configuration; `local` is the data directory's own.
    pub name: String,
    /// `file`, `syslog` or `witness`.
    pub kind: String,
    /// Entries of the checkpoint that it took last; 0 where it took none since the vault was opened.
    pub size: u64,
    /// When it took that, RFC 3339.
    pub at: Option<String>,
    /// How late it may be, in seconds.
    pub max_age_seconds: u64,
    /// Whether new sessions are refused while it is later.
    pub freeze: bool,
    /// Whether it is later.
    pub late: bool,
    /// What is wrong; empty where nothing is.
    pub problem: String,
}

/// Who the caller is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Handle.
    pub handle: String,
    /// Groups, roles among them.
    pub groups: Vec<String>,
    /// When the token or the cookie stops working.
    pub token_expires: String,
    /// The caller's live sessions.
    pub sessions: u32,
    /// `in`, or how far a sign-in is: `factor`, `enrolling`.
    #[serde(default)]
    pub state: String,
    /// `user` or `workload`.
    #[serde(default)]
    pub kind: String,
    /// Rights of the product that the caller holds, everywhere or somewhere.
    #[serde(default)]
    pub rights: Vec<String>,
    /// The caller's factors, but for the password.
    #[serde(default)]
    pub factors: Vec<Factor>,
    /// What can be presented as a second factor now: `passkey`, `totp`, `recovery`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Until when a second factor counts as fresh, RFC 3339.
    pub step_up_until: Option<String>,
    /// When the browser is signed out; absent for a token.
    pub session_expires: Option<String>,
    /// Whether one person administers this installation, by a choice at its founding.
    #[serde(default)]
    pub solo: bool,
    /// Where people reach this installation.
    #[serde(default)]
    pub public_url: String,
    /// Where SSH clients connect to, `host:port`.
    pub ssh: Option<String>,
}

/// One thing the caller can do, or ask for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// Target.
    pub target: String,
    /// Account on it.
    pub account: String,
    /// `ssh`, ...
    pub protocol: String,
    /// Environment.
    pub environment: String,
    /// Tier, 0 to 2.
    pub tier: u8,
    /// Tags.
    pub tags: Vec<String>,
    /// `usable`, `requestable`, or `not ready` with the reason in `note`.
    pub state: String,
    /// What to type: the user name that a client needs.
    pub login: String,
    /// Why it is not ready.
    pub note: String,
    /// When the caller's last session there began, where `recent` was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
}

/// A file of a policy checkout.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Path inside the checkout; `*.cedar` are policies, `*.toml` inventory.
    pub name: String,
    /// Text.
    pub text: String,
}

/// Asks for a plan, or for its execution.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// All files of the checkout.
    pub files: Vec<File>,
    /// Whether objects that the files do not name are deleted.
    #[serde(default)]
    pub prune: bool,
}

/// What would change, or did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// One line a change.
    pub lines: Vec<PlanLine>,
    /// Hash of the policy set that results.
    pub policy: String,
    /// Whether it was carried out.
    pub applied: bool,
    /// Live sessions that were ended because they are no longer permitted.
    pub revoked: u32,
    /// What works, and is most likely not meant so.
    pub warnings: Vec<String>,
}

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanLine {
    /// `+`, `~`, `-`, or `=` for what is kept though no file names it.
    pub sign: String,
    /// `policy`, `target`, `account`, `identity`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// What about it.
    pub detail: String,
}

/// A session, live or past.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Id.
    pub id: String,
    /// Who.
    pub handle: String,
    /// Target.
    pub target: String,
    /// Account.
    pub account: String,
    /// The account that was logged in at and became that one, and how, such as `deploy by sudo`; absent where it is the same.
    pub through: Option<String>,
    /// Protocol.
    pub protocol: String,
    /// Start.
    pub started: String,
    /// End; absent while it is live.
    pub ended: Option<String>,
    /// Why it ended.
    pub reason: Option<String>,
    /// Recording.
    pub recording: String,
    /// Hash of the policy set that decided.
    pub policy: String,
    /// Ledger index of its first entry.
    pub entry: u64,
    /// Whether the recording ends as it should; absent while live.
    pub complete: Option<bool>,
    /// While it is live: how often a rule was about a command or a file in it. 0 once it has ended.
    pub alerts: u64,
    /// Who or what ended it, in words; absent while live and where there is nothing to add.
    pub note: Option<String>,
    /// That somebody holds it: nothing crosses it in either direction. Absent where it goes on.
    pub paused: Option<SessionPause>,
    /// Who is with it beside its user; nobody where it has ended.
    pub guests: Vec<SessionGuest>,
    /// Whether it waits for an observer: until one comes, nothing crosses it.
    pub waits: bool,
    /// The node that it runs through; absent where it has ended.
    #[serde(default)]
    pub node: Option<String>,
    /// Whether the caller may ask to be in it, to type too.
    pub joinable: bool,
    /// The jump hosts that it goes over, the outermost first, each as `account@target`.
    #[serde(default)]
    pub via: Vec<String>,
    /// Once it has ended: what the exchange of keys of each leg agreed on, `client` first, `target` last.
    #[serde(default)]
    pub exchanges: Vec<String>,
    /// Old algorithms: while it is live those that may be spoken by exception, then those that were, each with its leg.
    #[serde(default)]
    pub exceptions: Vec<String>,
}

/// Somebody with a session, beside its user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionGuest {
    /// This visit.
    pub id: String,
    /// Who.
    pub handle: String,
    /// `observer`; `peer` where they type too.
    pub part: String,
}

/// That a session is paused.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionPause {
    /// Who paused it.
    pub by: String,
    /// Why; empty where no reason was given.
    pub reason: String,
    /// Since when.
    pub since: String,
}

/// Says why a live session is ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Shown to the person and written to the ledger.
    #[serde(default)]
    pub reason: String,
}

/// Says why a live session is paused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseSession {
    /// One line of at most 200 characters, shown to the person and written to the ledger.
    #[serde(default)]
    pub reason: String,
}

/// A line to the user of a live session.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionMessage {
    /// One line of 1 to 500 characters, shown to the person with the sender's name and written to the ledger.
    pub text: String,
}

/// The answer to `why`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// `permit`, `needs`, `deny`, or `unknown`.
    pub outcome: String,
    /// Sentences, most important first.
    pub reasons: Vec<String>,
    /// Determining policies, with file and line.
    pub policies: Vec<String>,
    /// Limits, and where each came from.
    pub limits: BTreeMap<String, String>,
    /// Hash of the policy set.
    pub policy: String,
}

/// A node of the installation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its name in entries.
    pub name: String,
    /// The key that signs the ledger for it: `name+hash+base64`.
    pub key: String,
    /// Whether it is the one that answered.
    pub here: bool,
    /// Sessions that were opened through it and have not ended.
    pub sessions: usize,
}

/// What came of removing a node.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeRemoved {
    /// Sessions of it that were closed as orphans.
    pub sessions: usize,
}

/// Asks for a token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// For whom; the caller where absent.
    #[serde(default)]
    pub handle: Option<String>,
    /// Seconds of life, at most 30 days.
    pub seconds: u32,
    /// What it is for.
    #[serde(default)]
    pub label: String,
}

/// A token: shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id, by which the ledger knows it.
    pub id: String,
    /// The text.
    pub token: String,
    /// Whose.
    pub handle: String,
    /// When it stops working.
    pub expires: String,
}

/// A ledger entry, in words and whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Ledger index.
    pub index: u64,
    /// Id.
    pub id: String,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// In which session.
    pub session: Option<String>,
    /// A human sentence.
    pub sentence: String,
    /// Further facts.
    pub facts: BTreeMap<String, String>,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass it as `cursor` for the next page; absent on the last one.
    pub next: Option<String>,
}

/// The head of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// The checkpoint as a signed note (C2SP).
    pub note: String,
    /// The verifier key that signed it.
    pub key: String,
}
