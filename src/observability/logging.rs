//! Log of the process: events of `tracing`, each as one line of JSON or text on standard output.
//!
//! An event passes the operator's filter, the level cap and the limit of lines of one kind, becomes a line and goes into a
//! bounded queue. A thread writes the queue. If the reader of the log is too slow, lines are dropped and counted, and no
//! request waits. `RUST_LOG` is not read.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::cache::outcome::Outcome;
use crate::support::labels::labels;

mod escape;
mod fields;
mod filter;
mod limit;
mod line;
mod panic;
mod writer;

pub use filter::parse_filter;
pub use limit::SuppressedLines;
pub use panic::set_panic_hook;
pub use writer::{DroppedLines, Guard};

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `log.format`. `None`: text on a terminal, JSON elsewhere.
    pub format: Option<Format>,
    /// `log.filter`: a level, or directives such as `info,connector_cache::upstream=debug`.
    pub filter: String,
    /// `log.access`
    pub access: AccessLog,
    /// `log.client`
    pub client: ClientLog,
}

labels! {
    /// Format of a log line.
    pub enum Format {
        /// One JSON object a line.
        Json = "json",
        /// Text for a terminal.
        Text = "text",
    }
}

labels! {
    /// Requests that get an access line.
    pub enum AccessLog {
        /// Every request.
        All = "all",
        /// All requests except fresh hits, which the metrics count.
        Misses = "misses",
        /// None.
        Off = "off",
    }
}

labels! {
    /// Fields of an access line that identify the caller.
    pub enum ClientLog {
        /// None.
        Off = "off",
        /// The address of the peer and the user agent.
        Address = "address",
        /// The name in the client certificate and the user agent.
        Certificate = "certificate",
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { format: None, filter: "info".to_owned(), access: AccessLog::Misses, client: ClientLog::Off }
    }
}

impl AccessLog {
    /// Returns whether a request with this outcome gets an access line.
    pub fn logs(self, outcome: Outcome) -> bool {
        match self {
            Self::All => true,
            Self::Misses => outcome != Outcome::Hit,
            Self::Off => false,
        }
    }
}

/// Failure to start the log.
#[derive(Debug)]
pub enum InitError {
    /// `log.filter` is malformed.
    Filter,
    /// The writer thread cannot be started.
    Thread(io::Error),
    /// The log of this process was started before.
    AlreadyStarted,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter => f.write_str("log.filter is neither a level nor a list of directives"),
            Self::Thread(error) => write!(f, "the writer thread of the log cannot be started: {error}"),
            Self::AlreadyStarted => f.write_str("the log was started before"),
        }
    }
}

impl std::error::Error for InitError {}

/// Handle of the running log: its counts, and its filter.
#[derive(Clone, Debug)]
pub struct LogHandle {
    /// Lines that were dropped.
    pub dropped: DroppedLines,
    /// Lines beyond the limit of their kind.
    pub suppressed: SuppressedLines,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogHandle {
    /// Replaces the filter. A malformed filter changes nothing.
    pub fn set_filter(&self, text: &str) {
        let Some(filter) = parse_filter(text) else { return };
        // Fails only if the subscriber has been dropped.
        let _ = self.filter.reload(filter);
    }
}

/// Starts the log of the process on standard output. Call it once, and keep the guard until the process ends.
pub fn init(config: &Config) -> Result<(Guard, LogHandle), InitError> {
    let detected = || if io::stdout().is_terminal() { Format::Text } else { Format::Json };
    let format = config.format.unwrap_or_else(detected);
    let (writer, guard) = writer::start(io::stdout()).map_err(InitError::Thread)?;
    let (filter, handle) = reload::Layer::new(parse_filter(&config.filter).ok_or(InitError::Filter)?);
    let limit = limit::LineLimit::default();
    let (dropped, suppressed) = (guard.dropped_lines(), limit.suppressed());
    let handle = LogHandle { dropped, suppressed, filter: handle };
    let subscriber = layered(filter, limit, format, writer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::AlreadyStarted)?;
    Ok((guard, handle))
}

/// Returns a subscriber that writes each event to `writer` in one write. `None`: the filter is malformed.
pub fn subscriber<W>(filter_text: &str, format: Format, writer: W) -> Option<impl Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Some(layered(parse_filter(filter_text)?, limit::LineLimit::default(), format, writer))
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
    Registry::default()
        .with(filter)
        .with(filter::LevelCap)
        .with(limit)
        .with(line::LineLayer::new(format, writer))
}

#[cfg(test)]
mod tests;
