//! Logs of the three processes: each line says who speaks.

use crate::config::{Log, LogFormat};
use std::fmt;
use std::io::Write as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

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

/// Starts logging on standard error.
pub(crate) fn start(config: &Log, name: &'static str) -> Result<(), sallyport_cli::Fail> {
    let filter = EnvFilter::try_new(&config.level).map_err(|e| {
        sallyport_cli::Fail::usage(format!("[log] level = \"{}\": {e}; write `info` or `debug`", config.level))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let started = match config.format {
        LogFormat::Text => {
            let inner = Format::default().with_target(false).with_ansi(false);
            builder.event_format(Named { name, inner }).try_init()
        }
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_thread_names(true).try_init()
        }
    };
    started.map_err(|e| sallyport_cli::Fail::failed(format!("logging does not start: {e}")))
}

/// A line on standard error, for whoever started the program.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
