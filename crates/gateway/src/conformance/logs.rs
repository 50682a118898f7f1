//! What the process logged, for the case that looks for credentials in it.

use std::fmt::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static LOGGED: OnceLock<Mutex<String>> = OnceLock::new();
const MOST: usize = 8 << 20;

/// Begins to keep every log line of this process. Harmless where another subscriber was first.
pub(super) fn keep() {
    LOGGED.get_or_init(|| {
        let _ = tracing::subscriber::set_global_default(Keeper);
        Mutex::default()
    });
}

/// Whether any line so far holds this text.
pub(super) fn hold(text: &str) -> bool {
    LOGGED.get().is_some_and(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).contains(text))
}

struct Keeper;

impl Subscriber for Keeper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(String::new());
        span.record(&mut line);
        line.keep();
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        line.keep();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        line.keep();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Line {
    fn keep(self) {
        if let Some(lines) = LOGGED.get() {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < MOST {
                lines.push_str(&self.0);
                lines.push('\n');
            }
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}
