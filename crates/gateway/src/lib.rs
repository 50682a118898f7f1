//! The session spine: protocols, authority, transports, observers, listeners, conformance.

pub mod authority;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod dial;
pub mod listen;
pub mod observe;
pub mod spine;
pub mod transport;
