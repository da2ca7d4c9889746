//! From a stored or passed answer to what the caller gets.
//!
//! Conditional requests are decided here, after the caller has been granted the answer: a guess at an
//! entity tag tells a stranger nothing.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::Full;

use crate::cache::entry::Entry;
use crate::cache::freshness::Assessment;
use crate::cache::outcome::{Forward, HitReason, Outcome};
use crate::http::cache_status::CacheStatus;
use crate::http::date;
use crate::http::error::{ErrorResponse, Rejection, Response};
use crate::http::headers;
use crate::http::headers::{CACHE_STATUS, ORIGIN_REQUEST_ID};
use crate::http::ids;
use crate::http::ids::{CLIENT_REQUEST_ID_FIELD, Ids, REQUEST_ID_FIELD};
use crate::http::negotiation::ContentCoding;
use crate::http::templates;
use crate::http::templates::TemplateKind;
use crate::proxy::fetch::{Fetched, UpstreamErrorResponse};
use crate::proxy::handler::{HandlerResponse, LogTag};
use crate::scrub::GzippedBody;
use crate::support::clock::Now;
use crate::support::labels::Label;

/// To whom an answer goes.
#[derive(Clone, Copy, Debug)]
pub struct ResponseBuilder<'a> {
    /// The fields of the request.
    pub headers: &'a HeaderMap,
    /// Whether a condition may be among them.
    pub is_conditional: bool,
    /// Its ids.
    pub ids: &'a Ids,
    /// Its token, as the log knows it.
    pub tag: LogTag,
}

impl ResponseBuilder<'_> {
    /// A fresh answer from memory; `why`, if the caller wanted something else.
    pub fn hit(&self, entry: &Entry, assessed: &Assessment, why: Option<HitReason>) -> HandlerResponse {
        let (hit, detail) = (Some(seconds(assessed.left)), why.map(Label::as_str));
        let report = CacheStatus { hit, detail, ..CacheStatus::default() };
        self.with_entry(entry, report, Some(assessed.left), Some(assessed.age), Outcome::Hit)
    }

    /// A stale answer from memory, while Graph is asked or because the caller takes it so.
    pub fn stale(&self, entry: &Entry, assessed: &Assessment, why: Option<HitReason>) -> HandlerResponse {
        let (hit, detail) = (Some(-seconds(assessed.overdue)), why.map(Label::as_str));
        let report = CacheStatus { hit, detail, ..CacheStatus::default() };
        self.with_entry(entry, report, Some(Duration::ZERO), Some(assessed.age), Outcome::Stale)
    }

    /// A stale answer from memory, because Graph could not be asked.
    pub fn stale_if_error(&self, entry: &Entry, assessed: &Assessment, of: &Fetched) -> HandlerResponse {
        let report = CacheStatus {
            forward: Some(Forward::Stale),
            forward_status: of.status(),
            detail: Some(HitReason::IfError.as_str()),
            ..CacheStatus::default()
        };
        self.with_entry(entry, report, Some(Duration::ZERO), Some(assessed.age), Outcome::Stale)
    }

    /// Graph's 200, or what its 304 renewed. `left` is how long it may be used, where it was stored.
    pub fn answered(
        &self,
        (entry, status): (&Entry, StatusCode),
        left: Option<Duration>,
        outcome: Outcome,
        forward: Forward,
        reason: Option<&'static str>,
    ) -> HandlerResponse {
        let report = CacheStatus {
            forward: Some(forward),
            forward_status: Some(status),
            stored: left.is_some() && outcome != Outcome::Collapsed,
            collapsed: outcome == Outcome::Collapsed,
            detail: reason,
            ..CacheStatus::default()
        };
        self.with_entry(entry, report, left, None, outcome)
    }

    /// Graph's "no", as it was said.
    pub fn upstream_error(
        &self,
        refusal: &UpstreamErrorResponse,
        outcome: Outcome,
        forward: Forward,
        now: Now,
    ) -> HandlerResponse {
        let mut report = CacheStatus {
            forward: Some(forward),
            forward_status: Some(refusal.status),
            collapsed: outcome == Outcome::Collapsed,
            ..CacheStatus::default()
        };
        let mut response = if let Some(body) = &refusal.body {
            let mut response = http::Response::new(Full::new(body.clone().into_bytes()));
            *response.status_mut() = refusal.status;
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            headers.insert(header::CONTENT_TYPE, headers::JSON);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        } else {
            let error_response = ErrorResponse::Unreadable(refusal.status);
            report.detail = Some(error_response.reason());
            error_response.response(self.ids, now)
        };
        response.headers_mut().extend(refusal.headers.clone());
        response.headers_mut().insert(CACHE_STATUS, report.header_value());
        HandlerResponse {
            response,
            has_common_headers: false,
            outcome,
            reason: report.detail,
            token_tag: Some(self.tag),
        }
    }

    /// Builds the response for a token that Graph refused a few seconds ago: the response of that time, in whose
    /// `Cache-Status` nothing is forwarded.
    pub fn recently_refused(&self, refusal: &UpstreamErrorResponse, now: Now) -> HandlerResponse {
        let mut answer = self.upstream_error(refusal, Outcome::None, Forward::Bypass, now);
        let detail = Some(Rejection::TokenRefused.as_str());
        let report = CacheStatus { detail, ..CacheStatus::default() };
        answer.response.headers_mut().insert(CACHE_STATUS, report.header_value());
        HandlerResponse { reason: detail, ..answer }
    }

    /// No answer of Graph's that could be passed on.
    pub fn failed(&self, what: ErrorResponse, forward: Forward, now: Now) -> HandlerResponse {
        let report = CacheStatus { forward: Some(forward), ..CacheStatus::default() };
        HandlerResponse { token_tag: Some(self.tag), ..error_response(what, self.ids, &report, now) }
    }

    fn with_entry(
        &self,
        entry: &Entry,
        report: CacheStatus,
        max_age: Option<Duration>,
        age: Option<Duration>,
        outcome: Outcome,
    ) -> HandlerResponse {
        let told = Told {
            date: templates::header_value(TemplateKind::Date, entry.date()),
            cache_control: match max_age {
                Some(left) => templates::header_value(TemplateKind::MaxAge, left.as_secs()),
                None => HeaderValue::from_static("no-store"),
            },
            cache_status: report.header_value(),
            age: age.map(|age| templates::header_value(TemplateKind::Number, age.as_secs())),
        };
        let (response, has_common_headers) = if self.is_conditional && is_unmodified(entry, self.headers) {
            (unmodified(entry, told), false)
        } else {
            let gzip = entry.gzip().filter(|_| ContentCoding::preferred(self.headers) == ContentCoding::Gzip);
            full_response(entry, gzip, told, self.ids)
        };
        HandlerResponse {
            response,
            has_common_headers,
            outcome,
            reason: report.detail,
            token_tag: Some(self.tag),
        }
    }
}

