//! What one connection is doing, as seen by the bytes that pass and the requests that are answered.
//!
//! The wrapper around the socket and the wrapper around the service report here; the watch that closes slow
//! connections reads it. It knows nothing of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};

use super::preflight::{PreflightError, Protocol};

/// Shared by everything that belongs to one connection. All orderings are relaxed: each field is a hint of
/// its own, and whoever reads them is woken by what changed them.
#[derive(Debug, Default)]
pub(in crate::server) struct ConnState {
    protocol: AtomicU8,
    /// Requests that the service was given.
    served: AtomicUsize,
    /// Of these, how many are not answered, or have an answer that looks after itself.
    running: AtomicUsize,
    /// Other answers that HTTP has not yet written: by turns, so that the old ones can be told from the young.
    unsent: [AtomicUsize; 2],
    /// The turn of an answer that is given now: 0 or 1.
    turn: AtomicUsize,
    /// Bytes came that no request has come of yet.
    fresh: AtomicBool,
    /// The socket took less than it was given.
    blocked: AtomicBool,
    /// Bytes written.
    written: AtomicUsize,
    /// The last answer ends the connection although more of the request may come.
    refused: AtomicBool,
    /// The request that is being answered has a body.
    body: AtomicBool,
    /// Answers over HTTP/1.1 say `Connection: close`.
    draining: AtomicBool,
    /// So do those of every connection of the listener.
    leaving: Arc<AtomicBool>,
    fault: AtomicU8,
}

/// What a connection is waiting for. Two equal values mean that nothing moved in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum WaitingFor {
    /// For its first request.
    Opening,
    /// For the rest of a request's header section.
    Head(usize),
    /// For us.
    Busy,
    /// For its peer to take bytes; with the count of [`PROGRESS`] steps so far.
    Blocked(usize),
    /// For its peer to open an HTTP/2 window: requests so far, answers not taken, progress.
    Unsent(usize, usize, usize),
    /// For the next request.
    Idle(usize),
}

impl ConnState {
    /// A connection that has just been accepted. `leaving`: its listener is about to close.
    pub(in crate::server) fn new(leaving: Arc<AtomicBool>) -> Self {
        Self { leaving, ..Self::default() }
    }

    /// The state of things.
    pub(in crate::server) fn phase(&self) -> WaitingFor {
        let served = self.served.load(Relaxed);
        let progress = self.written.load(Relaxed) / PROGRESS;
        let unsent = self.unsent();
        let protocol = self.protocol();
        if self.is_blocked() {
            WaitingFor::Blocked(progress)
        } else if self.running.load(Relaxed) > 0 {
            WaitingFor::Busy
        } else if unsent > 0 {
            WaitingFor::Unsent(served, unsent, progress)
        } else if served == 0 && protocol != Protocol::Http2 {
            WaitingFor::Opening
        } else if protocol == Protocol::Http1 && self.fresh.load(Relaxed) {
            WaitingFor::Head(served)
        } else {
            // In HTTP/2 pings and window updates come between requests, so bytes alone mean nothing.
            WaitingFor::Idle(served)
        }
    }

    /// Begins a request.
    pub(in crate::server) fn begin(self: &Arc<Self>) -> ResponseGuard {
        self.fresh.store(false, Relaxed);
        self.served.fetch_add(1, Relaxed);
        self.running.fetch_add(1, Relaxed);
        ResponseGuard { pulse: Arc::clone(self), answered: None }
    }

    /// Answers that are not written.
    pub(in crate::server) fn unsent(&self) -> usize {
        self.unsent.iter().map(|unsent| unsent.load(Relaxed)).sum()
    }

    /// Makes old what is unsent, and young what will be, unless there are answers that were old already: then true.
    pub(in crate::server) fn rotate_generations(&self) -> bool {
        let next = 1 - self.turn.load(Relaxed);
        let stalled = self.unsent[next].load(Relaxed) > 0;
        if !stalled {
            self.turn.store(next, Relaxed);
        }
        stalled
    }

    pub(in crate::server) fn served(&self) -> usize {
        self.served.load(Relaxed)
    }

    /// Whether the service has nothing to do and nothing waits to be written: what comes is a new request.
    pub(in crate::server) fn is_quiet(&self) -> bool {
        self.running.load(Relaxed) == 0 && self.unsent() == 0 && !self.is_blocked()
    }

    pub(in crate::server) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// Whether it is HTTP/2 that is spoken: it remembers much from one request to the next, and has many at a time.
    pub(in crate::server) fn is_http2(&self) -> bool {
        self.protocol() == Protocol::Http2
    }

    pub(in crate::server) fn record_received(&self, protocol: Protocol) {
        self.protocol.store(protocol as u8, Relaxed);
        self.fresh.store(true, Relaxed);
    }

    pub(in crate::server) fn record_sent(&self, n: usize) {
        self.written.fetch_add(n, Relaxed);
    }

