//! The gateway's door: control knocks there for people who come without a client of their own.
//!
//! One connection carries one knock. The gateway greets, control knocks, then messages go both ways until either side
//! ends it. Frames and encoding are those of the Authority ([`crate::authority`]). The door decides nothing: what is
//! opened through it is asked of control as for any other client.

use crate::access::{Ask, Denial};
use crate::authority::{Authenticated, Boxed};
use crate::company::Guest;
use crate::errand::{Errand, Told};
use crate::inventory::HostKey;
use crate::relay::Relayed;
use crate::{GatewayId, Kind, Limits, RecordingId, SessionId, Timestamp};
use minicbor::{Decode, Encode};

/// Version of the conversation; another one is refused.
pub const VERSION: u16 = 4;

/// Most bytes of a terminal or a file in one message.
pub const PIECE: usize = 32 << 10;

/// What a terminal that comes through the door is to the target.
pub const TERM: &str = "xterm-256color";

/// How large a terminal is, in cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Size {
    /// Columns.
    #[n(0)]
    pub cols: u16,
    /// Rows.
    #[n(1)]
    pub rows: u16,
}

impl Size {
    /// Most columns and most rows.
    pub const MOST: u16 = 1000;

    /// A size that a screen may have: 1 to [`Self::MOST`] each way.
    #[must_use]
    pub fn new(cols: u16, rows: u16) -> Option<Self> {
        let fits = |n| (1..=Self::MOST).contains(&n);
        (fits(cols) && fits(rows)).then_some(Self { cols, rows })
    }
}

