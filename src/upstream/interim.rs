//! Interim responses (1xx, RFC 9110, section 15.2): skipped, up to a limit.

use http::Request;
use hyper::ext::on_informational;

use super::reuse::ReuseState;

/// Counts the interim responses to `request`, which is sent next on the connection with this history. The connection fails at
/// the first read after too many of them.
///
/// Only interim responses of HTTP/1.1 count. Over HTTP/2 the transport skips them, and only the deadline bounds them.
pub(super) fn limit_interim_responses<B>(request: &mut Request<B>, connection: &ReuseState) {
    let connection = connection.clone();
    on_informational(request, move |_| connection.record_interim_response());
}
