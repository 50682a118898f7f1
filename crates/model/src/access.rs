//! An ask, its decision's terms, denials, and how sessions end.

use crate::inventory::Place;
use crate::rules::RuleSet;
use crate::{AccountName, Handle, IdentityId, Kind, Limits, TargetName};
use minicbor::{Decode, Encode};
use std::fmt;
use std::net::IpAddr;

/// A stream inside a session. Each kind is its own action of the policy: none is a side door.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Encode, Decode)]
#[cbor(index_only)]
pub enum Channel {
    /// A program without a terminal.
    #[n(0)]
    Exec,
    /// A pty with a shell, or with a program.
    #[n(1)]
    Shell,
    /// SFTP, whole or as scp's carrier.
    #[n(2)]
    Sftp,
    /// Any other subsystem.
    #[n(3)]
    Subsystem,
    /// Client to target side (`-L`, `-D`): direct-tcpip.
    #[n(4)]
    ForwardLocal,
    /// Target side to client (`-R`): tcpip-forward.
    #[n(5)]
    ForwardRemote,
    /// Unix sockets, either way.
    #[n(6)]
    ForwardSocket,
    /// X11.
    #[n(7)]
    X11,
    /// The client's agent.
    #[n(8)]
    Agent,
    /// A database or desktop connection, whole.
    #[n(9)]
    Stream,
}

impl Channel {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Exec,
        Self::Shell,
        Self::Sftp,
        Self::Subsystem,
        Self::ForwardLocal,
        Self::ForwardRemote,
        Self::ForwardSocket,
        Self::X11,
        Self::Agent,
        Self::Stream,
    ];

    /// The policy's action, such as `channel:shell`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Exec => "channel:exec",
            Self::Shell => "channel:shell",
            Self::Sftp => "channel:sftp",
            Self::Subsystem => "channel:subsystem",
            Self::ForwardLocal => "channel:forward_local",
            Self::ForwardRemote => "channel:forward_remote",
            Self::ForwardSocket => "channel:forward_socket",
            Self::X11 => "channel:x11",
            Self::Agent => "channel:agent",
            Self::Stream => "channel:stream",
        }
    }

    /// Whether its detail is a destination, which policy may look at.
    #[must_use]
    pub const fn forwards(self) -> bool {
        matches!(self, Self::ForwardLocal | Self::ForwardRemote | Self::ForwardSocket)
    }

    /// Whether a person waits at it, so that it may wait for an approval in `hold`.
    #[must_use]
    pub const fn interactive(self) -> bool {
        matches!(self, Self::Shell)
    }
}

/// What somebody asks for. Who asks is apart from it (`AuthId`).
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Ask {
    /// The account wanted.
    #[n(0)]
    pub account: AccountName,
    /// The target wanted.
    #[n(1)]
    pub target: TargetName,
    /// `ssh`, ...
    #[n(2)]
    pub protocol: String,
    /// Where the client's connection comes from.
    #[n(3)]
    pub from: From,
    /// Why, in the client's words; empty where none was given.
    #[n(4)]
    pub reason: String,
}

/// A client's network address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct From(pub IpAddr);

impl<C> Encode<C> for From {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for From {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map(Self).map_err(|_| minicbor::decode::Error::message("no IP address"))
    }
}

/// The outcome of one permitted decision.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Terms {
    /// Who acts.
    #[n(0)]
    pub identity: IdentityId,
    /// Who acts, by name.
    #[n(1)]
    pub handle: Handle,
    /// Where to dial.
    #[n(2)]
    pub place: Place,
    /// What bounds the session.
    #[n(3)]
    pub limits: Limits,
    /// SHA-256 of the policy set, hexadecimal: evidence.
    #[n(4)]
    pub policy: String,
    /// The determining policies.
    #[n(5)]
    pub determining: Vec<String>,
    /// The ledger index of the entry that opened the session.
    #[n(6)]
    pub entry: u64,
    /// The rule sets that the limits name, as the policy set has them.
    #[cbor(n(7), default)]
    pub rules: Vec<RuleSet>,
}

