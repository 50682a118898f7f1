//! What watches a session: the tap, the recorder with its journal and tail, live watchers, shipping.

pub mod journal;
pub mod live;
pub mod recorder;
pub mod ship;
pub mod tail;
pub mod tap;

pub use recorder::{Recorder, Recording};
pub use tap::{Event, Observer, Tap, Verdict};
