//! Interim answers (1xx): skipped, but not for ever.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http::Request;
use hyper::ext::on_informational;
use tokio::sync::Notify;

/// Ends when more than [`MOST`] interim answers to `request` have come. To be called before it is sent.
///
/// They are counted over HTTP/1.1. Over HTTP/2 the transport skips them unseen, and the deadline alone bounds them.
pub(super) fn flood<B>(request: &mut Request<B>) -> impl Future<Output = ()> + use<B> {
    let (come, over) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let raise = Arc::clone(&over);
    on_informational(request, move |_| {
        if come.fetch_add(1, Relaxed) == MOST {
            raise.notify_one();
        }
    });
    async move { over.notified().await }
}

/// Nobody sends more than a `100` and a `103` or two.
const MOST: usize = 10;
