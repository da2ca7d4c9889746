//! connector-cache
pub mod cache;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod words;
