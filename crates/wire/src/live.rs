//! What is live: the words of a terminal's websocket.
//!
//! Binary frames are the terminal's bytes, both ways. Text frames are these messages, each an object of one field.

use crate::SessionGuest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Subprotocol that a terminal's websocket speaks.
pub const TERMINAL: &str = "sallyport.terminal.v1";

/// What a client says in a text frame.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TerminalIn {
    /// The screen has another size.
    Resize(ScreenSize),
}

/// What the server says in a text frame.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TerminalOut {
    /// The session is open: first, and again after a re-attachment.
    Opened(TerminalOpened),
    /// How large the screen is that the next bytes draw.
    Size(ScreenSize),
    /// A line for the person, beside the screen.
    Notice(Notice),
    /// Whether nothing that is typed goes on at the moment.
    Frozen(bool),
    /// Why nothing crosses in either direction, where somebody holds the session; `null` where it goes on.
    Paused(Option<String>),
    /// Who is with the session beside its user; to a guest, that they are let in.
    Company(Vec<SessionGuest>),
    /// What the user is asked, where somebody wants to join: the next `y` or `n` that is typed is the answer. `null` where
    /// nobody asks any more.
    Asked(Option<String>),
    /// Last: how it ended.
    Closed(TerminalClosed),
}

/// The size of a screen, in cells: 1 to 1000 each way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenSize {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// A session with a terminal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TerminalOpened {
    /// The session.
    pub session: String,
    /// Its recording.
    pub recording: String,
    /// When it ends at the latest, RFC 3339.
    pub expires: Option<String>,
    /// What bounds it.
    pub limits: TerminalLimits,
}

/// What bounds a session with a terminal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TerminalLimits {
    /// How long it may last.
    pub max_duration_seconds: u32,
    /// How long it may go on without anything typed.
    pub idle_seconds: u32,
    /// How long it waits at least for whoever lost the line to it.
    #[serde(default)]
    pub linger_seconds: u32,
    /// `full`; `strict` where bytes wait until they are durable in the recording.
    pub record: String,
}

/// A line for the person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// The line.
    pub text: String,
}

/// How a terminal ended.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TerminalClosed {
    /// Why, as the ledger spells it, such as `target_close`, `kill`, `deadline`; the kind of a problem, such as
    /// `denied`, where there was no session; `moved` where it goes on in another window; `lost` where the server
    /// lost the way to the session, which waits to be taken up again.
    pub reason: String,
    /// What to tell; empty where there is nothing to add.
    pub text: String,
    /// The exit code of the program, or of the refusal.
    pub code: Option<u32>,
}

/// A terminal as text: what a tile of the wall shows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScreenText {
    /// Of which session.
    pub session: String,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// Its rows, at most 200 of at most 400 characters; empty ones at the end are left out.
    pub lines: Vec<String>,
}
