//! The cache: words, rules and machines. The decision that uses them is in [`crate::proxy`].

pub mod control;
pub mod entry;
pub mod flight;
pub mod freshness;
pub mod front;
pub mod grant;
mod interner;
pub mod key;
pub mod purge;
pub mod report;
pub mod status;
pub mod store;
pub mod ticket;
pub mod validation;
pub mod variants;
pub mod vary;
