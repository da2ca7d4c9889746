//! The log: what is written, in which form, and what never is.
//!
//! An event becomes one line: JSON, or text for people. A thread of its own writes the lines; when whoever
//! reads them is too slow, lines are dropped and counted, and no request waits. `RUST_LOG` is not read.

use std::fmt;
use std::io::{IsTerminal, Write};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::cache::status::Outcome;
use crate::words::words;

mod cap;
mod escape;
mod fields;
mod line;
mod panic;

pub use panic::panic_hook;

/// What the log needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `log.format`; `None`: text on a terminal, JSON elsewhere.
    pub format: Option<Format>,
    /// `log.filter`: a level, or directives such as `info,connector_cache::origin=debug`.
    pub filter: String,
    /// `log.access`
    pub access: Access,
}

words! {
    /// The form of a log line.
    pub enum Format {
        /// One JSON object a line.
        Json = "json",
        /// For people at a terminal.
        Text = "text",
    }
}

words! {
    /// Which requests get an access line.
    pub enum Access {
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
        Self { format: None, filter: "info".to_owned(), access: Access::Misses }
    }
}

impl Access {
    /// Whether a request that ended so gets a line.
    pub fn logs(self, outcome: Outcome) -> bool {
        match self {
            Self::All => true,
            Self::Misses => outcome != Outcome::Hit,
            Self::Off => false,
        }
    }
}

/// Keeps the log going. Dropped, it writes what is left, for about a second at the most.
#[derive(Debug)]
pub struct Guard {
    _worker: WorkerGuard,
    dropped: DroppedLines,
}

impl Guard {
    /// The count of lines that were dropped because their reader was too slow.
    pub fn dropped_lines(&self) -> DroppedLines {
        self.dropped.clone()
    }
}

/// A count of lines that goes on counting. Clones read the same count.
#[derive(Clone, Debug)]
pub struct DroppedLines(ErrorCounter);

impl DroppedLines {
    /// Lines dropped so far.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.dropped_lines()).unwrap_or(u64::MAX)
    }
}

/// Why there is no log.
#[derive(Debug)]
pub enum InitError {
    /// `log.filter` is not one.
    Filter,
    /// The process has a log already.
    Twice,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "log.filter is neither a level nor a list of directives",
            Self::Twice => "the log was set up before",
        })
    }
}

impl std::error::Error for InitError {}

/// Sends the log of the whole process to standard output. To be called once; keep the guard until the end.
pub fn init(config: &Config) -> Result<Guard, InitError> {
    let by_reader = || if std::io::stdout().is_terminal() { Format::Text } else { Format::Json };
    let format = config.format.unwrap_or_else(by_reader);
    let (writer, worker) = non_blocking(std::io::stdout());
    let dropped = DroppedLines(writer.error_counter());
    let subscriber = subscriber(&config.filter, format, writer).ok_or(InitError::Filter)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Twice)?;
    Ok(Guard { _worker: worker, dropped })
}

/// What turns events into lines for `writer`, each in one write. `None` when the filter is not one.
pub fn subscriber<W>(filter_text: &str, format: Format, writer: W) -> Option<impl Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = line::Lines::new(format, writer);
    Some(Registry::default().with(filter(filter_text)?).with(cap::Cap).with(lines))
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

/// Writes in a thread of its own; what it has no room for is dropped and counted.
fn non_blocking(out: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(BUFFERED_LINES);
    builder.thread_name("log").finish(out)
}

/// What may wait for the writer. A line takes less than a kilobyte as a rule.
const BUFFERED_LINES: usize = 8_192;

#[cfg(test)]
mod tests;
