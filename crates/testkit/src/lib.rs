//! Real components for tests, scenario verbs.

pub mod postgres;
pub mod product;
pub mod sshd;