/// What the gateway may do with the credential: uses, not bytes.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum LeaseKind {
    /// A password, lent sealed to the session's key.
    #[n(0)]
    Password,
    /// A key whose signatures control makes; the OpenSSH public key, algorithm and base64.
    #[n(1)]
    SshKey(#[n(0)] String),
    /// Certificates that control makes for this session alone, each with a proof by its key.
    #[n(2)]
    SshCertificate,
}

/// A `no`, in words that may be shown to the client.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, thiserror::Error)]
#[cbor(map)]
#[error("{message}")]
pub struct Denial {
    /// Sort of failure, for exit codes and retries.
    #[n(0)]
    pub kind: Kind,
    /// What to tell the client: what happened and what to do.
    #[n(1)]
    pub message: String,
}

impl Denial {
    /// A denial with this text.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The one answer for what is invisible and for what does not exist: same text, same code.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(Kind::NotFound, "no such target or account, or it is not yours to know")
    }

    /// Authority, ledger or recorder cannot be reached.
    #[must_use]
    pub fn unavailable(what: &str) -> Self {
        Self::new(Kind::Unavailable, format!("{what} is not available, so no session can be opened; try again shortly"))
    }
}

/// What a session lacks while it is frozen: nothing from its client goes on to the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(index_only)]
pub enum Freeze {
    /// The recorder: what would happen would not be recorded.
    #[n(0)]
    Recorder,
    /// The ledger: it takes no entry.
    #[n(1)]
    Ledger,
    /// Control, without which a target of the highest tier may not be touched.
    #[n(2)]
    Control,
    /// Room for recordings.
    #[n(3)]
    Space,
}

impl Freeze {
    /// Stable word, as the ledger spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recorder => "recorder",
            Self::Ledger => "ledger",
            Self::Control => "control",
            Self::Space => "space",
        }
    }

    /// Why nothing goes on, for the client.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Recorder => "the session cannot be recorded",
            Self::Ledger => "the ledger takes no entries",
            Self::Control => "the authority is not reached",
            Self::Space => "recordings have no room left",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Encode, Decode)]
#[cbor(index_only)]
pub enum EndReason {
    /// A rule blocked what the client sent.
    #[n(0)]
    Block,
    /// The client ended it.
    #[n(1)]
    ClientClose,
    /// The maximum duration was reached.
    #[n(2)]
    Deadline,
    /// The target could not be reached or did not accept us.
    #[n(3)]
    DialFail,
    /// Silence for too long.
    #[n(4)]
    Idle,
    /// Somebody with the right to do so killed it.
    #[n(5)]
    Kill,
    /// The gateway died and a later one closed what it found.
    #[n(6)]
    Orphan,
    /// A task of the session panicked.
    #[n(7)]
    Panic,
    /// Control was silent longer than the session's grace.
    #[n(8)]
    Partition,
    /// The recorder could not write.
    #[n(9)]
    RecorderStall,
    /// The right was taken back.
    #[n(10)]
    Revoke,
    /// The gateway stopped in good order.
    #[n(11)]
    Shutdown,
    /// The target ended it.
    #[n(12)]
    TargetClose,
    /// The client's or target's leg broke a protocol rule or a memory bound.
    #[n(13)]
    Violation,
    /// Nobody observed it in time who must.
    #[n(14)]
    Unobserved,
}

impl EndReason {
    /// Stable word, as the ledger spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::ClientClose => "client_close",
            Self::Deadline => "deadline",
            Self::DialFail => "dial_fail",
            Self::Idle => "idle",
            Self::Kill => "kill",
            Self::Orphan => "orphan",
            Self::Panic => "panic",
            Self::Partition => "partition",
            Self::RecorderStall => "recorder_stall",
            Self::Revoke => "revoke",
            Self::Shutdown => "shutdown",
            Self::TargetClose => "target_close",
            Self::Violation => "violation",
            Self::Unobserved => "unobserved",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
