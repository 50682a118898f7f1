//! What gateways ask of control: the steps of a session's life.

use crate::access::{Ask, Channel, EndReason, Freeze};
use crate::agent::Signature;
use crate::company::Company;
use crate::inventory::{NotBecome, SessionKey};
use crate::rules::{Act, Guarantee};
use crate::secret::SecretBytes;
use crate::way::{Exchange, Stop};
use crate::{AccountName, AuthId, ChannelId, Handle, LoginId, RecordingId, SessionId, TargetName};
use minicbor::{Decode, Encode};

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
    /// What a target wants of the agent that its user lends it, and what became of that; an entry is written.
    #[n(13)]
    Signature(#[n(0)] Signature),
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
    /// None: the user name that the client gave is none, so that nothing can be shown under it. What it was is not told.
    #[n(3)]
    Misnamed,
    /// None yet: whoever the handle names is to allow this login in a browser. The answer is a code to be shown.
    #[n(4)]
    Browser(#[n(0)] Asking),
    /// Whether they have: the answer is `More` while they have not. That may be so many seconds late, and comes earlier once they
    /// have answered: then it is to be asked again.
    #[n(5)]
    Allowed(#[cbor(n(0), default)] u32),
}

/// What a login is, for whoever is to allow it in a browser.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Asking {
    /// Where it leads to, where its user name says so; it then leads nowhere else.
    #[n(0)]
    pub account: Option<AccountName>,
    /// The same: the target.
    #[n(1)]
    pub target: Option<TargetName>,
    /// What the client calls itself.
    #[n(2)]
    pub client: String,
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
    /// Why its logon account did not become its account, where that ended it.
    #[n(8)]
    pub not_become: Option<NotBecome>,
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
