//! Faults of a real network, made by the kernel: `make test-net` runs this in a namespace of its own, with Graph in
//! another at the end of a wire.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "../common/mod.rs"]
mod common;

mod callers;
mod far;
mod graph;
