//! The session spine: protocols, authority, transports, observers, listeners, conformance.

pub mod authority;
pub mod observe;
pub mod transport;