/// From control to the gateway.
#[derive(Encode, Decode)]
pub enum Inward {
    /// First: what is wanted.
    #[n(0)]
    Knock(#[n(0)] Box<Knock>),
    /// Somebody typed, or a file comes; at most [`PIECE`] bytes.
    #[n(1)]
    Bytes(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// Their screen has another size.
    #[n(2)]
    Resize(#[n(0)] Size),
    /// They are done: the session ends. A connection that ends without it leaves the session waiting for them.
    #[n(3)]
    Leave,
    /// All of the file has come. A connection that ends without it leaves nothing of it on the target.
    #[n(4)]
    Whole,
    /// First, from another node: who wants what.
    #[n(5)]
    Relayed(#[n(0)] Box<Relayed>),
    /// From another node: it is there.
    #[n(6)]
    Here,
}

/// [`Inward::Bytes`] or [`Outward::Bytes`] of bytes that somebody else holds: on the wire they are the same.
#[derive(Encode)]
pub enum Lent<'a> {
    /// [`Inward::Bytes`].
    #[n(1)]
    Inward(#[cbor(n(0), with = "minicbor::bytes")] &'a [u8]),
    /// [`Outward::Bytes`].
    #[n(2)]
    Outward(#[cbor(n(0), with = "minicbor::bytes")] &'a [u8]),
}

/// What is wanted at the door.
#[derive(Encode, Decode)]
pub enum Knock {
    /// A new session, with a terminal.
    #[n(0)]
    Open(#[n(0)] Authenticated, #[n(1)] Ask, #[n(2)] Size),
    /// One's own session, whose terminal has lost its stream, or is to come here from elsewhere.
    #[n(1)]
    Join(#[n(0)] Authenticated, #[n(1)] SessionId, #[n(2)] Size),
    /// What a place shows of itself. Where it lies behind a jump host, that one is gone to in a session which is asked for
    /// here. The answer is [`Outward::Probed`].
    #[n(2)]
    Probe(#[n(0)] Probe, #[n(1)] Option<(Authenticated, Ask)>),
    /// Whether the stored credential opens an account: a session that ends as soon as it has logged in. The answer is
    /// [`Outward::Checked`].
    #[n(3)]
    Check(#[n(0)] Authenticated, #[n(1)] Ask),
    /// The terminals of all sessions as text, as they change: [`Outward::Screen`] until control leaves.
    #[n(4)]
    Screens,
    /// Somebody else's session, to be looked at and typed in with its user. The first answer that is no notice is
    /// [`Outward::Company`] where they are let in.
    #[n(5)]
    Accompany(#[n(0)] Guest, #[n(1)] SessionId),
    /// Files of the target of one's own session, which has a terminal here. The answers are [`Outward::Told`], and
    /// [`Outward::Bytes`] where content comes.
    #[n(6)]
    Errand(#[n(0)] Authenticated, #[n(1)] SessionId, #[n(2)] Errand),
}

/// A place that is looked at before anything is known of it.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Probe {
    /// What it should speak.
    #[n(0)]
    pub protocol: String,
    /// Host name or IP address.
    #[n(1)]
    pub host: String,
    /// TCP port.
    #[n(2)]
    pub port: u16,
}

/// What a place has shown of itself. Nothing of it is proven.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Probed {
    /// Its host keys.
    #[n(0)]
    pub host_keys: Vec<HostKey>,
    /// What it says it is, printable characters only.
    #[n(1)]
    pub banner: String,
    /// Old algorithms without which it cannot be spoken to.
    #[n(2)]
    pub exceptions: Vec<String>,
}

/// From the gateway to control.
#[derive(Clone, Debug, Encode, Decode)]
pub enum Outward {
    /// First: who answers.
    #[n(0)]
    Greeting(#[n(0)] u16, #[n(1)] GatewayId),
    /// The session is open.
    #[n(1)]
    Opened(#[n(0)] Box<Opened>),
    /// Bytes for the terminal, or of a file; at most [`PIECE`] of them.
    #[n(2)]
    Bytes(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// A line for the person, beside the screen.
    #[n(3)]
    Notice(#[n(0)] String),
    /// Whether nothing that is typed goes on at the moment.
    #[n(4)]
    Frozen(#[n(0)] bool),
    /// Last: how it ended.
    #[n(5)]
    Closed(#[n(0)] Closed),
    /// To [`Knock::Probe`].
    #[n(6)]
    Probed(#[n(0)] Box<Probed>),
    /// To [`Knock::Check`]: the login was accepted.
    #[n(7)]
    Checked,
    /// How large the screen is that the next bytes draw.
    #[n(8)]
    Size(#[n(0)] Size),
    /// To [`Knock::Screens`]: one terminal has changed.
    #[n(9)]
    Screen(#[n(0)] Box<Screened>),
    /// Why nothing crosses in either direction at the moment; `None` where it goes on.
    #[n(10)]
    Paused(#[n(0)] Option<String>),
    /// Who is with the session beside its user.
    #[n(11)]
    Company(#[n(0)] Vec<Guest>),
    /// To [`Knock::Accompany`]: what happens, in the recording's encoding.
    #[n(12)]
    Events(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// What the user is asked, where somebody wants to join: the next `y` or `n` that is typed answers.
    #[n(13)]
    Asked(#[n(0)] Option<String>),
    /// To [`Knock::Errand`].
    #[n(14)]
    Told(#[n(0)] Told),
    /// To another node: this one is there.
    #[n(15)]
    Here,
}

/// A terminal as text.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Screened {
    /// Of which session.
    #[n(0)]
    pub session: SessionId,
    /// Its size.
    #[n(1)]
    pub size: Size,
    /// Its rows, at most 200 of at most 400 characters; empty ones at the end are left out.
    #[n(2)]
    pub lines: Vec<String>,
}

/// What a session is that was opened through the door.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Opened {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// Its recording.
    #[n(1)]
    pub recording: RecordingId,
    /// When it ends at the latest.
    #[n(2)]
    pub expires: Timestamp,
    /// What bounds it.
    #[n(3)]
    pub limits: Limits,
}

/// How a terminal's session ended, or why there is none.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Closed {
    /// The word of an [`crate::access::EndReason`], or of a [`crate::Kind`] where no session came to be.
    #[n(0)]
    pub reason: String,
    /// What to tell; empty where there is nothing to add.
    #[n(1)]
    pub text: String,
    /// The exit code of the program, or of the refusal.
    #[n(2)]
    pub code: Option<u32>,
}

impl Closed {
    /// What sort of failure it is, where no session came to be.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(&self.reason)
    }

    /// Of somebody who is told no.
    #[must_use]
    pub fn refused(why: &Denial) -> Self {
        let code = Some(u32::from(why.kind.exit_code()));
        Self { reason: why.kind.word().into(), text: why.message.clone(), code }
    }
}

/// The way to a gateway's door.
pub trait Door: Send + Sync {
    /// Opens a connection, on which the gateway has greeted.
    fn reach(&self) -> Boxed<'_, Result<Doorway, Denial>>;
}

/// One connection at the door. Its halves block while the other side is slow, and end with it.
pub struct Doorway {
    /// Who answers.
    pub gateway: GatewayId,
    /// Towards the gateway.
    pub speak: Box<dyn Speak>,
    /// From the gateway.
    pub hear: Box<dyn Hear>,
}

/// Says something at the door.
pub trait Speak: Send {
    /// False once nobody listens.
    fn say(&mut self, message: Inward) -> Boxed<'_, bool>;

    /// Says [`Inward::Bytes`], of bytes that the caller keeps: at most [`PIECE`]. False once nobody listens.
    fn pass<'a>(&'a mut self, bytes: &'a [u8]) -> Boxed<'a, bool>;
}

/// Hears what is said there.
pub trait Hear: Send {
    /// The next message; `None` once the other side has gone. A call that is dropped loses what it has read.
    fn hear(&mut self) -> Boxed<'_, Option<Outward>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::encode;

    #[test]
    fn bytes_that_are_lent_are_the_same_on_the_wire() {
        for bytes in [&b""[..], b"typed", &[7; PIECE]] {
            assert_eq!(encode(&Lent::Inward(bytes)).unwrap(), encode(&Inward::Bytes(bytes.to_vec())).unwrap());
            assert_eq!(encode(&Lent::Outward(bytes)).unwrap(), encode(&Outward::Bytes(bytes.to_vec())).unwrap());
        }
    }
}
