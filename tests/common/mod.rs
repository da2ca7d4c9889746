//! Common parts of the integration tests: clients, origin servers and the proxy, with control over each byte.
//!
//! [`origin`] is a server with any fault of transport, [`client`] a caller, [`tls`] makes certificates for both. Graph's
//! rules are in `fake_graph` of the library; nothing here reads a token. Waits end by events. The time limits turn a hang
//! into a message; they need the real clock, so a test with these parts must not pause Tokio's.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "a module of a test is never reachable from outside")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

pub mod balancer;
pub mod checklist;
pub mod client;
#[cfg(feature = "otlp")]
pub mod collector;
pub mod frames;
pub mod gate;
pub mod h2;
pub mod link;
pub mod origin;
pub mod proxy;
pub mod redis;
pub mod reply;
pub mod serve;
pub mod tls;
pub mod token;
pub mod tunnel;
pub mod wire;

use std::future::Future;
use std::time::Duration;

/// Waits for `event`, or fails the test after a minute with the name of the event. The limit ends a test that hangs; it is
/// long because of busy machines.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    let limited = tokio::time::timeout(LIMIT, event).await;
    limited.unwrap_or_else(|_| panic!("waited {} s in vain for {what}", LIMIT.as_secs()))
}

const LIMIT: Duration = Duration::from_secs(60);
