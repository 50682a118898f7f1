//! The suite that every protocol passes, over both transports of the authority.
//!
//! Each case has a mutant, which breaks what the case guards: with the feature `sabotage` and
//! `SALLYPORT_SABOTAGE=kill` the tests of the case `kill` must fail, and no other. `cargo xtask test`
//! runs them all.

pub mod bench;
mod cases;
pub mod desk;
pub mod house;
mod logs;
pub mod suite;
pub mod toy;

pub use bench::{Bench, Transport, with};
pub use cases::{Case, check};
pub use house::House;

use crate::spine::Protocol;
use sallyport_model::TargetName;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

/// What the mutant of the credential case leaks.
#[cfg(feature = "sabotage")]
pub(crate) const LEAKED: &str = PASSWORD;

/// The password that every fixture's target accepts. It must be found nowhere.
pub const PASSWORD: &str = "Hunter2-canary-7f3a";

/// A case that failed, or a fixture that does not work.
#[derive(Debug)]
pub struct Failure(pub String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a target can tell of itself.
pub trait Oracle: Send + Sync {
    /// Connections that reached it.
    fn connections(&self) -> usize;
    /// Whether it has read this text in a command.
    fn heard(&self, text: &str) -> bool;
}

/// A stream of bytes from the target to a client that never ends by itself.
pub trait Flood: Send {
    /// Bytes that reached the client so far.
    fn bytes(&self) -> u64;
    /// Makes the client vanish, without a goodbye.
    fn vanish(self: Box<Self>);
}

/// Where the suite's person comes in, and with what.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// The gateway's listener.
    pub gateway: SocketAddr,
    /// The person's token.
    pub token: String,
}

/// A protocol under test: its targets and its clients.
pub trait Fixture: Send + Sync {
    /// The protocol.
    type Protocol: Protocol;
    /// Its target.
    type Target: Oracle;

    /// The protocol, as the gateway is given it.
    fn protocol(&self) -> Arc<Self::Protocol>;

    /// Starts a target whose account accepts [`PASSWORD`], and tells what the desk must know of it.
    fn target(&self) -> impl Future<Output = Result<(Self::Target, desk::Target), Failure>> + Send;

    /// Logs in as the suite's person, sends one command to the account on the target, and gives
    /// everything that the client was shown until it was disconnected or the answer was there.
    fn talk(
        &self,
        at: &Entrance,
        account: &str,
        target: &TargetName,
        command: &str,
    ) -> impl Future<Output = Result<String, Failure>> + Send;

    /// Opens a session in which the target never stops sending.
    fn flood(&self, at: &Entrance, target: &TargetName)
    -> impl Future<Output = Result<Box<dyn Flood>, Failure>> + Send;

    /// Sends and receives at once, so many bytes each way, while the client's reader sleeps at first.
    fn busy(
        &self,
        at: &Entrance,
        target: &TargetName,
        bytes: usize,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}
