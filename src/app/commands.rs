//! Commands about a running proxy, and about a request that is not sent.
//!
//! A command returns whether its answer is "yes" (exit code 0) or "no" (1), or a [`CommandError`]. Only the results go to
//! standard output, so that a script can read them; errors and questions go to standard error.

mod admin_port;
pub mod check;
pub mod explain;
pub mod healthcheck;
pub mod purge;
pub mod status;
mod terminal;

use std::path::Path;

pub use self::admin_port::AdminArgs;
use crate::support::watched_files::DisplayPath;

/// Reason for which a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The arguments or the configuration cannot be used: exit code 64.
    #[error("{0}")]
    Usage(String),
    /// The answer cannot be found: exit code 1.
    #[error("{0}")]
    Failure(String),
}

/// Returns the error for a file with a token that cannot be used.
fn token_file_error(argument: &str, path: &Path, reason: &str) -> CommandError {
    let path = DisplayPath(path);
    let hidden = if path.is_hidden() { ". The name is hidden in case it is a token itself" } else { "" };
    CommandError::Usage(format!("{argument} {path}: {reason}{hidden}"))
}

/// Form of the results on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// Lines for a reader.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the future of a command on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| CommandError::Failure(format!("the command cannot be started: {error}")))?;
    runtime.block_on(future)
}

/// Writes the results to standard output.
fn print(text: &str) -> Result<(), CommandError> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| CommandError::Failure(format!("standard output cannot be written: {error}")))
}
