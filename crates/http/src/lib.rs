//! HTTP rules without I/O and without shared state.
//!
//! | part | modules |
//! |---|---|
//! | head of a request | `request_view` indexes its fields, [`validate`] rejects invalid ones, [`ids`] reads its ids and its trace |
//! | fields | [`cache_control`], [`cache_status`], [`date`], [`negotiation`], [`retry_after`]; [`headers`] lists those that are passed on |
//! | error responses | [`rejection`] has the reasons why a request is refused, [`error`] the format of the body |
//! | cost of a hit | [`templates`] caches rendered values |
//!
//! This module knows neither the resource nor the cache.

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
