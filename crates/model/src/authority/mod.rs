//! The messages between control and gateways: few, coarse, typed, idempotent by id.
//!
//! Encoding: one CBOR item per frame (RFC 8949), map keys are small integers, unknown keys are
//! skipped, so that either side may be the newer one. A frame is a `u32` length in network order
//! and at most [`MAX_FRAME`] bytes.

mod calls;
mod replies;

pub use calls::{
    About, Anchor, Asking, AuthStep, Call, Close, Evidence, Judged, Open, OpenChannel, Places, SshProof, Thawed,
};
pub use replies::{Authenticated, Certified, Choice, LoginCode, Opened, Reply};

use crate::access::Denial;
use crate::company::Guest;
use crate::name::Label;
use crate::sealed::PublicKey;
use crate::steering::Steering;
use crate::way::Stop;
use crate::{CallId, ClusterId, GatewayId, RecordingId, SessionId, WatchId};
use minicbor::{Decode, Encode};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Version of the conversation; a different major number is refused at `Hello`.
pub const VERSION: u16 = 5;

/// Largest frame, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// Time between two beats of control; silence longer than a session's grace ends it.
pub const BEAT: Duration = Duration::from_millis(250);

/// How many seconds late the answer to [`Evidence::Allowed`] comes at most.
pub const LATEST: u32 = 20;

/// The HPKE `info` under which control seals a lent password; the `aad` is [`password_aad`].
pub const PASSWORD_INFO: &[u8] = b"sallyport/lease/password/v1";

/// The same for the password that `su` or `sudo` of a target asks for.
pub const BECOMING_INFO: &[u8] = b"sallyport/lease/becoming/v1";

/// What a lent password is bound to: the session's 16 bytes and, of a jump host, its number.
#[must_use]
pub fn password_aad(session: SessionId, stop: Stop) -> Vec<u8> {
    let number = match stop {
        Stop::Target => None,
        Stop::Hop(number) => Some(number),
    };
    session.as_bytes().iter().copied().chain(number).collect()
}

