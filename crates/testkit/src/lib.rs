//! Real components for tests, scenario verbs.
