//! Seals, key hierarchy, secret versions, generators.
