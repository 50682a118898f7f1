//! Command text -> what it runs and touches, and what rules say of it. No I/O.
//!
//! Nothing here runs anything. What cannot be told for certain is *unknown*, never harmless.

pub mod device;
pub mod glob;
pub mod rules;
pub mod shell;

pub use rules::{Finding, Rules};
