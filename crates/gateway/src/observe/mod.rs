//! What watches a session: the tap, the recorder with its journal and tail, live watchers, shipping.

mod echo;
mod inputs;
pub mod journal;
mod judge;
mod line;
pub mod live;
pub mod recorder;
mod screen;
pub mod ship;
pub mod tail;
pub mod tap;
#[cfg(any(test, fuzzing))]
pub mod walk;

/// What is recorded, as the recording spells it.
pub use sallyport_recording::{FileRef, WhatRef};

pub(crate) use inputs::Inputs;
pub(crate) use judge::Judge;
pub(crate) use line::Lines;
pub use recorder::{Recorder, Recording};
pub use tap::{Event, Observer, Tap, Verdict};
