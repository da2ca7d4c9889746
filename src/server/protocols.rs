//! What HTTP/1 and HTTP/2 may take of us.

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use super::ServerLimits;
use super::connection::h2_send_stall::StreamExecutor;

/// HTTP/1 within `limits`.
pub(super) fn http1(limits: &ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // The watch has this deadline, and tells a pause from a header.
        .header_read_timeout(None)
        .half_close(false)
        .keep_alive(true)
        .max_buf_size(head_max(limits));
    // The parser has a place on the stack for this many, and fills it with nothing. For any other number it fills a
    // place of its own at each request, one by one: a tenth of what a hit costs.
    if limits.headers != PARSERS_OWN_HEADERS {
        builder.max_headers(limits.headers);
    }
    builder
}

/// HTTP/2 within `limits`, which runs its `streams`.
pub(super) fn http2(limits: &ServerLimits, streams: StreamExecutor) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER);
    builder
}

/// The longest head that HTTP/1 takes. The parser's own buffer may not be smaller than 8 KiB.
pub(super) fn head_max(limits: &ServerLimits) -> usize {
    limits.header_bytes.max(8 << 10)
}

/// Streams that a peer opened and reset before we looked at them (CVE-2023-44487); then GOAWAY.
const MAX_PENDING_RESETS: usize = 20;
/// Streams that we reset because of a peer's errors, in the life of a connection (CVE-2025-8671); then GOAWAY.
const MAX_ERROR_RESETS: usize = 256;
/// What HTTP/1 takes where nobody says otherwise: `limits.headers`, too, has it as its default.
const PARSERS_OWN_HEADERS: usize = 100;
/// Requests have no bodies: the smallest window that every client expects.
const H2_WINDOW: u32 = 65_535;
/// For each stream, bytes.
const H2_SEND_BUFFER: usize = 64 << 10;
