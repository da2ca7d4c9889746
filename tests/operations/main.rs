//! Operations on a running process: new certificates, tokens and settings, and rolling updates.

#![expect(clippy::unwrap_used, reason = "a test fails at the first unexpected value")]

#[path = "../common/mod.rs"]
mod common;

mod callers;
mod certificates;
mod connections;
mod console;
mod forwarded;
mod incidents;
mod rolling;
mod settings;
