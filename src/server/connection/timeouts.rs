//! Closes connections that take too long over something, and puts to rest those with nothing to do.
//!
//! One timer a connection. It is seldom moved: a deadline that goes back is noticed when the timer fires.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::state::{ConnState, WaitingFor};
use super::unsent::UnsentCharge;
use crate::server::ServerLimits;

/// Watches one connection.
pub(in crate::server) struct ConnTimeouts {
    pulse: Arc<ConnState>,
    limits: ServerLimits,
    phase: WaitingFor,
    deadline: Instant,
    /// When a pause becomes a rest; `None` where there is no pause, or where it is one already.
    rest: Option<Instant>,
    /// When the next of the answers of HTTP/2 that are unsent grow old; `None` where there were none.
    turn: Option<Instant>,
    unsent: UnsentCharge,
    timer: Pin<Box<Sleep>>,
    /// Set once the connection was told to end.
    closing: bool,
}

/// What the watch has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum TimeoutAction {
    /// HTTP/1 has had nothing to do for a while. Said once a pause.
    Rest,
    /// The connection has been in this phase for too long.
    Late(WaitingFor),
    /// HTTP/2 goes on, yet the peer leaves the windows of some streams shut.
    Stalled,
    /// The peer's address has used up its share of bytes for responses that it does not take.
    Exhausted,
}

impl ConnTimeouts {
    /// Starts with a connection that has just been accepted.
    pub(in crate::server) fn new(pulse: Arc<ConnState>, limits: ServerLimits, unsent: UnsentCharge) -> Self {
        let deadline = Instant::now() + limits.header_timeout;
        let timer = Box::pin(sleep_until(deadline));
        let (phase, closing) = (WaitingFor::Opening, false);
        Self { pulse, limits, phase, deadline, rest: None, turn: None, unsent, timer, closing }
    }

    /// From now on being idle is no excuse: what remains is to write and to hang up.
    pub(in crate::server) fn close(&mut self) {
        self.closing = true;
        self.deadline = Instant::now() + self.allowance(self.phase);
    }

    /// Whether the connection was told to end.
    pub(in crate::server) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Ready when there is something to be done about the connection. To be polled after the connection was.
    pub(in crate::server) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TimeoutAction> {
        let phase = self.pulse.phase();
        if phase != self.phase {
            self.phase = phase;
            let now = Instant::now();
            self.deadline = now + self.allowance(phase);
            self.rest = match phase {
                WaitingFor::Idle(served) if !self.pulse.is_http2() => Some(now + pause(served)),
                _ => None,
            };
        }
        let unsent = self.pulse.unsent();
        if self.unsent.update(unsent).is_err() {
            return Poll::Ready(TimeoutAction::Exhausted);
        }
        if self.turn.is_none() && unsent > 0 && self.pulse.is_http2() {
            self.pulse.rotate_generations();
            self.turn = Some(Instant::now() + self.limits.write_timeout);
        }
        if self.next() < self.timer.deadline() {
            self.set_timer();
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.rest.is_some_and(|rest| now >= rest) {
                self.rest = None;
                self.set_timer();
                if !self.closing {
                    return Poll::Ready(TimeoutAction::Rest);
                }
            }
            if self.turn.is_some_and(|turn| now >= turn) {
                self.turn = (self.pulse.unsent() > 0).then(|| now + self.limits.write_timeout);
                // Where the socket takes nothing, it is the phase that lasts too long.
                if self.pulse.rotate_generations() && !self.pulse.is_blocked() {
                    self.set_timer();
                    return Poll::Ready(TimeoutAction::Stalled);
                }
            }
            if now >= self.deadline {
                if self.phase != WaitingFor::Busy {
                    return Poll::Ready(TimeoutAction::Late(self.phase));
                }
                // A request has its own deadline. It may have ended without waking the connection, so look
                // again after a while.
                self.deadline = now + self.allowance(WaitingFor::Busy);
            }
            self.set_timer();
        }
    }

    fn set_timer(&mut self) {
        let next = self.next();
        self.timer.as_mut().reset(next);
    }

    /// When the timer has to fire.
    fn next(&self) -> Instant {
        [self.rest, self.turn].into_iter().flatten().fold(self.deadline, Instant::min)
    }

    fn allowance(&self, phase: WaitingFor) -> Duration {
        match phase {
            WaitingFor::Opening | WaitingFor::Head(_) => self.limits.header_timeout,
            WaitingFor::Blocked(_) | WaitingFor::Unsent(..) => self.limits.write_timeout,
            WaitingFor::Idle(_) if self.closing => self.limits.write_timeout,
            WaitingFor::Busy | WaitingFor::Idle(_) => self.limits.idle_timeout,
        }
    }
}

/// From the beginning of a pause to a rest, for a connection that has served so many requests.
fn pause(served: usize) -> Duration {
    if served < FEW { SHORT_PAUSE } else { PAUSE }
}

