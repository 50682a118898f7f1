//! The targets of the whole-product tests, for a coverage-guided fuzzer.

#[path = "../../crates/server/tests/e2e/parsers/targets.rs"]
pub mod targets;
