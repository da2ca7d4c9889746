//! The cache: stored responses, proofs, leases, and the rules of RFC 9111. The decision that uses them is in
//! [`crate::proxy`].
//!
//! | part | modules |
//! |---|---|
//! | data | [`entry`] is a stored response, [`variants`] are the responses of one [`key`], [`grants`] the proofs of a token |
//! | store | [`store`] holds entries and proofs, [`thread_cache`] the lookups of one thread, [`purge`] selects what an operator removes |
//! | requests in flight | [`coalesce`] lets equal requests share one fetch, [`lease`] keeps a response from being stored after a revocation |
//! | rules without state | [`freshness`] decides whether an entry may be used now, [`conditional`] and [`vary`] for which request |
//! | labels | [`outcome`] has the outcomes and reasons for logs, metrics and `Cache-Status` |
//!
//! An entry is never enough for a hit: a token receives it only with a proof of the same content (promise 2).

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
