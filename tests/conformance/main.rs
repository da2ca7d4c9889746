//! HTTP's rules for a cache, line by line of README.md beside this file, over real sockets.
//!
//! `lNN` in a test's name is the line. What a unit test elsewhere pins down already is not told again here;
//! README.md names it, and [`checklist`] sees to it that every line has a test or a reason.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod bench;
mod checklist;
mod coding;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod fields;
mod freshness;
mod h2_origin;
mod messages;
mod refresh;
mod reuse;
mod revalidation;
mod stale;
mod storing;
mod telling;
mod transformation;
mod validation;
mod variants;
