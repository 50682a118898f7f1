//! The session spine: protocols, authority, transports, observers, listeners, conformance.
