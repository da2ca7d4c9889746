//! Replicas that share a store: the real program before the stand-in for Graph, with real servers of Redis and Valkey.
//!
//! Each row of the table of faults in docs/fleet.md is a test. `SHARED_STORE=valkey` runs the tests with Valkey;
//! `PURGE_RACES` sets the number of raced purges. The servers are installed by `make setup`.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "../common/mod.rs"]
mod common;

mod clock;
mod cold_start;
mod confidentiality;
mod configuration;
mod failover;
mod faults;
mod figures;
mod fleet;
mod hostile;
mod invalidation;
mod lease;
mod load;
mod metrics;
mod purge;
mod reads;
mod secrets;
mod servers;
mod tampering;
mod throttle;
mod tls;
