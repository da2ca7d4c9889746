//! Logging, metrics, tracing export and hardening of the process.

pub mod hardening;
pub mod logging;
pub mod metrics;
pub mod tracing_export;
