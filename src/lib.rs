//! connector-cache
pub mod cache;
pub mod words;