/// From gateway to control.
#[derive(Encode, Decode)]
pub enum Up {
    /// First frame of a connection.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// A call that wants a reply. A repeated call has the same id and gets the same reply.
    #[n(1)]
    Call(#[n(0)] CallId, #[n(1)] Call),
    /// A piece of a live session for a watcher; best effort.
    #[n(2)]
    View(#[n(0)] View),
    /// How the gateway is, every few seconds.
    #[n(3)]
    Figures(#[n(0)] Figures),
}

/// What a process takes and carries.
#[derive(Clone, Copy, Debug, Default, Decode, Encode, Eq, PartialEq)]
pub struct Figures {
    /// Memory that it holds, in bytes.
    #[n(0)]
    pub memory: u64,
    /// Files and sockets that it has open.
    #[n(1)]
    pub files: u64,
    /// Live sessions that it carries.
    #[n(2)]
    pub sessions: u64,
}

/// From control to gateway.
#[derive(Encode, Decode)]
pub enum Down {
    /// Answer to `Hello`.
    #[n(0)]
    Welcome(#[n(0)] Welcome),
    /// Answer to a call.
    #[n(1)]
    Reply(#[n(0)] CallId, #[n(1)] Reply),
    /// Control is alive.
    #[n(2)]
    Beat,
    /// End a session: a right was taken back.
    #[n(3)]
    Revoke(#[n(0)] SessionId, #[n(1)] String),
    /// End a session: somebody with the right to do so said so.
    #[n(4)]
    Kill(#[n(0)] SessionId, #[n(1)] String),
    /// Start sending views of a session.
    #[n(5)]
    Watch(#[n(0)] SessionId, #[n(1)] Guest),
    /// Stop sending them.
    #[n(6)]
    Unwatch(#[n(0)] WatchId),
    /// The vault was sealed: open nothing new, running sessions go on within their grace.
    #[n(7)]
    Seal,
    /// In place of a beat: control is there, and cannot decide or hear what is decided elsewhere, since its vault
    /// is sealed or its database away. For the grace of sessions it counts as silence.
    #[n(8)]
    Deaf,
    /// In place of a beat: control is there, and its ledger takes no entry. Nothing may be done that has no
    /// evidence, so sessions freeze; for their grace it counts as silence.
    #[n(9)]
    Mute,
    /// In place of a beat: recordings have no room left. Sessions freeze as for [`Down::Mute`].
    #[n(11)]
    Full,
    /// Recordings that begin from now on are sealed to this key: it was rotated.
    #[n(10)]
    RecordingKey(#[n(0)] RecordingKey),
    /// What staff want of a session, whole.
    #[n(12)]
    Steer(#[n(0)] SessionId, #[n(1)] Steering),
}

/// What control is able to, as its beats tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pulse {
    /// It decides, hears what is decided elsewhere, and writes.
    Well,
    /// It does not hear what is decided: sealed, without its database, or not reached at all.
    Deaf,
    /// Its ledger takes no entry.
    Mute,
    /// Recordings have no room left.
    Full,
}

impl Pulse {
    /// Stable word, as the API and metrics spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Deaf => "deaf",
            Self::Mute => "mute",
            Self::Full => "full",
        }
    }

    /// The message that says so.
    #[must_use]
    pub const fn message(self) -> Down {
        match self {
            Self::Well => Down::Beat,
            Self::Deaf => Down::Deaf,
            Self::Mute => Down::Mute,
            Self::Full => Down::Full,
        }
    }
}

/// Who a gateway is.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// [`VERSION`] of the gateway.
    #[n(0)]
    pub version: u16,
    /// The gateway, new with every start.
    #[n(1)]
    pub gateway: GatewayId,
    /// The zone whose targets it reaches.
    #[n(2)]
    pub zone: Label,
    /// Sessions that this gateway has open (a reconnection).
    #[n(3)]
    pub open: Vec<SessionId>,
}

/// What control tells a gateway first.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    /// [`VERSION`] of control.
    #[n(0)]
    pub version: u16,
    /// The installation.
    #[n(1)]
    pub cluster: ClusterId,
    /// Recording data keys are sealed to this key; absent while the vault is sealed.
    #[n(2)]
    pub recording_key: Option<RecordingKey>,
    /// Handles of sessions that control has open for this gateway's node and that `Hello.open` did
    /// not name: orphans of an earlier gateway, to be closed by [`Call::Close`].
    #[n(3)]
    pub orphans: Vec<Orphan>,
}

/// The public half of the recordings domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct RecordingKey {
    /// Epoch of the key.
    #[n(0)]
    pub epoch: u32,
    /// The key.
    #[n(1)]
    pub key: PublicKey,
}

/// A session that its gateway left open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Orphan {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// Its recording.
    #[n(1)]
    pub recording: RecordingId,
}

/// A piece of a live session.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct View {
    /// Which watcher it is for.
    #[n(0)]
    pub watch: WatchId,
    /// Events in the recording's own encoding.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub events: Vec<u8>,
    /// Whether nothing follows.
    #[n(2)]
    pub last: bool,
}

/// A boxed future that borrows its arguments.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends messages down to one gateway; false once it is gone.
pub type DownSink = Arc<dyn Fn(Down) -> bool + Send + Sync>;

/// Control's side of the conversation, as a transport serves it.
pub trait Desk: Send + Sync {
    /// A gateway has connected. `down` reaches it until `leave`.
    fn join<'a>(&'a self, hello: Hello, down: DownSink) -> Boxed<'a, Result<Welcome, Denial>>;

    /// Answers one call. Repeating a call with the same id is harmless.
    fn call<'a>(&'a self, gateway: GatewayId, id: CallId, call: Call) -> Boxed<'a, Reply>;

    /// A piece for a watcher.
    fn view(&self, gateway: GatewayId, view: View);

    /// How a gateway is.
    fn figures(&self, gateway: GatewayId, figures: Figures);

    /// The connection is gone. The gateway's sessions go on within grace.
    fn leave(&self, gateway: GatewayId);

    /// What is possible here. Where not everything is, gateways get no beat, so that a revocation that
    /// cannot come is bounded by grace.
    fn pulse(&self) -> Pulse;
}

/// The bytes of one message, without the frame's length.
///
/// # Errors
/// When a value cannot be encoded, which no message of this module causes.
pub fn encode<T: Encode<()>>(message: &T) -> Result<Vec<u8>, String> {
    minicbor::to_vec(message).map_err(|e| e.to_string())
}

/// Reads one message and refuses trailing bytes.
///
/// # Errors
/// When the bytes are no such message.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, String> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let message = decoder.decode().map_err(|e| e.to_string())?;
    if decoder.position() == bytes.len() { Ok(message) } else { Err("trailing bytes after the message".into()) }
}
