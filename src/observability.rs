//! Logging, metrics, tracing export and hardening of the process.
//!
//! [`metrics`] has one struct with all metric families. [`logging`] writes the lines of `tracing`, and
//! [`tracing_export`] sends spans to a collector. Labels and attributes come from closed sets, so no part can contain a
//! token, a path, a flow, a tenant or a subject.

pub mod hardening;
pub mod logging;
pub mod metrics;
pub mod tracing_export;
