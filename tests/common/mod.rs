//! The tests' kit: both ends of the wire, raw enough to misbehave.
//!
//! [`origin`] plays Graph's transport at its worst, [`client`] a caller of any manners, [`tls`] makes the
//! certificates for either. What Graph means is the sandbox's business; nothing here reads a token.
//! Waits end by events. The outer limits of 10 s only turn a hang into a message; they want the real clock,
//! so a test that uses the kit must not pause Tokio's.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "a module of a test is never reachable from outside")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of the kit is a failed test")]

pub mod balancer;
pub mod checklist;
pub mod client;
#[cfg(feature = "otlp")]
pub mod collector;
pub mod gate;
pub mod h2;
pub mod link;
pub mod origin;
pub mod proxy;
pub mod reply;
pub mod serve;
pub mod tls;
pub mod token;
pub mod tunnel;
pub mod wire;

use std::future::Future;
use std::time::Duration;

/// Waits for `event`, or fails the test after a minute, saying what was waited for. That is to end a test that hangs;
/// on a busy machine what comes in a moment comes late.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    let limited = tokio::time::timeout(LIMIT, event).await;
    limited.unwrap_or_else(|_| panic!("waited {} s in vain for {what}", LIMIT.as_secs()))
}

const LIMIT: Duration = Duration::from_secs(60);
