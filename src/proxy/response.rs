//! Response builder: from an entry or an error to the response for one caller.
//!
//! Conditional requests are decided here, after the token's proof was checked: a token without a proof learns nothing by
//! guessing entity tags.

mod conditional;
mod entry_response;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::Full;

use self::conditional::is_not_modified;
use self::entry_response::{EntryFields, full_response, not_modified};
use crate::auth::LogTag;
use crate::cache::entry::Entry;
use crate::cache::freshness::Assessment;
use crate::cache::outcome::{HitReason, NotStored, Outcome};
use crate::http::cache_status::CacheStatus;
use crate::http::cache_status::Forward;
use crate::http::headers;
use crate::http::headers::CACHE_STATUS;
use crate::http::ids::Ids;
use crate::http::negotiation::ContentCoding;
use crate::http::rejection::Rejection;
use crate::http::templates;
use crate::http::templates::TemplateKind;
use crate::proxy::error_response::ErrorResponse;
use crate::proxy::fetch::{Fetched, UpstreamErrorResponse};
use crate::proxy::handler::HandlerResponse;
use crate::support::clock::Now;
use crate::support::labels::Label;

/// Builds the responses to one request.
#[derive(Clone, Copy, Debug)]
pub struct ResponseBuilder<'a> {
    /// Header fields of the request.
    pub headers: &'a HeaderMap,
    /// The fields may have a condition.
    pub is_conditional: bool,
    /// Ids of the request.
    pub ids: &'a Ids,
    /// Tag of the token in the access log.
    pub tag: LogTag,
}

