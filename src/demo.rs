//! A stand-in for Graph and the proxy before it, in one process.

use std::process::ExitCode;

use crate::telemetry::DroppedLines;

/// Runs until it is told to stop. This build has no stand-in and says so.
#[expect(clippy::unused_async, reason = "the server awaits")]
pub async fn run(_dropped_lines: DroppedLines) -> ExitCode {
    tracing::error!("this build has no demo");
    ExitCode::FAILURE
}
