//! Faults of an origin server over real sockets, by the numbers of the list in `README.md`.
//!
//! After every fault the same must hold: the caller has a response of the proxy with the reason, one counter went up by one,
//! nothing was stored, and the caller's connection still works. `README.md` has the differences from the list.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod checklist;
mod clock;
mod crowd;
mod documents;
mod framing;
mod http2;
mod network;
mod outage;
mod requests;
mod retries;
mod room;
mod sample;
mod spare;
mod stage;
mod statuses;
mod times;
mod tls;
mod transport;
mod tunnel;
