//! The container: write, seal, read, verify, export.
