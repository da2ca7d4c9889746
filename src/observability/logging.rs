//! The log: what is written, in which form, and what never is.
//!
//! An event becomes one line: JSON, or text for people. A thread of its own writes the lines; when whoever
//! reads them is too slow, lines are dropped and counted, and no request waits. Past ten a second of one kind they are
//! suppressed and counted. `RUST_LOG` is not read.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::cache::outcome::Outcome;
use crate::support::labels::labels;

mod cap;
mod escape;
mod fields;
mod limit;
mod line;
mod panic;
mod writer;

pub use limit::SuppressedLines;
pub use panic::panic_hook;
pub use writer::{DroppedLines, Guard};

/// What the log needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `log.format`; `None`: text on a terminal, JSON elsewhere.
    pub format: Option<Format>,
    /// `log.filter`: a level, or directives such as `info,connector_cache::origin=debug`.
    pub filter: String,
    /// `log.access`
    pub access: AccessLog,
}

labels! {
    /// The form of a log line.
    pub enum Format {
        /// One JSON object a line.
        Json = "json",
        /// For people at a terminal.
        Text = "text",
    }
}

labels! {
    /// Which requests get an access line.
    pub enum AccessLog {
        /// Every request.
        All = "all",
        /// All but fresh hits, which the metrics count.
        Misses = "misses",
        /// None.
        Off = "off",
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { format: None, filter: "info".to_owned(), access: AccessLog::Misses }
    }
}

impl AccessLog {
    /// Whether a request that ended so gets a line.
    pub fn logs(self, outcome: Outcome) -> bool {
        match self {
            Self::All => true,
            Self::Misses => outcome != Outcome::Hit,
            Self::Off => false,
        }
    }
}

/// Why there is no log.
#[derive(Debug)]
pub enum InitError {
    /// `log.filter` is not one.
    Filter,
    /// The thread that writes cannot be started.
    Thread(io::Error),
    /// The process has a log already.
    Twice,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter => f.write_str("log.filter is neither a level nor a list of directives"),
            Self::Thread(error) => write!(f, "the thread that writes it cannot be started: {error}"),
            Self::Twice => f.write_str("the log was set up before"),
        }
    }
}

impl std::error::Error for InitError {}

/// What others may know and change of a log that runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    /// Lines that were lost.
    pub dropped: DroppedLines,
    /// Lines past the limit of their kind.
    pub suppressed: SuppressedLines,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogHandle {
    /// From now on this filter holds. What is no filter changes nothing.
    pub fn set_filter(&self, text: &str) {
        let Some(filter) = filter(text) else { return };
        // It fails only when the log is gone, and then nobody reads it.
        let _ = self.filter.reload(filter);
    }
}

/// Sends the log of the whole process to standard output. To be called once; keep the guard until the end.
pub fn init(config: &Config) -> Result<(Guard, LogHandle), InitError> {
    let by_reader = || if io::stdout().is_terminal() { Format::Text } else { Format::Json };
    let format = config.format.unwrap_or_else(by_reader);
    let (writer, guard) = writer::start(io::stdout()).map_err(InitError::Thread)?;
    let (filter, handle) = reload::Layer::new(filter(&config.filter).ok_or(InitError::Filter)?);
    let limit = limit::LineLimit::default();
    let (dropped, suppressed) = (guard.dropped_lines(), limit.suppressed());
    let handle = LogHandle { dropped, suppressed, filter: handle };
    let subscriber = layered(filter, limit, format, writer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Twice)?;
    Ok((guard, handle))
}

/// What turns events into lines for `writer`, each in one write. `None` when the filter is not one.
pub fn subscriber<W>(filter_text: &str, format: Format, writer: W) -> Option<impl Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Some(layered(filter(filter_text)?, limit::LineLimit::default(), format, writer))
}

fn layered<F, W>(
    filter: F,
    limit: limit::LineLimit,
    format: Format,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    F: Layer<Registry> + Send + Sync,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Registry::default().with(filter).with(cap::LevelCap).with(limit).with(line::Lines::new(format, writer))
}

/// Reads a filter: a level, or directives with commas between them. `None` when it is not one.
pub fn filter(text: &str) -> Option<EnvFilter> {
    // A lone word that is no level would be taken for a target: a slip in "info" would silence all others.
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let is_slip = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric()) && !is_level(part);
    if text.split(',').any(is_slip) {
        return None;
    }
    EnvFilter::builder().with_regex(false).parse(text).ok()
}

#[cfg(test)]
mod tests;
