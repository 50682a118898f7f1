//! Relay: what one node asks another for, on behalf of somebody who is signed in at it.
//!
//! It is a conversation at the door ([`crate::door`]) between two nodes: the first message says who wants what, and the
//! other node decides it as if they had come to it.

use crate::access::{Denial, From};
use crate::authority::Boxed;
use crate::door::{Hear, Size, Speak};
use crate::errand::Errand;
use crate::{DeviceId, Handle, IdentityId, SessionId};
use minicbor::{Decode, Encode};

/// Who wants what.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Relayed {
    /// Who.
    #[n(0)]
    pub identity: IdentityId,
    /// Who, by name.
    #[n(1)]
    pub handle: Handle,
    /// The browser that they are signed in with, where it is one.
    #[n(2)]
    pub device: Option<DeviceId>,
    /// From where.
    #[n(3)]
    pub from: From,
    /// What.
    #[n(4)]
    pub wanted: Wanted,
}

/// What is wanted of a session that runs through another node.
#[derive(Clone, Debug, Encode, Decode)]
pub enum Wanted {
    /// Its terminal, which is one's own.
    #[n(0)]
    Join(#[n(0)] SessionId, #[n(1)] Size),
    /// To be in it beside its user.
    #[n(1)]
    Accompany(#[n(0)] SessionId),
    /// To look over its user's shoulder.
    #[n(2)]
    Watch(#[n(0)] SessionId),
    /// Files of its target, where it is one's own.
    #[n(3)]
    Errand(#[n(0)] SessionId, #[n(1)] Errand),
    /// Pictures of all terminals.
    #[n(4)]
    Screens,
}

impl Wanted {
    /// The session that it is about.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Join(session, _) | Self::Accompany(session) | Self::Watch(session) | Self::Errand(session, _) => {
                Some(*session)
            }
            Self::Screens => None,
        }
    }
}

/// Both ways of one conversation.
pub struct Line {
    /// Towards the session.
    pub speak: Box<dyn Speak>,
    /// From it.
    pub hear: Box<dyn Hear>,
}

/// SHA-256 of the certificate that a node shows to others.
pub type Pin = [u8; 32];

/// The way to other nodes.
pub trait Nodes: Send + Sync {
    /// What this node shows to them.
    fn pin(&self) -> Pin;

    /// Where they reach it, `host:port`.
    fn address(&self) -> &str;

    /// Asks a node at this address that shows this.
    fn ask<'a>(&'a self, address: &'a str, pin: Pin, relayed: Relayed) -> Boxed<'a, Result<Line, Denial>>;
}

/// What nodes ask of this one.
pub trait Asked: Send + Sync {
    /// Whether a node of this installation shows this.
    fn knows(&self, pin: &Pin) -> bool;

    /// Decides and begins what is wanted.
    fn relayed(&self, pin: Pin, relayed: Relayed) -> Boxed<'_, Result<Line, Denial>>;
}
