//! From a stored or passed answer to what the caller gets.
//!
//! Conditional requests are decided here, after the caller has been granted the answer: a guess at an
//! entity tag tells a stranger nothing.

use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::Full;

use crate::cache::entry::Entry;
use crate::cache::report::Report;
use crate::error::Response;
use crate::scrub::ScrubbedBody;

/// Graph's "no", scrubbed.
#[derive(Debug)]
pub struct Refusal {
    /// Graph's status.
    pub status: StatusCode,
    /// What of its header fields is passed on.
    pub headers: HeaderMap,
    /// Its body without credentials.
    pub body: ScrubbedBody,
}

/// How an entry is presented.
#[derive(Clone, Copy, Debug)]
pub struct Presentation {
    /// What is said of the cache.
    pub report: Report,
    /// Seconds for which the caller may keep the answer; `None`: it may not.
    pub max_age: Option<u64>,
    /// Seconds since Graph gave it, where it comes from memory.
    pub age: Option<u64>,
}

/// An answer with a body that Graph gave to this caller, or a 304 to one who has it already.
pub fn entry(entry: &Entry, request: &Parts, present: Presentation) -> Response {
    let modified = !is_unmodified(entry, &request.headers);
    let mut response = if modified {
        http::Response::new(Full::new(entry.body.clone().into_bytes()))
    } else {
        let mut response = http::Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    };
    let headers = response.headers_mut();
    headers.reserve(16);
    if modified {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(entry.body.len()));
        for (name, value) in &entry.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
    // What a 304 must repeat of the 200: RFC 9110, section 15.4.5.
    headers.insert(header::ETAG, entry.etag.clone());
    headers.insert(header::DATE, entry.date.clone());
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    headers.insert(header::CACHE_CONTROL, cache_control(present.max_age));
    if let Some(age) = present.age {
        headers.insert(header::AGE, HeaderValue::from(age));
    }
    if let Some(id) = entry.origin_request_id.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
        headers.insert(ORIGIN_REQUEST_ID, id);
    }
    headers.insert(CACHE_STATUS, present.report.header());
    response
}

/// Graph's "no", as it was said.
pub fn refusal(refusal: &Refusal, report: &Report) -> Response {
    let mut response = http::Response::new(Full::new(refusal.body.clone().into_bytes()));
    *response.status_mut() = refusal.status;
    *response.headers_mut() = refusal.headers.clone();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(refusal.body.len()));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CACHE_STATUS, report.header());
    response
}

fn cache_control(max_age: Option<u64>) -> HeaderValue {
    match max_age {
        Some(seconds) => HeaderValue::try_from(format!("private, max-age={seconds}"))
            .unwrap_or_else(|_| HeaderValue::from_static("no-store")),
        None => HeaderValue::from_static("no-store"),
    }
}

/// Whether the caller has this representation (RFC 9110, section 13.2.2): `If-None-Match` decides where it is
/// there, by weak comparison; `If-Modified-Since` otherwise. Graph sends no `Last-Modified` here, so the
/// answer's own date stands for it (RFC 9111, section 4.3.2).
fn is_unmodified(entry: &Entry, headers: &HeaderMap) -> bool {
    let mut none_match = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
    if none_match.peek().is_some() {
        return none_match.any(|line| names_tag(line.as_bytes(), entry.etag.as_bytes()));
    }
    let date = |value: &HeaderValue| -> Option<SystemTime> { httpdate::parse_http_date(value.to_str().ok()?).ok() };
    let mut since = headers.get_all(header::IF_MODIFIED_SINCE).iter();
    match (since.next().and_then(date), since.next(), date(&entry.date)) {
        (Some(since), None, Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Whether a list of entity tags has ours, or is `*`. A comma may stand inside a tag, so it is read tag by tag.
fn names_tag(mut list: &[u8], ours: &[u8]) -> bool {
    let ours = opaque(ours);
    loop {
        list = list.trim_ascii_start();
        if list == b"*" {
            return true;
        }
        let tag = opaque(list);
        let Some(end) = tag.strip_prefix(b"\"").and_then(|rest| rest.iter().position(|byte| *byte == b'"')) else {
            return false;
        };
        if tag.get(..end + 2) == Some(ours) {
            return true;
        }
        let rest = tag.get(end + 2..).unwrap_or_default().trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b",") else { return false };
        list = rest;
    }
}

/// A tag without its mark of weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The field of RFC 9211.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Graph's id of the request that brought the stored answer; `request-id` is ours.
pub const ORIGIN_REQUEST_ID: HeaderName = HeaderName::from_static("origin-request-id");
const VARY: &str = "Authorization, Accept";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l38_a_tag_is_found_in_a_list_by_weak_comparison() {
        let ours = b"W/\"abc\"";
        for list in ["\"abc\"", "W/\"abc\"", "*", " \"x\" , W/\"abc\"", "\"a,b\",\"abc\"", "\"abc\", \"x\""] {
            assert!(names_tag(list.as_bytes(), ours), "{list}");
        }
        for list in ["\"ab\"", "\"abcd\"", "abc", "", "\"abc", "W/", "\"x\" \"abc\"", "\"x,\\\"abc\"", "w/\"abc\""] {
            assert!(!names_tag(list.as_bytes(), ours), "{list}");
        }
    }
}
