//! State of one connection, derived from the bytes that pass and the requests that are processed.
//!
//! [`MonitoredIo`](super::monitored_io::MonitoredIo) reports bytes, and the wrapper of the service reports requests and
//! responses. [`ConnTimeouts`](super::timeouts::ConnTimeouts) and the evictor read the state. It knows no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};

use super::preflight::{PreflightError, Protocol};
use super::unfinished::{ResponseGeneration, UnfinishedResponses};

/// State that all parts of one connection share. All orderings are relaxed: no field depends on another one, and the
/// change of a field wakes the task that reads it.
#[derive(Debug, Default)]
pub(in crate::server) struct ConnState {
    protocol: AtomicU8,
    /// Requests that the service has received.
    requests: AtomicUsize,
    /// Requests without a response, and requests whose response has a
    /// [`BodyProgress`](super::h2_send_stall::BodyProgress).
    in_service: AtomicUsize,
    /// All other responses that hyper has not written.
    unfinished: UnfinishedResponses,
    /// The peer sent bytes that have not become a request yet.
    has_unparsed_bytes: AtomicBool,
    /// The socket took fewer bytes than hyper wrote.
    is_blocked: AtomicBool,
    bytes_written: AtomicUsize,
    /// The last response ends the connection although the peer may still send the rest of its request.
    closes_early: AtomicBool,
    /// A head of HTTP/1 had both `Transfer-Encoding` and `Content-Length`.
    has_ambiguous_length: AtomicBool,
    /// Responses over HTTP/1.1 carry `Connection: close`.
    is_draining: AtomicBool,
    /// The same for every connection of the listener.
    listener_closing: Arc<AtomicBool>,
    preflight_error: AtomicU8,
}

/// Event that a connection waits for. Two equal values mean that the connection made no progress in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum WaitingFor {
    /// The first request.
    FirstRequest,
    /// The rest of a request's header section; with the count of requests so far.
    RequestHead(usize),
    /// A response of the service.
    Service,
    /// The peer's socket to take bytes; with the count of [`PROGRESS_STEP_BYTES`] written so far.
    Socket(usize),
    /// The peer to open an HTTP/2 window; with the counts of requests, unfinished responses and written
    /// [`PROGRESS_STEP_BYTES`].
    ResponseWrite(usize, usize, usize),
    /// The next request; with the count of requests so far.
    NextRequest(usize),
}

impl ConnState {
    /// Creates the state of an accepted connection. `listener_closing` is set when its listener is about to close.
    pub(in crate::server) fn new(listener_closing: Arc<AtomicBool>) -> Self {
        Self { listener_closing, ..Self::default() }
    }

    /// Derives the event that the connection waits for.
    pub(in crate::server) fn waiting_for(&self) -> WaitingFor {
        let requests = self.requests.load(Relaxed);
        let progress = self.bytes_written.load(Relaxed) / PROGRESS_STEP_BYTES;
        let unfinished = self.unfinished();
        let protocol = self.protocol();
        if self.is_blocked() {
            WaitingFor::Socket(progress)
        } else if self.in_service.load(Relaxed) > 0 {
            WaitingFor::Service
        } else if unfinished > 0 {
            WaitingFor::ResponseWrite(requests, unfinished, progress)
        } else if requests == 0 && protocol != Protocol::Http2 {
            WaitingFor::FirstRequest
        } else if protocol == Protocol::Http1 && self.has_unparsed_bytes.load(Relaxed) {
            WaitingFor::RequestHead(requests)
        } else {
            // Over HTTP/2 bytes alone are no request: PING and WINDOW_UPDATE frames arrive between two requests.
            WaitingFor::NextRequest(requests)
        }
    }

    /// Registers a request that the service receives.
    pub(in crate::server) fn begin_request(self: &Arc<Self>) -> ResponseGuard {
        self.has_unparsed_bytes.store(false, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.in_service.fetch_add(1, Relaxed);
        ResponseGuard { conn_state: Arc::clone(self), generation: None }
    }

    /// Returns the number of unfinished responses.
    pub(in crate::server) fn unfinished(&self) -> usize {
        self.unfinished.count()
    }

    /// Rotates the two generations of unfinished responses. Returns true if the older generation is not empty, which
    /// means a stalled peer.
    pub(in crate::server) fn rotate_generations(&self) -> bool {
        self.unfinished.rotate()
    }

    /// Returns the number of requests that the service has received.
    pub(in crate::server) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// Returns whether no request is open and nothing waits to be written, so that the next bytes begin a request.
    pub(in crate::server) fn is_quiet(&self) -> bool {
        self.in_service.load(Relaxed) == 0 && self.unfinished() == 0 && !self.is_blocked()
    }

    /// Returns whether the socket takes no bytes at the moment.
    pub(in crate::server) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Relaxed)
    }

    /// Returns whether the connection speaks HTTP/2, which keeps state between requests and multiplexes them.
    pub(in crate::server) fn is_http2(&self) -> bool {
        self.protocol() == Protocol::Http2
    }

    pub(in crate::server) fn record_received(&self, protocol: Protocol) {
        self.protocol.store(protocol as u8, Relaxed);
        self.has_unparsed_bytes.store(true, Relaxed);
    }

    pub(in crate::server) fn record_sent(&self, bytes: usize) {
        self.bytes_written.fetch_add(bytes, Relaxed);
    }

    pub(in crate::server) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Relaxed);
    }

    /// Records that a response ends the connection in the middle of a request.
    pub(in crate::server) fn set_closes_early(&self) {
        self.closes_early.store(true, Relaxed);
    }

    /// Records that a head had both fields that frame a body. It is the last one of its connection.
    pub(in crate::server) fn set_ambiguous_length(&self) {
        self.has_ambiguous_length.store(true, Relaxed);
    }

    pub(in crate::server) fn has_ambiguous_length(&self) -> bool {
        self.has_ambiguous_length.load(Relaxed)
    }

    /// Returns whether a close now could lose a response: a close with unread bytes resets the connection.
    pub(in crate::server) fn may_have_unread_bytes(&self) -> bool {
        self.closes_early.load(Relaxed)
            || (self.protocol() == Protocol::Http1 && self.has_unparsed_bytes.load(Relaxed))
    }

    /// Returns whether the listener is about to close, or has closed.
    pub(in crate::server) fn is_listener_closing(&self) -> bool {
        self.listener_closing.load(Relaxed)
    }

    /// Returns whether this connection, or its listener, is about to close or closes.
    pub(in crate::server) fn is_closing(&self) -> bool {
        self.is_draining.load(Relaxed) || self.is_listener_closing()
    }

    pub(in crate::server) fn start_drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// Returns whether a response has to carry `Connection: close`.
    pub(in crate::server) fn sends_connection_close(&self) -> bool {
        self.is_closing() && self.protocol() == Protocol::Http1
    }

    pub(in crate::server) fn set_preflight_error(&self, error: PreflightError) {
        self.preflight_error.store(error as u8, Relaxed);
    }

    pub(in crate::server) fn preflight_error(&self) -> Option<PreflightError> {
        let error = self.preflight_error.load(Relaxed);
        [PreflightError::TargetTooLong, PreflightError::BareLineFeed, PreflightError::Flood]
            .into_iter()
            .find(|e| *e as u8 == error)
    }

    fn protocol(&self) -> Protocol {
        let protocol = self.protocol.load(Relaxed);
        [Protocol::Http1, Protocol::Http2]
            .into_iter()
            .find(|p| *p as u8 == protocol)
            .unwrap_or(Protocol::Unknown)
    }
}

