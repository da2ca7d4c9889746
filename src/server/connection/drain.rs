//! When a connection has to go although nothing is wrong with it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::super::connection::state::ConnState;

/// The end of a listener, as one connection has it.
pub(super) struct DrainTimer {
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The connection's task will be woken when the listener ends.
    is_awaited: bool,
    pulse: Arc<ConnState>,
    /// From the end of the listener to that of the connection.
    farewell: Duration,
    /// Set once the listener has ended.
    end: Option<Instant>,
}

impl DrainTimer {
    /// A connection that stays until `drain` is cancelled, and for `farewell` after it.
    pub(super) fn new(drain: CancellationToken, pulse: Arc<ConnState>, farewell: Duration) -> Self {
        Self { drain: Box::pin(drain.cancelled_owned()), is_awaited: false, pulse, farewell, end: None }
    }

    /// Returns when the connection has to go. May be dropped and called again, but by one task alone.
    pub(super) async fn due(&mut self) {
        let end = if let Some(end) = self.end {
            end
        } else {
            poll_fn(|cx| self.poll_drain(cx)).await;
            // A request may be on its way. Who asks now is answered, with `Connection: close`.
            self.pulse.drain();
            *self.end.insert(Instant::now() + self.farewell)
        };
        sleep_until(end).await;
    }

    /// To ask the token takes two locks, and a connection comes by here with each request. A listener says that it
    /// is leaving before it ends.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_awaited && !self.pulse.is_leaving() {
            return Poll::Pending;
        }
        self.is_awaited = true;
        self.drain.as_mut().poll(cx)
    }
}
