//! Real components for tests, scenario verbs.

pub mod product;
pub mod sshd;
