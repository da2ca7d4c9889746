//! What an origin can do wrong, over real sockets: each fault of the list by its number.
//!
//! After every fault the same must hold: the caller has an answer of ours with the reason, one count went up
//! by one, nothing was stored, and the caller's connection goes on. `README.md` beside this says where we
//! differ from the list, and what is not built.

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
