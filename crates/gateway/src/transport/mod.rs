//! How gateway and control reach each other: frames over a unix socket or over mutual TLS.

pub mod frame;
pub mod knock;
pub mod pinned;
pub mod relay;
pub mod serve;
pub mod tls;
pub mod unix;

use sallyport_model::Kind;
use sallyport_model::authority::Boxed;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection whose other end has been verified.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A verified connection of either transport.
pub type Wire = Box<dyn Duplex>;

/// The gateway's way to control.
pub trait Connect: Send + Sync {
    /// Opens a connection and verifies who answers.
    fn connect(&self) -> Boxed<'_, Result<Wire, Error>>;
}

/// Control's way to gateways.
pub trait Accept: Send + Sync {
    /// Waits for the next connection whose other end verifies. Peers that do not are dropped, and
    /// none of them delays another.
    fn accept(&self) -> Boxed<'_, Result<Wire, Error>>;
}

/// A transport could not be set up, or the other end is not who it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system said no.
    #[error("the transport's socket failed: {0}; check that control runs and that its address is right")]
    Io(#[from] io::Error),
    /// The peer of a unix socket runs as another user.
    #[error("the peer runs as user {peer} and must run as {own}; start both processes as the same user")]
    Peer {
        /// The peer's user id.
        peer: u32,
        /// Ours.
        own: u32,
    },
    /// The peer's certificate or ours is not accepted.
    #[error("mutual TLS failed: {0}; check that both certificates come from this installation's authority")]
    Tls(String),
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Io(_) => Kind::Unavailable,
            Self::Peer { .. } | Self::Tls(_) => Kind::Denied,
        }
    }
}

#[cfg(test)]
mod tests;
