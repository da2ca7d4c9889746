//! Conformance to HTTP's rules for a cache, by the lines of README.md beside this file, over real sockets.
//!
//! `lNN` in the name of a test is the line. A rule that a unit test checks elsewhere is not tested again here:
//! README.md names that test, and [`checklist`] checks that every line has a test or a reason.

#![expect(clippy::unwrap_used, reason = "a test fails at the first unexpected value")]

mod checklist;
#[path = "../common/mod.rs"]
mod common;
mod content_coding;
mod fields;
mod freshness;
mod h2_origin;
mod harness;
mod messages;
mod metrics;
mod refresh;
mod response_metadata;
mod reuse;
mod revalidation;
mod stale;
mod storing;
mod transformation;
mod validation;
mod variants;
