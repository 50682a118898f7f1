//! The session spine: protocols, authority, transports, observers, listeners, conformance.

pub mod authority;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod dial;
pub mod listen;
pub mod observe;
pub mod process;
#[cfg(not(feature = "sabotage"))]
mod sabotage;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod socket;
pub mod spine;
pub mod transport;

#[cfg(all(feature = "sabotage", not(any(test, feature = "conformance"))))]
compile_error!("a sabotaged gateway is for the conformance suite alone: build without the feature");
