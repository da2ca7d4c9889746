//! The server from start to end.

use std::process::ExitCode;

use crate::config::Config;
use crate::telemetry::DroppedLines;

/// Serves until it is told to stop. This build has no server and says so.
#[expect(clippy::unused_async, reason = "the server awaits")]
pub async fn serve(_config: Config, _dropped_lines: DroppedLines) -> ExitCode {
    tracing::error!("this build cannot serve");
    ExitCode::FAILURE
}
