//! connector-cache
pub mod admin;
pub mod answer;
pub mod cache;
pub mod clock;
pub mod error;
pub mod ids;
pub mod layers;
pub mod message;
pub mod metrics;
pub mod origin;
pub mod readiness;
pub mod resource;
pub mod server;
pub mod telemetry;
pub mod words;
