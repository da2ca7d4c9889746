//! The streams of HTTP/2, each in a task of its own, and how long one may wait for its peer.
//!
//! A peer opens a window for each stream, and may leave one shut while others go on. HTTP takes a small answer off our
//! hands at once, and the watch looks after those together. A large answer is held until its last byte has gone: a
//! stream whose task ends before that is reset, and what was left of the answer is freed.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use tokio::time::sleep;

use super::state::{ConnState, PROGRESS};
use crate::server::metrics::ServerMetrics;
use crate::server::rejection::ConnRejection;

/// The streams of one connection. Clones are the same streams.
#[derive(Clone)]
pub(in crate::server) struct StreamExecutor(Arc<Inner>);

struct Inner {
    pulse: Arc<ConnState>,
    metrics: Arc<ServerMetrics>,
    /// `limits.write_timeout`
    limit: Duration,
    /// Of the request that the service was given last, whose stream HTTP has not yet asked to be run.
    coming: Mutex<Option<Arc<BodyProgress>>>,
}

/// An answer that is held until all of it was taken.
#[derive(Debug, Default)]
pub(in crate::server) struct BodyProgress {
    /// There is something to be taken.
    begun: AtomicBool,
    /// Bytes that were.
    taken: AtomicUsize,
    /// All of them were, or will never be.
    over: AtomicBool,
    waker: AtomicWaker,
}

impl StreamExecutor {
    /// The streams of the connection that `pulse` is of.
    pub(in crate::server) fn new(
        pulse: Arc<ConnState>,
        metrics: Arc<ServerMetrics>,
        limit: Duration,
    ) -> Self {
        Self(Arc::new(Inner { pulse, metrics, limit, coming: Mutex::default() }))
    }

    /// For the request that is being taken: its answer may be held.
    pub(in crate::server) fn hold(&self) -> Arc<BodyProgress> {
        Arc::clone(self.coming().insert(Arc::default()))
    }

    fn coming(&self) -> MutexGuard<'_, Option<Arc<BodyProgress>>> {
        self.0.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    /// HTTP gives a request to the service, and then, before it looks at any other, its stream to us.
    fn execute(&self, stream: F) {
        let Some(hold) = self.coming().take() else {
            tokio::spawn(stream);
            return;
        };
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stream => {}
                () = hold.stalls(&inner.pulse, inner.limit) => inner.metrics.rejected.inc(ConnRejection::Slow),
            }
        });
    }
}

impl BodyProgress {
    /// From now on the peer has something to take.
    pub(in crate::server) fn begin(&self) {
        self.begun.store(true, Relaxed);
    }

    /// The peer took so many bytes.
    pub(in crate::server) fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Relaxed);
    }

    /// HTTP holds nothing of the answer any more.
    pub(in crate::server) fn end(&self) {
        self.over.store(true, Relaxed);
        self.waker.wake();
    }

    /// Ready when HTTP holds nothing of the answer any more.
    pub(in crate::server) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.over.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns when the peer has taken too little for `limit`. To be polled after the stream was.
    async fn stalls(&self, pulse: &ConnState, limit: Duration) {
        // It begins while the stream is polled, so nobody has to be woken.
        poll_fn(|_| if self.begun.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }).await;
        let mut before = self.progress();
        loop {
            sleep(limit).await;
            let progress = self.progress();
            // Where the socket takes nothing, it is for the watch to close the connection.
            if progress == before && !pulse.is_blocked() {
                return;
            }
            before = progress;
        }
    }

    fn progress(&self) -> usize {
        self.taken.load(Relaxed) / PROGRESS
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_enough_does_not_stall_and_one_that_takes_a_byte_now_and_then_does() {
        let (hold, pulse) = (BodyProgress::default(), ConnState::default());
        hold.begin();
        let taking = async {
            for bytes in [PROGRESS, PROGRESS, PROGRESS - 1] {
                sleep(Duration::from_secs(29)).await;
                hold.take(bytes);
            }
            std::future::pending::<()>().await;
        };
        let begun = Instant::now();
        tokio::select! {
            () = hold.stalls(&pulse, LIMIT) => {}
            () = taking => {}
        }
        assert_eq!(begun.elapsed(), LIMIT * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_there_yet_or_waits_for_the_socket_does_not_stall() {
        let (hold, pulse) = (BodyProgress::default(), ConnState::default());
        assert!(timeout(LIMIT * 3, hold.stalls(&pulse, LIMIT)).await.is_err());
        hold.begin();
        pulse.set_blocked(true);
        assert!(timeout(LIMIT * 3, hold.stalls(&pulse, LIMIT)).await.is_err());
        pulse.set_blocked(false);
        hold.stalls(&pulse, LIMIT).await;
    }
}
