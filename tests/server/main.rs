//! The server over real sockets, with a stub handler whose behaviour the path selects.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as expected"
)]

mod admin;
mod drain;
mod floods;
mod frames;
mod framing;
mod http2;
mod raw;
mod stub;
mod timeouts;
mod tls;
mod workers;
