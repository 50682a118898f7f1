//! What control answers.

use crate::access::{Denial, LeaseKind, Terms};
use crate::sealed::Sealed;
use crate::{AccountName, AuthId, Handle, IdentityId, TargetName};
use minicbor::{Decode, Encode};

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
    /// To `Channel`, `Anchor`, `Thawed`, `Judged`, `Company`, `Signature`, `Close`: the entry is durable at this ledger index.
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
    /// To `AuthStep`: this is to be shown to whoever logs in.
    #[n(9)]
    LoginCode(#[n(0)] LoginCode),
}

/// By what somebody allows a login in a browser.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct LoginCode {
    /// The page that the code is entered on.
    #[n(0)]
    pub page: String,
    /// The code, as it is shown.
    #[n(1)]
    pub code: String,
    /// How long it is good, in seconds.
    #[n(2)]
    pub seconds: u32,
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
    /// Seconds since their last session there began, where it stands in front for that.
    #[n(4)]
    pub ago: Option<u64>,
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