/// What is told of an entry to one caller at one moment.
struct Told {
    date: HeaderValue,
    cache_control: HeaderValue,
    cache_status: HeaderValue,
    age: Option<HeaderValue>,
}

/// An answer of our own, that says what went wrong.
pub fn error_response(
    error_response: ErrorResponse,
    ids: &Ids,
    report: &CacheStatus,
    now: Now,
) -> HandlerResponse {
    let report = CacheStatus { detail: Some(error_response.reason()), ..*report };
    let mut response = error_response.response(ids, now);
    response.headers_mut().insert(CACHE_STATUS, report.header_value());
    HandlerResponse {
        response,
        has_common_headers: false,
        outcome: Outcome::None,
        reason: report.detail,
        token_tag: None,
    }
}

/// The 200, and whether it has the ids. Nearly every answer of Graph's has the same fields: those are laid into a
/// frame that has their names already, which takes a fifth of the time of naming them one by one.
fn full_response(entry: &Entry, gzip: Option<&GzippedBody>, told: Told, ids: &Ids) -> (Response, bool) {
    let body = gzip.map_or_else(|| entry.body.clone().into_bytes(), |gzip| gzip.clone().into_bytes());
    let length = templates::header_value(TemplateKind::Number, body.len() as u64);
    let mut response = http::Response::new(Full::new(body));
    if let (None, Some(origins)) = (entry.unusual(), entry.origin_request_id) {
        let mut fields = RESPONSE_TEMPLATES.of(told.age.is_some(), gzip.is_some()).clone();
        let [etag, origins, ours] = ids::guid_values(|[etag, origins_text, ours]| {
            entry.tag.spell(etag);
            ids::write_guid(origins.get(), origins_text);
            ids::write_guid(ids.request, ours);
        });
        let [client, ours] = ids.header_values_with(ours);
        let Told { date, cache_control, cache_status, age } = told;
        let values = [length, etag, date, origins, cache_control, cache_status, client, ours];
        let mut places = fields.values_mut();
        // In this order: the place after the last is left for the age.
        for (value, place) in values.into_iter().zip(places.by_ref()) {
            *place = value;
        }
        if let (Some(place), Some(age)) = (places.next(), age) {
            *place = age;
        }
        *response.headers_mut() = fields;
        return (response, true);
    }
    let fields = response.headers_mut();
    fields.reserve(FIELDS);
    fields.insert(header::CONTENT_LENGTH, length);
    if gzip.is_some() {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    fields.extend(entry.headers().iter().cloned());
    describe(fields, entry, told);
    (response, false)
}

/// The names of the fields of an answer, and the values of those that are the same in every one.
static RESPONSE_TEMPLATES: LazyLock<ResponseTemplates> = LazyLock::new(|| ResponseTemplates {
    first: [false, true].map(|is_gzip| template(false, is_gzip)),
    aged: [false, true].map(|is_gzip| template(true, is_gzip)),
});

/// Each without and with gzip.
struct ResponseTemplates {
    /// Of answers that Graph has just given.
    first: [HeaderMap; 2],
    aged: [HeaderMap; 2],
}

impl ResponseTemplates {
    fn of(&self, is_aged: bool, is_gzip: bool) -> &HeaderMap {
        let [plain, gzip] = if is_aged { &self.aged } else { &self.first };
        if is_gzip { gzip } else { plain }
    }
}

fn template(is_aged: bool, is_gzip: bool) -> HeaderMap {
    let mut template = HeaderMap::with_capacity(FIELDS);
    // In the order in which `full_response` gives the values.
    for name in [
        header::CONTENT_LENGTH,
        header::ETAG,
        header::DATE,
        ORIGIN_REQUEST_ID,
        header::CACHE_CONTROL,
        CACHE_STATUS,
        CLIENT_REQUEST_ID_FIELD.clone(),
        REQUEST_ID_FIELD.clone(),
    ]
    .into_iter()
    .chain(is_aged.then_some(header::AGE))
    {
        template.insert(name, HeaderValue::from_static(""));
    }
    template.extend(headers::common_headers().iter().cloned());
    template.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    template.insert(header::VARY, HeaderValue::from_static(VARY));
    if is_gzip {
        template.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    template
}

/// What is told with a whole answer and with a 304: RFC 9110, section 15.4.5.
fn describe(fields: &mut HeaderMap, entry: &Entry, told: Told) {
    fields.insert(header::ETAG, entry.tag.spelled());
    fields.insert(header::DATE, told.date);
    fields.insert(header::VARY, HeaderValue::from_static(VARY));
    fields.insert(header::CACHE_CONTROL, told.cache_control);
    if let Some(age) = told.age {
        fields.insert(header::AGE, age);
    }
    if let Some(id) = entry.origin_request_id {
        fields.insert(ORIGIN_REQUEST_ID, ids::guid_value(id.get()));
    }
    fields.insert(CACHE_STATUS, told.cache_status);
}

fn unmodified(entry: &Entry, told: Told) -> Response {
    let mut response = http::Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    describe(response.headers_mut(), entry, told);
    response
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Whether the caller has this representation (RFC 9110, section 13.2.2): `If-None-Match` decides where it is
/// there, by weak comparison; `If-Modified-Since` otherwise. One tag stands for the body with and without gzip: section
/// 8.8.3.3 wants two only of strong ones, and a weak one says that the answers mean the same.
fn is_unmodified(entry: &Entry, headers: &HeaderMap) -> bool {
    let mut none_match = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
    if none_match.peek().is_some() {
        let etag = entry.tag.spelled();
        return none_match.any(|line| names_tag(line.as_bytes(), etag.as_bytes()));
    }
    let since = headers::single_value(headers, &header::IF_MODIFIED_SINCE).and_then(date::parse);
    since.is_some_and(|since| entry.changed() <= since)
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
        let Some(end) = tag.strip_prefix(b"\"").and_then(|rest| rest.iter().position(|byte| *byte == b'"'))
        else {
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

/// Of a 200, at most.
const FIELDS: usize = 20;
const VARY: &str = "Authorization, Accept, Accept-Encoding";
const GZIP: &str = "gzip";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l38_a_tag_is_found_in_a_list_by_weak_comparison() {
        let ours = b"W/\"abc\"";
        for list in ["\"abc\"", "W/\"abc\"", "*", " \"x\" , W/\"abc\"", "\"a,b\",\"abc\"", "\"abc\", \"x\""] {
            assert!(names_tag(list.as_bytes(), ours), "{list}");
        }
        for list in
            ["\"ab\"", "\"abcd\"", "abc", "", "\"abc", "W/", "\"x\" \"abc\"", "\"x,\\\"abc\"", "w/\"abc\""]
        {
            assert!(!names_tag(list.as_bytes(), ours), "{list}");
        }
    }
}
