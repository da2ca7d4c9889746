//! Timeouts of one connection: closes a connection that takes too long, and releases hyper's buffers of an idle HTTP/1
//! connection.
//!
//! Each connection has one timer. The timer moves seldom: a deadline that moved to a later time is noticed when the
//! timer fires.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::response_charge::ResponseCharge;
use super::state::{ConnState, WaitingFor};
use crate::server::ServerLimits;

/// Timeouts of one connection.
pub(in crate::server) struct ConnTimeouts {
    conn_state: Arc<ConnState>,
    limits: ServerLimits,
    /// The value at the last poll.
    waiting_for: WaitingFor,
    /// Deadline of `waiting_for`.
    deadline: Instant,
    /// Time at which hyper's buffers are released; `None` if the connection is not idle, or has no buffers.
    buffer_release: Option<Instant>,
    /// Time of the next rotation of the unfinished HTTP/2 responses; `None` without unfinished responses.
    rotation: Option<Instant>,
    charge: ResponseCharge,
    timer: Pin<Box<Sleep>>,
    /// The connection has begun its graceful shutdown.
    is_closing: bool,
}

/// Action that the connection has to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum TimeoutAction {
    /// Release hyper's buffers of an idle HTTP/1 connection. Returned once for each idle period.
    ReleaseBuffers,
    /// Close: the connection has waited too long.
    TimedOut(WaitingFor),
    /// Shut down gracefully: over HTTP/2 the peer keeps the windows of some streams shut while others progress.
    SendStalled,
    /// Close: the budget has no bytes left for the unfinished responses of the peer's address.
    BudgetExhausted,
}

impl ConnTimeouts {
    /// Creates the timeouts of an accepted connection. `limits.header_timeout` runs from now on.
    pub(in crate::server) fn new(
        conn_state: Arc<ConnState>,
        limits: ServerLimits,
        charge: ResponseCharge,
    ) -> Self {
        let deadline = Instant::now() + limits.header_timeout;
        Self {
            conn_state,
            limits,
            waiting_for: WaitingFor::FirstRequest,
            deadline,
            buffer_release: None,
            rotation: None,
            charge,
            timer: Box::pin(sleep_until(deadline)),
            is_closing: false,
        }
    }

    /// Starts the timeout of the graceful shutdown. From now on an idle connection has `limits.write_timeout` only.
    pub(in crate::server) fn start_close(&mut self) {
        self.is_closing = true;
        self.deadline = Instant::now() + self.timeout_of(self.waiting_for);
    }

    /// Returns whether the connection has begun its graceful shutdown.
    pub(in crate::server) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Returns the next action when it is due. The caller polls the connection first.
    pub(in crate::server) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TimeoutAction> {
        let waiting_for = self.conn_state.waiting_for();
        if waiting_for != self.waiting_for {
            self.waiting_for = waiting_for;
            let now = Instant::now();
            self.deadline = now + self.timeout_of(waiting_for);
            self.buffer_release = match waiting_for {
                WaitingFor::NextRequest(requests) if !self.conn_state.is_http2() => {
                    Some(now + buffer_release_delay(requests))
                }
                _ => None,
            };
        }
        let unfinished = self.conn_state.unfinished();
        if self.charge.update(unfinished).is_err() {
            return Poll::Ready(TimeoutAction::BudgetExhausted);
        }
        if self.rotation.is_none() && unfinished > 0 && self.conn_state.is_http2() {
            self.conn_state.rotate_generations();
            self.rotation = Some(Instant::now() + self.limits.write_timeout);
        }
        if self.next_deadline() < self.timer.deadline() {
            self.set_timer();
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.buffer_release.is_some_and(|time| now >= time) {
                self.buffer_release = None;
                self.set_timer();
                if !self.is_closing {
                    return Poll::Ready(TimeoutAction::ReleaseBuffers);
                }
            }
            if self.rotation.is_some_and(|time| now >= time) {
                self.rotation = (self.conn_state.unfinished() > 0).then(|| now + self.limits.write_timeout);
                // While the socket is blocked, the deadline of `WaitingFor::Socket` applies.
                if self.conn_state.rotate_generations() && !self.conn_state.is_blocked() {
                    self.set_timer();
                    return Poll::Ready(TimeoutAction::SendStalled);
                }
            }
            if now >= self.deadline {
                if self.waiting_for != WaitingFor::Service {
                    return Poll::Ready(TimeoutAction::TimedOut(self.waiting_for));
                }
                // A request has a deadline of its own. It may have ended without a wake-up of the connection, so
                // check again later.
                self.deadline = now + self.timeout_of(WaitingFor::Service);
            }
            self.set_timer();
        }
    }

