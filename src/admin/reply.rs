//! Answers of the admin port. All are whole, none may be stored or sniffed.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{StatusCode, response};
use http_body::Body;
use http_body_util::Full;

use crate::http::error::Response;

/// Plain text.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    reply(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

/// Prometheus' text format.
pub(super) fn exposition(text: Bytes) -> Response {
    reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    reply(status, "application/json", value.to_string().into())
}

/// An error, for a person.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    json(status, &serde_json::json!({ "error": message }))
}

/// 405, with the methods that are.
pub(super) fn not_allowed(allow: &'static str) -> Response {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// Ends the connection with this answer.
pub(super) fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to HEAD, from that to GET.
pub(super) fn head(mut response: Response) -> Response {
    let length = response.body().size_hint().exact().unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    *response.body_mut() = Full::new(Bytes::new());
    response
}

fn reply(status: StatusCode, media_type: &'static str, body: Bytes) -> Response {
    let (mut head, ()) = http::Response::new(()).into_parts();
    let response::Parts { headers, .. } = &mut head;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    head.status = status;
    Response::from_parts(head, Full::new(body))
}
