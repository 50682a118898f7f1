//! SSH's transport and connection layers, as state machines; and the loop that drives them over a socket.
//!
//! Both roles, for a broker that stands between a client and a server. Bytes in, messages out: nothing
//! in [`Transport`] waits, reads a clock or opens a socket. What the product does not want is not
//! here: no compression, no host keys of its own but Ed25519; and no CBC, no MAC before encryption, no finite fields and no SHA-1, but for a
//! client that was told to make an exception for one server ([`old`]). Cryptographic primitives are libraries', all of them.

pub mod auth;
mod authorities;
pub mod certificate;
mod kex;
pub mod key;
mod leg;
pub mod link;
mod message;
pub mod negotiate;
pub mod old;
mod packet;
mod transport;
pub mod wire;

pub use authorities::{Authorities, Unbelieved};
pub use leg::Leg;
pub use message::{SERVICE_ACCEPT, SERVICE_REQUEST};
pub use packet::{CipherName, MacName, Suite};
pub use transport::{Random, Settings, Transport};

/// Which side we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The one that connects.
    Client,
    /// The one that is connected to.
    Server,
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The peer closed its side.
    #[error("the peer hung up")]
    HungUp,
    /// The peer said goodbye.
    #[error("the peer disconnected: {0}")]
    Disconnected(String),
    /// We did.
    #[error("the connection was closed")]
    Closed,
    /// The peer gave no byte for too long.
    #[error("the peer does not answer")]
    Silent,
    /// It speaks something else.
    #[error("the peer does not speak SSH 2.0")]
    Identification,
    /// A packet that claims a length that none may have.
    #[error("a packet's length is out of bounds")]
    Length,
    /// A packet of ours that would be.
    #[error("a packet would be too long")]
    TooLong,
    /// Padding that reaches over the packet.
    #[error("a packet's padding is out of bounds")]
    Padding,
    /// A packet that was changed under way.
    #[error("a packet is not authentic")]
    Mac,
    /// A message that cannot be read.
    #[error(transparent)]
    Malformed(#[from] wire::Malformed),
    /// A message that may not come now.
    #[error("message {0} came out of turn")]
    OutOfTurn(u8),
    /// More than a peer may send.
    #[error("the peer sends more than it may: {0}")]
    Overrun(&'static str),
    /// Nothing in common.
    #[error("no algorithm in common: {}", negotiate::told(.0))]
    NoCommon(Vec<negotiate::Gap>),
    /// A cipher that needs strict key exchange, without it.
    #[error("the peer speaks ChaCha20-Poly1305 without strict key exchange, which is not safe (CVE-2023-48795)")]
    NotStrict,
    /// The peer's half of a key exchange is none.
    #[error("the peer's half of the key exchange is not valid")]
    Exchange,
    /// The server's key is not one that is accepted; its bytes.
    #[error("the server's host key is not one that is accepted")]
    HostKey(Vec<u8>),
    /// The certificate of the server's host key is not believed.
    #[error("the certificate of the server's host key {0}")]
    HostCertificate(Unbelieved),
    /// A signature that is none.
    #[error("a signature is not valid")]
    Signature,
    /// Bytes that are no key.
    #[error("a key is malformed or of an unknown sort")]
    Key,
    /// The cryptographic library refused.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl Error {
    /// Whether the peer broke the protocol, rather than left it.
    #[must_use]
    pub const fn violation(&self) -> bool {
        matches!(
            self,
            Self::Length
                | Self::Padding
                | Self::Mac
                | Self::Malformed(_)
                | Self::OutOfTurn(_)
                | Self::Overrun(_)
                | Self::Exchange
                | Self::Signature
        )
    }
}
