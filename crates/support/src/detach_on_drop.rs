//! A future that runs to its end even if its caller stops waiting.
//!
//! The future is polled in the task of its caller, so that no task must be created, woken and joined. If it is dropped
//! before its end, it is spawned on the runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::boxed::boxed_pin;

/// Wraps a future; if the wrapper is dropped before completion, the future is spawned on the runtime and runs to its
/// end.
pub struct DetachOnDrop<T: Send + 'static> {
    /// `None` after the end, by a result or a panic.
    future: Option<(BoxedFuture<T>, TaskTrackerToken)>,
    runtime: Handle,
}

type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> DetachOnDrop<T> {
    /// Wraps the future that `build` returns, which is tracked by `tasks` from now on. Must be called within a runtime.
    pub fn new<F>(build: impl FnOnce() -> F, tasks: &TaskTracker) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        // The token stands beside the future: a wrapper around the future would copy it once more.
        Self { future: Some((boxed_pin(build), tasks.token())), runtime: Handle::current() }
    }
}

impl<T: Send + 'static> Future for DetachOnDrop<T> {
    type Output = T;

    /// Stays pending after the first result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it is polled, so that a future that panics is not polled again.
        let Some((mut future, tracked)) = self.future.take() else { return Poll::Pending };
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            self.future = Some((future, tracked));
        }
        polled
    }
}

impl<T: Send + 'static> Drop for DetachOnDrop<T> {
    fn drop(&mut self) {
        if let Some((future, tracked)) = self.future.take() {
            self.runtime.spawn(async move {
                let _tracked = tracked;
                future.await
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// Returns a future that waits for `go`, then sends to `received` and returns the same number.
    fn waiting(tasks: &TaskTracker) -> (DetachOnDrop<u8>, oneshot::Sender<()>, oneshot::Receiver<u8>) {
        let (go, may_go) = oneshot::channel();
        let (tell, received) = oneshot::channel();
        let future = async {
            let _ = may_go.await;
            let _ = tell.send(7);
            7
        };
        (DetachOnDrop::new(|| future, tasks), go, received)
    }

    fn others() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    #[tokio::test]
    async fn the_future_runs_in_the_task_of_its_caller() {
        let tasks = TaskTracker::new();
        let (mut detachable, go, _told) = waiting(&tasks);
        assert!(futures_util::poll!(&mut detachable).is_pending());
        assert_eq!((tasks.len(), others()), (1, 0));
        let _ = go.send(());
        assert_eq!(detachable.await, 7);
        assert_eq!((tasks.len(), others()), (0, 0));
    }

    #[tokio::test]
    async fn f57_a_dropped_future_continues_in_a_task_of_its_own() {
        for polls in 0..2 {
            let tasks = TaskTracker::new();
            let (mut detachable, go, received) = waiting(&tasks);
            for _ in 0..polls {
                assert!(futures_util::poll!(&mut detachable).is_pending());
            }
            drop(detachable);
            assert_eq!((tasks.len(), others()), (1, 1), "after {polls} polls");
            let _ = go.send(());
            assert_eq!(received.await, Ok(7));
            tasks.close();
            tasks.wait().await;
        }
    }

    #[tokio::test]
    async fn a_future_that_panicked_is_not_spawned() {
        let tasks = TaskTracker::new();
        let detachable = DetachOnDrop::new(|| async { panic!("as a test") }, &tasks);
        let panicked: Result<(), _> = tokio::spawn(detachable).await;
        assert!(panicked.is_err_and(|error| error.is_panic()));
        assert_eq!((tasks.len(), others()), (0, 0));
    }
}
