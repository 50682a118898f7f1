//! The messages between control and gateways: few, coarse, typed, idempotent by id.
//!
//! Encoding: one CBOR item per frame (RFC 8949), map keys are small integers, unknown keys are
//! skipped, so that either side may be the newer one. A frame is a `u32` length in network order
//! and at most [`MAX_FRAME`] bytes.

use crate::access::{Ask, Channel, Denial, EndReason, Freeze, LeaseKind, Terms};
use crate::company::{Company, Guest};
use crate::inventory::SessionKey;
use crate::name::Label;
use crate::rules::{Act, Guarantee};
use crate::sealed::{PublicKey, Sealed};
use crate::secret::SecretBytes;
use crate::steering::Steering;
use crate::way::{Exchange, Stop};
use crate::{
    AccountName, AuthId, CallId, ChannelId, ClusterId, GatewayId, Handle, IdentityId, LoginId, RecordingId, SessionId,
    TargetName, WatchId,
};
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

/// One coarse step of the session's life.
#[derive(Encode, Decode)]
pub enum Call {
    /// A step of a login: who is it?
    #[n(0)]
    AuthStep(#[n(0)] LoginId, #[n(1)] AuthStep),
    /// Decide, lease, and write `session.opened`, in one commit.
    #[n(1)]
    Open(#[n(0)] Open),
    /// Decide on one channel of an open session, and write the entry.
    #[n(2)]
    Channel(#[n(0)] OpenChannel),
    /// A password, sealed to the session's key; an entry is written.
    #[n(3)]
    Password(#[n(0)] SessionId, #[n(1)] Stop),
    /// A signature by the leased key over these bytes; an entry is written.
    #[n(4)]
    Sign(#[n(0)] SessionId, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>, #[n(2)] Stop),
    /// How far a recording has come.
    #[n(5)]
    Anchor(#[n(0)] Anchor),
    /// The end of a session.
    #[n(6)]
    Close(#[n(0)] Close),
    /// A session was frozen, and goes on.
    #[n(7)]
    Thawed(#[n(0)] Thawed),
    /// A rule applies to a command. Of one that is held the answer says whether it may go on.
    #[n(8)]
    Judged(#[n(0)] Judged),
    /// Where may somebody go who has signed in and named no target? No entry is written.
    #[n(9)]
    Places(#[n(0)] Places),
    /// A certificate for this session, and the proof by its key for the exchange of keys with the target that has
    /// this identifier (RFC 4253 section 7.2); an entry is written.
    #[n(10)]
    Certify(#[n(0)] SessionId, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>, #[n(2)] Stop),
    /// Who is with a session has changed.
    #[n(11)]
    Company(#[n(0)] Company),
    /// The password by which a session's logon account becomes the account that it is of, sealed to the session's key;
    /// an entry is written.
    #[n(12)]
    Becoming(#[n(0)] SessionId),
}

/// Evidence of who the client is.
#[derive(Encode, Decode)]
#[cbor(map)]
pub struct AuthStep {
    /// The handle that the client wrote, where it wrote one.
    #[n(0)]
    pub handle: Option<Handle>,
    /// Where the client comes from.
    #[n(1)]
    pub from: crate::access::From,
    /// The proof.
    #[n(2)]
    pub evidence: Evidence,
    /// The method by which keys were exchanged with the client, where its protocol has one that control can judge.
    #[n(3)]
    pub exchange: Option<String>,
}

/// A proof of possession.
#[derive(Encode, Decode)]
pub enum Evidence {
    /// An SSH public key, or a certificate (algorithm and base64). Without a proof it is a mere offer, which asks whether
    /// a signature by it would be welcome and is never a factor.
    #[n(0)]
    SshKey {
        /// The key, as OpenSSH prints it, without a comment.
        #[n(0)]
        key: String,
        /// What shows that the client has it. Control verifies it.
        #[n(2)]
        proof: Option<SshProof>,
    },
    /// What was typed where a password is asked for: a short-lived token; or, with a handle, a person's
    /// password, which alone lets nobody in.
    #[n(1)]
    Token(#[n(0)] SecretBytes),
    /// A second factor that can be typed, after the password in the same login: a code by the clock, or a recovery code.
    #[n(2)]
    Code(#[n(0)] SecretBytes),
}

/// A client's proof that it has a key: all that it has signed (RFC 4252 section 7), as far as that is not the key itself.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct SshProof {
    /// The identifier of the client's exchange of keys with the gateway.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub exchange: Vec<u8>,
    /// The user name of the request, from which the handle comes.
    #[n(1)]
    pub user: String,
    /// The algorithm of the signature.
    #[n(2)]
    pub algorithm: String,
    /// The signature (RFC 4253 section 6.6).
    #[cbor(n(3), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

/// Asks for a session.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Open {
    /// Chosen by the gateway; a repeated open with the same id has the same outcome.
    #[n(0)]
    pub session: SessionId,
    /// Who.
    #[n(1)]
    pub who: AuthId,
    /// What.
    #[n(2)]
    pub ask: Ask,
    /// The recording that is being opened.
    #[n(3)]
    pub recording: RecordingId,
    /// SHA-256 of the recording's header, which commits to its data key.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub header: Vec<u8>,
    /// What control lends is sealed to this key.
    #[n(5)]
    pub key: SessionKey,
}

/// Asks for a channel.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct OpenChannel {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// Chosen by the gateway.
    #[n(1)]
    pub channel: ChannelId,
    /// What it carries.
    #[n(2)]
    pub kind: Channel,
    /// The command of an exec, the destination of a forward; at most 4 KiB are kept.
    #[n(3)]
    pub detail: String,
    /// Why the gateway refuses it whatever policy says, where it does: control then writes the entry
    /// and decides nothing.
    #[n(4)]
    pub refused: Option<String>,
}

/// How far a recording has come.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Anchor {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// Segments so far.
    #[n(1)]
    pub segments: u32,
    /// Chain hash after the last of them, 32 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub chain: Vec<u8>,
}

/// A session goes on after a freeze.
#[derive(Clone, Copy, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Thawed {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// What was not there.
    #[n(1)]
    pub without: Freeze,
    /// How long nothing of the client's went on, in milliseconds.
    #[n(2)]
    pub millis: u64,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Encode, Decode)]
#[cbor(index_only)]
pub enum About {
    /// A command, or a line in a shell.
    #[default]
    #[n(0)]
    Command,
    /// A file that crosses.
    #[n(1)]
    File,
}

impl About {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::File => "file",
        }
    }
}

/// What a rule says of a command or file that wants to cross.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Judged {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// What becomes of it.
    #[n(1)]
    pub act: Act,
    /// The rule, `set/rule`.
    #[n(2)]
    pub rule: String,
    /// Why, in the rule's words.
    #[n(3)]
    pub why: String,
    /// How sure it is that the rule is kept.
    #[n(4)]
    pub guarantee: Guarantee,
    /// The command, or what became of the file; at most 1 KiB of it.
    #[n(5)]
    pub command: String,
    /// What the rule is about.
    #[cbor(n(6), default)]
    pub about: About,
}

impl Judged {
    /// The action of its entry in the ledger.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match (self.about, self.act) {
            (About::Command, Act::Pass | Act::Alert) => "command.alerted",
            (About::Command, Act::Hold) => "command.held",
            (About::Command, Act::Block | Act::Terminate) => "command.blocked",
            (About::File, Act::Pass | Act::Alert) => "file.alerted",
            (About::File, Act::Hold) => "file.held",
            (About::File, Act::Block | Act::Terminate) => "file.blocked",
        }
    }
}

/// The end of a session.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Close {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// Why.
    #[n(1)]
    pub reason: EndReason,
    /// Where the recording ended.
    #[n(2)]
    pub anchor: Anchor,
    /// Whether the recording ends with its final segment; false is an attested truncation.
    #[n(3)]
    pub complete: bool,
    /// Bytes from the client and from the target.
    #[n(4)]
    pub bytes: (u64, u64),
    /// What to add, such as the error of a failed dial; no secret ever.
    #[n(5)]
    pub note: String,
    /// How long the session was frozen in all, in milliseconds.
    #[n(6)]
    pub frozen: u64,
    /// What its legs agreed on.
    #[cbor(n(7), default)]
    pub exchanges: Vec<Exchange>,
}

/// Answers.
#[derive(Encode, Decode)]
pub enum Reply {
    /// To `AuthStep`: this is who it is.
    #[n(0)]
    Authenticated(#[n(0)] Authenticated),
    /// To `AuthStep`: go on (an offered key would be welcome, or another factor is wanted).
    #[n(1)]
    More,
    /// To `Open`.
    #[n(2)]
    Opened(#[n(0)] Box<Opened>),
    /// To `Channel`, `Anchor`, `Thawed`, `Judged`, `Company`, `Close`: the entry is durable at this ledger index.
    #[n(3)]
    Done(#[n(0)] u64),
    /// To `Password` and `Becoming`.
    #[n(4)]
    Password(#[n(0)] Sealed),
    /// To `Sign`: an SSH signature blob (RFC 4253 section 6.6).
    #[n(5)]
    Signature(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// No.
    #[n(6)]
    Denied(#[n(0)] Denial),
    /// To `Places`: the first of them, by target and account.
    #[n(7)]
    Places(#[n(0)] Vec<Choice>),
    /// To `Certify`.
    #[n(8)]
    Certified(#[n(0)] Certified),
}

/// A certificate, and the proof by its key.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Certified {
    /// Its bytes, as OpenSSH's PROTOCOL.certkeys has them.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
    /// An SSH signature blob over the request that shows it (RFC 4252 section 7).
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

/// Asks where somebody may go.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Places {
    /// Who.
    #[n(0)]
    pub who: AuthId,
    /// Words, all of which must occur in the place's names or labels.
    #[n(1)]
    pub search: String,
}

/// Somewhere to go.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Choice {
    /// The account.
    #[n(0)]
    pub account: AccountName,
    /// The target.
    #[n(1)]
    pub target: TargetName,
    /// Usable now; otherwise it must be asked for.
    #[n(2)]
    pub usable: bool,
    /// What stands in the way all the same; empty where nothing does.
    #[n(3)]
    pub note: String,
}

/// Who it is, for at most 60 seconds, on this gateway and connection.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Authenticated {
    /// To be spent in `Open`.
    #[n(0)]
    pub auth: AuthId,
    /// The identity.
    #[n(1)]
    pub identity: IdentityId,
    /// Its handle.
    #[n(2)]
    pub handle: Handle,
}

/// A permit and a lease.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Opened {
    /// What was permitted.
    #[n(0)]
    pub terms: Terms,
    /// What may be done with the credential.
    #[n(1)]
    pub lease: LeaseKind,
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
