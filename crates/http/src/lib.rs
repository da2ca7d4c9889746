//! HTTP rules without I/O and without shared state.

pub mod cache_control;
pub mod cache_status;
pub mod date;
pub mod error;
pub mod headers;
pub mod ids;
pub mod negotiation;
pub mod rejection;
mod request_view;
pub mod retry_after;
pub mod templates;
pub mod validate;