impl ResponseBuilder<'_> {
    /// Builds a response from a fresh entry. `reason`: why a request for a refresh was not met.
    pub fn hit(&self, entry: &Entry, assessed: &Assessment, reason: Option<HitReason>) -> HandlerResponse {
        let (hit, detail) = (Some(seconds(assessed.remaining)), reason.map(Label::as_str));
        let cache_status = CacheStatus { hit, detail, ..CacheStatus::default() };
        self.with_entry(entry, cache_status, Some(assessed.remaining), Some(assessed.age), Outcome::Hit)
    }

    /// Builds a response from a stale entry, during a refresh or because the caller accepts it (`max-stale`).
    pub fn stale(&self, entry: &Entry, assessed: &Assessment, reason: Option<HitReason>) -> HandlerResponse {
        let (hit, detail) = (Some(-seconds(assessed.overdue)), reason.map(Label::as_str));
        let cache_status = CacheStatus { hit, detail, ..CacheStatus::default() };
        self.with_entry(entry, cache_status, Some(Duration::ZERO), Some(assessed.age), Outcome::Stale)
    }

    /// Builds a response from a stale entry because the request to Graph failed.
    pub fn stale_if_error(&self, entry: &Entry, assessed: &Assessment, fetched: &Fetched) -> HandlerResponse {
        let cache_status = CacheStatus {
            forward: Some(Forward::Stale),
            forward_status: fetched.status(),
            detail: Some(HitReason::IfError.as_str()),
            ..CacheStatus::default()
        };
        self.with_entry(entry, cache_status, Some(Duration::ZERO), Some(assessed.age), Outcome::Stale)
    }

    /// Builds a response from Graph's 200, or from an entry that its 304 renewed. `left`: how long the entry may be used, if it
    /// was stored. `age`: its age now; sent if Graph's response had one, or if it was fetched for another request.
    pub fn fetched(
        &self,
        (entry, status): (&Entry, StatusCode),
        (left, age): (Option<Duration>, Duration),
        outcome: Outcome,
        forward: Forward,
        reason: Option<&'static str>,
    ) -> HandlerResponse {
        let cache_status = CacheStatus {
            forward: Some(forward),
            forward_status: Some(status),
            stored: left.is_some() && outcome != Outcome::Collapsed,
            collapsed: outcome == Outcome::Collapsed,
            detail: reason,
            ..CacheStatus::default()
        };
        let has_age = outcome == Outcome::Collapsed || !entry.lifetime().initial_age.is_zero();
        self.with_entry(entry, cache_status, left, has_age.then_some(age), outcome)
    }

    /// Builds the response to Graph's 204. It has no `Content-Length` (RFC 9110, section 8.6). `bypass`: why the token may not
    /// use the cache.
    pub fn no_content(
        &self,
        headers: &HeaderMap,
        (outcome, bypass): (Outcome, Option<&'static str>),
        forward: Forward,
    ) -> HandlerResponse {
        let cache_status = CacheStatus {
            forward: Some(forward),
            forward_status: Some(StatusCode::NO_CONTENT),
            detail: bypass.or(Some(NotStored::Status.as_str())),
            ..CacheStatus::default()
        };
        let mut response = http::Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.headers_mut() = headers.clone();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        with_cache_status(response, &cache_status, outcome, Some(self.tag))
    }

    /// Builds a response from Graph's error response. `bypass`: why the token may not use the cache.
    pub fn upstream_error(
        &self,
        error: &UpstreamErrorResponse,
        (outcome, bypass): (Outcome, Option<&'static str>),
        forward: Forward,
        now: Now,
    ) -> HandlerResponse {
        let mut cache_status = CacheStatus {
            forward: Some(forward),
            forward_status: Some(error.status),
            collapsed: outcome == Outcome::Collapsed,
            detail: bypass,
            ..CacheStatus::default()
        };
        let mut response = if let Some(body) = &error.body {
            let mut response = http::Response::new(Full::new(body.clone().into_bytes()));
            *response.status_mut() = error.status;
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            headers.insert(header::CONTENT_TYPE, headers::JSON);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        } else {
            let error_response = ErrorResponse::Unreadable(error.status);
            cache_status.detail = Some(error_response.reason());
            error_response.response(self.ids, now)
        };
        response.headers_mut().extend(error.headers.clone());
        with_cache_status(response, &cache_status, outcome, Some(self.tag))
    }

    /// Builds a response from Graph's 401 of a few seconds ago. Its `Cache-Status` has no `fwd`, because the request did not
    /// go to Graph.
    pub fn recent_unauthorized(&self, error: &UpstreamErrorResponse, now: Now) -> HandlerResponse {
        let mut response = self.upstream_error(error, (Outcome::None, None), Forward::Bypass, now);
        let detail = Some(Rejection::TokenRefused.as_str());
        let cache_status = CacheStatus { detail, ..CacheStatus::default() };
        response.response.headers_mut().insert(CACHE_STATUS, cache_status.header_value());
        HandlerResponse { reason: detail, ..response }
    }

    /// Builds an error response because Graph gave no response that could go to the caller.
    pub fn failed(&self, error: ErrorResponse, forward: Forward, now: Now) -> HandlerResponse {
        let cache_status = CacheStatus { forward: Some(forward), ..CacheStatus::default() };
        HandlerResponse { token_tag: Some(self.tag), ..error_response(error, self.ids, &cache_status, now) }
    }

    /// Builds a response from an entry that may be used for the time `left`, if it was stored. `max-age` is `Age` and the time
    /// that is left, because a cache downstream subtracts `Age` (RFC 9111, section 4.2).
    fn with_entry(
        &self,
        entry: &Entry,
        cache_status: CacheStatus,
        left: Option<Duration>,
        age: Option<Duration>,
        outcome: Outcome,
    ) -> HandlerResponse {
        let age = age.map(|age| age.as_secs());
        let entry_fields = EntryFields {
            date: templates::header_value(TemplateKind::Date, entry.date()),
            cache_control: match left {
                Some(left) => {
                    let max_age = age.unwrap_or(0).saturating_add(left.as_secs());
                    templates::header_value(TemplateKind::MaxAge, max_age)
                }
                None => HeaderValue::from_static("no-store"),
            },
            cache_status: cache_status.header_value(),
            age: age.map(|age| templates::header_value(TemplateKind::Number, age)),
        };
        let (response, has_common_headers) = if self.is_conditional && is_not_modified(entry, self.headers) {
            (not_modified(entry, entry_fields), false)
        } else {
            let gzip = entry.gzip().filter(|_| ContentCoding::preferred(self.headers) == ContentCoding::Gzip);
            full_response(entry, gzip, entry_fields, self.ids)
        };
        HandlerResponse {
            response,
            has_common_headers,
            outcome,
            reason: cache_status.detail,
            token_tag: Some(self.tag),
        }
    }
}

/// Builds an error response of the proxy.
pub fn error_response(
    error_response: ErrorResponse,
    ids: &Ids,
    cache_status: &CacheStatus,
    now: Now,
) -> HandlerResponse {
    let cache_status = CacheStatus { detail: Some(error_response.reason()), ..*cache_status };
    with_cache_status(error_response.response(ids, now), &cache_status, Outcome::None, None)
}

/// Completes a response that is not from an entry.
fn with_cache_status(
    mut response: http::Response<Full<Bytes>>,
    cache_status: &CacheStatus,
    outcome: Outcome,
    token_tag: Option<LogTag>,
) -> HandlerResponse {
    response.headers_mut().insert(CACHE_STATUS, cache_status.header_value());
    HandlerResponse { response, has_common_headers: false, outcome, reason: cache_status.detail, token_tag }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