    fn set_timer(&mut self) {
        let next = self.next_deadline();
        self.timer.as_mut().reset(next);
    }

    fn next_deadline(&self) -> Instant {
        [self.buffer_release, self.rotation].into_iter().flatten().fold(self.deadline, Instant::min)
    }

    fn timeout_of(&self, waiting_for: WaitingFor) -> Duration {
        match waiting_for {
            WaitingFor::FirstRequest | WaitingFor::RequestHead(_) => self.limits.header_timeout,
            WaitingFor::Socket(_) | WaitingFor::ResponseWrite(..) => self.limits.write_timeout,
            WaitingFor::NextRequest(_) if self.is_closing => self.limits.write_timeout,
            WaitingFor::Service | WaitingFor::NextRequest(_) => self.limits.idle_timeout,
        }
    }
}

/// Returns the idle time after which hyper's buffers are released, for a connection with so many requests so far.
fn buffer_release_delay(requests: usize) -> Duration {
    if requests < ESTABLISHED_CONN_REQUESTS { NEW_CONN_BUFFER_RELEASE_DELAY } else { BUFFER_RELEASE_DELAY }
}

/// Idle time before the buffers of an established connection are released. The next request has to allocate them again,
/// which takes some microseconds; a caller with a request every second does not pay for that. The timer of a busy
/// connection moves at most once in this time.
const BUFFER_RELEASE_DELAY: Duration = Duration::from_secs(1);
/// The same for a new connection, so that many connections with one request each do not hold buffers for a second.
const NEW_CONN_BUFFER_RELEASE_DELAY: Duration = Duration::from_millis(100);
/// Number of requests from which on a connection counts as established.
const ESTABLISHED_CONN_REQUESTS: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::preflight::Protocol;
    use super::*;
    use std::future::poll_fn;
    use std::net::Ipv4Addr;

    use crate::support::byte_budget::ByteBudget;

    fn limits() -> ServerLimits {
        ServerLimits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            ..ServerLimits::default()
        }
    }

    fn timeouts(conn_state: &Arc<ConnState>) -> ConnTimeouts {
        let budget = ByteBudget::new(usize::MAX);
        ConnTimeouts::new(
            Arc::clone(conn_state),
            limits(),
            ResponseCharge::new(budget, Ipv4Addr::LOCALHOST.into()),
        )
    }

    async fn next_action(timeouts: &mut ConnTimeouts) -> (TimeoutAction, Duration) {
        let start = Instant::now();
        let action = poll_fn(|cx| timeouts.poll(cx)).await;
        (action, Duration::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap()))
    }

    /// Returns the first timeout, and the seconds until it, past all releases of buffers.
    async fn next_timeout(timeouts: &mut ConnTimeouts) -> (WaitingFor, u64) {
        let start = Instant::now();
        loop {
            if let (TimeoutAction::TimedOut(waiting_for), _) = next_action(timeouts).await {
                return (waiting_for, start.elapsed().as_secs());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_bytes_has_the_header_timeout() {
        let mut timeouts = timeouts(&Arc::new(ConnState::default()));
        assert_eq!(next_timeout(&mut timeouts).await, (WaitingFor::FirstRequest, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_more_time_than_a_header() {
        let conn_state = Arc::new(ConnState::default());
        let mut timeouts = timeouts(&conn_state);
        conn_state.record_received(Protocol::Http1);
        drop(conn_state.begin_request());
        assert_eq!(next_timeout(&mut timeouts).await, (WaitingFor::NextRequest(1), 75));
        conn_state.record_received(Protocol::Http1);
        assert_eq!(next_timeout(&mut timeouts).await, (WaitingFor::RequestHead(1), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn buffers_of_http1_are_released_once_an_idle_period_and_later_on_an_established_connection() {
        let conn_state = Arc::new(ConnState::default());
        let mut timeouts = timeouts(&conn_state);
        conn_state.record_received(Protocol::Http1);
        for _ in 1..ESTABLISHED_CONN_REQUESTS {
            drop(conn_state.begin_request());
            assert_eq!(
                next_action(&mut timeouts).await,
                (TimeoutAction::ReleaseBuffers, NEW_CONN_BUFFER_RELEASE_DELAY)
            );
        }
        drop(conn_state.begin_request());
        assert_eq!(next_action(&mut timeouts).await, (TimeoutAction::ReleaseBuffers, BUFFER_RELEASE_DELAY));
        let late = TimeoutAction::TimedOut(WaitingFor::NextRequest(ESTABLISHED_CONN_REQUESTS));
        assert_eq!(next_action(&mut timeouts).await, (late, Duration::from_secs(74)));
    }

    #[tokio::test(start_paused = true)]
    async fn buffers_are_not_released_over_http2_or_while_closing() {
        let conn_state = Arc::new(ConnState::default());
        let mut timeouts = timeouts(&conn_state);
        conn_state.record_received(Protocol::Http2);
        drop(conn_state.begin_request());
        assert_eq!(
            next_action(&mut timeouts).await,
            (TimeoutAction::TimedOut(WaitingFor::NextRequest(1)), Duration::from_secs(75))
        );
        conn_state.record_received(Protocol::Http1);
        drop(conn_state.begin_request());
        timeouts.start_close();
        assert_eq!(
            next_action(&mut timeouts).await,
            (TimeoutAction::TimedOut(WaitingFor::NextRequest(2)), Duration::from_secs(30))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_ended_without_a_wake_up_is_noticed() {
        let conn_state = Arc::new(ConnState::default());
        let mut timeouts = timeouts(&conn_state);
        conn_state.record_received(Protocol::Http2);
        let guard = conn_state.begin_request();
        let busy = tokio::time::timeout(Duration::from_secs(200), next_timeout(&mut timeouts)).await;
        assert!(busy.is_err(), "the time of the service does not count against the connection");
        drop(guard);
        assert_eq!(next_timeout(&mut timeouts).await.0, WaitingFor::NextRequest(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_of_http2_that_the_peer_does_not_take_is_found_beside_others_that_it_takes() {
        let conn_state = Arc::new(ConnState::default());
        let mut timeouts = timeouts(&conn_state);
        conn_state.record_received(Protocol::Http2);
        let mut stalled = conn_state.begin_request();
        let begun = Instant::now();
        let others = async {
            stalled.response_ready();
            loop {
                let mut other = conn_state.begin_request();
                tokio::time::sleep(Duration::from_secs(1)).await;
                other.response_ready();
            }
        };
        let found = async {
            // Polls as often as a connection, which every change of its streams wakes.
            loop {
                let action =
                    tokio::time::timeout(Duration::from_millis(100), next_action(&mut timeouts)).await;
                if let Ok((action, _)) = action {
                    return action;
                }
            }
        };
        let action = tokio::select! {
            action = found => action,
            () = others => unreachable!("the loop has no end"),
        };
        assert_eq!(action, TimeoutAction::SendStalled);
        assert!((30..=60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_no_bytes_has_the_write_timeout() {
        let conn_state = Arc::new(ConnState::default());
        let mut timeouts = timeouts(&conn_state);
        conn_state.set_blocked(true);
        assert_eq!(next_timeout(&mut timeouts).await, (WaitingFor::Socket(0), 30));
    }
}
