//! The cache: stored responses, proofs, leases, and the rules of RFC 9111. The decision that uses them is in
//! [`crate::proxy`].

pub mod coalesce;
pub mod conditional;
pub mod entry;
pub mod freshness;
pub mod grants;
mod interner;
pub mod key;
pub mod lease;
pub mod outcome;
pub mod purge;
pub mod store;
pub mod thread_cache;
pub mod variants;
pub mod vary;
