//! Error responses of the proxy itself: the reason of each, its status and its header fields.
//!
//! Nothing from Graph and nothing from the request is in an error response, except the caller's `client-request-id` and the
//! name of a query option that is not supported.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::http::error::{ErrorBody, Response, code_for};
use crate::http::ids::Ids;
use crate::http::rejection::Rejection;
use crate::resource::InvalidRequest;
use crate::scrub::ScrubFailure;
use crate::support::clock::Now;
use crate::support::labels::Label;
use crate::upstream::{RequestError, UpstreamFailure};

/// Reason for an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorResponse {
    /// The request is invalid, or a limit of the proxy is reached.
    Rejected(Rejection),
    /// The request is not one for the resource.
    Invalid(InvalidRequest),
    /// Graph sent no usable response.
    Upstream(UpstreamFailure),
    /// A throttle or breaker of the request's own scope is open for this number of seconds.
    Shut(Rejection, u32),
    /// The body of Graph's response could not be scrubbed.
    Unscrubbable(ScrubFailure),
    /// Graph sent an error whose body cannot be passed on. Its status is kept.
    Unreadable(StatusCode),
}

impl From<RequestError> for ErrorResponse {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Failed(failure) => Self::Upstream(failure),
            RequestError::BudgetExhausted => Self::Rejected(Rejection::BytesInFlight),
        }
    }
}

impl ErrorResponse {
    /// Returns the status of the response.
    pub fn status(self) -> StatusCode {
        self.body().status
    }

    /// Returns the value of `error.code` in the body.
    pub fn code(self) -> &'static str {
        self.body().code
    }

    /// Returns the value of `error.message` in the body.
    pub fn message(self) -> Cow<'static, str> {
        self.body().message
    }

    /// Builds the response.
    pub fn response(self, ids: &Ids, now: Now) -> Response {
        let mut response = self.body().response(self.reason(), ids, now);
        let headers = response.headers_mut();
        if let Some((name, value)) = self.extra() {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Self::Shut(_, seconds) = self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.closes() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Returns the reason for the access log and for `Cache-Status`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Rejected(reason) | Self::Shut(reason, _) => reason.as_str(),
            Self::Invalid(invalid) => invalid.rejection().as_str(),
            Self::Upstream(reason) => reason.as_str(),
            Self::Unscrubbable(reason) => reason.as_str(),
            Self::Unreadable(_) => "unreadable-error",
        }
    }

    fn body(self) -> ErrorBody {
        match self {
            Self::Rejected(reason) | Self::Shut(reason, _) => reason.error(),
            Self::Invalid(invalid) => invalid.error(),
            Self::Upstream(failure) => failure.error(),
            Self::Unscrubbable(reason) => UpstreamFailure::Unscrubbable.error_with_reason(reason.as_str()),
            Self::Unreadable(status) => {
                let message =
                    "Microsoft Graph refused the request with an error that is not readable.".into();
                ErrorBody { status, code: code_for(status), message }
            }
        }
    }

    /// Returns the header field that belongs to the status.
    fn extra(self) -> Option<(HeaderName, &'static str)> {
        match self {
            // RFC 6750, section 3.1: no error code if the request has no credentials.
            Self::Rejected(Rejection::NoToken | Rejection::Scheme | Rejection::TokenForm) => {
                Some((header::WWW_AUTHENTICATE, "Bearer"))
            }
            Self::Rejected(Rejection::Method) => Some((header::ALLOW, "GET, HEAD")),
            Self::Rejected(Rejection::Overloaded | Rejection::BytesInFlight | Rejection::Deadline)
            | Self::Upstream(
                UpstreamFailure::Timeout
                | UpstreamFailure::FirstByte
                | UpstreamFailure::ConnectTimeout
                | UpstreamFailure::NoSocket,
            ) => Some((header::RETRY_AFTER, "1")),
            // The pacing may admit a later request.
            Self::Rejected(Rejection::UnprovenBudget) => Some((header::RETRY_AFTER, "6")),
            _ => None,
        }
    }

    /// Returns whether the connection closes after the response, because the framing of the request is in doubt.
    fn closes(self) -> bool {
        matches!(self, Self::Rejected(Rejection::Body | Rejection::Host | Rejection::Connection))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::auth::Bypass;
    use crate::cache::outcome::NotStored;
    use crate::http::cache_status::CacheStatus;
    use crate::support::clock::Clock;

    #[test]
    fn every_rejection_is_an_error_in_graphs_shape() {
        for &reason in Rejection::ALL {
            let ids = Ids::from_headers(&HeaderMap::new());
            let now = Clock::system().now();
            let response = ErrorResponse::Rejected(reason).response(&ids, now);
            assert!(response.status().as_u16() >= 400, "{reason}");
            assert_eq!(response.headers()["content-type"], "application/json");
            let error = reason.error();
            let body: serde_json::Value =
                serde_json::from_slice(&error.json(reason.as_str(), &ids, now)).unwrap();
            assert_eq!(body["error"]["code"], error.code);
            assert_eq!(body["error"]["innerError"]["request-id"], ids.request.to_string());
            assert_eq!(body["error"]["innerError"]["reason"], reason.as_str());
        }
    }

    #[test]
    fn l81_a_temporary_error_has_retry_after() {
        let (ids, now) = (Ids::from_headers(&HeaderMap::new()), Clock::system().now());
        for error in [
            ErrorResponse::Rejected(Rejection::Overloaded),
            ErrorResponse::Rejected(Rejection::BytesInFlight),
            ErrorResponse::Upstream(UpstreamFailure::Timeout),
        ] {
            let response = error.response(&ids, now);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1", "{error:?}");
        }
    }

    #[test]
    fn a_missing_token_is_challenged_without_an_error_code() {
        let response = ErrorResponse::Rejected(Rejection::NoToken)
            .response(&Ids::from_headers(&HeaderMap::new()), Clock::system().now());
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn l79_every_reason_makes_a_valid_structured_field() {
        fn labels<W: Label>() -> impl Iterator<Item = &'static str> {
            W::ALL.iter().map(|word| word.as_str())
        }
        let all = labels::<Bypass>()
            .chain(labels::<NotStored>())
            .chain(labels::<Rejection>())
            .chain(labels::<UpstreamFailure>())
            .chain(labels::<ScrubFailure>());
        for detail in all {
            let status = CacheStatus {
                hit: Some(-3),
                collapsed: true,
                detail: Some(detail),
                ..CacheStatus::default()
            };
            let text = status.header_value();
            let list = sfv::Parser::new(text.as_bytes()).parse::<sfv::List>();
            assert!(list.is_ok_and(|list| list.len() == 1), "{text:?}");
        }
    }
}
