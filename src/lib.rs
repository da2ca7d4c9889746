//! connector-cache
pub mod admin;
pub mod answer;
pub mod cache;
pub mod clock;
pub mod config;
pub mod error;
pub mod ids;
pub mod metrics;
pub mod origin;
pub mod process;
pub mod resource;
pub mod scrub;
pub mod server;
pub mod telemetry;
pub mod words;
