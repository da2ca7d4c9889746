//! Drain of one connection after its listener has closed.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::state::ConnState;

/// Timer from the close of the listener to the close of one connection.
pub(super) struct DrainTimer {
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The token of `drain` has the waker of the connection's task.
    is_waker_registered: bool,
    conn_state: Arc<ConnState>,
    /// Time between the two closes.
    grace: Duration,
    /// Set when the listener has closed.
    deadline: Option<Instant>,
}

impl DrainTimer {
    /// Creates the timer of a connection that stays open until `grace` after the cancellation of `drain`.
    pub(super) fn new(drain: CancellationToken, conn_state: Arc<ConnState>, grace: Duration) -> Self {
        let drain = Box::pin(drain.cancelled_owned());
        Self { drain, is_waker_registered: false, conn_state, grace, deadline: None }
    }

    /// Waits until the connection has to close. The future may be dropped and created again, within one task only.
    pub(super) async fn wait_until_due(&mut self) {
        let deadline = if let Some(deadline) = self.deadline {
            deadline
        } else {
            poll_fn(|cx| self.poll_drain(cx)).await;
            // A request may already be on its way. It is answered, with `Connection: close`.
            self.conn_state.start_drain();
            *self.deadline.insert(Instant::now() + self.grace)
        };
        sleep_until(deadline).await;
    }

    /// Polls the token, but only once before the connection begins to close: a poll takes two locks, and a connection polls
    /// with each request. The listener sets `listener_closing`, or the drain of this connection, before it cancels the token.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_waker_registered && !self.conn_state.is_closing() {
            return Poll::Pending;
        }
        self.is_waker_registered = true;
        self.drain.as_mut().poll(cx)
    }
}