/// The next request after a rest costs HTTP's buffers anew, some microseconds: who asks every second does not pay
/// them. It is no more than once in this time that the timer of a busy connection is moved.
const PAUSE: Duration = Duration::from_secs(1);
/// A crowd that connects and asks once each holds buffers for this long, not for a second.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
/// Requests after which a connection counts as one that is used.
const FEW: usize = 4;

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

    fn watch(pulse: &Arc<ConnState>) -> ConnTimeouts {
        let budget = ByteBudget::new(usize::MAX);
        ConnTimeouts::new(Arc::clone(pulse), limits(), UnsentCharge::new(budget, Ipv4Addr::LOCALHOST.into()))
    }

    async fn verdict(watch: &mut ConnTimeouts) -> (TimeoutAction, Duration) {
        let start = Instant::now();
        let verdict = poll_fn(|cx| watch.poll(cx)).await;
        (verdict, Duration::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap()))
    }

    /// The verdict that comes after any rest.
    async fn expiry(watch: &mut ConnTimeouts) -> (WaitingFor, u64) {
        let start = Instant::now();
        loop {
            if let (TimeoutAction::Late(phase), _) = verdict(watch).await {
                return (phase, start.elapsed().as_secs());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_has_the_time_of_a_header() {
        let mut watch = watch(&Arc::new(ConnState::default()));
        assert_eq!(expiry(&mut watch).await, (WaitingFor::Opening, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_has_more_time_than_a_header() {
        let pulse = Arc::new(ConnState::default());
        let mut watch = watch(&pulse);
        pulse.record_received(Protocol::Http1);
        drop(pulse.begin());
        assert_eq!(expiry(&mut watch).await, (WaitingFor::Idle(1), 75));
        pulse.record_received(Protocol::Http1);
        assert_eq!(expiry(&mut watch).await, (WaitingFor::Head(1), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_http1_becomes_a_rest_once_and_later_where_a_connection_is_used() {
        let pulse = Arc::new(ConnState::default());
        let mut watch = watch(&pulse);
        pulse.record_received(Protocol::Http1);
        for _ in 1..FEW {
            drop(pulse.begin());
            assert_eq!(verdict(&mut watch).await, (TimeoutAction::Rest, SHORT_PAUSE));
        }
        drop(pulse.begin());
        assert_eq!(verdict(&mut watch).await, (TimeoutAction::Rest, PAUSE));
        let late = TimeoutAction::Late(WaitingFor::Idle(FEW));
        assert_eq!(verdict(&mut watch).await, (late, Duration::from_secs(74)));
    }

    #[tokio::test(start_paused = true)]
    async fn http2_does_not_rest_nor_does_what_is_told_to_end() {
        let pulse = Arc::new(ConnState::default());
        let mut watch = watch(&pulse);
        pulse.record_received(Protocol::Http2);
        drop(pulse.begin());
        assert_eq!(
            verdict(&mut watch).await,
            (TimeoutAction::Late(WaitingFor::Idle(1)), Duration::from_secs(75))
        );
        pulse.record_received(Protocol::Http1);
        drop(pulse.begin());
        watch.close();
        assert_eq!(
            verdict(&mut watch).await,
            (TimeoutAction::Late(WaitingFor::Idle(2)), Duration::from_secs(30))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_ended_unseen_is_found_out() {
        let pulse = Arc::new(ConnState::default());
        let mut watch = watch(&pulse);
        pulse.record_received(Protocol::Http2);
        let ticket = pulse.begin();
        let busy = tokio::time::timeout(Duration::from_secs(200), expiry(&mut watch)).await;
        assert!(busy.is_err(), "a request that is being answered is not the connection's fault");
        drop(ticket);
        assert_eq!(expiry(&mut watch).await.0, WaitingFor::Idle(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_http2_that_nobody_takes_is_found_beside_others_that_are_taken() {
        let pulse = Arc::new(ConnState::default());
        let mut watch = watch(&pulse);
        pulse.record_received(Protocol::Http2);
        let mut stalled = pulse.begin();
        let begun = Instant::now();
        let others = async {
            stalled.answered();
            loop {
                let mut other = pulse.begin();
                tokio::time::sleep(Duration::from_secs(1)).await;
                other.answered();
            }
        };
        let found = async {
            // As a connection: it is woken by whatever its streams do.
            loop {
                let verdict = tokio::time::timeout(Duration::from_millis(100), verdict(&mut watch)).await;
                if let Ok((verdict, _)) = verdict {
                    return verdict;
                }
            }
        };
        let verdict = tokio::select! {
            verdict = found => verdict,
            () = others => unreachable!("it goes on"),
        };
        assert_eq!(verdict, TimeoutAction::Stalled);
        assert!((30..=60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_has_the_time_of_a_write() {
        let pulse = Arc::new(ConnState::default());
        let mut watch = watch(&pulse);
        pulse.set_blocked(true);
        assert_eq!(expiry(&mut watch).await, (WaitingFor::Blocked(0), 30));
    }
}
