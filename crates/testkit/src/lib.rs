//! Real components for tests, scenario verbs.

pub mod sshd;
