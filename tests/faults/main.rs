//! Faults of an origin server over real sockets, by the numbers of the list in `README.md`.
//!
//! After every fault the same must hold: the caller has a response of the proxy with the reason, one counter went up by one,
//! nothing was stored, and the caller's connection still works. `README.md` has the differences from the list.

#![expect(clippy::unwrap_used, reason = "a test fails at the first unexpected value")]

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod byte_budget;
mod checklist;
mod clock;
mod coalescing;
mod documents;
mod framing;
mod harness;
mod http2;
mod network;
mod outage;
mod preconnect;
mod requests;
mod retries;
mod sample;
mod statuses;
mod timeouts;
mod tls;
mod transport;
mod tunnel;
