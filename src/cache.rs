//! The cache: words, rules and machines. The decision that uses them is in `proxy.rs`.

pub mod flight;
pub mod freshness;
pub mod status;
pub mod store;
