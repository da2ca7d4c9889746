//! Regression tests for attacks: one caller against the others, and credentials against the scrubber.
//!
//! Each module stands for one kind of fault of version 0.1.0. Each test plays one exploit through real sockets, in a
//! small size; `make flood` and `make soak` play the large sizes.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of an exploit is a failed test")]

#[path = "../common/mod.rs"]
mod common;

mod admin_port;
mod breaker;
mod byte_budget;
mod descriptors;
mod local_refusals;
mod logs;
mod permits;
mod pipelining;
mod proof_digest;
mod purge;
mod scrubber;
mod unproven_tokens;
mod waiting_requests;
