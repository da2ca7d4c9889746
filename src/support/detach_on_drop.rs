//! A future that goes on when whoever waits for it stops waiting.
//!
//! It runs in the task of whoever waits: there is no task to make, to wake and to hear from. Only when it is dropped
//! unfinished it gets one of its own. It knows nothing of what it does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Runs to its end, waited for or not.
pub struct DetachOnDrop<T: Send + 'static> {
    /// None once it has ended, by an answer or by a panic.
    rest: Option<Running<T>>,
    runtime: Handle,
}

type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> DetachOnDrop<T> {
    /// Of `future`, which counts among `tasks` from now on. To be called within a runtime.
    pub fn new(future: impl Future<Output = T> + Send + 'static, tasks: &TaskTracker) -> Self {
        Self { rest: Some(Box::pin(tasks.track_future(future))), runtime: Handle::current() }
    }
}

impl<T: Send + 'static> Future for DetachOnDrop<T> {
    type Output = T;

    /// Never ready again once it was.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out meanwhile: what panics is not polled again.
        let Some(mut rest) = self.rest.take() else { return Poll::Pending };
        let polled = rest.as_mut().poll(cx);
        if polled.is_pending() {
            self.rest = Some(rest);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for DetachOnDrop<T> {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            self.runtime.spawn(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// One that says `answer` to `told` once it may.
    fn waiting(tasks: &TaskTracker) -> (DetachOnDrop<u8>, oneshot::Sender<()>, oneshot::Receiver<u8>) {
        let (go, may_go) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let future = async {
            let _ = may_go.await;
            let _ = tell.send(7);
            7
        };
        (DetachOnDrop::new(future, tasks), go, told)
    }

    fn others() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    #[tokio::test]
    async fn it_runs_in_the_task_of_whoever_waits() {
        let tasks = TaskTracker::new();
        let (mut survivor, go, _told) = waiting(&tasks);
        assert!(futures_util::poll!(&mut survivor).is_pending());
        assert_eq!((tasks.len(), others()), (1, 0));
        let _ = go.send(());
        assert_eq!(survivor.await, 7);
        assert_eq!((tasks.len(), others()), (0, 0));
    }

    #[tokio::test]
    async fn f57_what_its_caller_drops_goes_on_in_a_task_of_its_own() {
        for polls in 0..2 {
            let tasks = TaskTracker::new();
            let (mut survivor, go, told) = waiting(&tasks);
            for _ in 0..polls {
                assert!(futures_util::poll!(&mut survivor).is_pending());
            }
            drop(survivor);
            assert_eq!((tasks.len(), others()), (1, 1), "after {polls} polls");
            let _ = go.send(());
            assert_eq!(told.await, Ok(7));
            tasks.close();
            tasks.wait().await;
        }
    }

    #[tokio::test]
    async fn what_has_panicked_is_over() {
        let tasks = TaskTracker::new();
        let survivor = DetachOnDrop::new(async { panic!("as a test") }, &tasks);
        let panicked: Result<(), _> = tokio::spawn(survivor).await;
        assert!(panicked.is_err_and(|error| error.is_panic()));
        assert_eq!((tasks.len(), others()), (0, 0));
    }
}
