//! The session spine: protocols, authority, transports, observers, listeners, conformance.

pub mod authority;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod dial;
pub mod listen;
pub mod observe;
pub mod spine;
pub mod transport;

#[cfg(all(
    any(
        feature = "sabotage-denied",
        feature = "sabotage-recorder",
        feature = "sabotage-ledger",
        feature = "sabotage-kill",
        feature = "sabotage-lease",
        feature = "sabotage-block",
        feature = "sabotage-credential",
        feature = "sabotage-busy",
    ),
    not(any(test, feature = "conformance"))
))]
compile_error!("a sabotaged gateway is for the conformance suite alone: build without the feature");
