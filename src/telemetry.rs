//! Logs: JSON for machines, text for people, to standard error or a file that rotates by size.
//!
//! Writing happens on a thread of its own behind a bounded queue: a stuck disk or terminal never holds the loop. What
//! the full queue drops is counted. The [`Guard`] flushes the queue when it is dropped, so it lives as long as `main`.

mod rotation;
pub mod settings;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use tracing::Dispatch;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::domain::legible;

pub use settings::{LogFormat, Settings};

/// Lines waiting to be written: at 500 bytes a line 8 MB, and minutes of a busy loop.
const QUEUE_LINES: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "logging.level {level:?} is neither a level (error, warn, info, debug, trace, off) nor directives such as \
         \"info,mape_k=debug\": {source}"
    )]
    Level { level: String, source: tracing_subscriber::filter::ParseError },
    #[error("cannot open the log file {}: {source}; correct logging.file or its permissions", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("logging is set up already: {0}")]
    Installed(#[from] tracing::dispatcher::SetGlobalDefaultError),
}

/// Keeps the writing thread alive and flushes what is queued when dropped.
#[derive(Debug)]
#[must_use = "without the guard nothing is written"]
pub struct Guard {
    _worker: WorkerGuard,
    dropped: ErrorCounter,
}

impl Guard {
    /// Lines that the full queue dropped since the start.
    #[must_use]
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

/// Sets up logging for the whole process; once.
pub fn init(settings: &Settings) -> Result<Guard, Error> {
    let (dispatch, guard) = build(settings)?;
    tracing::dispatcher::set_global_default(dispatch)?;
    Ok(guard)
}

/// The same without making it the process's: for `tracing::dispatcher::with_default`.
pub fn build(settings: &Settings) -> Result<(Dispatch, Guard), Error> {
    let colour = settings.file.is_none() && io::stderr().is_terminal();
    match &settings.file {
        None => build_to(settings, io::stderr(), colour),
        Some(path) => {
            let file =
                rotation::RotatingFile::open(path, settings.max_bytes, settings.backup_count)
                    .map_err(|source| Error::File { path: path.clone(), source })?;
            build_to(settings, file, colour)
        }
    }
}

fn build_to(
    settings: &Settings,
    writer: impl Write + Send + 'static,
    colour: bool,
) -> Result<(Dispatch, Guard), Error> {
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|source| Error::Level { level: settings.level.clone(), source })?;
    let (writer, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE_LINES)
        .lossy(true)
        .thread_name("log-writer")
        .finish(writer);
    let guard = Guard { _worker: worker, dropped: writer.error_counter() };
    let registry = Registry::default().with(filter);
    let dispatch = match settings.format {
        LogFormat::Json => Dispatch::new(registry.with(json(writer))),
        LogFormat::Text => Dispatch::new(registry.with(text(writer, colour))),
    };
    Ok((dispatch, guard))
}

/// Colours are written around the fields, so that these are made legible one by one, before.
fn text<S>(writer: NonBlocking, colour: bool) -> impl Layer<S> + Send + Sync
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let fields = fmt::format::debug_fn(|out, field, value| {
        let value = format!("{value:?}");
        let value = legible::line(&value);
        match field.name() {
            "message" => write!(out, "{value}"),
            name => write!(out, "{name}={value}"),
        }
    });
    fmt::layer().with_ansi(colour).fmt_fields(fields.delimited(" ")).with_writer(writer)
}

/// One object a line: timestamp, level, target, message and fields at the top, the span they happened in beside them.
fn json<S>(
    writer: NonBlocking,
) -> fmt::Layer<S, fmt::format::JsonFields, fmt::format::Format<fmt::format::Json>, LegibleJson>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(LegibleJson(writer))
}

/// Escapes what JSON lets pass and a terminal or an editor does not show. A line is written at once.
#[derive(Clone)]
struct LegibleJson(NonBlocking);

impl Write for LegibleJson {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(legible::json(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<'a> fmt::MakeWriter<'a> for LegibleJson {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Is this a level, or directives that say one by target?
#[must_use]
pub fn is_level(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    if text.contains(['=', ',']) {
        return EnvFilter::try_new(text).is_ok();
    }
    // Any other single word would be taken for the name of a target, and silence everything else.
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
}
