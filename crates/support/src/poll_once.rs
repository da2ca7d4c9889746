//! First poll of a future, for work that nearly always needs no wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Polls a future once. A future that is ready needs no timer and no other preparation of a wait.
pub async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_future_is_ready_or_not() {
        assert_eq!(poll_once(pin!(ready(1))).await, Poll::Ready(1));
        assert_eq!(poll_once(pin!(pending::<()>())).await, Poll::Pending);
    }
}
