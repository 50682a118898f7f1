//! Real components for tests, scenario verbs.

pub mod browser;
pub mod canary;
mod command;
pub mod corpus;
pub mod faults;
pub mod history;
pub mod http;
pub mod postgres;
pub mod product;
pub mod sshd;
pub mod terminal;
pub mod waiting;
