//! Operations on a running process: new certificates, tokens and settings, and rolling updates.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "../common/mod.rs"]
mod common;

mod certificates;
mod rolling;
mod settings;
