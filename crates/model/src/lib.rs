//! The words: typed ids, names, targets, accounts, permits, messages of the Authority, secrets, clock, errors. No I/O.
//!
//! Every other crate speaks in these types. Nothing here opens a file or a socket, reads a clock
//! on its own account, or decides anything.

pub mod access;
pub mod agent;
pub mod authority;
pub mod clock;
pub mod company;
pub mod door;
pub mod errand;
pub mod id;
pub mod inventory;
pub mod kind;
pub mod limits;
pub mod name;
pub mod network;
pub mod relay;
pub mod rules;
pub mod sealed;
pub mod secret;
pub mod sign_in;
pub mod steering;
pub mod way;

/// Target of the spans that are sent to a collector of traces. It sets them apart from logs: neither shows in the other.
/// Their fields are words of the code, templates of routes and ids of sessions: nobody's name, and nothing that a client wrote.
pub const SPANS: &str = "sallyport::spans";

pub use clock::{Clock, Entropy, Env, Timestamp};
pub use id::*;
pub use kind::Kind;
pub use limits::Limits;
pub use name::{AccountName, Address, Handle, TargetName};
pub use network::Network;
pub use secret::Secret;
