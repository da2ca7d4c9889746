//! General building blocks, independent of HTTP and of the cache.
//!
//! [`clock`] provides the time, [`byte_budget`] limits memory by client address, [`labels`] declares closed sets of labels,
//! [`pem`] reads certificates and keys, [`watched_files`] reloads files that change, [`detach_on_drop`] lets a future outlive its
//! caller, [`poll_once`] polls a future once, and [`boxed`] builds a value in its allocation. The modules do not use each other's
//! state.

pub mod boxed;
pub mod byte_budget;
pub mod client_subnet;
pub mod client_tls;
pub mod clock;
pub mod detach_on_drop;
pub mod labels;
pub mod pem;
pub mod poll_once;
pub mod watched_files;
