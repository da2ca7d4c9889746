//! Interim responses (1xx, RFC 9110, section 15.2): skipped, up to a limit.

use http::{Extensions, Request};
use hyper::ext::on_informational;

use super::reuse::ReuseState;

/// Returns the extensions of each request on the HTTP/1.1 connection with this history: hyper then counts the interim responses
/// there. The connection fails at the first read after too many of them.
///
/// Over HTTP/2 the transport skips interim responses, and only the deadline bounds them.
pub(super) fn count_interim_responses(connection: &ReuseState) -> Extensions {
    let (connection, mut request) = (connection.clone(), Request::new(()));
    on_informational(&mut request, move |_| connection.record_interim_response());
    std::mem::take(request.extensions_mut())
}
