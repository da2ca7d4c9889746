//! Closes connections that take too long over something.
//!
//! One timer a connection. It is seldom moved: a deadline that goes back is noticed when the timer fires.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::pulse::{Phase, Pulse};

/// Watches one connection.
pub(super) struct Watch {
    pulse: Arc<Pulse>,
    limits: Limits,
    phase: Phase,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
    /// Set once the connection was told to end.
    closing: bool,
}

impl Watch {
    /// Starts with a connection that has just been accepted.
    pub(super) fn new(pulse: Arc<Pulse>, limits: Limits) -> Self {
        let deadline = Instant::now() + limits.header_timeout;
        let timer = Box::pin(sleep_until(deadline));
        Self { pulse, limits, phase: Phase::Opening, deadline, timer, closing: false }
    }

    /// From now on being idle is no excuse: what remains is to write and to hang up.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.deadline = Instant::now() + self.allowance(self.phase);
    }

    /// Whether the connection was told to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Ready when the connection has been in one phase for too long. To be polled after the connection was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let phase = self.pulse.phase();
        if phase != self.phase {
            self.phase = phase;
            self.deadline = Instant::now() + self.allowance(phase);
        }
        if self.deadline < self.timer.deadline() {
            self.timer.as_mut().reset(self.deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= self.deadline {
                if self.phase != Phase::Busy {
                    return Poll::Ready(self.phase);
                }
                // A request has its own deadline. It may have ended without waking the connection, so look
                // again after a while.
                self.deadline = Instant::now() + self.allowance(Phase::Busy);
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }

    fn allowance(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Opening | Phase::Head(_) => self.limits.header_timeout,
            Phase::Blocked(_) | Phase::Unsent(..) => self.limits.write_timeout,
            Phase::Idle(_) if self.closing => self.limits.write_timeout,
            Phase::Busy | Phase::Idle(_) => self.limits.idle_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Protocol;
    use super::*;
    use std::future::poll_fn;

    fn limits() -> Limits {
        Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            ..Limits::default()
        }
    }

    async fn expiry(watch: &mut Watch) -> (Phase, u64) {
        let start = Instant::now();
        let phase = poll_fn(|cx| watch.poll(cx)).await;
        (phase, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_has_the_time_of_a_header() {
        let mut watch = Watch::new(Arc::new(Pulse::default()), limits());
        assert_eq!(expiry(&mut watch).await, (Phase::Opening, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_has_more_time_than_a_header() {
        let pulse = Arc::new(Pulse::default());
        let mut watch = Watch::new(Arc::clone(&pulse), limits());
        pulse.bytes_came(Protocol::Http1);
        drop(pulse.begin());
        assert_eq!(expiry(&mut watch).await, (Phase::Idle(1), 75));
        pulse.bytes_came(Protocol::Http1);
        assert_eq!(expiry(&mut watch).await, (Phase::Head(1), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_ended_unseen_is_found_out() {
        let pulse = Arc::new(Pulse::default());
        let mut watch = Watch::new(Arc::clone(&pulse), limits());
        pulse.bytes_came(Protocol::Http2);
        let ticket = pulse.begin();
        let busy = tokio::time::timeout(Duration::from_secs(200), expiry(&mut watch)).await;
        assert!(busy.is_err(), "a request that is being answered is not the connection's fault");
        drop(ticket);
        assert_eq!(expiry(&mut watch).await.0, Phase::Idle(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_has_the_time_of_a_write() {
        let pulse = Arc::new(Pulse::default());
        let mut watch = Watch::new(Arc::clone(&pulse), limits());
        pulse.set_blocked(true);
        assert_eq!(expiry(&mut watch).await, (Phase::Blocked(0), 30));
    }
}