/// One request in the counts of its connection, from its head until hyper has written its response.
#[derive(Debug)]
pub(in crate::server) struct ResponseGuard {
    conn_state: Arc<ConnState>,
    /// Generation of the unfinished response; `None` while the service has the request.
    generation: Option<ResponseGeneration>,
}

impl ResponseGuard {
    /// Returns the state of the request's connection.
    pub(in crate::server) fn conn_state(&self) -> &ConnState {
        &self.conn_state
    }

    /// Moves the request from the service to the unfinished responses.
    pub(in crate::server) fn response_ready(&mut self) {
        if self.generation.is_none() {
            self.generation = Some(self.conn_state.unfinished.add());
            self.conn_state.in_service.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        if let Some(generation) = self.generation {
            self.conn_state.unfinished.remove(generation);
        } else {
            self.conn_state.in_service.fetch_sub(1, Relaxed);
        }
    }
}

/// Bytes that a peer has to take within `limits.write_timeout`. Fewer are no progress, so that a peer cannot
/// hold a response for hours by taking one byte at a time.
pub(in crate::server) const PROGRESS_STEP_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_waits_for_request_service_write_and_next_request() {
        let conn_state = Arc::new(ConnState::default());
        assert_eq!(conn_state.waiting_for(), WaitingFor::FirstRequest);
        conn_state.record_received(Protocol::Http1);
        assert_eq!(
            conn_state.waiting_for(),
            WaitingFor::FirstRequest,
            "the first head shares the time of the wait for it"
        );
        let mut guard = conn_state.begin_request();
        assert_eq!(conn_state.waiting_for(), WaitingFor::Service);
        guard.response_ready();
        assert_eq!(conn_state.waiting_for(), WaitingFor::ResponseWrite(1, 1, 0));
        drop(guard);
        assert_eq!(conn_state.waiting_for(), WaitingFor::NextRequest(1));
        conn_state.record_received(Protocol::Http1);
        assert_eq!(conn_state.waiting_for(), WaitingFor::RequestHead(1));
    }

    #[test]
    fn bytes_between_two_requests_of_http2_are_no_head() {
        let conn_state = Arc::new(ConnState::default());
        conn_state.record_received(Protocol::Http2);
        assert_eq!(conn_state.waiting_for(), WaitingFor::NextRequest(0));
    }

    #[test]
    fn a_dropped_request_is_not_counted_any_more() {
        let conn_state = Arc::new(ConnState::default());
        conn_state.record_received(Protocol::Http2);
        drop(conn_state.begin_request());
        assert_eq!(conn_state.waiting_for(), WaitingFor::NextRequest(1));
    }

    #[test]
    fn a_response_that_is_unfinished_for_a_full_generation_is_stalled() {
        let conn_state = Arc::new(ConnState::default());
        let [mut first, mut second] = [conn_state.begin_request(), conn_state.begin_request()];
        first.response_ready();
        assert!(!conn_state.rotate_generations(), "the first was in the younger generation");
        second.response_ready();
        assert!(
            conn_state.rotate_generations() && conn_state.rotate_generations(),
            "the first is in the older generation, and stays there"
        );
        drop(first);
        assert!(!conn_state.rotate_generations(), "the second was in the younger generation until now");
        assert!(conn_state.rotate_generations());
        drop(second);
        assert!(!conn_state.rotate_generations());
        assert_eq!(conn_state.unfinished(), 0);
    }

    #[test]
    fn a_few_bytes_are_no_progress() {
        let conn_state = ConnState::default();
        conn_state.set_blocked(true);
        let before = conn_state.waiting_for();
        conn_state.record_sent(PROGRESS_STEP_BYTES - 1);
        assert_eq!(conn_state.waiting_for(), before);
        conn_state.record_sent(1);
        assert_ne!(conn_state.waiting_for(), before);
    }
}
