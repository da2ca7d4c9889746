//! Settings of a listener, which a reload may replace while the listener serves, and the builders of HTTP/1 and
//! HTTP/2 that apply the settings to a connection.
//!
//! Each connection keeps the snapshot that was current when the connection was accepted.

use std::fmt;
use std::sync::Arc;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use super::{Config, Drain, ServerLimits};

/// Source of the settings of one listener.
#[derive(Clone)]
pub struct ServerSettings(Arc<dyn Fn() -> Arc<SettingsSnapshot> + Send + Sync>);

/// Settings of one configuration.
#[derive(Debug)]
pub struct SettingsSnapshot {
    pub(super) limits: ServerLimits,
    pub(super) drain: Drain,
    pub(super) http1: http1::Builder,
}

impl SettingsSnapshot {
    /// Returns the limit of open connections in effect.
    pub fn max_connections(&self) -> usize {
        self.limits.connections
    }
}

impl ServerSettings {
    /// Creates settings that do not change.
    pub(super) fn new(config: &Config) -> Self {
        let snapshot = Arc::new(SettingsSnapshot::from_config(config, usize::MAX));
        Self::live(move || Arc::clone(&snapshot))
    }

    /// Creates settings from `current`, which is called for each connection.
    pub fn live(current: impl Fn() -> Arc<SettingsSnapshot> + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    pub(super) fn current(&self) -> Arc<SettingsSnapshot> {
        (self.0)()
    }
}

impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerSettings").field(&self.current()).finish()
    }
}

impl SettingsSnapshot {
    /// Takes limits and drain of a configuration. `limits.connections` never exceeds `max_connections`.
    pub fn from_config(config: &Config, max_connections: usize) -> Self {
        let http1 = http1_builder(&config.limits);
        Self { limits: config.limits.cap_connections(max_connections), drain: config.drain.clone(), http1 }
    }
}

/// Returns the builder of HTTP/1 connections within `limits`.
fn http1_builder(limits: &ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // `ConnTimeouts` applies this timeout, and a different one to a pause between two requests.
        .header_read_timeout(None)
        .half_close(false)
        .keep_alive(true)
        .max_buf_size(max_head_bytes(limits));
    // For its default hyper has an uninitialised array on the stack. For any other number hyper fills an array of its
    // own, one element after the other, at each request: a tenth of the cost of a hit.
    if limits.headers != HYPER_DEFAULT_MAX_HEADERS {
        builder.max_headers(limits.headers);
    }
    builder
}

/// Returns the builder of HTTP/2 connections within `limits`, whose streams run on `executor`.
pub(super) fn http2_builder<E>(limits: &ServerLimits, executor: E) -> http2::Builder<E> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_PENDING_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_ERROR_RESET_STREAMS)
        .initial_stream_window_size(H2_WINDOW_BYTES)
        .initial_connection_window_size(H2_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES);
    builder
}

/// Returns the longest head that HTTP/1 accepts. hyper's read buffer cannot be smaller than 8 KiB.
pub(super) fn max_head_bytes(limits: &ServerLimits) -> usize {
    limits.header_bytes.max(8 << 10)
}

/// Streams that the peer opened and reset before hyper accepted them (CVE-2023-44487). More end the connection with
/// GOAWAY.
const MAX_PENDING_RESET_STREAMS: usize = 20;
/// Streams of one connection that hyper reset because of errors of the peer (CVE-2025-8671). More end the connection
/// with GOAWAY.
const MAX_ERROR_RESET_STREAMS: usize = 256;
/// hyper's own limit of header fields, which is also the default of `limits.headers`.
const HYPER_DEFAULT_MAX_HEADERS: usize = 100;
/// Receive window. Requests have no bodies, so this is the default of RFC 9113 section 6.9.2, which every client expects.
const H2_WINDOW_BYTES: u32 = 65_535;
/// Send buffer of each stream.
const H2_SEND_BUFFER_BYTES: usize = 64 << 10;
