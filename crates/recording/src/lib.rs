//! The container: write, seal, read, verify, export.
//!
//! A recording is a header, which commits to a data key, and segments of events sealed under that
//! key and chained by hash. Everything here turns byte slices into byte slices: who stores them is
//! no concern of this crate. Times inside a recording are microseconds since its start.
#![forbid(unsafe_code)]

pub mod cast;
pub mod container;
pub mod event;
pub mod files;
pub mod find;
mod frame;
pub mod header;
pub mod key;
mod lines;
pub mod marks;
pub mod segment;
#[cfg(test)]
mod testing;
pub mod transcript;
pub mod verify;
pub mod way;

pub use container::{Container, Truncated};
pub use event::{Event, EventRef, File, FileRef, What, WhatRef};
pub use header::{Facts, Header};
pub use key::DataKey;
pub use segment::{Kind, Opener, Sealer, Segment};
pub use verify::{Expect, Replay, Report, Wrong, replay, verify};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// SHA-256 over the concatenation of `parts`.
fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
