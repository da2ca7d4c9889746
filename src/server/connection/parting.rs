//! When a connection has to go although nothing is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::pulse::Pulse;

/// The end of a listener, as one connection has it.
pub(super) struct Parting {
    drain: CancellationToken,
    pulse: Arc<Pulse>,
    /// From the end of the listener to that of the connection.
    farewell: Duration,
    /// Set once the listener has ended.
    end: Option<Instant>,
}

impl Parting {
    /// A connection that stays until `drain` is cancelled, and for `farewell` after it.
    pub(super) fn new(drain: CancellationToken, pulse: Arc<Pulse>, farewell: Duration) -> Self {
        Self { drain, pulse, farewell, end: None }
    }

    /// Returns when the connection has to go. May be dropped and called again.
    pub(super) async fn due(&mut self) {
        let end = if let Some(end) = self.end {
            end
        } else {
            self.drain.cancelled().await;
            // A request may be on its way. Who asks now is answered, with `Connection: close`.
            self.pulse.drain();
            *self.end.insert(Instant::now() + self.farewell)
        };
        sleep_until(end).await;
    }
}
