//! The gateway, as the API sees it: a door that takes a stream and makes a session of it.

use crate::SessionId;
use crate::access::{Ask, Denial};
use crate::authority::{Authenticated, Boxed};

/// A stream whose other end is a client of some kind: bytes both ways.
pub type Stream = Box<dyn std::any::Any + Send>;

/// Opens sessions for clients that do not come through a listener of the gateway's own.
pub trait Door: Send + Sync {
    /// Makes a session of an ask by somebody already authenticated.
    fn open<'a>(&'a self, who: Authenticated, ask: Ask) -> Boxed<'a, Result<SessionId, Denial>>;

    /// Brings a further connection to an open session.
    fn attach<'a>(&'a self, session: SessionId, stream: Stream) -> Boxed<'a, Result<(), Denial>>;
}
