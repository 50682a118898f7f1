//! The index of a recording, as it is shown.

use crate::output::{harmless, table};
use sallyport_recording::Event;
pub(super) use sallyport_recording::marks::is_mark;
use serde::Serialize;

/// One line of the index.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub(super) struct Mark {
    /// Microseconds since the start.
    at: u64,
    channel: u32,
    kind: String,
    text: String,
}

/// The index of these events.
pub(super) fn index(events: &[Event]) -> Vec<Mark> {
    let shown = |mark: sallyport_recording::marks::Mark| {
        let pause = mark.text.parse().ok().filter(|_| mark.kind == "idle");
        let text = pause.map_or_else(|| harmless(&mark.text), |micros| format!("for {}", clock(micros)));
        Mark { at: mark.at, channel: mark.channel, kind: harmless(&mark.kind), text }
    };
    sallyport_recording::marks::index(events).into_iter().map(shown).collect()
}

/// The index for people.
pub(super) fn text(marks: &[Mark]) -> String {
    let rows = marks.iter().map(|m| vec![clock(m.at), m.channel.to_string(), m.kind.clone(), m.text.clone()]).collect();
    table(&["AT", "CHANNEL", "WHAT", ""], rows, "Nothing happened in this session.")
}

/// Microseconds as hours, minutes and seconds: `1:02:03.450`.
pub(super) fn clock(micros: u64) -> String {
    let (seconds, millis) = (micros / 1_000_000, micros / 1_000 % 1_000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
