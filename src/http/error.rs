//! Whose fault it is, and what the caller is told.
//!
//! Every refusal and failure has a word here, and a table turns it into an answer. Answers have Graph's own shape, because
//! Graph's clients branch on `error.code`. Nothing that came from Graph or from the caller is in them, but
//! for the caller's `client-request-id`.

mod table;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::Full;

use crate::cache::outcome::ScrubFailure;
use crate::http::ids::{CLIENT_REQUEST_ID, Ids, REQUEST_ID};
use crate::support::byte_budget::BudgetExhausted;
use crate::support::clock::Now;
use crate::support::labels::labels;

/// What goes back to a caller: every answer is whole in memory before it is sent.
pub type Response = http::Response<Full<Bytes>>;

labels! {
    /// Why a request was refused before Graph was asked: the label of `rejected_total`.
    pub enum Rejection {
        /// The path is not one of ours.
        Path = "path",
        /// The path has a percent sign; none of ours needs one.
        PercentInPath = "percent-in-path",
        /// The flow id is not 1 to 128 of `A-Z a-z 0-9 _ -`.
        FlowId = "flow-id",
        /// The query is not one that we can forward as it was meant.
        Query = "query",
        /// The method is neither GET nor HEAD.
        Method = "method",
        /// The request has a body.
        Body = "body",
        /// No media type that we can answer with is accepted.
        Accept = "accept",
        /// There is no `Authorization`.
        NoToken = "no-token",
        /// The scheme is not Bearer.
        Scheme = "not-bearer",
        /// There is more than one `Authorization`, or a comma in it.
        SeveralTokens = "several-tokens",
        /// The token has characters that RFC 6750, section 2.1 does not allow, or is too long.
        TokenForm = "token-form",
        /// `Host` is missing, doubled, or differs from `:authority`.
        Host = "host",
        /// `Connection` names a field that must reach us.
        Connection = "connection",
        /// `Expect` asks for something unknown.
        Expectation = "expectation",
        /// The request has been through us before.
        Loop = "loop",
        /// The request target is longer than `limits.target_bytes`.
        TargetTooLong = "target-too-long",
        /// The header section is larger than `limits.header_bytes`.
        HeadersTooLarge = "headers-too-large",
        /// The caller wants an answer from memory alone (`only-if-cached`), and there is none.
        OnlyIfCached = "only-if-cached",
        /// As many connections as `limits.connections` allows are open.
        Connections = "connections",
        /// The caller's address has as many open as `limits.connections_per_address` allows.
        AddressConnections = "connections-per-address",
        /// The bytes are not HTTP as RFC 9112 or RFC 9113 has it.
        Malformed = "malformed",
        /// The caller sends more of HTTP/2's frames, or resets more streams, than requests need.
        Flood = "flood",
        /// The caller took longer over a handshake, a header section or an answer than `limits.*` allows.
        Slow = "slow",
        /// The TLS handshake failed.
        Handshake = "tls-handshake",
        /// As many requests as `limits.origin_requests` allows are on their way to Graph.
        Overloaded = "overloaded",
        /// As many bytes as `limits.bytes_in_flight` allows are on their way.
        BytesInFlight = "bytes-in-flight",
        /// Graph asked that this application, or this token, leaves it alone for a while.
        ThrottleGate = "throttle-gate",
        /// Graph failed repeatedly in the scope of the request; one request a second checks whether it still fails.
        Breaker = "breaker",
        /// The caller's address has sent too many tokens that Graph refused.
        UnprovenBudget = "unproven-budget",
        /// Graph refused this very token a few seconds ago; the answer is the same.
        TokenRefused = "token-refused",
        /// The request was not answered within `limits.request_timeout`.
        Deadline = "deadline",
        /// A fault of ours.
        Panic = "panic",
    }
}

labels! {
    /// Why Graph's answer could not be had or used: the label of `origin_errors_total`.
    pub enum UpstreamFailure {
        /// The name did not resolve.
        Dns = "dns",
        /// No connection could be made.
        Connect = "connect",
        /// This machine has no descriptor, port or memory left for a connection.
        NoSocket = "no-socket",
        /// No connection within `graph.connect_timeout`.
        ConnectTimeout = "connect-timeout",
        /// The TLS handshake failed.
        Tls = "tls",
        /// The connection broke before an answer began.
        Reset = "reset",
        /// No answer began within `graph.first_byte_timeout`.
        FirstByte = "first-byte-timeout",
        /// No whole answer within `graph.timeout`.
        Timeout = "timeout",
        /// The answer broke off.
        Truncated = "truncated",
        /// The answer is not HTTP as it should be.
        Protocol = "protocol",
        /// A content coding that was not asked for, or that does not decode.
        Encoding = "encoding",
        /// The decoded body is larger than `graph.max_body`.
        TooLarge = "too-large",
        /// A 200 whose body is not JSON by its media type.
        ContentType = "content-type",
        /// A redirect; none is followed.
        Redirect = "redirect",
        /// A success that is no 200, or an unsolicited 304.
        Status = "unexpected-status",
        /// The body could not be scrubbed.
        Unscrubbable = "unscrubbable",
    }
}

/// A request that ends in an answer of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorResponse {
    /// The caller's doing, or a limit of ours.
    Rejected(Rejection),
    /// Graph's doing.
    GraphClient(UpstreamFailure),
    /// Graph is not called for so many seconds: a throttle or breaker of the request's own scope is open.
    Shut(Rejection, u32),
    /// Graph's answer could not be scrubbed, so it does not pass.
    Unscrubbable(ScrubFailure),
    /// Graph said no, in a body that could not be passed on. Its status is kept.
    Unreadable(StatusCode),
}

