//! `docs/reasons.md`.

use connector_cache::auth::Bypass;
use connector_cache::cache::outcome::{HitReason, NotStored};
use connector_cache::http::cache_status::Forward;
use connector_cache::http::rejection::Rejection;
use connector_cache::proxy::error_response::ErrorResponse;
use connector_cache::scrub::ScrubFailure;
use connector_cache::server::ConnRejection;
use connector_cache::support::labels::Label;
use connector_cache::upstream::UpstreamFailure;
use http::StatusCode;

use super::markdown::{code, notice, table};

/// The text of the page.
pub(crate) fn page() -> String {
    let mut text = notice("the label enums in src") + HEAD;
    text += REJECTIONS;
    let rejections = Rejection::ALL.iter();
    text += &with_responses(rejections.map(|&reason| (reason, ErrorResponse::Rejected(reason))));
    text += CONNECTIONS;
    text += &descriptions(ConnRejection::ALL);
    text += FAILURES;
    let failures = UpstreamFailure::ALL.iter();
    text += &with_responses(failures.map(|&reason| (reason, ErrorResponse::Upstream(reason))));
    text += SCRUB_FAILURES;
    let failures = ScrubFailure::ALL.iter();
    text += &with_responses(failures.map(|&reason| (reason, ErrorResponse::Unscrubbable(reason))));
    text += UNREADABLE;
    let unreadable = ErrorResponse::Unreadable(StatusCode::FORBIDDEN);
    text += &format!("\n`{}`: {}\n", unreadable.reason(), code(&unreadable.message()));
    text += BYPASS;
    text += &descriptions(Bypass::ALL);
    text += NOT_STORED;
    text += &descriptions(NotStored::ALL);
    text += FORWARD;
    text += &descriptions(Forward::ALL);
    text += HIT_REASONS;
    text += &descriptions(HitReason::ALL);
    text
}

/// A table of labels with their descriptions.
pub(crate) fn descriptions<L: Label>(labels: &[L]) -> String {
    let row = |label: &L| vec![code(label.as_str()), label.description().to_owned()];
    table(&["reason", "meaning"], &labels.iter().map(row).collect::<Vec<_>>())
}

fn with_responses<L: Label>(reasons: impl Iterator<Item = (L, ErrorResponse)>) -> String {
    let row = |(label, response): (L, ErrorResponse)| {
        let status = response.status().as_u16().to_string();
        let message = response.message().into_owned();
        vec![code(label.as_str()), status, code(response.code()), label.description().to_owned(), message]
    };
    table(
        &["reason", "status", "`error.code`", "meaning", "`error.message`"],
        &reasons.map(row).collect::<Vec<_>>(),
    )
}

const HEAD: &str = "
# Reasons

Each reason has one spelling, which is the field of the log, the label of the metric and the `detail` of `Cache-Status`.
The sets are closed: no reason contains a flow, tenant, subject, path or error text.
";
const REJECTIONS: &str = "
## Why a request was refused

The proxy refused the request without a request to Graph. Counted by `rejected_total`.

";
const CONNECTIONS: &str = "
## Why a connection was refused or closed

The proxy closed the connection, in most cases without a response; for `slow` over HTTP/2, it reset only the stream of a large
response. Counted by `rejected_total`.

";
const FAILURES: &str = "
## Why Graph's response could not be used

The proxy passes on no part of the response. Counted by `origin_errors_total`.

";
const SCRUB_FAILURES: &str = "
## Why a body could not be scrubbed

Counted by `scrub_failures_total`, and by `origin_errors_total` as `unscrubbable`.

";
const UNREADABLE: &str = "
## Error responses of Graph with an unreadable body

The response keeps the status of Graph. The proxy replaces the body, because it could not be scrubbed.
";
const BYPASS: &str = "
## Why a token may not use the cache

The request is forwarded to Graph, and the response is not stored. Counted by `bypass_total`.

";
const NOT_STORED: &str = "
## Why a response was not stored

Counted by `not_stored_total`.

";
const FORWARD: &str = "
## Why a request was forwarded to Graph

The parameter `fwd` of `Cache-Status` (RFC 9211, section 2.2).

";
const HIT_REASONS: &str = "
## Why a stored response was used in place of a forwarded request

The parameter `detail` of a hit in `Cache-Status`.

";
