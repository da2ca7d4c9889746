//! HTTP/2 streams, each in a task of its own, and the reset of a stream whose peer does not take a large response.
//!
//! A peer opens a flow-control window for each stream, and may keep one shut while the others progress. Two mechanisms
//! end such a stall within twice `limits.write_timeout`:
//!
//! - A response above [`MAX_UNTRACKED_BODY_BYTES`] has a [`BodyProgress`]. Its stream's task stays until the last byte was
//!   taken, so [`StreamExecutor`] can reset this stream alone, free the rest of the response, and keep the connection.
//! - A smaller response is complete as soon as hyper has it: its only DATA frame carries `END_STREAM`, and the stream's task
//!   ends. The response then waits in the connection, out of reach. [`UnfinishedResponses`](super::unfinished) counts
//!   these responses, and a stall shuts the whole connection down.
//!
//! One mechanism is not enough; in `tests/server/http2.rs` a test fails without each of them:
//!
//! - The counts alone would shut a connection down for one large response
//!   (`f49_a_stream_whose_window_stays_shut_is_reset_and_the_others_go_on`).
//! - Without the counts a peer would hold its small responses as long as its other streams progress
//!   (`f49_beside_a_small_response_that_is_not_read_other_streams_end_and_then_the_connection`).
//! - A [`BodyProgress`] for small responses, too, would cost each hit an allocation, a timer, another poll of the stream
//!   and a second DATA frame for `END_STREAM` (`a_small_response_is_one_data_frame_that_ends_its_stream`).

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use tokio::time::sleep;

use super::state::{ConnState, PROGRESS_STEP_BYTES};
use crate::server::metrics::ServerMetrics;
use crate::server::rejection::ConnRejection;

/// Spawns the streams of one connection. Clones belong to the same connection.
#[derive(Clone)]
pub(in crate::server) struct StreamExecutor(Arc<Inner>);

struct Inner {
    conn_state: Arc<ConnState>,
    metrics: Arc<ServerMetrics>,
    /// `limits.write_timeout`
    timeout: Duration,
    /// Progress of the request that the service received last, until hyper spawns its stream.
    next_stream: Mutex<Option<Arc<BodyProgress>>>,
}

/// Progress of the peer in taking one large response.
#[derive(Debug, Default)]
pub(in crate::server) struct BodyProgress {
    /// hyper has the bytes of the response.
    has_data: AtomicBool,
    /// Bytes that the peer has taken.
    taken: AtomicUsize,
    /// hyper holds no byte of the response any more: all were taken, or the stream has ended.
    is_finished: AtomicBool,
    waker: AtomicWaker,
}

impl StreamExecutor {
    /// Creates the executor of the connection of `conn_state`.
    pub(in crate::server) fn new(
        conn_state: Arc<ConnState>,
        metrics: Arc<ServerMetrics>,
        timeout: Duration,
    ) -> Self {
        Self(Arc::new(Inner { conn_state, metrics, timeout, next_stream: Mutex::default() }))
    }

    /// Attaches a [`BodyProgress`] to the stream of the request that the service is receiving.
    pub(in crate::server) fn track_body(&self) -> Arc<BodyProgress> {
        Arc::clone(self.next_stream().insert(Arc::default()))
    }

    fn next_stream(&self) -> MutexGuard<'_, Option<Arc<BodyProgress>>> {
        self.0.next_stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    /// Spawns a stream. hyper calls the service with a request, and then spawns its stream before the next request.
    fn execute(&self, stream: F) {
        let Some(progress) = self.next_stream().take() else {
            tokio::spawn(stream);
            return;
        };
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stream => {}
                // A drop of the stream before its end resets it.
                () = progress.wait_for_stall(&inner.conn_state, inner.timeout) => {
                    inner.metrics.rejected.inc(ConnRejection::Slow);
                }
            }
        });
    }
}

impl BodyProgress {
    /// Records that hyper has the bytes of the response.
    pub(in crate::server) fn start(&self) {
        self.has_data.store(true, Relaxed);
    }

    pub(in crate::server) fn record_taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Relaxed);
    }

    /// Records that hyper holds no byte of the response any more.
    pub(in crate::server) fn finish(&self) {
        self.is_finished.store(true, Relaxed);
        self.waker.wake();
    }

    /// Completes when hyper holds no byte of the response any more.
    pub(in crate::server) fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_finished.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns when the peer has taken fewer than [`PROGRESS_STEP_BYTES`] within `timeout`. The caller polls the stream
    /// first.
    async fn wait_for_stall(&self, conn_state: &ConnState, timeout: Duration) {
        // `has_data` is set during a poll of the stream, which is in the same task, so no waker is needed.
        poll_fn(|_| if self.has_data.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }).await;
        let mut before = self.steps();
        loop {
            sleep(timeout).await;
            let steps = self.steps();
            // While the socket is blocked, the deadline of `WaitingFor::Socket` applies to the connection.
            if steps == before && !conn_state.is_blocked() {
                return;
            }
            before = steps;
        }
    }

    fn steps(&self) -> usize {
        self.taken.load(Relaxed) / PROGRESS_STEP_BYTES
    }
}

/// Body size up to which an HTTP/2 response has no [`BodyProgress`].
pub(in crate::server) const MAX_UNTRACKED_BODY_BYTES: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_enough_does_not_stall_and_one_that_takes_a_byte_now_and_then_does() {
        let (progress, conn_state) = (BodyProgress::default(), ConnState::default());
        progress.start();
        let taking = async {
            for bytes in [PROGRESS_STEP_BYTES, PROGRESS_STEP_BYTES, PROGRESS_STEP_BYTES - 1] {
                sleep(Duration::from_secs(29)).await;
                progress.record_taken(bytes);
            }
            std::future::pending::<()>().await;
        };
        let begun = Instant::now();
        tokio::select! {
            () = progress.wait_for_stall(&conn_state, TIMEOUT) => {}
            () = taking => {}
        }
        assert_eq!(begun.elapsed(), TIMEOUT * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_has_no_data_yet_or_waits_for_the_socket_does_not_stall() {
        let (progress, conn_state) = (BodyProgress::default(), ConnState::default());
        assert!(timeout(TIMEOUT * 3, progress.wait_for_stall(&conn_state, TIMEOUT)).await.is_err());
        progress.start();
        conn_state.set_blocked(true);
        assert!(timeout(TIMEOUT * 3, progress.wait_for_stall(&conn_state, TIMEOUT)).await.is_err());
        conn_state.set_blocked(false);
        progress.wait_for_stall(&conn_state, TIMEOUT).await;
    }
}
