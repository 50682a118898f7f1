//! Logs of the three processes: each line says who speaks.

use crate::config::{Log, LogFormat};
use crate::traces::Traces;
use sallyport_cli::Fail;
use sallyport_model::SPANS;
use std::fmt;
use std::io::Write as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// Puts the process's name before each line.
struct Named {
    name: &'static str,
    inner: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for Named
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "{:<8}", self.name)?;
        self.inner.format_event(ctx, writer, event)
    }
}

/// Starts logging on standard error, and sending spans where there is a way for them. Neither shows in the other.
pub(crate) fn start(config: &Log, name: &'static str, traces: Option<&Traces>) -> Result<(), Fail> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|e| Fail::usage(format!("[log] level = \"{}\": {e}; write `info` or `debug`", config.level)))?
        // Without a hint of its own it would take away that of the level, and every line of every library would be made.
        .and(filter_fn(|metadata| metadata.target() != SPANS).with_max_level_hint(LevelFilter::TRACE));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match config.format {
        LogFormat::Text => {
            let inner = Format::default().with_target(false).with_ansi(false);
            lines.event_format(Named { name, inner }).with_filter(filter).boxed()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_thread_names(true);
            lines.with_filter(filter).boxed()
        }
    };
    let layers: Vec<_> = std::iter::once(lines).chain(traces.map(|traces| traces.layer().boxed())).collect();
    let started = tracing_subscriber::registry().with(layers).try_init();
    started.map_err(|e| Fail::failed(format!("logging does not start: {e}")))
}

/// A line on standard error, for whoever started the program.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
