//! What an operator does to a process that runs: new certificates, tokens and settings, and its replacement.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "../common/mod.rs"]
mod common;

mod certificates;
mod rolling;
mod settings;