    pub(in crate::server) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Relaxed);
    }

    /// To be called when an answer ends the connection in the middle of a request.
    pub(in crate::server) fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }

    /// To be called when a request has a body. It is the last of its connection over HTTP/1.
    pub(in crate::server) fn set_body(&self) {
        self.body.store(true, Relaxed);
    }

    pub(in crate::server) fn has_body(&self) -> bool {
        self.body.load(Relaxed)
    }

    /// Whether closing now could lose an answer: a socket with unread bytes is reset, not closed.
    pub(in crate::server) fn may_have_unread(&self) -> bool {
        self.refused.load(Relaxed) || (self.protocol() == Protocol::Http1 && self.fresh.load(Relaxed))
    }

    /// Whether the listener is about to close, or has closed.
    pub(in crate::server) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    pub(in crate::server) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether an answer should carry `Connection: close`.
    pub(in crate::server) fn closes(&self) -> bool {
        (self.draining.load(Relaxed) || self.is_leaving()) && self.protocol() == Protocol::Http1
    }

    pub(in crate::server) fn set_fault(&self, fault: PreflightError) {
        self.fault.store(fault as u8, Relaxed);
    }

    /// What was wrong with the bytes, if anything.
    pub(in crate::server) fn fault(&self) -> Option<PreflightError> {
        let fault = self.fault.load(Relaxed);
        [PreflightError::TargetTooLong, PreflightError::BareLineFeed, PreflightError::Flood]
            .into_iter()
            .find(|f| *f as u8 == fault)
    }

    fn protocol(&self) -> Protocol {
        let protocol = self.protocol.load(Relaxed);
        [Protocol::Http1, Protocol::Http2]
            .into_iter()
            .find(|p| *p as u8 == protocol)
            .unwrap_or(Protocol::Unknown)
    }
}

/// One request, from its head until HTTP has written its answer.
#[derive(Debug)]
pub(in crate::server) struct ResponseGuard {
    pulse: Arc<ConnState>,
    /// The turn at which it was.
    answered: Option<usize>,
}

impl ResponseGuard {
    /// The connection that the request came by.
    pub(in crate::server) fn pulse(&self) -> &ConnState {
        &self.pulse
    }

    /// The service has answered.
    pub(in crate::server) fn answered(&mut self) {
        if self.answered.is_none() {
            let turn = self.pulse.turn.load(Relaxed) & 1;
            self.answered = Some(turn);
            self.pulse.unsent[turn].fetch_add(1, Relaxed);
            self.pulse.running.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        let counter = self.answered.map_or(&self.pulse.running, |turn| &self.pulse.unsent[turn]);
        counter.fetch_sub(1, Relaxed);
    }
}

/// Bytes that a peer must take within `limits.write_timeout`: fewer are no progress, so that a peer cannot
/// hold an answer for hours a byte at a time.
pub(in crate::server) const PROGRESS: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_opens_reads_works_and_rests() {
        let pulse = Arc::new(ConnState::default());
        assert_eq!(pulse.phase(), WaitingFor::Opening);
        pulse.record_received(Protocol::Http1);
        assert_eq!(pulse.phase(), WaitingFor::Opening, "the first head has the time of the first wait");
        let mut ticket = pulse.begin();
        assert_eq!(pulse.phase(), WaitingFor::Busy);
        ticket.answered();
        assert_eq!(pulse.phase(), WaitingFor::Unsent(1, 1, 0));
        drop(ticket);
        assert_eq!(pulse.phase(), WaitingFor::Idle(1));
        pulse.record_received(Protocol::Http1);
        assert_eq!(pulse.phase(), WaitingFor::Head(1));
    }

    #[test]
    fn bytes_between_two_requests_of_http2_are_no_head() {
        let pulse = Arc::new(ConnState::default());
        pulse.record_received(Protocol::Http2);
        assert_eq!(pulse.phase(), WaitingFor::Idle(0));
    }

    #[test]
    fn a_request_that_is_dropped_is_over() {
        let pulse = Arc::new(ConnState::default());
        pulse.record_received(Protocol::Http2);
        drop(pulse.begin());
        assert_eq!(pulse.phase(), WaitingFor::Idle(1));
    }

    #[test]
    fn an_answer_that_is_unsent_for_a_whole_turn_is_old() {
        let pulse = Arc::new(ConnState::default());
        let [mut first, mut second] = [pulse.begin(), pulse.begin()];
        first.answered();
        assert!(!pulse.rotate_generations(), "it was young");
        second.answered();
        assert!(pulse.rotate_generations() && pulse.rotate_generations(), "it is old, and stays so");
        drop(first);
        assert!(!pulse.rotate_generations(), "the other was young until now");
        assert!(pulse.rotate_generations());
        drop(second);
        assert!(!pulse.rotate_generations());
        assert_eq!(pulse.unsent(), 0);
    }

    #[test]
    fn a_few_bytes_are_no_progress() {
        let pulse = ConnState::default();
        pulse.set_blocked(true);
        let before = pulse.phase();
        pulse.record_sent(PROGRESS - 1);
        assert_eq!(pulse.phase(), before);
        pulse.record_sent(1);
        assert_ne!(pulse.phase(), before);
    }
}
