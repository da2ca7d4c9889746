//! Interim responses (1xx, RFC 9110, section 15.2): skipped, up to a limit.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http::Request;
use hyper::ext::on_informational;
use tokio::sync::Notify;

/// Counts the interim responses to `request`, which is not sent yet. The future completes when there are more than
/// [`MAX_INTERIM_RESPONSES`].
///
/// Only interim responses of HTTP/1.1 count. Over HTTP/2 the transport skips them, and only the deadline bounds them.
pub(super) fn limit_interim_responses<B>(request: &mut Request<B>) -> impl Future<Output = ()> + use<B> {
    let (received, exceeded) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let notify = Arc::clone(&exceeded);
    on_informational(request, move |_| {
        if received.fetch_add(1, Relaxed) == MAX_INTERIM_RESPONSES {
            notify.notify_one();
        }
    });
    async move { exceeded.notified().await }
}

/// Interim responses to one request. Servers send one `100` and one or two `103`.
const MAX_INTERIM_RESPONSES: usize = 10;
