//! connector-cache
pub mod cache;
pub mod scrub;
pub mod words;