impl From<UpstreamFailure> for ErrorResponse {
    fn from(fault: UpstreamFailure) -> Self {
        Self::GraphClient(fault)
    }
}

impl From<BudgetExhausted> for ErrorResponse {
    fn from(_: BudgetExhausted) -> Self {
        Self::Rejected(Rejection::BytesInFlight)
    }
}

impl ErrorResponse {
    /// The status that the caller sees.
    pub fn status(self) -> StatusCode {
        table::row(self).0
    }

    /// Returns the value of `error.code` in the body.
    pub fn code(self) -> &'static str {
        table::row(self).1
    }

    /// Returns the value of `error.message` in the body.
    pub fn message(self) -> &'static str {
        table::row(self).2
    }

    /// The answer, in Graph's shape.
    pub fn response(self, ids: &Ids, now: Now) -> Response {
        let (status, code, message) = table::row(self);
        let body = body(code, message, ids, now);
        let length = HeaderValue::from(body.len());
        let mut response = http::Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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

    /// The word for logs and `Cache-Status`.
    pub fn reason(self) -> &'static str {
        use crate::support::labels::Label;
        match self {
            Self::Rejected(reason) | Self::Shut(reason, _) => reason.as_str(),
            Self::GraphClient(reason) => reason.as_str(),
            Self::Unscrubbable(reason) => reason.as_str(),
            Self::Unreadable(_) => "unreadable-error",
        }
    }

    /// One header that belongs to the status.
    fn extra(self) -> Option<(HeaderName, &'static str)> {
        match self {
            // RFC 6750, section 3.1: no error code where no credentials came.
            Self::Rejected(Rejection::NoToken | Rejection::Scheme | Rejection::TokenForm) => {
                Some((header::WWW_AUTHENTICATE, "Bearer"))
            }
            Self::Rejected(Rejection::Method) => Some((header::ALLOW, "GET, HEAD")),
            Self::Rejected(
                Rejection::Overloaded
                | Rejection::BytesInFlight
                | Rejection::Connections
                | Rejection::AddressConnections
                | Rejection::Deadline,
            )
            | Self::GraphClient(
                UpstreamFailure::Timeout
                | UpstreamFailure::FirstByte
                | UpstreamFailure::ConnectTimeout
                | UpstreamFailure::NoSocket,
            ) => Some((header::RETRY_AFTER, "1")),
            // A later request may have its paced turn.
            Self::Rejected(Rejection::UnprovenBudget) => Some((header::RETRY_AFTER, "6")),
            _ => None,
        }
    }

    /// Whether the connection's framing is in doubt, or its peer better starts anew.
    fn closes(self) -> bool {
        matches!(
            self,
            Self::Rejected(
                Rejection::Body | Rejection::Host | Rejection::Connection | Rejection::Connections
            )
        )
    }
}

fn body(code: &str, message: &str, ids: &Ids, now: Now) -> Bytes {
    // Graph writes the date without a zone; it is UTC.
    let stamp = humantime::format_rfc3339_seconds(now.wall()).to_string();
    let date = stamp.trim_end_matches('Z');
    let value = serde_json::json!({ "error": { "code": code, "message": message, "innerError": {
        "date": date, REQUEST_ID: ids.request.to_string(), CLIENT_REQUEST_ID: ids.client.to_string(),
    }}});
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::clock::Clock;
    use crate::support::labels::Label;
    use http::HeaderMap;

    #[test]
    fn every_rejection_is_an_error_in_graphs_shape() {
        for &reason in Rejection::ALL {
            let ids = Ids::from_headers(&HeaderMap::new());
            let now = Clock::system().now();
            let response = ErrorResponse::Rejected(reason).response(&ids, now);
            assert!(response.status().as_u16() >= 400, "{reason}");
            assert_eq!(response.headers()["content-type"], "application/json");
            let (_, code, message) = table::row(ErrorResponse::Rejected(reason));
            let body: serde_json::Value = serde_json::from_slice(&body(code, message, &ids, now)).unwrap();
            assert_eq!(body["error"]["code"], code);
            assert_eq!(body["error"]["innerError"]["request-id"], ids.request.to_string());
        }
    }

    #[test]
    fn the_date_has_graphs_form() {
        let now = Clock::manual(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_785_102_361)).now();
        let text = body("c", "m", &Ids::from_headers(&HeaderMap::new()), now);
        let body: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(body["error"]["innerError"]["date"], "2026-07-26T21:46:01");
    }

    #[test]
    fn l81_a_failure_that_passes_by_itself_says_when_to_come_back() {
        let (ids, now) = (Ids::from_headers(&HeaderMap::new()), Clock::system().now());
        for error_response in [
            ErrorResponse::Rejected(Rejection::Overloaded),
            ErrorResponse::Rejected(Rejection::Connections),
            ErrorResponse::GraphClient(UpstreamFailure::Timeout),
        ] {
            let response = error_response.response(&ids, now);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1", "{error_response:?}");
        }
    }

    #[test]
    fn a_missing_token_is_challenged_without_an_error_code() {
        let response = ErrorResponse::Rejected(Rejection::NoToken)
            .response(&Ids::from_headers(&HeaderMap::new()), Clock::system().now());
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
