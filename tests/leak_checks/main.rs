//! Outputs of the real process, without secrets: log, metrics, spans, admin port, error bodies, `/proc`.

#![cfg(all(feature = "otlp", feature = "demo"))]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "../common/mod.rs"]
mod common;

mod canaries;
mod drive;
mod leaks;
mod process;
mod series;
mod stall;
