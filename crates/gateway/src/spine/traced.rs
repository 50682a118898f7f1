//! Spans of a session, for a collector of traces: what it waited for, and how each step ended.

use super::protocol::DialError;
use sallyport_model::SPANS;
use sallyport_model::access::Denial;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

/// How a step ended that came to what it was for.
const DONE: &str = "ok";

/// The span of all that comes of a connection, from its first byte to its last entry.
pub(super) fn session(protocol: &'static str) -> Span {
    info_span!(target: SPANS, parent: None, "session", otel.kind = "server", protocol, session = Empty, outcome = Empty)
}

/// A step of what `parent` is the span of, with the word for how it ended. One that is cancelled has no such word.
pub(super) async fn step<T>(
    parent: &Span,
    name: &'static str,
    work: impl Future<Output = T>,
    outcome: impl FnOnce(&T) -> &'static str,
) -> T {
    let span = info_span!(target: SPANS, parent: parent, "step", otel.name = name, outcome = Empty);
    let done = Box::pin(work).instrument(span.clone()).await;
    span.record("outcome", outcome(&done));
    done
}

/// The word for what may be refused.
pub(super) fn allowed<T>(done: &Result<T, Denial>) -> &'static str {
    done.as_ref().map_or_else(|denial| denial.kind.word(), |_| DONE)
}

/// The word for a way to a target.
pub(super) fn reached<T>(done: &Result<T, DialError>) -> &'static str {
    done.as_ref().map_or_else(|error| error.kind().word(), |_| DONE)
}

/// The word for what ends in any case.
pub(super) const fn ended((): &()) -> &'static str {
    DONE
}
