//! Responses of the admin port. All have complete bodies, and forbid caching and content sniffing.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderValue};
use http_body::Body;
use http_body_util::Full;

use crate::http::error::Response;
use crate::server::StreamedBody;

/// Builds a plain text response.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    build(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

/// Builds a response with metrics.
pub(super) fn metrics(content_type: &'static str, body: Bytes) -> Response {
    let mut response = build(StatusCode::OK, content_type, body);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Builds a JSON response.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    build(status, "application/json", value.to_string().into())
}

/// Builds a response of lines of JSON, whose body is a stream that the caller attaches.
pub(super) fn stream() -> Response {
    build(StatusCode::OK, "application/x-ndjson", Bytes::new())
}

/// Builds an error response with a message for the operator.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    json(status, &serde_json::json!({ "error": message }))
}

/// Builds a 405 response with the methods that the path allows.
pub(super) fn method_not_allowed(allow: &'static str) -> Response {
    let mut response = error(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not allow the method; the field Allow lists the methods",
    );
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// Adds `Connection: close`, which ends the connection after this response.
pub(super) fn with_connection_close(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Turns the response to GET into the response to HEAD.
pub(super) fn without_body(mut response: Response) -> Response {
    // The length of a stream is unknown (RFC 9110, section 8.6).
    if response.extensions_mut().remove::<StreamedBody>().is_none() {
        let length = response.body().size_hint().exact().unwrap_or_default();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = Full::new(Bytes::new());
    response
}

fn build(status: StatusCode, media_type: &'static str, body: Bytes) -> Response {
    let (mut head, ()) = http::Response::new(()).into_parts();
    let http::response::Parts { headers, .. } = &mut head;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    head.status = status;
    Response::from_parts(head, Full::new(body))
}
